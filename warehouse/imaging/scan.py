"""The reader of scans: one volume of a file, as magnitudes on its grid.

A signal of MRI is a magnitude. Tools that subtract something from it (a z-score, an offset of −1024) produce negative
values in tissue, which are shifted here. Interpolation produces small negative values at edges, which stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.imaging.files import RefusedError, content
from warehouse.imaging.geometry import Grid, Image, turn
from warehouse.imaging.nifti import (
    Header,
    data_type,
    decode,
    facts,
    read_header,
    refuse_unless_one_volume,
    voxel_offset,
)

Voxels = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST_NOT_FINITE = 0.95  # share of NaN; a stripped brain in a large field of view has less
LARGEST = 1e20  # magnitude; sums in float32 overflow beyond it
SMALL = 0.02  # of bright tissue; values nearer to 0 are noise of the background or of an interpolation
RINGING_VOXELS = 4  # distance from a border within which cubic splines and windowed sincs overshoot by more than that
RINGING = 0.3  # of bright tissue; largest overshoot, at a corner
PADDING = 10.0  # ranges of tissue; a background further below tissue is padding
STRAY = 0.001  # share of the foreground that may be negative elsewhere; a few voxels are no evidence of an offset


@dataclass(frozen=True)
class Scan:
    """A scan on its own grid.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Scaled by slope and intercept, and finite; negative only by interpolation.
    grid : Grid
        In the file's own order of axes; RAS+ world, mm.
    header : Header
    raw_header : bytes
        The NIfTI header of the file.
    offset : float
        Value that was added to the file's intensities so that no tissue is negative.
    """

    voxels: Voxels
    grid: Grid
    header: Header
    raw_header: bytes
    offset: float

    @property
    def image(self) -> Image:
        """The scan with its axes turned towards right, anterior and superior, by its header alone."""
        return Image(turn(self.voxels, self.grid.affine), self.grid.turned().affine)


def read_scan(source: str | Path | nib.Nifti1Image) -> Scan:
    """Read one volume of a head.

    Parameters
    ----------
    source : str, Path or Nifti1Image

    Raises
    ------
    RefusedError
        When the file or a field of its header cannot be used, it is no single volume, its voxels are no real numbers,
        or left and right are unknown.
    NotFetchedError
        When git-annex holds its content elsewhere.
    """
    if isinstance(source, (str, Path)):
        header = read_header(str(source))
        refuse_unless_one_volume(header)
        data = content(str(source))
        raw = decode(data, str(source))
        values = _stored(data, raw, header)
    else:
        raw, header = source.header, header_of(source)
        refuse_unless_one_volume(header)
        values = _as_float(lambda: np.asarray(source.dataobj, np.float32))
    voxels, offset = magnitudes(values.reshape(header.shape[:3]))
    return Scan(voxels, header.grid, header, bytes(raw.binaryblock), offset)


def header_of(image: nib.Nifti1Image) -> Header:
    """Return the valid header of an image in memory, judged as that of a file.

    Where the image has another affine than its header, the affine is what its user sees, and is used alone.

    Raises
    ------
    RefusedError
        As `warehouse.imaging.nifti.read_header`.
    """
    raw = image.header
    if not isinstance(raw, nib.Nifti1Header):
        raise RefusedError("not_nifti", f"it is {type(image).__name__}, not NIfTI", "convert it to NIfTI")
    copy = raw.copy()
    code = int(raw["sform_code"]) or int(raw["qform_code"])
    if not code or not np.allclose(raw.get_best_affine(), image.affine, equal_nan=True):
        copy.set_sform(image.affine, code)
        copy["qform_code"] = 0
    return facts(copy)


def _stored(data: bytes, raw: Any, header: Header) -> Voxels:
    """Return the voxels of a file with its scaling applied."""
    scaling = (1.0, 0.0) if header.scl_slope is None else (header.scl_slope, header.scl_inter or 0.0)
    proxy = ArrayProxy(BytesIO(data), (header.shape, data_type(raw), voxel_offset(raw), *scaling), mmap=False)
    return _as_float(lambda: np.asarray(proxy, np.float32))


def _as_float(read: Any) -> Voxels:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values: Voxels = read()
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise RefusedError("unreadable_voxels", f"its voxels cannot be read: {error}", "fetch it again") from error
    return values


def magnitudes(values: Voxels) -> tuple[Voxels, float]:
    """Return voxels with their offset removed and NaN as background, and the value that was added to them.

    Small negative values near the background come from interpolation: they stay, and scaling to [0, 1] makes them 0.
    Other negative values are tissue: then all values are shifted so that the lowest is 0, and a background that the
    file marks by one value or by NaN becomes 0.

    Parameters
    ----------
    values : (i, j, k) float32 array
        Stored values, scaled by slope and intercept.

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
    """Return which voxels are finite.

    Raises
    ------
    RefusedError
        See `magnitudes`.
    """
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
    """Return the value of most voxels on the faces of a volume, or None."""
    faces = [values[0], values[-1], values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]]
    border = np.concatenate([face.ravel() for face in faces])
    found, counts = np.unique(border, return_counts=True)
    most = int(counts.argmax())
    return float(found[most]) if counts[most] > 0.5 * border.size else None


def _is_magnitude(values: Voxels, is_background: Mask) -> bool:
    """Return whether all negative values are near the background, so that interpolation explains them."""
    positive = values[(values > 0) & ~is_background]
    if positive.size == 0:
        return False
    bright = float(np.percentile(positive, 99))
    small = SMALL * bright
    negative = (values < -small) & ~is_background
    if not negative.any():
        return True
    # Opening removes the thin sheet of values near 0 between dark and bright tissue of a z-scored brain.
    cube = np.ones((3, 3, 3), bool)
    quiet = ndimage.binary_opening(is_background | (np.abs(values) <= small), cube)
    near = ndimage.binary_dilation(quiet, cube, iterations=RINGING_VOXELS)
    n_foreground = int(np.count_nonzero(~is_background))
    is_tissue = negative & (~near | (values < -RINGING * bright))
    return int(np.count_nonzero(is_tissue)) <= STRAY * n_foreground


def _lowest(foreground: NDArray[Any], background: float | None) -> float:
    """Return the intensity of no signal: the background's if it is below the tissue's, else the tissue's lowest.

    Damaged voxels and padding far below the tissue are ignored.
    """
    low, high = (float(value) for value in np.percentile(foreground, (0.1, 99.9)))
    lowest = max(float(foreground.min()), low - (high - low))
    if background is not None and lowest - PADDING * (high - low) <= background < lowest:
        return background
    return lowest
