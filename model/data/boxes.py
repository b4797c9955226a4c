"""Whole heads resampled into one small, coarse box that is centred on the brain, so that they can be batched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import CatalogueImages, Sample, outside

SMOOTH = 0.4  # σ in voxels of the box, of the Gaussian that removes detail which would alias


@dataclass(frozen=True)
class Box:
    """A grid that is parallel to the world's axes.

    Parameters
    ----------
    shape : tuple of int
        Voxels along i, j, k, which are left–right, posterior–anterior and inferior–superior.
    voxel_mm : float
        Of every side, mm.
    """

    shape: tuple[int, int, int]
    voxel_mm: float


class BoxedImages:
    """Images of the catalogue in a box, kept in memory as float16 once they are read.

    Parameters
    ----------
    images : CatalogueImages
    box : Box
    """

    def __init__(self, images: CatalogueImages, box: Box) -> None:
        self.images, self.box = images, box
        self._kept: dict[int, NDArray[np.float16]] = {}

    def volume(self, index: int) -> NDArray[np.float32]:
        """Return an image of `images.items` as (i, j, k) network intensities; outside the scan is no signal."""
        if index not in self._kept:
            self._kept[index] = to_box(self.images.volume(index), self.box).astype(np.float16)
        return self._kept[index].astype(np.float32)


def to_box(sample: Sample, box: Box) -> NDArray[np.float32]:
    """Return a volume resampled into a box whose centre is the brain's.

    Parameters
    ----------
    sample : Sample
        Where its mask is empty, the box is centred on the grid.
    box : Box

    Returns
    -------
    (i, j, k) float32 array
        Network intensities, of the box's shape; R, A, S.
    """
    return resampled(sample.voxels, sample.affine, sample.mask, box, outside(sample.scale))


def resampled(
    voxels: NDArray[np.float32], affine: NDArray[np.float64], brain: NDArray[np.bool_], box: Box, fill: float
) -> NDArray[np.float32]:
    """Return voxels of any grid in a box whose centre is that of a mask; `fill` is what lies outside the grid.

    Parameters
    ----------
    voxels : (i, j, k) array
    affine : (4, 4) array
        Voxel to world, RAS+, mm.
    brain : (i, j, k) bool array
    box : Box
    fill : float
    """
    inside = np.argwhere(brain) if brain.any() else np.array([np.array(voxels.shape) - 1]) / 2
    centre = affine @ np.append(inside.mean(0), 1)
    to_world = np.diag([box.voxel_mm] * 3 + [1.0])
    to_world[:3, 3] = centre[:3] - box.voxel_mm * (np.array(box.shape) - 1) / 2
    to_voxels = np.linalg.inv(affine) @ to_world
    coarser = box.voxel_mm / np.linalg.norm(affine[:3, :3], axis=0)
    smooth = ndimage.gaussian_filter(voxels, np.where(coarser > 1, SMOOTH * coarser, 0), truncate=2)
    found = ndimage.affine_transform(smooth, to_voxels[:3, :3], to_voxels[:3, 3], box.shape, order=1, cval=fill)
    return np.asarray(found, np.float32)
