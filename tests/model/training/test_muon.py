"""Steps of Muon are nearly orthogonal matrices."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (20, 20)])
def test_singular_values_come_near_1_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(matrix)
    singular = torch.linalg.svdvals(found)
    assert singular.min() > 0.6
    assert singular.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    rotated = left.T @ found @ right.T
    assert (rotated - rotated.diag().diag()).abs().max() < 0.02


def test_weak_directions_of_a_gradient_are_learned_as_fast_as_strong_ones() -> None:
    kernel = nn.Parameter(torch.zeros(2, 2, 1, 1, 1))
    kernel.grad = torch.diag(torch.tensor([1.0, 0.05])).reshape(2, 2, 1, 1, 1)
    Muon([kernel], lr=0.1).step()
    moved = -kernel.detach()[..., 0, 0, 0] / 0.1
    assert 0.6 < moved[1, 1] < 1.3
    assert 0.6 < moved[0, 0] < 1.3


def test_parameters_without_a_gradient_stay() -> None:
    kernel = nn.Parameter(torch.ones(2, 2))
    Muon([kernel], weight_decay=0.5).step()
    assert torch.equal(kernel, torch.ones(2, 2))
