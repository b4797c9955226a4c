"""Reads and validates NIfTI headers, for ingest, harmonisation and synthesis.

nibabel decodes the fields. This module chooses between sform and qform, tolerates small faults, and refuses a header
with the name of the field that cannot be used.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.quaternions import quat2mat

from warehouse.imaging.files import RefusedError, first_bytes, refuse_by_first_bytes, stated_length, unpacked
from warehouse.imaging.geometry import Affine, Grid, corners_mm

Doubt = tuple[str, str]
SPACE_CODES, TIME_CODES = range(4), range(8, 56, 8)  # of NIfTI's xyzt_units
MM = {"mm": 1.0, "meter": 1000.0, "micron": 0.001, "unknown": 1.0}
LEAST_MM, MOST_MM = 0.05, 20.0  # sides of a voxel of a head
MOST_CODE = 5  # NIFTI_XFORM_TEMPLATE_OTHER
ROUNDED = 1e-4  # excess of a quaternion's squared length over 1 that rounding explains
CONVERT = "convert the image again from DICOM"
SET_FORM = "set a valid sform or qform, or " + CONVERT
NOT_KEPT = frozenset({"doubts", "n_bytes"})  # fields of `Header` without a column: doubts are rows of core.finding
HEADERS: dict[int, Any] = {348: nib.Nifti1Header, 540: nib.Nifti2Header}


@dataclass(frozen=True)
class Header:
    """A valid NIfTI header.

    Parameters
    ----------
    affine : tuple of 16 floats
        Voxel (i, j, k) to world (x, y, z), RAS+, mm, row by row.
    zooms : tuple of float
        Step along each axis, in `spatial_unit` and `temporal_unit`.
    scl_slope, scl_inter : float or None
        Voxels are slope · stored + intercept; None where the header states no scaling.
    doubts : tuple of (str, str)
        Faulty fields that were replaced by others, with a description.
    n_bytes : int
        Length of the file's content up to the last voxel; 0 where it is unknown.
    """

    shape: tuple[int, ...]
    zooms: tuple[float, ...]
    affine: tuple[float, ...]
    qform_code: int
    sform_code: int
    dtype: str
    spatial_unit: str
    temporal_unit: str
    scl_slope: float | None
    scl_inter: float | None
    doubts: tuple[Doubt, ...] = ()
    n_bytes: int = 0

    @property
    def grid(self) -> Grid:
        """The first three axes in space."""
        shape = (*self.shape, 1, 1, 1)[:3]
        return Grid((shape[0], shape[1], shape[2]), np.asarray(self.affine, np.float64).reshape(4, 4))

    @property
    def voxel_size_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k, mm: the length of the affine's columns."""
        i, j, k = (float(round(length, 6)) for length in self.grid.voxel_size_mm)
        return i, j, k

    @property
    def axcodes(self) -> str:
        """Direction of the voxel axes, e.g. RAS."""
        return self.grid.axcodes

    @property
    def is_real(self) -> bool:
        """Whether each voxel is one real number: no colours, no complex or unknown types."""
        return not self.dtype.startswith("[") and np.dtype(self.dtype).kind in "iufb"

    @property
    def n_volumes(self) -> int:
        """Volumes beyond the three axes of space."""
        return math.prod(self.shape[3:])


def read_header(location: str) -> Header:
    """Read the header of a NIfTI-1 or NIfTI-2 file.

    Raises
    ------
    RefusedError
        When the file is empty, truncated, damaged or no NIfTI, or a field of its header cannot be used.
    NotFetchedError
        When its content was not fetched by git-annex.
    """
    try:
        start = first_bytes(location, max(HEADERS))
        raw = decode(start, location)
        header = facts(raw)
        _refuse_truncation(location, header)
    except PermissionError as error:
        raise RefusedError("unreadable", str(error), "give this user read permission") from error
    except OSError as error:
        raise RefusedError("unreadable", str(error), "check the disk and the file") from error
    return header


def decode(start: bytes, name: str) -> Any:
    """Return nibabel's header from the first bytes of a file, in either byte order.

    Raises
    ------
    RefusedError
        When it is another format, which the error names.
    """
    for size, kind in HEADERS.items():
        if len(start) >= size and size in (int.from_bytes(start[:4], order) for order in ("little", "big")):
            raw = kind.from_fileobj(BytesIO(start[:size]), check=False)
            _refuse_magic(bytes(raw["magic"].tobytes()))
            return raw
    if len(start) < min(HEADERS) and (len(start) == 0 or start[:4] in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")):
        raise RefusedError("truncated", f"{len(start)} bytes, and a header takes 348", "fetch the image again")
    refuse_by_first_bytes(start, name)
    raise AssertionError  # the call above always raises


def _refuse_magic(magic: bytes) -> None:
    """Raise `RefusedError` unless the voxels are in the same file as the header."""
    if magic.startswith((b"n+1", b"n+2")):
        return
    if magic.startswith((b"ni1", b"ni2")):
        what = "header: its voxels lie in a second file, .img"
        raise RefusedError("image_pair", what, "join both, e.g. with nibabel or fslchfiletype NIFTI_GZ")
    kind = (
        "an Analyze 7.5 header, which does not define left and right" if not magic.strip(b"\0") else "no NIfTI header"
    )
    raise RefusedError("not_nifti", f"header: its magic {magic!r} is that of {kind}", CONVERT)


def facts(raw: Any) -> Header:
    """Return the validated fields of a decoded header.

    Raises
    ------
    RefusedError
        When a field cannot be used, which the error names.
    """
    shape = _shape(raw)
    spatial, temporal, doubts = _units(raw)
    affine, poor_forms = _affine(raw, shape, spatial)
    slope, inter = _scaling(raw)
    dtype = data_type(raw)
    return Header(
        shape=shape,
        zooms=tuple(abs(float(zoom)) for zoom in raw["pixdim"][1 : len(shape) + 1]),
        affine=tuple(float(value) for value in affine.ravel()),
        qform_code=_code(raw, "qform_code"),
        sform_code=_code(raw, "sform_code"),
        dtype=str(dtype),
        spatial_unit=spatial,
        temporal_unit=temporal,
        scl_slope=slope,
        scl_inter=inter,
        doubts=(*doubts, *poor_forms),
        n_bytes=voxel_offset(raw) + math.prod(shape) * dtype.itemsize,
    )


def voxel_offset(raw: Any) -> int:
    """Return the offset of the voxels in bytes, at least the header and the four bytes of the extension flag."""
    least, stated = int(raw["sizeof_hdr"]) + 4, float(raw["vox_offset"])
    return max(int(stated), least) if math.isfinite(stated) else least


def _code(raw: Any, name: str) -> int:
    """Return the code of sform or qform, or 0 where the code is unknown."""
    code = int(raw[name])
    return code if 0 <= code <= MOST_CODE else 0


def data_type(raw: Any) -> np.dtype[Any]:
    """Return the type of the stored voxels in the file's byte order."""
    code = int(raw["datatype"])
    try:
        found: np.dtype[Any] = np.dtype(raw.get_data_dtype())
    except (nib.spatialimages.HeaderDataError, KeyError) as error:
        what = f"header: datatype {code} is none that NIfTI has"
        raise RefusedError("unknown_datatype", what, CONVERT) from error
    if found.itemsize == 0:  # bits, or floating-point numbers of a width that this machine lacks
        what = f"header: datatype {code}, {raw._data_type_codes.label[code]}, is none whose voxels can be read here"
        raise RefusedError("unknown_datatype", what, "convert the voxels to 64-bit floating point or to integers")
    return found


def _shape(raw: Any) -> tuple[int, ...]:
    dim = [int(size) for size in raw["dim"]]
    if not 1 <= dim[0] <= 7:
        raise RefusedError("bad_dimensions", f"header: dim[0] is {dim[0]}, and 1 to 7 axes are possible", CONVERT)
    shape = tuple(dim[1 : dim[0] + 1])
    if any(size < 1 for size in shape):
        raise RefusedError("bad_dimensions", f"header: dim is {list(shape)}; every axis needs a voxel", CONVERT)
    return shape


def _units(raw: Any) -> tuple[str, str, tuple[Doubt, ...]]:
    """Return the units of space and time, and doubts; an unknown unit of space is taken as mm."""
    code = int(raw["xyzt_units"])
    space, time = code % 8, code - code % 8
    labels = nib.nifti1.unit_codes.label
    doubts: tuple[Doubt, ...] = ()
    if space not in SPACE_CODES:
        doubts = (("xyzt_units", f"header: xyzt_units is {code}, no unit of space that NIfTI has; mm is assumed"),)
    is_known = time in TIME_CODES
    return str(labels[space if space in SPACE_CODES else 0]), str(labels[time if is_known else 0]), doubts


def _scaling(raw: Any) -> tuple[float | None, float | None]:
    """Return slope and intercept, or None for both where the slope is 0 or not finite, which means no scaling."""
    slope, inter = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or not math.isfinite(slope):
        return None, None
    if not math.isfinite(inter):
        what = f"header: scl_inter is {inter} beside scl_slope {slope:g}, so the intensities are unknown"
        raise RefusedError("bad_scaling", what, CONVERT)
    return slope, inter


def _affine(raw: Any, shape: tuple[int, ...], unit: str) -> tuple[Affine, tuple[Doubt, ...]]:
    """Return the affine in mm, by sform, else qform, else voxel sizes alone; and doubts about the other forms."""
    doubts: list[Doubt] = []
    qform = None
    sform = _sform(raw) if _code(raw, "sform_code") else None
    if _code(raw, "qform_code"):
        try:
            qform = _qform(raw, may_be_rounded=sform is None)
        except RefusedError as refusal:
            if sform is None:
                raise
            doubts.append(("qform", f"{refusal.detail}; the sform is used"))
    by_zooms = _by_zooms(raw, shape) if sform is None and qform is None else None
    affine, *others = [form for form in (sform, qform, by_zooms) if form is not None]
    for form in (affine, *others):
        form[:3] *= MM[unit]
    _refuse_affine(affine, unit)
    if sform is not None and qform is not None and (doubt := _disagreement(sform, qform, shape)):
        doubts.append(("qform", doubt))
    return np.asarray(affine, np.float64), tuple(doubts)


def _sform(raw: Any) -> Affine:
    affine = np.eye(4)
    affine[:3] = [raw["srow_x"], raw["srow_y"], raw["srow_z"]]
    return affine


def _qform(raw: Any, *, may_be_rounded: bool) -> Affine:
    """Return the affine of the quaternion (NIfTI-1, method 2).

    Parameters
    ----------
    may_be_rounded : bool
        Whether a quaternion that is too long by rounding is normalised; with a valid sform it is ignored instead.
    """
    vector = np.array([float(raw[f"quatern_{name}"]) for name in "bcd"])
    square, size = float(vector @ vector), np.abs(np.asarray(raw["pixdim"][1:4], np.float64))
    longest = 1 + (ROUNDED if may_be_rounded else float(np.finfo(np.float32).eps))
    if not np.isfinite(vector).all() or square > longest:
        what = f"header: the quaternion of the qform has the squared length {square:.9g}, and at most 1 is possible"
        raise RefusedError("bad_qform", what, SET_FORM)
    if not (np.isfinite(size).all() and size.all()):
        what = f"header: the qform has voxels of {size.tolist()}, as pixdim says"
        raise RefusedError("bad_qform", what, SET_FORM)
    offset = [float(raw[f"qoffset_{name}"]) for name in "xyz"]
    if not np.isfinite(offset).all():
        what = f"header: the offset of the qform is {offset}"
        raise RefusedError("bad_qform", what, SET_FORM)
    vector = vector / np.sqrt(max(1.0, square))
    affine = np.eye(4)
    handed = -1.0 if float(raw["pixdim"][0]) < 0 else 1.0
    affine[:3, :3] = quat2mat([np.sqrt(max(0.0, 1.0 - vector @ vector)), *vector]) * (size * [1.0, 1.0, handed])
    affine[:3, 3] = offset
    return affine


def _by_zooms(raw: Any, shape: tuple[int, ...]) -> Affine:
    """Return the affine of voxel sizes about the centre, where both forms are absent; left and right are unknown."""
    size = np.abs(np.asarray(raw["pixdim"][1:4], np.float64))
    size[len(shape[:3]) :] = 1.0
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = -(np.array((*shape, 1, 1)[:3]) - 1) / 2 * size
    return affine


def _refuse_affine(affine: Affine, unit: str) -> None:
    if not np.isfinite(affine).all():
        what = "header: the affine holds NaN or infinity"
        raise RefusedError("invalid_affine", what, SET_FORM)
    size = np.linalg.norm(affine[:3, :3], axis=0)
    if (size == 0).any() or abs(np.linalg.det(affine[:3, :3] / size)) < 1e-6:
        what = f"header: the affine's determinant is {np.linalg.det(affine[:3, :3]):.3g}"
        raise RefusedError("singular_affine", what, "set a valid sform or qform")
    if size.min() < LEAST_MM or size.max() > MOST_MM:
        shown = " × ".join(f"{side:g}" for side in size)
        what = f"header: its voxels are {shown} mm by the unit of space that xyzt_units states, which is {unit}"
        what += f"; in a head {LEAST_MM:g} to {MOST_MM:g} mm are possible"
        raise RefusedError("impossible_voxel_size", what, "set xyzt_units to the unit that the affine is in")


def _disagreement(sform: Affine, qform: Affine, shape: tuple[int, ...]) -> str | None:
    """Return a doubt where both forms place a corner more than half a voxel apart.

    Raises
    ------
    RefusedError
        When they disagree about left and right.
    """
    left, right = (nib.aff2axcodes(form) for form in (sform, qform))
    mirrored = np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0
    if mirrored or [code in "LR" and code for code in left] != [code in "LR" and code for code in right]:
        what = f"header: sform ({''.join(left)}) and qform ({''.join(right)}) disagree about left and right"
        raise RefusedError("conflicting_affines", what, "decide which is right and write both alike")
    apart = float(np.linalg.norm(corners_mm(shape, sform) - corners_mm(shape, qform), axis=1).max())
    if apart <= 0.5 * float(np.linalg.norm(sform[:3, :3], axis=0).min()):
        return None
    return f"sform and qform place a corner {apart:.1f} mm apart; the sform is used"


def _refuse_truncation(location: str, header: Header) -> None:
    """Raise `RefusedError` where the file is shorter than its header needs; gzip states its length."""
    stated = stated_length(location)
    if stated is None:
        size = os.path.getsize(location)
        if size < header.n_bytes:
            what = f"{size} bytes where the header needs {header.n_bytes}"
            raise RefusedError("truncated", what, "fetch the image again")
    elif stated != header.n_bytes % 2**32:  # several members, or trailing bytes
        length = sum(map(len, unpacked(location)))
        if length < header.n_bytes:
            what = f"{length} bytes unpacked where the header needs {header.n_bytes}"
            raise RefusedError("truncated_gzip", what, "fetch the image again")


def refuse_unless_one_volume(header: Header) -> None:
    """Raise `RefusedError` unless the voxels are one volume of real numbers with a known left side."""
    if header.qform_code == 0 and header.sform_code == 0:
        what = "no orientation: neither qform nor sform is set, so left and right are unknown"
        raise RefusedError("no_orientation", what, CONVERT)
    if len(header.shape) < 3:
        raise RefusedError("not_3d", f"shape {header.shape} is no volume, and three axes are wanted", CONVERT)
    if header.n_volumes != 1:
        raise RefusedError("not_3d", f"{header.n_volumes} volumes where one is expected", "split it into volumes")
    if not header.is_real:
        kind = "colours" if header.dtype.startswith("[") else header.dtype
        what = f"voxels are {kind}, not one real number each"
        raise RefusedError("not_real", what, "take the magnitude, or one channel")
