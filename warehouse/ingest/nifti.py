"""Facts from a NIfTI header, without its voxels.

Belongs here: reading the header, and the tests that need no voxels (truncation, affine, orientation).
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.spatialimages import HeaderDataError, ImageDataError
from numpy.typing import NDArray

from warehouse.ingest.tree import Refusal

MM = {"mm": 1.0, "meter": 1000.0, "micron": 0.001, "unknown": 1.0}
GZIP_MAGIC = b"\x1f\x8b"
POINTER = b"/annex/objects/"  # what git-annex leaves in place of a file that was unlocked but not fetched


class RefusedError(Exception):
    """A header that cannot be used; carries the refusal."""

    def __init__(self, reason: str, detail: str, mend: str) -> None:
        self.refusal = Refusal("read", reason, detail, mend)
        super().__init__(detail)


class NotFetchedError(Exception):
    """The file is a git-annex pointer: its content is elsewhere."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


@dataclass(frozen=True)
class Header:
    """What a NIfTI header says.

    Parameters
    ----------
    affine : tuple of 16 floats
        Voxel (i, j, k) to world (x, y, z), RAS+, mm, row by row.
    zooms : tuple of float
        Step along each axis, in `spatial_unit` and `temporal_unit`.
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

    @property
    def voxel_size_mm(self) -> tuple[float, float, float]:
        """Voxel size along i, j, k, mm: the length of the affine's columns."""
        matrix = np.asarray(self.affine).reshape(4, 4)[:3, :3]
        i, j, k = (float(round(length, 6)) for length in np.linalg.norm(matrix, axis=0))
        return i, j, k

    @property
    def axcodes(self) -> str:
        """Direction of the voxel axes, e.g. RAS."""
        return "".join(nib.aff2axcodes(np.asarray(self.affine).reshape(4, 4)))

    @property
    def n_volumes(self) -> int:
        """Volumes beyond the three axes of space."""
        return math.prod(self.shape[3:])


def read_header(location: str) -> Header:
    """Read a NIfTI-1 or NIfTI-2 header.

    Raises
    ------
    RefusedError
        When it is empty, truncated, unreadable, no NIfTI, or has no usable affine.
    NotFetchedError
        When git-annex holds its content elsewhere.
    """
    size = os.path.getsize(location)
    if size == 0:
        raise RefusedError("empty_file", "0 bytes", "fetch or convert the image again")
    try:
        if size < 32768:
            _refuse_pointer(location)
        image: Any = nib.load(location)
        header = _facts(image)
    except PermissionError as error:
        raise RefusedError("unreadable", str(error), "give this user read permission") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise RefusedError(
            "not_gzip", str(error), "the name ends in .gz but the content is not gzip: rename or compress it"
        ) from error
    except EOFError as error:
        raise RefusedError("truncated_gzip", str(error), "fetch the image again") from error
    except (nib.filebasedimages.ImageFileError, HeaderDataError, ImageDataError, ValueError) as error:
        if location.endswith(".gz") and (broken := _unpacked(location)[1]):
            raise RefusedError("truncated_gzip", broken, "fetch the image again") from error
        raise RefusedError("not_nifti", str(error), "convert it to NIfTI; DICOM by dcm2niix") from error
    except OSError as error:
        raise RefusedError("unreadable", str(error), "check the disk and the file") from error
    _refuse_truncation(location, size, image.dataobj)  # which knows the offset; nibabel resets it in the header
    return header


def checksum(location: str) -> str:
    """Return CRC-32 and length of a file's unpacked content; gzip states both in its last eight bytes (RFC 1952).

    Only eight bytes of a compressed file are read. Its name and time, which gzip stores too, do not enter.
    """
    with open(location, "rb") as file:
        if file.read(2) == GZIP_MAGIC:
            file.seek(-8, os.SEEK_END)
            trailer = file.read(8)
            return f"{int.from_bytes(trailer[:4], 'little'):08x}-{int.from_bytes(trailer[4:], 'little')}"
        file.seek(0)
        crc = length = 0
        while block := file.read(1 << 20):
            crc, length = zlib.crc32(block, crc), length + len(block)
    return f"{crc:08x}-{length}"


def _refuse_pointer(location: str) -> None:
    with open(location, "rb") as file:
        start = file.read(512)
    if start.startswith(POINTER):
        raise NotFetchedError(start.split(b"\n")[0].decode("utf-8", "replace").rsplit("/", 1)[-1])


def _facts(image: Any) -> Header:
    if not isinstance(image, nib.Nifti1Image | nib.Nifti1Pair):
        raise RefusedError("not_nifti", f"it is {type(image).__name__}", "convert it to NIfTI")
    header = image.header
    spatial, temporal = header.get_xyzt_units()
    affine = _affine(image, MM.get(spatial, 1.0))
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    return Header(
        shape=tuple(int(n) for n in image.shape),
        zooms=tuple(float(z) for z in header.get_zooms()),
        affine=tuple(float(value) for value in affine.ravel()),
        qform_code=int(header["qform_code"]),
        sform_code=int(header["sform_code"]),
        dtype=str(header.get_data_dtype()),
        spatial_unit=str(spatial),
        temporal_unit=str(temporal),
        scl_slope=slope if math.isfinite(slope) and slope != 0 else None,
        scl_inter=inter if math.isfinite(inter) else None,
    )


def _affine(image: Any, mm: float) -> NDArray[np.float64]:
    affine: NDArray[np.float64] = np.diag([mm, mm, mm, 1.0]) @ np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all():
        raise RefusedError(
            "invalid_affine",
            "the affine holds NaN or infinity",
            "set a valid sform or qform, or convert the image again",
        )
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise RefusedError(
            "singular_affine",
            f"the affine's determinant is {np.linalg.det(affine[:3, :3]):.3g}",
            "set a valid sform or qform",
        )
    header = image.header
    if header["qform_code"] > 0 and header["sform_code"] > 0:
        quaternion = np.linalg.det(header.get_qform()[:3, :3])
        if quaternion * np.linalg.det(affine[:3, :3]) < 0:
            what = "sform and qform disagree about left and right"
            raise RefusedError("conflicting_affines", what, "decide which is right and write both alike")
    return affine


def _refuse_truncation(location: str, size: int, voxels: ArrayProxy) -> None:
    """Compare the size that the header needs with the one there is; gzip keeps it in its last four bytes (RFC 1952)."""
    needed = int(voxels.offset) + math.prod(voxels.shape) * voxels.dtype.itemsize
    if not location.endswith(".gz"):
        if size < needed:
            raise RefusedError("truncated", f"{size} bytes where the header needs {needed}", "fetch the image again")
        return
    with open(location, "rb") as file:
        file.seek(-4, os.SEEK_END)
        stated = int.from_bytes(file.read(4), "little")
    if stated != needed % 2**32 and (length := _unpacked(location)[0]) < needed:
        raise RefusedError(
            "truncated_gzip", f"{length} bytes unpacked where the header needs {needed}", "fetch the image again"
        )


def _unpacked(location: str) -> tuple[int, str]:
    """Unpack to the end, or to the break; return the bytes and what broke.

    Files of several gzip members state only the size of the last, so only this tells whether they are whole.
    """
    length = 0
    try:
        with gzip.open(location) as file:
            while block := file.read(1 << 20):
                length += len(block)
    except EOFError as error:
        return length, str(error)
    except (OSError, zlib.error):
        return length, ""  # broken otherwise: the caller says what it expected
    return length, ""
