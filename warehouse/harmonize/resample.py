"""The one interpolation: a scan through all its transforms to the session's grid, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warehouse.harmonize.image import Image
from warehouse.harmonize.itk import inverse, to_itk, transform_of, voxels_of
from warehouse.imaging.geometry import Grid

if TYPE_CHECKING:
    import SimpleITK as sitk


def resample(image: Image, to_session: NDArray[np.float64], grid: Grid) -> Image:
    """Interpolate a scan on a grid by cubic B-splines, blurred first along axes that the grid samples more coarsely.

    Parameters
    ----------
    image : Image
    to_session : (4, 4) array
        The scan's world to the session's, all transforms composed; RAS+, mm.
    grid : Grid

    Returns
    -------
    Image
        Bounded by the scan's own extremes, since splines overshoot at edges; 0 outside its field of view.
    """
    import SimpleITK as sitk

    source = to_itk(image)
    grid_mm = float(grid.affine[0, 0])
    for axis, size in enumerate(image.voxel_size_mm):
        if grid_mm > 1.05 * size:
            sigma = float(np.sqrt(grid_mm**2 - size**2) / 2.355)  # full widths at half maximum add in squares
            source = sitk.RecursiveGaussian(source, sigma, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    values = _interpolated(source, to_session, grid, sitk.sitkBSpline)
    low, high = float(image.voxels.min()), float(image.voxels.max())
    inside = _interpolated(
        to_itk(image, np.ones(image.voxels.shape, np.float32)), to_session, grid, sitk.sitkNearestNeighbor
    )
    return Image(np.where(inside > 0, np.clip(values, low, high), 0).astype(np.float32), grid.affine)


def resample_mask(
    mask: NDArray[np.bool_], image: Image, to_session: NDArray[np.float64], grid: Grid
) -> NDArray[np.bool_]:
    """Carry a mask to a grid: inside where at least half is, after linear interpolation."""
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
