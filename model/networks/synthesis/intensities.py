"""Network intensities as signals, in torch: what `warehouse.imaging.brain_scale` does with arrays."""

from __future__ import annotations

import torch
from torch import Tensor

from warehouse.imaging.brain_scale import LINEAR_TO


def hardened(voxels: Tensor) -> Tensor:
    """Return spreads from the brain's median, float32, of network intensities of any shape: linear in the signal."""
    beyond = voxels.float().abs() - LINEAR_TO
    return torch.where(beyond > 0, voxels.sign() * (LINEAR_TO + beyond.clamp(min=0).expm1()), voxels.float())
