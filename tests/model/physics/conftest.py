"""Tissues and settings that the tests of the equations share."""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.tissue import Properties

BRAIN_AND_FLUID = {"white matter": (0.89, 0.056), "cortex": (1.55, 0.069), "fluid": (4.3, 1.9), "fat": (0.371, 0.133)}
"""T1 and T2 in seconds that span a head."""


def one_tissue(t1_s: float, t2_s: float, t2star_s: float | None = None, pd: float = 1.0) -> Properties:
    """A head of a single tissue."""
    one = torch.ones(1, dtype=torch.float64)
    return Properties(t1_s * one, t2_s * one, (t2star_s or t2_s) * one, pd * one, 0 * one)


def null_time_s(t1_s: Tensor, tr_s: Tensor, te_s: Tensor) -> Tensor:
    """Return the inversion time at which a tissue gives no signal: T1 ln(2 / (1 + exp(−(TR−TE)/T1))), seconds.

    For TR much longer than T1 it is T1 ln 2; at the TR of real FLAIR it is well below.
    """
    return t1_s * torch.log(2 / (1 + torch.exp(-(tr_s - te_s) / t1_s)))


def ernst_angle_deg(tr_s: Tensor, t1_s: Tensor) -> Tensor:
    """Compute the flip angle of the largest signal, arccos exp(−TR/T1), degrees."""
    return torch.rad2deg(torch.arccos(torch.exp(-tr_s / t1_s)))
