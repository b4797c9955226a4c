"""The image tower."""

from __future__ import annotations

import pytest
import torch

from model.networks.image_tower import ImageTower, ImageTowerConfig, LocalHistogram


@pytest.fixture(scope="module")
def tower() -> ImageTower:
    torch.manual_seed(0)
    return ImageTower(ImageTowerConfig(width=16, patch_voxels=2, n_intensity_bins=6, channels=8, n_levels=3))


@pytest.mark.parametrize("shape", [(16, 16, 16), (24, 28, 20), (9, 11, 13)], ids=str)
def test_a_volume_of_any_shape_is_one_vector(tower: ImageTower, shape: tuple[int, int, int]) -> None:
    embedded = tower(torch.rand(2, 1, *shape))
    assert embedded.shape == (2, 16)
    assert embedded.dtype == torch.float32
    assert embedded.isfinite().all()


def test_an_empty_volume_is_no_division_by_zero(tower: ImageTower) -> None:
    volume = torch.zeros(1, 1, 16, 16, 16)
    tower.zero_grad()
    tower(volume).square().sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in tower.parameters())


def test_the_gradient_reaches_every_parameter(tower: ImageTower) -> None:
    tower.zero_grad()
    (tower(torch.rand(3, 1, 16, 16, 16)) * torch.randn(16)).square().sum().backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_brighter_and_darker_tissue_are_told_apart(tower: ImageTower) -> None:
    volume = torch.rand(1, 1, 16, 16, 16)
    assert (tower(volume) - tower(1 - volume)).norm() > 0.1


def test_bins_of_a_cube_are_triangles_that_sum_to_their_number() -> None:
    volume = 6 * torch.rand(2, 1, 8, 4, 12, generator=torch.Generator().manual_seed(0)) - 3
    volume[0, 0, 0, 0, :2] = torch.tensor([-3.0, 3.0])
    found = LocalHistogram(5, 4)(volume)
    centres = torch.linspace(-3, 3, 5)[:, None, None, None]
    slow = torch.nn.functional.avg_pool3d((1 - (4 / 6) * (volume - centres).abs()).clamp_min(0), 4) * 5
    assert found.shape == (2, 5, 2, 1, 3)
    assert torch.allclose(found, slow, atol=1e-4)
    assert torch.allclose(found.sum(1), torch.tensor(5.0), atol=1e-4)
