"""A round brain with a bright spot, and pictures read back."""

from __future__ import annotations

from io import BytesIO

import matplotlib.image
import numpy as np
from numpy.typing import NDArray

SHAPE = (40, 48, 36)


def ball() -> NDArray[np.bool_]:
    """Return a round brain."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(sum(axis**2 for axis in grid) < 0.7)


def blob(side: str) -> NDArray[np.float64]:
    """Return a brain with a bright spot on one side: the first axis runs to the right."""
    voxels = ball() * 0.2
    voxels[slice(10, 14) if side == "left" else slice(26, 30), 22:26, 16:20] = 1.0
    return voxels


def pixels(png: bytes) -> NDArray[np.float64]:
    """Return red, green and blue of a picture, (rows, columns, 3), in [0, 1]."""
    return np.asarray(matplotlib.image.imread(BytesIO(png)), np.float64)[:, :, :3]
