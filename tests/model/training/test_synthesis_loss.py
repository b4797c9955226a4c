"""The loss is L1 and structure, inside the brain, on the scale of the target."""

from __future__ import annotations

import pytest
import torch

from model.evaluation.metrics import ssim_map
from model.training.synthesis import synthesis_loss


def volumes(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(2, 1, *shape, generator=torch.Generator().manual_seed(seed))


def loss(made: torch.Tensor, target: torch.Tensor, mask: torch.Tensor, span: float = 1.0, **weights: float) -> float:
    given = {"ssim_weight": 0.3, "volume_weight": 0.1} | weights
    return float(synthesis_loss(made, target, mask, (torch.zeros(2), torch.full((2,), span)), **given)[0])


@pytest.mark.parametrize("shape", [(1, 9, 4), (12, 12, 12)])
def test_equal_volumes_are_alike_and_cost_nothing(shape: tuple[int, int, int]) -> None:
    one = volumes(0, *shape)
    torch.testing.assert_close(ssim_map(one, one), torch.ones_like(one), atol=1e-3, rtol=0)
    assert loss(one, one, torch.ones_like(one)) == pytest.approx(0, abs=1e-3)


def test_what_lies_outside_the_brain_counts_little() -> None:
    target, mask = volumes(0, 24, 8, 8), torch.zeros(2, 1, 24, 8, 8)
    mask[:, :, :8] = 1
    outside, inside = target.clone(), target.clone()
    outside[:, :, 16:] += 0.3
    inside[:, :, :8] += 0.3
    assert 0 < loss(outside, target, mask) < 0.2 * loss(inside, target, mask)
    assert loss(outside, target, mask, volume_weight=0) == pytest.approx(0, abs=1e-3)


def test_a_dark_target_counts_as_much_as_a_bright_one() -> None:
    target, mask = volumes(0, 8, 8, 8), torch.ones(2, 1, 8, 8, 8)
    made = target + 0.05
    assert loss(0.2 * made, 0.2 * target, mask, 0.2) == pytest.approx(loss(made, target, mask), rel=1e-4)


def test_a_crop_without_brain_has_a_finite_loss_and_gradient() -> None:
    made = volumes(0, 8, 8, 8).requires_grad_()
    total, measures = synthesis_loss(
        made, volumes(1, 8, 8, 8), torch.zeros(2, 1, 8, 8, 8), torch.ones(2), ssim_weight=0.3, volume_weight=0.1
    )
    total.backward()
    assert made.grad is not None
    assert made.grad.isfinite().all()
    assert measures["l1"] == 0
