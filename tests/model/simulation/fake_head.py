"""A crude head that is made in milliseconds: nested ellipsoids, and a plaque that only the left hemisphere has."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from model.physics.tissue import N_TISSUES, TISSUES
from model.simulation.head import Head
from model.simulation.people import Subject

EXTENT_MM = (160.0, 200.0, 180.0)
LESION_MM = (-35.0, 15.0, 25.0)  # left, anterior, superior
LESION_RADIUS_MM = 14.0
# Semi-axes as shares of the extent, from the outside in.
SHELLS = {"skin": 0.46, "fat": 0.44, "bone": 0.41, "csf": 0.38, "cortex": 0.36, "white_matter": 0.31}


def fake_head(subject: Subject, resolution_mm: float = 5.0, *, has_lesion: bool = True) -> Head:
    """Make a head whose shells are smooth to a voxel, about the origin."""
    shape = tuple(round(extent / resolution_mm) for extent in EXTENT_MM)
    affine = np.diag([resolution_mm] * 3 + [1.0])
    affine[:3, 3] = -resolution_mm * (np.array(shape) - 1) / 2
    points = np.moveaxis(np.indices(shape), 0, -1) * resolution_mm + affine[:3, 3]
    fractions = np.zeros((N_TISSUES, *shape), np.float32)
    for name, share in SHELLS.items():
        _paint(fractions, name, points / (share * np.array(EXTENT_MM)), resolution_mm / (share * min(EXTENT_MM)))
    mask = np.linalg.norm(points - LESION_MM, axis=-1) < LESION_RADIUS_MM
    if has_lesion:
        _paint(fractions, "plaque", (points - LESION_MM) / LESION_RADIUS_MM, resolution_mm / LESION_RADIUS_MM)
    return Head(
        subject=subject,
        fractions=torch.from_numpy(fractions),
        affine=affine,
        lesion_masks={"ms": mask} if has_lesion else {},
        displacement_mm=np.zeros((3, *shape), np.float32),
        properties_scale=dict.fromkeys(TISSUES, (1.0, 1.0, 1.0, 1.0)),
        inflow=torch.zeros(shape),
        intracranial=fractions[[TISSUES.index(name) for name in ("csf", "cortex", "white_matter")]].sum(0) > 0.5,
    )


def _paint(fractions: NDArray[np.float32], name: str, scaled: NDArray[np.float64], width: float) -> None:
    """Replace what lies inside the unit ball by a tissue, with an edge as wide as a voxel."""
    inside = np.clip(0.5 + (1 - np.linalg.norm(scaled, axis=-1)) / width, 0, 1).astype(np.float32)
    fractions *= 1 - inside
    fractions[TISSUES.index(name)] += inside
