"""A round head with air, bone and three tissues, whose numbers are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.geometry import Image

SIGMA = 5.0  # of the noise in each channel
LEVELS = {1: 200.0, 2: 600.0, 3: 900.0}  # CSF, GM, WM
SCALP = 700.0


@dataclass(frozen=True)
class Head:
    """An image with its truth."""

    image: Image
    mask: NDArray[np.bool_]
    tissue: NDArray[np.uint8]
    distance_mm: NDArray[np.float64]  # from the centre

    def with_voxels(self, voxels: NDArray[np.floating]) -> Head:  # type: ignore[type-arg]
        return Head(Image(voxels.astype(np.float32), self.image.affine), self.mask, self.tissue, self.distance_mm)


def round_head(size: int = 64, step_mm: float = 3.0, seed: int = 0) -> Head:
    """Brain to 60 mm (WM 40, GM 50, CSF), bone to 66 mm, scalp to 75 mm, air beyond; Rician noise everywhere."""
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = -step_mm * (size - 1) / 2
    axis = affine[0, 3] + step_mm * np.arange(size)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = np.sqrt(x**2 + y**2 + z**2)
    tissue = np.select([distance < 40, distance < 50, distance < 60], [3, 2, 1], 0).astype(np.uint8)
    clean = np.zeros(distance.shape)
    for label, level in LEVELS.items():
        clean[tissue == label] = level
    clean[(distance >= 66) & (distance < 75)] = SCALP
    rng = np.random.default_rng(seed)
    noisy = np.hypot(clean + rng.normal(0, SIGMA, clean.shape), rng.normal(0, SIGMA, clean.shape))
    return Head(Image(noisy.astype(np.float32), affine), tissue > 0, tissue, distance)
