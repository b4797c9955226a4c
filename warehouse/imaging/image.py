"""A volume in space: voxels with the affine that says where they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.geometry import Grid

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Image:
    """A volume in space.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    affine : (4, 4) float64 array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def grid(self) -> Grid:
        """Where its voxels are."""
        i, j, k = self.voxels.shape
        return Grid((i, j, k), self.affine)

    @cached_property
    def voxel_size_mm(self) -> NDArray[np.float64]:
        """Length of a step along i, j, k, mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def like(self, voxels: Floats) -> Image:
        """Return other voxels in the same place."""
        return Image(np.ascontiguousarray(voxels, dtype=np.float32), self.affine)
