"""The loss of the synthesis network: how far the patch that it makes is from the real one."""

from __future__ import annotations

import torch
from torch import Tensor

from model.data.patches import Patch
from model.evaluation.metrics import ssim_map
from model.networks.synthesis.intensities import hardened

FARTHEST = 4.0  # network intensity up to which signals are compared: one bright vessel must not weigh as much as a lobe


def synthesis_loss(
    made: Tensor, patch: Patch, *, ssim_weight: float, volume_weight: float, signal_weight: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a loss, then the L1 and the SSIM in the brain that are a part of it.

    The loss is L1 in the brain + a · (1 − SSIM) in the brain + b · L1 everywhere + c · squared error of the signal in
    the brain. All are on the scale of the target's whole brain, whose range is 1; the last is linear in the signal, as
    evaluations are, while network intensities compress what is bright.

    Parameters
    ----------
    made : (1, 1, i, j, k) Tensor
        Network intensities.
    patch : Patch
        Whose target is compared; the lowest intensity of its whole brain, and its range, become 0 and 1, since SSIM
        depends on both.
    ssim_weight, volume_weight, signal_weight : float
        a, b and c.
    """
    target, mask = (torch.from_numpy(one)[None, None].to(made.device) for one in (patch.target, patch.mask))
    if patch.is_stripped:  # as in the file that a user gets: around a stripped brain there is nothing
        made = torch.where(mask, made.float(), target)
    n_inside = mask.sum().clamp(min=1)
    square = _square_of_signals(made.float(), target, patch) if signal_weight else None
    made, target, mask = (made.float() - patch.low) / patch.span, (target - patch.low) / patch.span, mask.float()
    error = (made - target).abs()
    inside = (error * mask).sum() / n_inside
    loss, similarity = inside + volume_weight * error.mean(), made.new_zeros(())
    if ssim_weight:
        similarity = (ssim_map(made, target) * mask).sum() / n_inside
        loss = loss + ssim_weight * (1 - similarity)
    if square is not None:
        loss = loss + signal_weight * (square * mask).sum() / n_inside
    return loss, inside, similarity


def _square_of_signals(made: Tensor, target: Tensor, patch: Patch) -> Tensor:
    """Return the squared error of each voxel, linear in the signal, as a part of the brain's range."""
    low, high = hardened(torch.tensor([patch.low, patch.low + patch.span]).clamp(-FARTHEST, FARTHEST)).tolist()
    one, other = (hardened(voxels.clamp(-FARTHEST, FARTHEST)) for voxels in (made, target))
    difference: Tensor = (one - other) / (high - low)
    return difference.square()
