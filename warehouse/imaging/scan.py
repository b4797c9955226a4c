"""From a file to validated voxels on a stated grid: the one reader of scans.

Intensities are made non-negative without losing any: a signal is a magnitude, and whatever tool subtracted something
from it (a z-score, an offset of −1024) moved it only.
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

from warehouse.imaging.files import RefusedError, content
from warehouse.imaging.geometry import Grid
from warehouse.imaging.nifti import Header, data_type, decode, facts, read_header

Voxels = NDArray[np.float32]

MOST_NOT_FINITE = 0.95  # share of NaN: a stripped brain in a large field of view has so much around it
LARGEST = 1e20  # of a magnitude; beyond it sums in float32 overflow
RINGING = 0.02  # of the bright tissue's intensity: negative values that interpolation leaves at edges


@dataclass(frozen=True)
class Scan:
    """A scan as its file has it.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Not negative; background is 0 where a file marks it.
    grid : Grid
        In the file's own order of axes; RAS+ world, mm.
    header : Header
    raw_header : bytes
        The NIfTI header as it came.
    offset : float
        What was added to the file's intensities, so that none is negative; 0 where none was.
    """

    voxels: Voxels
    grid: Grid
    header: Header
    raw_header: bytes
    offset: float


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
        _refuse_kind(header)
        data = content(str(source))
        raw = decode(data, str(source))
        values = _stored(data, raw, header)
    else:
        raw = source.header
        header = facts(_with_affine(raw, source))
        _refuse_kind(header)
        values = _as_float(lambda: np.asarray(source.dataobj, np.float32))
    voxels, offset = non_negative(finite(values.reshape(header.shape[:3])))
    return Scan(voxels, header.grid, header, bytes(raw.binaryblock), offset)


def _with_affine(raw: Any, image: nib.Nifti1Image) -> Any:
    """Return the header of an image in memory, whose affine counts whatever its header still says."""
    if not isinstance(raw, nib.Nifti1Header):
        raise RefusedError("not_nifti", f"it is {type(image).__name__}, not NIfTI", "convert it to NIfTI")
    copy = raw.copy()
    code = int(raw["sform_code"]) or int(raw["qform_code"])
    copy.set_sform(image.affine, code)
    copy["qform_code"] = 0 if code else copy["qform_code"]
    return copy


def _refuse_kind(header: Header) -> None:
    if header.qform_code == 0 and header.sform_code == 0:
        what = "header: neither qform nor sform is set, so left and right are unknown"
        raise RefusedError("no_orientation", what, "convert it again from DICOM")
    if header.n_volumes != 1:
        raise RefusedError("not_3d", f"{header.n_volumes} volumes, and one is wanted", "split it into volumes")
    if len(header.shape) < 3:
        raise RefusedError("not_3d", f"its shape is {header.shape}, and three axes are wanted", "convert it again")
    if np.dtype(_plain(header.dtype)).kind not in "iufb":
        what = f"header: voxels are of type {header.dtype}, not one real number each"
        raise RefusedError("not_real", what, "take the magnitude, or one channel")


def _plain(dtype: str) -> str:
    return "V1" if dtype.startswith("[") else dtype


def _stored(data: bytes, raw: Any, header: Header) -> Voxels:
    """Return the voxels of a file with its scaling applied."""
    scaling = (1.0, 0.0) if header.scl_slope is None else (header.scl_slope, header.scl_inter or 0.0)
    offset = max(int(raw["vox_offset"]), int(raw["sizeof_hdr"]) + 4)  # voxels come after header and extension flag
    proxy = ArrayProxy(BytesIO(data), (header.shape, data_type(raw), offset, *scaling), mmap=False)
    return _as_float(lambda: np.asarray(proxy, np.float32))


def _as_float(read: Any) -> Voxels:
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            values: Voxels = read()
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise RefusedError("unreadable_voxels", f"its voxels cannot be read: {error}", "fetch it again") from error
    return values


def finite(values: Voxels) -> Voxels:
    """Return voxels without NaN: what is not a number around a stripped brain is background.

    Raises
    ------
    RefusedError
        When too little is left, magnitudes are impossible, or every voxel is the same.
    """
    is_finite = np.isfinite(values)
    share = 1 - float(is_finite.mean())
    if share > MOST_NOT_FINITE:
        raise RefusedError("not_finite", f"{share:.0%} of the voxels are NaN or infinite", "convert the image again")
    kept = values[is_finite]
    low, high = float(kept.min()), float(kept.max())
    if max(abs(low), abs(high)) > LARGEST:
        what = f"intensities reach {max(abs(low), abs(high)):.3g}"
        raise RefusedError("impossible_intensity", what, "look at the scaling in the header, or convert it again")
    if low == high and share == 0:
        raise RefusedError("constant", f"every voxel is {low:g}", "fetch the image again")
    if is_finite.all():
        return values
    if low >= 0:
        return np.where(is_finite, values, np.float32(0))
    # Zero is an intensity of the brain here, e.g. of a z-score: moved as the brain is, the background stays below it.
    return np.where(is_finite, values - np.float32(low), np.float32(0))


def non_negative(values: Voxels) -> tuple[Voxels, float]:
    """Return voxels of which none is negative, and what was added to them.

    Small negative values, as interpolation leaves at edges, become 0. Larger ones are intensities that were moved:
    all are moved back together, and a background that the file marks by one value becomes 0.

    Parameters
    ----------
    values : (i, j, k) float32 array
        Finite.
    """
    low = float(values.min())
    if low >= 0:
        return values, 0.0
    bright = float(np.percentile(values[values > 0], 99)) if (values > 0).any() else 0.0
    background = _background(values)
    foreground = values[values != background] if background is not None else values
    lowest = float(np.percentile(foreground, 0.1))
    if -lowest <= RINGING * bright:
        return np.maximum(values, 0), 0.0
    if background is not None and background > low:  # e.g. the zeros around a brain whose mean is 0
        moved = values - np.float32(low)
        return np.where(values == background, np.float32(0), moved).astype(np.float32), -low
    return (values - np.float32(low)).astype(np.float32), -low


def _background(values: Voxels) -> float | None:
    """Return the one value that most voxels on the faces of a volume have; None where there is no such value."""
    faces = [values[0], values[-1], values[:, 0], values[:, -1], values[:, :, 0], values[:, :, -1]]
    border = np.concatenate([face.ravel() for face in faces])
    found, counts = np.unique(border, return_counts=True)
    most = int(counts.argmax())
    return float(found[most]) if counts[most] > 0.5 * border.size else None
