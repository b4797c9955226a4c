"""Where the voxels of one grid lie in another, and which of them lie in a patch of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.geometry import Grid

Matrix = NDArray[np.float64]
ROUNDING_VOXELS = 1e-3  # affines of files are rounded to float32; a smaller shift or turn of a block is none


@dataclass(frozen=True)
class TargetVoxels:
    """The voxels of a block of another grid, in those of the latent map.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels of the block.
    matrix : (4, 4) float64 array
        Index of a voxel of the block to index of the latent map; voxel centres are whole numbers in both.
    """

    shape: tuple[int, int, int]
    matrix: Matrix

    @property
    def extents(self) -> NDArray[np.float64]:
        """Extents of a voxel along i, j, k of the latent map, in its voxels, (3,).

        The root of the sum of squares of the matrix's rows: the width of a box whose points vary along each axis as
        much as those of the voxel do. On parallel axes it is the voxel's size, and a cube has the same size however
        it is turned; the largest entry of a row would be smaller by up to 42 %.
        """
        return np.asarray(np.linalg.norm(self.matrix[:3, :3], axis=1))


def block_for(
    target: Grid, to_latent: Matrix, corner: Sequence[int], shape: Sequence[int], margin: float = 0.0
) -> tuple[TargetVoxels, tuple[slice, slice, slice]] | None:
    """Return a block of target voxels whose extents lie inside a patch of the latent map, or None where none does.

    The block that surrounds the patch loses one face after another, each time the one that costs the smallest share
    of the voxels for what it brings, until it is inside; then it grows again where it can. On parallel axes it is the
    largest block; on turned ones none of its faces can move outwards.

    Parameters
    ----------
    target : Grid
        Whole grid of the target; its shape alone is used.
    to_latent : (4, 4) array
        Index of a target voxel to index of the whole working grid.
    corner, shape : sequence of 3 int
        First voxel and number of voxels of the patch, in the working grid.
    margin : float
        Voxels of the patch to leave out at each face.

    Returns
    -------
    TargetVoxels
        The block, in voxels of the patch.
    tuple of 3 slice
        The block in the target's grid.
    """
    to_patch = np.array(to_latent, np.float64)
    to_patch[:3, 3] -= corner
    bounds = np.array([np.full(3, -0.5 + margin), np.asarray(shape) - 0.5 - margin])
    from_patch = np.linalg.inv(to_patch)
    corners = np.array(list(product(*bounds.T))) @ from_patch[:3, :3].T + from_patch[:3, 3]
    low = np.clip(np.floor(corners.min(0)), 0, None).astype(int)
    high = np.clip(np.ceil(corners.max(0)), None, np.array(target.shape) - 1).astype(int)
    if (bounds[1] <= bounds[0]).any() or not (low <= high).all():
        return None
    block = np.array([low, high])
    while (outside := _outside(to_patch, block, bounds)) > 0:
        cuts = [(face, _moved(block, face, inwards=True)) for face in product((0, 1), range(3))]
        gains = [
            (outside - _outside(to_patch, cut, bounds)) * (block[1, axis] - block[0, axis] + 1)
            for (_, axis), cut in cuts
        ]
        block = cuts[int(np.argmax(gains))][1]
        if (block[0] > block[1]).any():
            return None
    block = _grown(to_patch, block, bounds, target.shape)
    to_patch[:3, 3] += to_patch[:3, :3] @ block[0]
    i, j, k = (int(n) for n in block[1] - block[0] + 1)
    slices = [slice(int(first), int(last) + 1) for first, last in block.T]
    return TargetVoxels((i, j, k), to_patch), (slices[0], slices[1], slices[2])


def _outside(to_patch: Matrix, block: NDArray[np.int64], bounds: Matrix) -> float:
    """Return by how many voxels a block of first and last indices, (2, 3), exceeds bounds, summed over six faces."""
    middle = to_patch[:3, :3] @ block.mean(0) + to_patch[:3, 3]
    half = np.abs(to_patch[:3, :3]) @ (block[1] - block[0] + 1) / 2
    beyond = np.array([bounds[0] - (middle - half), middle + half - bounds[1]])
    return float(beyond[beyond > ROUNDING_VOXELS].sum())


def _moved(block: NDArray[np.int64], face: tuple[int, int], *, inwards: bool) -> NDArray[np.int64]:
    """Return a block with one of its faces (first or last, axis) moved by a voxel."""
    moved = block.copy()
    moved[face] += 1 if (face[0] == 0) == inwards else -1
    return moved


def _grown(to_patch: Matrix, block: NDArray[np.int64], bounds: Matrix, shape: Sequence[int]) -> NDArray[np.int64]:
    """Return a block that lies inside, enlarged by every voxel that leaves it inside."""
    while True:
        larger = [_moved(block, face, inwards=False) for face in product((0, 1), range(3))]
        fitting = [
            one for one in larger if one.min() >= 0 and (one[1] < shape).all() and _outside(to_patch, one, bounds) == 0
        ]
        if not fitting:
            return block
        block = max(fitting, key=lambda one: float(np.prod(one[1] - one[0] + 1)))
