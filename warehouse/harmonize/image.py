"""A scan as harmonisation takes it: its axes turned towards right, anterior and superior, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.geometry import turn, turn_back
from warehouse.imaging.image import Image
from warehouse.imaging.scan import read_scan
from warehouse.lake.atomic import sha256


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
    offset : float
        What was added to the file's intensities, so that none is negative.
    """

    path: Path
    sha256: str
    affine: NDArray[np.float64]
    shape: tuple[int, ...]
    dtype: str
    header: bytes
    offset: float = 0.0

    def turn_back(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return voxels of the turned image in the file's own order."""
        return turn_back(voxels, self.affine)


def load(path: Path) -> tuple[Image, Source]:
    """Read a scan and turn its axes towards right, anterior and superior, by its header alone.

    Raises
    ------
    HarmonizeError
        When the header or the voxels cannot be used, or left and right are unknown.
    """
    try:
        scan = read_scan(path)
    except (RefusedError, NotFetchedError) as error:
        raise refused(path, error) from error
    image = Image(turn(scan.voxels, scan.grid.affine), scan.grid.turned().affine)
    affine, shape = scan.grid.affine, scan.grid.shape
    return image, Source(path, sha256(path), affine, shape, scan.header.dtype, scan.raw_header, scan.offset)


def refused(path: Path, error: RefusedError | NotFetchedError) -> HarmonizeError:
    """Return the refusal of a file as harmonisation records it."""
    if isinstance(error, NotFetchedError):
        return HarmonizeError("load", "not_fetched", f"{path}: git-annex holds its content elsewhere", "git annex get")
    return HarmonizeError("load", error.reason, f"{path}: {error.detail}", error.remedy)
