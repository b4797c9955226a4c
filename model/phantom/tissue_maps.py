"""From the blurred average brain to surfaces that can be drawn sharply: how far each voxel lies from each of them.

An average of 152 brains has no sharp sulci. Its maps are placed on one axis, fluid (-1), grey (0), white (+1), and
the local contrast is raised: a voxel that is more like fluid than its surroundings becomes fluid, so thin sulci and
the white blades of gyri come back where the average has washed them out. Dividing by the slope turns the position
on the axis into millimetres, which stay sharp on any grid, and can be moved: a thinner cortex is a surface shifted
by so many millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.phantom.template import Floats, Grid, Maps, brain_maps, template_grid

NEAR_MM = 6.0  # levels are exact near their surface only, and end here
WHITE_AT, PIAL_AT = 0.56, -0.42  # where the axis crosses from grey to white, and from fluid to grey


@dataclass(frozen=True)
class Levels:
    """Distances to the surfaces of the template, mm, positive inside; (i, j, k) float32.

    Parameters
    ----------
    inner : array
        Of the intracranial space (inside the dura).
    pial : array
        Of the parenchyma.
    white : array
        Of white matter.
    ventricle : array
        Of the ventricles.
    """

    inner: Floats
    pial: Floats
    white: Floats
    ventricle: Floats


@lru_cache(maxsize=4)
def brain_levels(step_mm: float) -> Levels:
    """Return the distances of all voxels of a grid in MNI space to the surfaces of the brain."""
    grid, maps = template_grid(step_mm), brain_maps(step_mm)
    brain = maps.t1w > 0.15
    axis = _with_brainstem(grid, _sharpened_axis(maps, brain, step_mm), maps)
    inner = intracranial_level(brain, step_mm)
    axis[~brain] = np.minimum(axis[~brain], -1.0)
    ventricle = ventricle_mask(grid, axis, inner)
    return Levels(
        inner=np.clip(inner, -60.0, 30.0),
        pial=_in_mm(axis - PIAL_AT, step_mm),
        white=_in_mm(axis - WHITE_AT, step_mm),
        ventricle=signed_distance_mm(ventricle, step_mm, NEAR_MM * 3),
    )


def intracranial_level(brain: NDArray[np.bool_], step_mm: float) -> Floats:
    """Return the distance to the dura: the brain with its sulci and cisterns filled, and a little fluid around it."""
    filled = signed_distance_mm(brain, step_mm, 60.0) + 12.0  # every fissure narrower than 24 mm closes
    closed = signed_distance_mm(filled > 0, step_mm, 80.0) - 12.0
    level = ndimage.gaussian_filter(np.maximum(closed, filled - 12.0), 2.0 / step_mm)
    return np.asarray(level + np.float32(1.8), np.float32)


def signed_distance_mm(mask: NDArray[np.bool_], step_mm: float, furthest_mm: float) -> Floats:
    """Return the distance to the surface of a mask, mm, positive inside."""
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    distance = (inside - outside + np.where(mask, -0.5, 0.5)) * step_mm
    return np.asarray(np.clip(distance, -furthest_mm, furthest_mm), np.float32)


def ventricle_mask(grid: Grid, axis: Floats, inner: Floats) -> NDArray[np.bool_]:
    """Tell ventricles from sulci: fluid far below the dura, in the box where ventricles lie."""
    x, y, z = grid.axes_mm()
    lateral = (np.abs(x) < 42) & (y > -75) & (y < 45) & (z > -22) & (z < 34) & (inner > 22.0)
    third = (np.abs(x) < 4) & (y > -32) & (y < 8) & (z > -16) & (z < 14)
    fourth = (np.abs(x) < 12) & (y > -56) & (y < -36) & (z > -44) & (z < -18)
    fluid = (axis < -0.3) & (lateral | third | fourth)
    parts, _ = ndimage.label(fluid)
    sizes = np.bincount(parts.ravel()) * grid.step_mm**3
    sizes[0] = 0
    return np.asarray(np.isin(parts, np.flatnonzero(sizes > 250.0)))


def _sharpened_axis(maps: Maps, brain: NDArray[np.bool_], step_mm: float) -> Floats:
    weight = brain.astype(np.float32)
    sigma = 4.0 / step_mm
    total = np.maximum(ndimage.gaussian_filter(weight, sigma), 1e-3)
    position = (maps.white - np.clip(1.0 - maps.grey - maps.white, 0.0, 1.0)) * weight
    above = position - ndimage.gaussian_filter(position, sigma) / total
    spread = np.sqrt(ndimage.gaussian_filter(above**2 * weight, sigma) / total) + 0.08
    return np.asarray(position + 0.45 * np.clip(above / spread, -2.5, 2.5), dtype=np.float32)


def _with_brainstem(grid: Grid, axis: Floats, maps: Maps) -> Floats:
    """Make pons, midbrain and medulla one tissue: there the maps show mixtures, which sharpening would chequer."""
    x, y, z = grid.axes_mm()
    stem = np.hypot(x / 17, (y + 26 + 0.25 * (z + 35)) / 15) < 1
    stem = stem & (z < -8) & (maps.grey + maps.white > 0.6)
    return np.where(stem & (axis > -0.1), np.float32(0.95), axis)


def _in_mm(level: Floats, step_mm: float) -> Floats:
    slopes = np.gradient(level, step_mm)
    slope = np.sqrt(sum(part**2 for part in slopes))
    return np.asarray(np.clip(level / np.maximum(slope, 0.12), -NEAR_MM, NEAR_MM), np.float32)
