"""The loss is L1 and structure, inside the brain, on the scale of the target."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from model.data.patches import Patch
from model.evaluation.metrics import ssim_map
from model.training.losses import FARTHEST, synthesis_loss
from warehouse.imaging.brain_scale import harden
from warehouse.prompts.record import PromptRecord


def volume(seed: int, *shape: int) -> Tensor:
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(seed))


def patch_of(target: Tensor, mask: Tensor, low: float = 0.0, span: float = 1.0) -> Patch:
    """Return a patch that wants a volume, and has nothing else."""
    return Patch((), target[0, 0].numpy(), mask[0, 0].numpy() > 0, None, (1.0, 1.0, 1.0), low, span, PromptRecord())


def loss(made: Tensor, target: Tensor, mask: Tensor, low: float = 0.0, span: float = 1.0, **weights: float) -> float:
    given = {"ssim_weight": 0.3, "volume_weight": 0.1} | weights
    return float(synthesis_loss(made, patch_of(target, mask, low, span), **given)[0])


@pytest.mark.parametrize("shape", [(1, 9, 4), (12, 12, 12)])
def test_equal_volumes_are_alike_and_cost_nothing(shape: tuple[int, int, int]) -> None:
    one = volume(0, *shape)
    torch.testing.assert_close(ssim_map(one, one), torch.ones_like(one), atol=1e-3, rtol=0)
    assert loss(one, one, torch.ones_like(one)) == pytest.approx(0, abs=1e-3)


def test_what_lies_outside_the_brain_counts_little() -> None:
    target, mask = volume(0, 24, 8, 8), torch.zeros(1, 1, 24, 8, 8)
    mask[:, :, :8] = 1
    outside, inside = target.clone(), target.clone()
    outside[:, :, 16:] += 0.3
    inside[:, :, :8] += 0.3
    assert 0 < loss(outside, target, mask) < 0.2 * loss(inside, target, mask)
    assert loss(outside, target, mask, volume_weight=0) == pytest.approx(0, abs=1e-3)


def test_loss_is_the_sum_of_its_parts() -> None:
    made, target, mask = volume(0, 8, 8, 8), volume(1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8)
    mask[:, :, 2:6] = 1
    total, l1, ssim = synthesis_loss(made, patch_of(target, mask), ssim_weight=0.3, volume_weight=0.1)
    error = (made - target).abs()
    torch.testing.assert_close(l1, error[mask > 0].mean())
    torch.testing.assert_close(ssim, ssim_map(made, target)[mask > 0].mean())
    torch.testing.assert_close(total, l1 + 0.3 * (1 - ssim) + 0.1 * error.mean())


def test_the_scale_of_the_target_does_not_matter() -> None:
    target, mask = volume(0, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)
    made = target + 0.05
    dark = loss(0.2 * made - 1, 0.2 * target - 1, mask, low=-1, span=0.2)
    assert dark == pytest.approx(loss(made, target, mask), rel=1e-4)


def test_a_patch_without_brain_has_a_finite_loss_and_gradient() -> None:
    made = volume(0, 8, 8, 8).requires_grad_()
    nothing = patch_of(volume(1, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8))
    total, l1, _ = synthesis_loss(made, nothing, ssim_weight=0.3, volume_weight=0.1)
    total.backward()  # type: ignore[no-untyped-call]
    assert made.grad is not None
    assert made.grad.isfinite().all()
    assert float(l1.detach()) == 0


def test_made_in_half_precision_is_compared_in_full() -> None:
    target, mask = volume(0, 8, 8, 8), torch.ones(1, 1, 8, 8, 8)
    total, _, _ = synthesis_loss(target.bfloat16(), patch_of(target, mask), ssim_weight=0.3, volume_weight=0.1)
    assert total.dtype == torch.float32
    assert np.isfinite(float(total))


def test_the_squared_error_is_that_of_signals_which_network_intensities_compress() -> None:
    target, mask = volume(0, 6, 6, 6), torch.ones(1, 1, 6, 6, 6)
    low, high = -1.5, 3.0
    target = low + (high - low) * target
    made = target + 0.2
    signals = [harden(one.double().numpy()) for one in (made, target)]
    whole = harden(np.array(high)) - harden(np.array(low))
    expected = float((((signals[0] - signals[1]) / whole) ** 2).mean())
    given = {"low": low, "span": high - low, "ssim_weight": 0.0, "volume_weight": 0.0}
    found = loss(made, target, mask, **given, signal_weight=10.0) - loss(made, target, mask, **given)
    assert found == pytest.approx(10 * expected, rel=1e-4)
    squares = [(harden(np.array(at + 0.2)) - harden(np.array(at))) ** 2 for at in (0.0, 2.8)]
    assert squares[1] > 3 * squares[0]  # what is bright counts more than on the network's scale


def test_the_squared_error_is_of_the_brain_and_bounded() -> None:
    target, mask = volume(0, 8, 8, 8), torch.zeros(1, 1, 8, 8, 8)
    mask[:, :, :4] = 1
    made = target.clone()
    made[:, :, 4:] += 1
    whole = {"ssim_weight": 0.0, "volume_weight": 0.0}
    assert loss(made, target, mask, **whole, signal_weight=10.0) == pytest.approx(0, abs=1e-6)
    made = torch.full_like(target, 100.0, requires_grad=True)
    total, _, _ = synthesis_loss(made, patch_of(target, mask), **whole, signal_weight=1.0)
    total.backward()
    assert torch.isfinite(made.grad).all()
    assert float(total.detach()) - loss(made.detach(), target, mask, **whole) <= float(harden(np.array(FARTHEST))) ** 2
