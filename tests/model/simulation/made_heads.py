"""Heads and measures that several tests share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from model.physics.tissue import TISSUES
from model.simulation.deform import VELOCITY_STEP_MM
from model.simulation.head import Head, make_head
from model.simulation.people import Subject

STEP_MM = 3.0


@lru_cache(maxsize=12)
def head_of(subject: Subject) -> Head:
    return make_head(subject, STEP_MM)


def share(head: Head, *names: str) -> torch.Tensor:
    """Return the share of tissues together, (i, j, k)."""
    return head.fractions[[TISSUES.index(name) for name in names]].sum(dim=0)


def volume_ml(head: Head, *names: str) -> float:
    inside = torch.from_numpy(head.intracranial)
    return float(share(head, *names)[inside].sum()) * STEP_MM**3 / 1000


def jacobian(shift_mm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the determinant of the Jacobian of point + shift: above 0 where space does not fold."""
    slopes = np.stack([np.stack(np.gradient(part, VELOCITY_STEP_MM)) for part in shift_mm])  # (3, 3, i, j, k)
    matrix = np.moveaxis(slopes, (0, 1), (-2, -1)) + np.eye(3, dtype=np.float32)
    return np.asarray(np.linalg.det(matrix), np.float32)
