"""What is wanted of a synthesised volume: right intensities and right structure inside the brain, and sense around it.

Intensities are compared on the scale of the target's brain, as the evaluation does (`model.evaluation.protocol`): a
contrast that fills a tenth of [0, 1] counts as much as one that fills it all.
"""

from __future__ import annotations

from torch import Tensor

from model.evaluation.metrics import ssim_map


def synthesis_loss(
    made: Tensor, target: Tensor, mask: Tensor, span: Tensor, *, ssim_weight: float, volume_weight: float
) -> tuple[Tensor, dict[str, float]]:
    """Return L1 in the brain + a · (1 − SSIM) in the brain + b · L1 everywhere, and the first two by name.

    Parameters
    ----------
    made, target : (batch, 1, i, j, k) Tensor
    mask : (batch, 1, i, j, k) Tensor
        Brain, 0 or 1.
    span : (batch,) Tensor
        Range of the target's intensities in the whole brain, which becomes 1.
    ssim_weight, volume_weight : float
        a and b.
    """
    scale = span.reshape(-1, 1, 1, 1, 1)
    made, target, mask = made.float() / scale, target.float() / scale, mask.float()
    n_inside = mask.sum().clamp(min=1)
    error = (made - target).abs()
    inside = (error * mask).sum() / n_inside
    loss, measures = inside + volume_weight * error.mean(), {"l1": float(inside.detach())}
    if ssim_weight:
        similarity = (ssim_map(made, target) * mask).sum() / n_inside
        loss = loss + ssim_weight * (1 - similarity)
        measures["ssim"] = float(similarity.detach())
    return loss, measures
