"""Bring volumes from one grid onto another in the world, whatever their axes, shapes and voxel sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter1d

from warehouse.imaging.geometry import Grid
from warehouse.imaging.resampling import blur_sigma, resample_along_axes

Voxels = NDArray[np.float32]
Matrix = NDArray[np.float64]
SAME_PLACE = 0.05  # voxels; headers are rounded to float32
HALF = 0.5 - 1e-3  # of a voxel: where a mask ends exactly between two voxels, rounding does not decide
EDGE = 0.5 + 1e-3  # voxels beyond the centre of the outermost one; the field of view ends there


def place(voxels: Voxels, here: Grid, there: Grid, to_there: Matrix | None = None, outside: float = 0.0) -> Voxels:
    """Return a volume resampled on another grid by cubic splines, blurred along axes that become coarser.

    SimpleITK's filters refuse axes of less than four voxels and its images refuse sheared axes, which scans have.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    here, there : Grid
    to_there : (4, 4) array, optional
        The world of `here` to that of `there`; RAS+, mm. Default: they are one world.
    outside : float
        Value outside the volume's field of view.

    Returns
    -------
    (i, j, k) float32 array
        On `there`; bounded by the extremes of the source, since splines overshoot at edges.
    """
    back = _to_voxels(here, there, to_there)
    if _is_parallel(back, there):
        made = resample_along_axes(voxels, here, Grid(there.shape, here.affine @ back))
    else:
        values = voxels.astype(np.float32)
        steps = there.voxel_size_mm[np.abs(_cosines(here, there, to_there)).argmax(axis=1)] / here.voxel_size_mm
        for axis, step in enumerate(steps):
            if (sigma := blur_sigma(float(step), 1.0)) and here.shape[axis] > 1:
                values = gaussian_filter1d(values, sigma, axis=axis, mode="nearest")
        made = affine_transform(values, back[:3, :3], back[:3, 3], output_shape=there.shape, order=3, mode="nearest")
        made = np.clip(made, voxels.min(), voxels.max())
    seen = field_of_view(here, there, to_there)
    return np.asarray(made if seen.all() else np.where(seen, made, np.float32(outside)), np.float32)


def place_mask(mask: NDArray[np.bool_], here: Grid, there: Grid, to_there: Matrix | None = None) -> NDArray[np.bool_]:
    """Return a mask on another grid, by linear interpolation and a threshold at one half; see `place`."""
    back = _to_voxels(here, there, to_there)
    values = mask.astype(np.float32)
    made = affine_transform(values, back[:3, :3], back[:3, 3], output_shape=there.shape, order=1, mode="nearest")
    return np.asarray((made >= HALF) & field_of_view(here, there, to_there))


def field_of_view(here: Grid, there: Grid, to_there: Matrix | None = None) -> NDArray[np.bool_]:
    """Return which voxels of a grid have their centre inside the voxels of another."""
    back = _to_voxels(here, there, to_there)
    i, j, k = np.ogrid[: there.shape[0], : there.shape[1], : there.shape[2]]
    seen = np.ones(there.shape, bool)
    for row, size in zip(back[:3], here.shape, strict=True):
        at = row[0] * i + row[1] * j + row[2] * k + row[3]
        seen &= (at >= -EDGE) & (at <= size - 1 + EDGE)
    return seen


def is_same_grid(one: Grid, other: Grid) -> bool:
    """Return whether two grids have the same voxels, to a part of a voxel at every corner."""
    if one.shape != other.shape:
        return False
    difference = np.abs(_to_voxels(one, other, None) - np.eye(4))
    return bool((difference[:3, :3] @ np.asarray(one.shape) + difference[:3, 3] < SAME_PLACE).all())


def _to_voxels(here: Grid, there: Grid, to_there: Matrix | None) -> Matrix:
    """Return the map from voxels of `there` to voxels of `here`."""
    world = np.eye(4) if to_there is None else np.asarray(to_there, np.float64)
    return np.asarray(np.linalg.inv(world @ here.affine) @ there.affine, np.float64)


def _cosines(here: Grid, there: Grid, to_there: Matrix | None) -> Matrix:
    world = np.eye(4) if to_there is None else np.asarray(to_there, np.float64)
    along = world[:3, :3] @ here.affine[:3, :3]
    return np.asarray((along / np.linalg.norm(along, axis=0)).T @ (there.affine[:3, :3] / there.voxel_size_mm))


def _is_parallel(back: Matrix, there: Grid) -> bool:
    """Return whether the axes of both grids are the same ones, so that they can be resampled one by one."""
    sideways = np.abs(back[:3, :3] - np.diag(np.diag(back)[:3])) @ np.asarray(there.shape)
    return bool((sideways < 1e-3).all() and (np.diag(back)[:3] > 0).all())
