"""Volumes in space: grids, images, and the turning of their axes.

Affines map voxel (i, j, k) to world (x, y, z), RAS+, mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]

# The box of the MNI152 template at 1 mm: 182 × 218 × 182 voxels from (-90, -126, -72), RAS.
MNI_ORIGIN_MM = np.array([-90.0, -126.0, -72.0])
MNI_EXTENT_MM = np.array([182.0, 218.0, 182.0])


@dataclass(frozen=True)
class Grid:
    """A grid of voxels in space.

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
        """Return the same voxels with the axes nearest to right, anterior and superior."""
        ornt = nib.io_orientation(self.affine)
        shape = tuple(int(self.shape[int(np.flatnonzero(ornt[:, 0] == axis)[0])]) for axis in range(3))
        return Grid((shape[0], shape[1], shape[2]), self.affine @ nib.orientations.inv_ornt_aff(ornt, self.shape))

    def with_voxels(self, size_mm: Sequence[float] | Affine) -> Grid:
        """Return a grid with other voxel sizes (mm), and the same axes, centre and field of view."""
        ratio = np.asarray(size_mm, np.float64) / self.voxel_size_mm
        counts = np.maximum(1, np.ceil(np.asarray(self.shape) / ratio - 1e-3)).astype(int)
        steps = np.diag([*ratio, 1.0])
        steps[:3, 3] = (np.asarray(self.shape) - 1) / 2 - ratio * (counts - 1) / 2  # aligns the centres of both grids
        return Grid((int(counts[0]), int(counts[1]), int(counts[2])), self.affine @ steps)


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
    affine: Affine

    @property
    def grid(self) -> Grid:
        """The grid of its voxels."""
        i, j, k = self.voxels.shape
        return Grid((i, j, k), self.affine)

    @cached_property
    def voxel_size_mm(self) -> NDArray[np.float64]:
        """Length of a step along i, j, k, mm."""
        return self.grid.voxel_size_mm

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def like(self, voxels: NDArray[np.floating[Any]]) -> Image:
        """Return other voxels with the same affine."""
        return Image(np.ascontiguousarray(voxels, dtype=np.float32), self.affine)


def session_grid(voxel_mm: float) -> Grid:
    """Return the grid that all scans of a session share: MNI152's box, which holds rigidly placed brains of any size.

    The outer faces of the box stay in place for every voxel size, so the first voxel centre lies half a voxel inside.
    """
    counts = np.ceil(MNI_EXTENT_MM / voxel_mm - 1e-9).astype(int)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = MNI_ORIGIN_MM - 0.5 + voxel_mm / 2
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), affine)


def corners_mm(shape: tuple[int, ...], affine: Affine) -> NDArray[np.float64]:
    """Return the world coordinates of the eight corner voxels, (8, 3), mm."""
    voxels = np.array(list(product(*((0, size - 1) for size in (*shape, 1, 1)[:3]))), np.float64)
    return np.asarray(nib.affines.apply_affine(affine, voxels))


def turn(voxels: NDArray[Any], affine: Affine) -> NDArray[Any]:
    """Return voxels in the order of `Grid.turned`."""
    return np.ascontiguousarray(nib.apply_orientation(voxels, nib.io_orientation(affine)))


def turn_back(voxels: NDArray[Any], affine: Affine) -> NDArray[Any]:
    """Return voxels of the turned grid in the order of the affine."""
    canonical = nib.orientations.axcodes2ornt("RAS")
    back = nib.orientations.ornt_transform(canonical, nib.io_orientation(affine))
    return np.ascontiguousarray(nib.apply_orientation(voxels, back))
