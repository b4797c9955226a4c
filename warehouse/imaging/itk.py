"""Converts images and transforms to SimpleITK and back: ITK has LPS and (k, j, i), we have RAS and (i, j, k)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.geometry import Image

if TYPE_CHECKING:
    import SimpleITK as sitk

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a transform."""
    return np.asarray(np.linalg.inv(matrix), np.float64)


def to_itk(image: Image, voxels: NDArray[Any] | None = None) -> sitk.Image:
    """Return an image, or other voxels on its grid, as an ITK image."""
    import SimpleITK as sitk

    values = image.voxels if voxels is None else voxels
    made = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    affine = LPS @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    made.SetSpacing(spacing.tolist())
    made.SetOrigin(affine[:3, 3].tolist())
    made.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return made


def voxels_of(image: sitk.Image) -> NDArray[Any]:
    """Return the voxels as (i, j, k)."""
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(image)).T


def matrix_of(transform: Any) -> NDArray[np.float64]:
    """Return an affine ITK transform as a matrix, RAS world to RAS world, mm."""
    corners = np.vstack([np.zeros(3), np.eye(3)])
    moved = np.array([transform.TransformPoint(corner.tolist()) for corner in corners])
    matrix = np.eye(4)
    matrix[:3, :3] = (moved[1:] - moved[0]).T
    matrix[:3, 3] = moved[0]
    return np.asarray(LPS @ matrix @ LPS, np.float64)


def transform_of(matrix: NDArray[np.float64]) -> sitk.AffineTransform:
    """Return a matrix, RAS world to RAS world, as an ITK transform."""
    import SimpleITK as sitk

    lps = LPS @ matrix @ LPS
    return sitk.AffineTransform(lps[:3, :3].ravel().tolist(), lps[:3, 3].tolist())
