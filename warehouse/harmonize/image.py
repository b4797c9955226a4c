"""A scan's voxels with their affine, in the orientation that all steps expect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.atomic import sha256
from warehouse.errors import HarmonizeError
from warehouse.ingest.nifti import RefusedError, read_header

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Image:
    """A volume in space.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    affine : (4, 4) float64 array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    """

    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]

    @cached_property
    def voxel_size_mm(self) -> NDArray[np.float64]:
        """Length of a step along i, j, k, mm."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def like(self, voxels: Floats) -> Image:
        """Return other voxels in the same place."""
        return Image(np.ascontiguousarray(voxels, dtype=np.float32), self.affine)


@dataclass(frozen=True)
class Source:
    """The file that an image was read from.

    Parameters
    ----------
    affine : (4, 4) array
        As the header has it, before the axes were turned; RAS+ world, mm.
    header : bytes
        The NIfTI header as it came.
    sha256 : str
        Hash of the file.
    """

    path: Path
    sha256: str
    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    dtype: str
    header: bytes

    def turn_back(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return voxels of the turned image in the file's own order."""
        back = nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.io_orientation(self.affine)
        )
        return np.ascontiguousarray(nib.orientations.apply_orientation(voxels, back))


def load(path: Path) -> tuple[Image, Source]:
    """Read a scan and turn its axes towards right, anterior and superior, by its header alone.

    Raises
    ------
    HarmonizeError
        When the header or the voxels cannot be used, or left and right are unknown.
    """
    try:
        header = read_header(str(path))
    except (RefusedError, OSError) as error:
        reason = error.refusal.reason if isinstance(error, RefusedError) else "unreadable"
        raise HarmonizeError("load", reason, f"{path}: {error}", "fetch or convert the image again") from error
    if header.qform_code == 0 and header.sform_code == 0:
        what = f"{path}: neither qform nor sform is set, so left and right are unknown"
        raise HarmonizeError("load", "no_orientation", what, "convert it again from DICOM")
    source: Any = nib.load(path)
    if header.n_volumes != 1:
        raise HarmonizeError("load", "not_3d", f"{path}: {header.n_volumes} volumes", "split it into volumes")
    try:
        values = np.asarray(source.dataobj, dtype=np.float32).reshape(source.shape[:3])
    except (OSError, EOFError, ValueError) as error:
        raise HarmonizeError("load", "unreadable_voxels", f"{path}: {error}", "fetch the image again") from error
    affine = np.reshape(np.asarray(header.affine, np.float64), (4, 4))
    turned = nib.as_closest_canonical(nib.Nifti1Image(values, affine))
    image = _checked(np.asarray(turned.dataobj), np.asarray(turned.affine, np.float64), path)
    raw = bytes(source.header.binaryblock)
    return image, Source(path, sha256(path), affine, tuple(source.shape[:3]), header.dtype, raw)


def _checked(values: NDArray[np.float32], affine: NDArray[np.float64], path: Path) -> Image:
    finite = np.isfinite(values)
    if finite.mean() < 0.5:
        what = f"{path}: {1 - finite.mean():.0%} of the voxels are NaN or infinite"
        raise HarmonizeError("load", "not_finite", what, "convert the image again")
    if not finite.all():
        values = np.where(finite, values, np.float32(0))  # background that some tools write as NaN
    if values.min() == values.max():
        raise HarmonizeError("load", "constant", f"{path}: every voxel is {values.min()}", "fetch the image again")
    return Image(np.ascontiguousarray(values), affine)
