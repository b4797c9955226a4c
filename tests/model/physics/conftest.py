"""Tissues and settings that the tests of the equations share."""

from __future__ import annotations

import torch

from model.physics.tissue import Properties

BRAIN_AND_FLUID = {"white matter": (0.89, 0.056), "cortex": (1.55, 0.069), "fluid": (4.3, 1.9), "fat": (0.371, 0.133)}
"""T1 and T2 in seconds that span a head."""


def one_tissue(t1_s: float, t2_s: float, t2star_s: float | None = None, pd: float = 1.0) -> Properties:
    """A head of a single tissue."""
    one = torch.ones(1, dtype=torch.float64)
    return Properties(t1_s * one, t2_s * one, (t2star_s or t2_s) * one, pd * one, 0 * one)
