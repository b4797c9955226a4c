"""The ceiling of a synthesis, where it exists: another real scan of the same person and contrast.

Two scans, of a day or months apart, differ by noise, protocol, position and what grew since. A network that is asked
for one of them can hardly come nearer to it than the other one is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter1d

from model.data.natives import to_session
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize.alignment import CONVERGED_MM, register
from warehouse.harmonize.rows import read_turned
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid, Image
from warehouse.imaging.resampling import blur_sigma
from warehouse.volumes import Volume

LEAST_SEEN = 0.95  # share of the target's brain in the other scan's field of view


def rescan(
    target_native: Volume, other_native: Volume, *, resolution_mm: float = 1.5, converged_mm: float = CONVERGED_MM
) -> NDArray[np.float64]:
    """Return another scan of the same person on the target's own grid, resampled once.

    Each session is aligned with MNI152 by itself, so the two may lie some millimetres apart; a rigid registration that
    starts there brings them together.

    Parameters
    ----------
    target_native, other_native : Volume
        Native stores of the target and of the other scan.
    resolution_mm, converged_mm : float
        Of the registration (see `warehouse.harmonize.alignment.register`).

    Returns
    -------
    (i, j, k) array
        Linear: spreads from the median of the other scan's own brain. No signal outside its field of view.

    Raises
    ------
    ModelError
        When the scans cannot be aligned, the other one sees less than 95 % of the target's brain, or its brain has no
        contrast: then there is no such ceiling.
    """
    target, target_mask = read_turned(target_native)
    other, other_mask = read_turned(other_native)
    start = np.linalg.inv(to_session(target_native)) @ to_session(other_native)
    placed = Image(other.voxels, start @ other.affine)
    try:
        scale = BrainScale.of(other.voxels, other_mask)
        found = register(target, target_mask, placed, resolution_mm=resolution_mm, converged_mm=converged_mm)
    except (HarmonizeError, ValueError) as error:
        what = f"{other_native.path} cannot be compared with {target_native.path}: {error}"
        raise ModelError(what, "look at both scans, or leave this ceiling out") from error
    aligned = Image(scale.linear(other.voxels).astype(np.float32), found.matrix @ placed.affine)
    made, is_seen = _on_grid(aligned, target_native.grid, outside=float(scale.linear(np.zeros(1))[0]))
    assert target_native.mask is not None  # `read_turned` needs it as well
    seen = float(is_seen[target_native.mask[...] > 0].mean())
    if seen < LEAST_SEEN:
        what = f"{other_native.path} sees {seen:.0%} of the brain of {target_native.path}"
        raise ModelError(what, "leave this ceiling out")
    return made


def _on_grid(image: Image, grid: Grid, outside: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return an image on a grid by cubic splines, and which voxels lie in its field of view.

    `warehouse.imaging.resampling.resample` blurs by the grid's nearest axis and does not say what was seen; here the
    blur along an axis of the image is that of the grid's voxels, seen along this axis.
    """
    axes = image.affine[:3, :3] / image.voxel_size_mm
    steps_mm = np.linalg.norm(axes.T @ grid.affine[:3, :3], axis=1)
    values = image.voxels.astype(np.float64)
    for axis, (step, size) in enumerate(zip(steps_mm, image.voxel_size_mm, strict=True)):
        if sigma_mm := blur_sigma(float(step), float(size)):
            values = gaussian_filter1d(values, sigma_mm / float(size), axis=axis, mode="nearest")
    matrix = np.linalg.inv(image.affine) @ grid.affine
    made: NDArray[Any] = affine_transform(values, matrix, output_shape=grid.shape, order=3, mode="nearest")
    inside = np.ones(image.voxels.shape, np.float32)
    is_seen = affine_transform(inside, matrix, output_shape=grid.shape, order=0, mode="constant") > 0
    return np.where(is_seen, np.clip(made, image.voxels.min(), image.voxels.max()), outside), is_seen
