"""Resamples scans: through a transform to another grid, or along their own axes to other voxel sizes.

Both functions blur axes that become coarser, interpolate by cubic splines and bound the result by the source, so that
synthesis gets the same input as training. The second one works with axes of less than four voxels, which SimpleITK's
filters refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter1d

from warehouse.imaging.geometry import Grid, Image
from warehouse.imaging.itk import inverse, to_itk, transform_of, voxels_of

if TYPE_CHECKING:
    import SimpleITK as sitk

FWHM_PER_SIGMA = 2.355
SAME_STEP = 1.05  # ratio of steps up to which no blur is needed


def blur_sigma(step: float, size: float) -> float:
    """Return the standard deviation of the Gaussian that widens voxels to a longer step, in the same unit; 0 for none.

    Full widths at half maximum add in squares.
    """
    return float(np.sqrt(step**2 - size**2) / FWHM_PER_SIGMA) if step > SAME_STEP * size else 0.0


def resample(image: Image, to_session: NDArray[np.float64], grid: Grid) -> Image:
    """Return a scan resampled on a grid by cubic B-splines, blurred along axes that the grid samples more coarsely.

    Parameters
    ----------
    image : Image
    to_session : (4, 4) array
        The scan's world to the session's, all transforms composed; RAS+, mm.
    grid : Grid
        Of any orientation and voxel sizes.

    Returns
    -------
    Image
        Bounded by the scan's own extremes, since splines overshoot at edges; 0 outside its field of view.
    """
    import SimpleITK as sitk

    source = to_itk(image)
    steps_mm = grid.voxel_size_mm[_nearest_axes(image.affine, to_session, grid)]
    for axis, size in enumerate(image.voxel_size_mm):
        if sigma := blur_sigma(float(steps_mm[axis]), float(size)):
            source = sitk.RecursiveGaussian(source, sigma, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    values = _interpolated(source, to_session, grid, sitk.sitkBSpline)
    low, high = float(image.voxels.min()), float(image.voxels.max())
    inside = _interpolated(
        to_itk(image, np.ones(image.voxels.shape, np.float32)), to_session, grid, sitk.sitkNearestNeighbor
    )
    return Image(np.where(inside > 0, np.clip(values, low, high), 0).astype(np.float32), grid.affine)


def _nearest_axes(affine: NDArray[np.float64], to_session: NDArray[np.float64], grid: Grid) -> NDArray[np.intp]:
    """Return the axis of the grid along which each axis of a scan lies most nearly."""
    along = to_session[:3, :3] @ affine[:3, :3]
    cosines = (along / np.linalg.norm(along, axis=0)).T @ (grid.affine[:3, :3] / grid.voxel_size_mm)
    return np.asarray(np.abs(cosines).argmax(axis=1))


def resample_along_axes(voxels: NDArray[np.float32], here: Grid, there: Grid) -> NDArray[np.float32]:
    """Return voxels resampled on a grid with the same axes by cubic splines, blurred along axes that become coarser.

    As `resample`, for volumes whose sides may be as short as one voxel, and without a transform.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    here, there : Grid

    Returns
    -------
    (i, j, k) float32 array
        Bounded by the extremes of the source, since splines overshoot at edges; outside it, its outermost voxels.
    """
    matrix = np.linalg.inv(here.affine) @ there.affine
    ratio = np.diag(matrix)[:3]
    if here.shape == there.shape and np.allclose(matrix, np.eye(4), atol=1e-4):
        return voxels.astype(np.float32)
    values = voxels.astype(np.float32)
    for axis, step in enumerate(ratio):
        if (sigma := blur_sigma(float(step), 1.0)) and here.shape[axis] > 1:
            values = gaussian_filter1d(values, sigma, axis=axis, mode="nearest")
    made = affine_transform(values, ratio, matrix[:3, 3], output_shape=there.shape, order=3, mode="nearest")
    return np.asarray(np.clip(made, voxels.min(), voxels.max()), np.float32)


def resample_mask(
    mask: NDArray[np.bool_], image: Image, to_session: NDArray[np.float64], grid: Grid
) -> NDArray[np.bool_]:
    """Return a mask resampled on a grid by linear interpolation, thresholded at one half."""
    import SimpleITK as sitk

    values = _interpolated(to_itk(image, mask.astype(np.float32)), to_session, grid, sitk.sitkLinear)
    return np.asarray(values >= 0.5)


def _interpolated(source: sitk.Image, to_session: NDArray[np.float64], grid: Grid, method: int) -> NDArray[np.float32]:
    import SimpleITK as sitk

    target = to_itk(Image(np.zeros((1, 1, 1), np.float32), grid.affine))
    made = sitk.Resample(
        source,
        [int(n) for n in grid.shape],
        transform_of(inverse(to_session)),
        method,
        target.GetOrigin(),
        target.GetSpacing(),
        target.GetDirection(),
        0.0,
        sitk.sitkFloat32,
    )
    return np.asarray(voxels_of(made), np.float32)
