"""Lesions of patients on the grid of their session, from the masks that their centre publishes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Item, LesionFile
from model.data.natives import to_session
from warehouse.errors import ModelError
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.geometry import Grid, Image, corners_mm, turn
from warehouse.imaging.nifti import read_header
from warehouse.imaging.resampling import resample_mask
from warehouse.volumes.volume import open_store

Mask = NDArray[np.bool_]
SAME_PLACE_MM = 0.1  # of corners: headers are rounded


@dataclass(frozen=True)
class LesionMasks:
    """Lesion masks of the images of a catalogue.

    A mask has no transform to its session: it lies where the scan lies on whose grid it was drawn. One that is on the
    grid of none of its session's scans is not known.

    Parameters
    ----------
    images : CatalogueImages
    """

    images: CatalogueImages
    _by_session: dict[str, list[Item]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[str, list[Item]] = defaultdict(list)
        for item in self.images.items:
            found[item.session_id].append(item)
        object.__setattr__(self, "_by_session", dict(found))

    def is_known(self, item: Item) -> bool:
        """Return whether it is known where the lesions of an image are, or that there are none."""
        return item.lesions == () or self._source(item) is not None

    def mask(self, item: Item) -> Mask | None:
        """Return the lesions of an image on the grid of its session; None where its centre took healthy people.

        A mask is interpolated once, linearly, and thresholded at one half, as the masks of brains are: the borders of
        thick slices do not become stairs.

        Returns
        -------
        (i, j, k) bool array or None

        Raises
        ------
        ModelError
            When it is not known where the lesions are.
        """
        if item.lesions == ():
            return None
        source = self._source(item)
        if source is None:
            what = f"it is not known where the lesions of {item.image_id} are"
            raise ModelError(what, "leave it out, or give a mask on the grid of one of the visit's scans")
        file, scan = source
        native = open_store(scan.native_path)
        marked = turn(_marked(file.path, native.grid.shape), native.affine)
        image = Image(marked.astype(np.float32), native.grid.turned().affine)
        return resample_mask(marked, image, to_session(native), open_store(item.path).grid)

    def content_hash(self, item: Item) -> str:
        """Return the hash of the mask of an image, and of the scan whose place it shares; empty where there is none."""
        source = self._source(item)
        return f"{source[0].content_hash or source[0].path}:{source[1].path.parent.name}" if source else ""

    def _source(self, item: Item) -> tuple[LesionFile, Item] | None:
        """Return the first mask of an image that lies on the grid of a scan of the same session, and that scan.

        Of several scans on that grid, the one is taken that the mask's space names, else the image itself.
        """
        for file in item.lesions or ():
            try:
                grid = read_header(str(file.path)).grid
            except (RefusedError, NotFetchedError, OSError):
                continue
            scans = sorted(
                self._by_session.get(item.session_id, []),
                key=lambda one: (one.contrast_label != file.space, one.image_id != item.image_id),
            )
            for scan in scans:
                if scan.native_path.is_dir() and _same(open_store(scan.native_path).grid, grid):
                    return file, scan
        return None


def _same(one: Grid, other: Grid) -> bool:
    return one.shape == other.shape and np.allclose(_corners_mm(one), _corners_mm(other), atol=SAME_PLACE_MM)


def _corners_mm(grid: Grid) -> NDArray[np.float64]:
    return corners_mm(grid.shape, grid.affine)


def _marked(path: Path, shape: tuple[int, int, int]) -> Mask:
    """Return where a mask or segmentation is not 0, in the file's own order of axes.

    `read_scan` would refuse a patient in whom nothing is marked: every voxel is the same.
    """
    stored = np.asarray(nib.nifti1.load(path).dataobj)
    return np.asarray(stored.reshape(shape) > 0)
