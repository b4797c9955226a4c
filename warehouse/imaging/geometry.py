"""Grids of voxels in space, and the turning of their axes. Affines map voxel (i, j, k) to world (x, y, z), RAS+, mm."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Voxels in space.

    Parameters
    ----------
    shape : tuple of 3 int
    affine : (4, 4) float64 array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    """

    shape: tuple[int, int, int]
    affine: Affine

    @property
    def voxel_size_mm(self) -> NDArray[np.float64]:
        """Length of a step along i, j, k, mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def axcodes(self) -> str:
        """Direction of the voxel axes, e.g. RAS."""
        return "".join(nib.aff2axcodes(self.affine))

    def turned(self) -> Grid:
        """Return the same voxels with axes as near to right, anterior and superior as they go."""
        ornt = nib.io_orientation(self.affine)
        shape = tuple(int(self.shape[int(np.flatnonzero(ornt[:, 0] == axis)[0])]) for axis in range(3))
        return Grid((shape[0], shape[1], shape[2]), self.affine @ nib.orientations.inv_ornt_aff(ornt, self.shape))


def corners_mm(shape: tuple[int, ...], affine: Affine) -> NDArray[np.float64]:
    """Return the world coordinates of the eight corner voxels, (8, 3), mm."""
    voxels = np.array(list(product(*((0, size - 1) for size in (*shape, 1, 1)[:3]))), np.float64)
    return np.asarray(nib.affines.apply_affine(affine, voxels))


def turn(voxels: NDArray[Any], affine: Affine) -> NDArray[Any]:
    """Return voxels in the order of `Grid.turned`."""
    return np.ascontiguousarray(nib.apply_orientation(voxels, nib.io_orientation(affine)))


def turn_back(voxels: NDArray[Any], affine: Affine) -> NDArray[Any]:
    """Return voxels of the turned grid in the order that the affine has."""
    canonical = nib.orientations.axcodes2ornt("RAS")
    back = nib.orientations.ornt_transform(canonical, nib.io_orientation(affine))
    return np.ascontiguousarray(nib.apply_orientation(voxels, back))
