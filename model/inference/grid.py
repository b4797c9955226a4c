"""Between a scan's own grid and the network's: the same field of view, the same axes, other voxels.

Oblique scans keep their axes: only the lengths of their steps change, so that left and right, and every affine, follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter1d

from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid

FWHM_PER_SIGMA = 2.355
SAME = 0.01  # voxel sizes that differ by less than a hundredth are one
MOST_VOXELS = 1 << 29  # 2 GB of float32

Voxels = NDArray[np.float32]


def with_steps(grid: Grid, size_mm: NDArray[np.float64] | tuple[float, float, float]) -> Grid:
    """Return a grid of other voxel sizes (mm) with the same axes and centre, that covers the field of view.

    Raises
    ------
    ModelError
        When it would have more voxels than can be held.
    """
    ratio = np.asarray(size_mm, np.float64) / grid.voxel_size_mm
    counts = np.maximum(1, np.ceil(np.asarray(grid.shape) / ratio - 1e-3)).astype(int)
    if float(np.prod(counts.astype(float))) > MOST_VOXELS:
        what = f"a grid of {' × '.join(str(n) for n in counts)} voxels is asked for"
        raise ModelError(what, "ask for larger voxels; sizes are in mm")
    steps = np.diag([*ratio, 1.0])
    steps[:3, 3] = (np.asarray(grid.shape) - 1) / 2 - ratio * (counts - 1) / 2  # both have one centre
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), grid.affine @ steps)


def resample(voxels: Voxels, here: Grid, there: Grid) -> Voxels:
    """Interpolate between grids of the same axes by cubic splines, blurred first along axes that become coarser.

    As `warehouse.harmonize.resample`, for volumes whose sides may be as short as one voxel.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    here, there : Grid

    Returns
    -------
    (i, j, k) float32 array
        Bounded by the extremes of the source, since splines overshoot at edges; beyond it, its outermost voxels.
    """
    matrix = np.linalg.inv(here.affine) @ there.affine
    ratio = np.diag(matrix)[:3]
    if here.shape == there.shape and np.allclose(matrix, np.eye(4), atol=1e-4):
        return voxels.astype(np.float32)
    values = voxels.astype(np.float32)
    for axis in np.flatnonzero((ratio > 1.05) & (np.asarray(here.shape) > 1)):
        sigma = float(np.sqrt(ratio[axis] ** 2 - 1) / FWHM_PER_SIGMA)  # full widths at half maximum add in squares
        values = gaussian_filter1d(values, sigma, axis=int(axis), mode="nearest")
    made = affine_transform(values, ratio, matrix[:3, 3], output_shape=there.shape, order=3, mode="nearest")
    return np.asarray(np.clip(made, voxels.min(), voxels.max()), np.float32)
