"""From stored intensities to magnitudes: none is lost, and what says nothing is refused.

A signal of MRI is a magnitude. Tools that subtract something of it (a z-score, an offset of −1024) leave negative
values that are tissue; interpolation leaves negative values at edges that are none. Only the first are moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.imaging.files import RefusedError

Voxels = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST_NOT_FINITE = 0.95  # share of NaN: a stripped brain in a large field of view has so much around it
LARGEST = 1e20  # of a magnitude; beyond it sums in float32 overflow
SMALL = 0.02  # of bright tissue: what lies nearer to 0 is noise of the background or of an interpolation
RINGING_VOXELS = 4  # how far from a border cubic splines and windowed sincs overshoot by more than that
RINGING = 0.3  # of bright tissue: how much they overshoot at most, at a corner
PADDING = 10.0  # ranges of tissue below it: so far lies padding, and no background
STRAY = 0.001  # share of the foreground that may be negative elsewhere: a few voxels prove no offset


def magnitudes(values: Voxels) -> tuple[Voxels, float]:
    """Return voxels with their offset removed and NaN as background, and what was added to them.

    Small negative values beside the background are left by interpolation: they stay as they are, and scaling to [0, 1]
    makes them 0. Other ones are tissue: then all values are moved together, so that the lowest is 0, and a background
    that the file marks by one value or by NaN becomes 0.

    Parameters
    ----------
    values : (i, j, k) float32 array
        As stored, scaled by slope and intercept.

    Raises
    ------
    RefusedError
        When too little is finite, magnitudes are impossible, or every voxel is the same.
    """
    known = _known(values)
    if not known.all():
        values = np.where(known, values, np.float32(0))
    if not (values < 0).any():
        return values, 0.0
    background = _background(values)
    is_background = ~known if background is None else ~known | (values == background)
    if _is_magnitude(values, is_background):
        padding = is_background & (values < 0)  # e.g. −2000 around a round field of view
        return (np.where(padding, np.float32(0), values) if padding.any() else values), 0.0
    lowest = _lowest(values[~is_background], background)
    moved = np.maximum(values - np.float32(lowest), np.float32(0))
    return np.where(is_background, np.float32(0), moved), -lowest


def _known(values: Voxels) -> Mask:
    """Return which voxels are numbers, having refused a volume that says nothing."""
    known: Mask = np.isfinite(values)
    share = 1 - float(known.mean())
    if share > MOST_NOT_FINITE:
        raise RefusedError("not_finite", f"{share:.0%} of the voxels are NaN or infinite", "convert the image again")
    kept = values[known]
    low, high = float(kept.min()), float(kept.max())
    if max(abs(low), abs(high)) > LARGEST:
        what = f"intensities reach {max(abs(low), abs(high)):.3g}"
        raise RefusedError("impossible_intensity", what, "look at the scaling in the header, or convert it again")
    if low == high and (share == 0 or low == 0):
        raise RefusedError("constant", f"every voxel is {low:g}", "fetch the image again")
    return known


def _background(values: Voxels) -> float | None:
    """Return the one value that most voxels on the faces of a volume have; None where there is no such value."""
    faces = [values[0], values[-1], values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]]
    border = np.concatenate([face.ravel() for face in faces])
    found, counts = np.unique(border, return_counts=True)
    most = int(counts.argmax())
    return float(found[most]) if counts[most] > 0.5 * border.size else None


def _is_magnitude(values: Voxels, is_background: Mask) -> bool:
    """Tell whether negative values lie beside the background only, where interpolation puts them."""
    positive = values[(values > 0) & ~is_background]
    if positive.size == 0:
        return False
    bright = float(np.percentile(positive, 99))
    small = SMALL * bright
    negative = (values < -small) & ~is_background
    if not negative.any():
        return True
    # Opening removes the thin sheet of values near 0 that a z-scored brain holds between dark and bright tissue.
    quiet = ndimage.binary_opening(is_background | (np.abs(values) <= small), _cube())
    near = ndimage.binary_dilation(quiet, _cube(), iterations=RINGING_VOXELS)
    n_foreground = int(np.count_nonzero(~is_background))
    is_tissue = negative & (~near | (values < -RINGING * bright))
    return int(np.count_nonzero(is_tissue)) <= STRAY * n_foreground


def _lowest(foreground: NDArray[Any], background: float | None) -> float:
    """Return the intensity of no signal: the background's where that lies below the tissue, else the tissue's lowest.

    Outliers do not decide it: a damaged voxel, or padding far below everything.
    """
    low, high = (float(value) for value in np.percentile(foreground, (0.1, 99.9)))
    lowest = max(float(foreground.min()), low - (high - low))
    if background is not None and lowest - PADDING * (high - low) <= background < lowest:
        return background
    return lowest


def _cube() -> Mask:
    return np.ones((3, 3, 3), bool)
