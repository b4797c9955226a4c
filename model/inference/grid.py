"""The grid of a network or of a result: a scan's field of view and axes with other voxels.

Oblique scans keep their axes: only the lengths of their steps change, so that left and right, and every affine, follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid

SAME = 0.01  # voxel sizes that differ by less than a hundredth are one
MOST_VOXELS = 1 << 29  # 2 GB of float32


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
