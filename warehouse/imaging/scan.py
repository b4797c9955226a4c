"""From a file to validated voxels on a stated grid: the one reader of scans."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from warehouse.imaging.files import RefusedError, content
from warehouse.imaging.geometry import Grid, Image, turn
from warehouse.imaging.intensities import Voxels, magnitudes
from warehouse.imaging.nifti import (
    Header,
    data_type,
    decode,
    facts,
    read_header,
    refuse_unless_one_volume,
    voxel_offset,
)


@dataclass(frozen=True)
class Scan:
    """A scan as its file has it.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Scaled by slope and intercept, and finite; negative only where interpolation left it so.
    grid : Grid
        In the file's own order of axes; RAS+ world, mm.
    header : Header
    raw_header : bytes
        The NIfTI header as it came.
    offset : float
        What was added to the file's intensities, so that no tissue is negative; 0 where none was.
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
        raw = source.header
        header = facts(_with_affine(raw, source))
        refuse_unless_one_volume(header)
        values = _as_float(lambda: np.asarray(source.dataobj, np.float32))
    voxels, offset = magnitudes(values.reshape(header.shape[:3]))
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
