"""Target voxels take the mean of what lies in them, where the affine says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from model.data.target_voxels import TargetVoxels
from model.networks.synthesis import voxels
from model.networks.synthesis.voxels import sample
from model.simulation.rendering import average_over_voxels, rotation
from warehouse.imaging.geometry import Grid

Matrix = NDArray[np.float64]
THIN, THICK, TURNS = (0.5, 0.5, 4.0), (1.3, 0.7, 2.5), (5.0, -3.0, 8.0)
SIDE = 20


def placed(linear: Matrix, shape: tuple[int, int, int], middle: float = (SIDE - 1) / 2) -> TargetVoxels:
    """A block centred in the latent map."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = middle - linear @ ((np.array(shape) - 1) / 2)
    return TargetVoxels(shape, matrix)


def turned(sizes: tuple[float, ...], shape: tuple[int, int, int] = (10, 8, 4)) -> TargetVoxels:
    """Voxels of any sizes on axes that are turned by some degrees."""
    return placed(rotation(TURNS) @ np.diag(sizes), shape)


def smooth(side: int = SIDE) -> Tensor:
    """A random image without symmetry, (side, side, side)."""
    noise = np.random.default_rng(0).normal(size=(side, side, side))
    return torch.from_numpy(60 * gaussian_filter(noise, 4.0)).float()


def centers(at: TargetVoxels) -> Tensor:
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in at.shape), indexing="ij"))
    position = np.tensordot(at.matrix[:3, :3], indices, 1) + at.matrix[:3, 3, None, None, None]
    return torch.from_numpy(position).float()


BLOCKS = {
    "thin, turned": turned(THIN, (16, 16, 3)),
    "thick, turned": turned(THICK),
    "permuted and turned": placed((rotation(TURNS) @ np.diag(THICK))[:, [2, 0, 1]], (4, 7, 8)),
    "thin, parallel": placed(np.diag(THIN), (16, 16, 3)),
    "permuted and flipped": placed(np.diag(THICK)[:, [1, 2, 0]] * [-1, 1, -1], (8, 4, 6)),
}
EVERY_BLOCK = pytest.mark.parametrize("at", BLOCKS.values(), ids=BLOCKS.keys())


@EVERY_BLOCK
def test_the_mean_of_a_linear_function_is_that_of_the_centre(at: TargetVoxels) -> None:
    slope = torch.tensor([0.3, -0.2, 0.5])
    everywhere = torch.stack(torch.meshgrid(*[torch.arange(SIDE).float()] * 3, indexing="ij"))
    values, _ = sample(torch.tensordot(slope, everywhere, 1)[None, None], at)
    assert torch.allclose(values[0, 0], torch.tensordot(slope, centers(at), 1), atol=1e-4)


@EVERY_BLOCK
def test_means_are_those_of_the_simulated_scanner(at: TargetVoxels) -> None:
    image = smooth()
    expected = average_over_voxels(image, np.eye(4), np.eye(4), Grid(at.shape, at.matrix))
    values, _ = sample(image[None, None], at)
    assert (values[0, 0] - expected).abs().max() < 0.02 * image.std()
    assert (values[0, 0].flip(0) - expected).abs().max() > 0.5 * image.std()  # a voxel elsewhere would be noticed


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_voxels_that_coincide_are_copied_in_the_order_of_the_affine(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    latent = smooth()[:9, :8, :7].expand(2, 3, -1, -1, -1)
    shape = tuple(latent.shape[2 + axis] for axis in order)
    linear = np.eye(3)[:, order] * signs
    far = [0 if sign > 0 else latent.shape[2 + axis] - 1 for axis, sign in zip(order, signs, strict=True)]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, np.eye(3)[:, order] @ far
    rounded = matrix + np.random.default_rng(1).uniform(-1e-6, 1e-6, (4, 4)) * [[1], [1], [1], [0]]
    values, where = sample(latent, TargetVoxels((shape[0], shape[1], shape[2]), rounded))
    flipped = [2 + axis for axis, sign in enumerate(signs) if sign < 0]
    assert torch.equal(values, latent.permute(0, 1, *(2 + axis for axis in order)).flip(flipped))
    assert not where.any()


def test_a_voxel_on_the_left_stays_on_the_left() -> None:
    latent = torch.zeros(1, 1, 10, 10, 10)
    latent[0, 0, 1, 5, 8] = 1.0  # left, and superior
    lps = TargetVoxels((10, 10, 5), np.array([[-1.0, 0, 0, 9], [0, -1, 0, 9], [0, 0, 2, 0.5], [0, 0, 0, 1]]))
    assert sample(latent, lps)[0].nonzero().tolist() == [[0, 0, 8, 4, 4]]


@EVERY_BLOCK
def test_gradients_are_those_of_finite_differences(at: TargetVoxels) -> None:
    small = TargetVoxels((3, 2, 2), _near(at))
    latent = torch.randn(2, 2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda one: sample(one, small)[0], (latent,))


def _near(at: TargetVoxels) -> Matrix:
    """The same voxels near the first voxel of the latent map."""
    matrix = at.matrix.copy()
    matrix[:3, 3] = 0.3
    return matrix


@pytest.mark.parametrize("step", [2.0, 3.0, 4.0])
def test_thick_slices_conserve_the_sum(step: float) -> None:
    latent = smooth(24)[None, None]
    n = int(24 / step)
    matrix = np.diag([1.0, 1.0, step, 1.0])
    matrix[2, 3] = (step - 1) / 2
    values, _ = sample(latent, TargetVoxels((24, 24, n), matrix))
    assert float(values.sum() * step) == pytest.approx(float(latent.sum()), rel=1e-4)


def test_beyond_the_latent_map_its_outermost_value_goes_on() -> None:
    latent = torch.arange(8.0).reshape(1, 1, 8, 1, 1).expand(1, 1, 8, 6, 6)
    for linear in (np.eye(3) * 1.1, np.eye(3), rotation((0.0, 4.0, 0.0))):
        values, _ = sample(latent, placed(linear, (30, 3, 3), 3.0))
        assert values[0, 0, 0].abs().max() < 1e-5
        assert (values[0, 0, -1] - 7).abs().max() < 1e-5


def test_a_latent_map_of_one_slice_is_sampled() -> None:
    for at in BLOCKS.values():
        assert torch.allclose(sample(torch.ones(1, 2, 1, 5, 1), at)[0], torch.ones(()))


def test_offsets_and_extents_say_where_a_voxel_lies() -> None:
    at = turned(THIN, (16, 16, 3))
    _, where = sample(smooth()[None, None], at)
    assert torch.allclose(where[:3], centers(at) - centers(at).round(), atol=1e-5)
    assert where[:3].abs().max() <= 0.5
    moments = (turned(THIN).matrix[:3, :3] ** 2).sum(1)  # of points spread evenly over a voxel, along each axis, × 12
    assert torch.allclose(where[3:, 3, 3, 1].exp(), torch.from_numpy(moments).float().sqrt())
    cube = TargetVoxels((2, 2, 2), turned((2.0, 2.0, 2.0)).matrix)
    assert cube.extents == pytest.approx([2, 2, 2])


@EVERY_BLOCK
def test_the_operation_for_accelerators_gives_the_same(at: TargetVoxels) -> None:
    latent = smooth().expand(2, 3, -1, -1, -1).contiguous()
    assert torch.allclose(voxels._mean_of_samples(latent, at), sample(latent, at)[0], atol=1e-4)


def test_types_are_kept() -> None:
    for at, dtype in itertools.product(BLOCKS.values(), (torch.float32, torch.bfloat16)):
        expected, _ = sample(smooth()[None, None], at)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values, where = sample(smooth()[None, None].to(dtype), at)
        assert (values.dtype, where.dtype) == (dtype, torch.float32)
        assert torch.allclose(values.float(), expected, atol=1e-6 if dtype == torch.float32 else 0.05)
