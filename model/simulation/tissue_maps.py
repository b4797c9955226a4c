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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.simulation.template import Floats, HeadGrid, Maps, brain_maps, resampled, template_grid

Axes = tuple[Floats, Floats, Floats]

BRAIN_FROM = 0.15  # of the T1w template: below, there is nothing
COARSE_MM = 2.0  # the dura is smooth: it is computed on this grid
CLOSES_MM = 12.0  # fissures narrower than twice this are inside the dura
FLUID_MM = np.float32(1.2)  # between the outermost gyri and the dura
FLUID_BELOW = -0.4  # on the axis
CONTRAST_MM = 4.0  # how far the surroundings reach that a voxel is held against
VENTRICLE_MM = (
    (12.0, 10.0, 14.0),
    (-12.0, 10.0, 14.0),
    (27.0, -46.0, 8.0),
    (-27.0, -46.0, 8.0),
    (0.0, -10.0, 2.0),
    (0.0, -46.0, -30.0),
)
NEAR_MM = 6.0  # levels are exact near their surface only, and end here
WHITE_AT, PIAL_AT = 0.62, -0.72  # where the axis crosses from grey to white, and from fluid to grey


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
    box = _brain_box(grid)
    x, y, z = grid.axes_mm()
    axes = (x[box[0]], y[:, box[1]], z[:, :, box[2]])
    near = Maps(maps.t1w[box], maps.grey[box], maps.white[box])
    axis = _with_brainstem(axes, _sharpened_axis(near, step_mm), near)
    inner = intracranial_level(step_mm)
    ventricle = ventricle_level(ventricle_mask(axes, axis, inner[box]), axis < FLUID_BELOW, step_mm)
    parts = {"pial": _in_mm(axis - PIAL_AT, step_mm), "white": _in_mm(axis - WHITE_AT, step_mm), "ventricle": ventricle}
    whole = {name: np.full(grid.shape, part.min(), np.float32) for name, part in parts.items()}
    for name, part in parts.items():
        whole[name][box] = part
    return Levels(inner=inner, **whole)


@lru_cache(maxsize=4)
def intracranial_level(step_mm: float) -> Floats:
    """Return the distance to the dura, mm: the brain with sulci and cisterns filled, and a little fluid around it."""
    if step_mm != COARSE_MM:
        return resampled(intracranial_level(COARSE_MM), template_grid(COARSE_MM).affine, template_grid(step_mm))
    brain = brain_maps(COARSE_MM).t1w > BRAIN_FROM
    filled = signed_distance_mm(brain, COARSE_MM, 60.0) + CLOSES_MM
    closed = signed_distance_mm(filled > 0, COARSE_MM, 80.0) - CLOSES_MM
    brain_mm = filled - CLOSES_MM
    carved = np.minimum(closed, np.maximum(-_skull_base(), brain_mm + 1.0))
    smooth = ndimage.gaussian_filter(np.maximum(carved, brain_mm), 2.0 / COARSE_MM) + FLUID_MM
    return np.asarray(np.clip(smooth, -60.0, 30.0), np.float32)


def _skull_base() -> Floats:
    """Return the level of the bone that rises between the lobes: body of the sphenoid and the petrous ridges."""
    x, y, z = template_grid(COARSE_MM).axes_mm()
    levels: list[NDArray[Any]] = [
        np.asarray(1.0 - np.sqrt((x / 15) ** 2 + ((y - 1) / 15) ** 2 + ((z + 41) / 14) ** 2), np.float32) * 14
    ]
    for side in (-1.0, 1.0):
        along = (x - side * 34) * 0.82 - side * (y + 22) * 0.57
        across = side * (x - side * 34) * 0.57 + (y + 22) * 0.82
        levels.append((1.0 - np.sqrt((along / 27) ** 2 + (across / 7) ** 2 + ((z + 46) / 12) ** 2)) * 7)
    return np.asarray(np.max(np.broadcast_arrays(*levels), axis=0), np.float32)


def signed_distance_mm(mask: NDArray[np.bool_], step_mm: float, furthest_mm: float) -> Floats:
    """Return the distance to the surface of a mask, mm, positive inside."""
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    distance = (inside - outside + np.where(mask, -0.5, 0.5)) * step_mm
    return np.asarray(np.clip(distance, -furthest_mm, furthest_mm), np.float32)


def ventricle_level(ventricle: NDArray[np.bool_], fluid: NDArray[np.bool_], step_mm: float) -> Floats:
    """Return the distance to the walls of the ventricles, mm, positive inside.

    Where a ventricle opens into a cistern there is no wall: distances inside are to tissue; cisterns lie far outside.
    """
    inside = ndimage.distance_transform_edt(ventricle | fluid) - 0.5
    outside = ndimage.distance_transform_edt(~ventricle) - 0.5
    distance = np.where(ventricle, inside, np.where(fluid, -np.inf, -outside)) * step_mm
    return np.asarray(np.clip(distance, -3 * NEAR_MM, 3 * NEAR_MM), np.float32)


def ventricle_mask(axes: Axes, axis: Floats, inner: Floats) -> NDArray[np.bool_]:
    """Tell ventricles from sulci: fluid far below the dura that hangs together with a place inside a ventricle."""
    x, y, z = axes
    side = np.abs(x)
    front = (side < 23) & (y > -24) & (y < 42) & (z > -8) & (z < 30)
    back = (side > np.where(y < -46, 17, 8)) & (side < 40) & (y > -74) & (y <= -20) & (z > -12) & (z < 32)
    horn = (side > 22) & (side < 38) & (y > -44) & (y < -8) & (z > -22) & (z < 2)
    third = (side < 4) & (y > -30) & (y < 6) & (z > -16) & (z < 12)
    fourth = (side < 12) & (y > -56) & (y < -36) & (z > -44) & (z < -20)
    fluid = (axis < FLUID_BELOW) & (inner > 20.0) & (front | back | horn | third | fourth)
    parts, _ = ndimage.label(fluid)
    kept = set()
    for point in VENTRICLE_MM:
        near = (np.abs(x - point[0]) < 4) & (np.abs(y - point[1]) < 4) & (np.abs(z - point[2]) < 4)
        kept |= set(np.unique(parts[near]).tolist()) - {0}
    return np.asarray(np.isin(parts, sorted(kept)))


def _brain_box(grid: HeadGrid) -> tuple[slice, slice, slice]:
    low = np.floor((np.array([-84.0, -118.0, -78.0]) - grid.affine[:3, 3]) / grid.step_mm).astype(int)
    high = np.ceil((np.array([84.0, 84.0, 92.0]) - grid.affine[:3, 3]) / grid.step_mm).astype(int)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return i, j, k


def _sharpened_axis(maps: Maps, step_mm: float) -> Floats:
    brain = maps.t1w > BRAIN_FROM
    weight = brain.astype(np.float32)
    sigma = CONTRAST_MM / step_mm
    total = np.maximum(ndimage.gaussian_filter(weight, sigma, truncate=3), 1e-3)
    position = (maps.white - np.clip(1.0 - maps.grey - maps.white, 0.0, 1.0)) * weight
    above = position - ndimage.gaussian_filter(position, sigma, truncate=3) / total
    spread = np.sqrt(ndimage.gaussian_filter(above**2 * weight, sigma, truncate=3) / total) + 0.08
    axis = position + 0.45 * np.clip(above / spread, -2.5, 2.5)
    return np.asarray(np.where(brain, axis, np.minimum(axis, -1.0)), np.float32)


def _with_brainstem(axes: Axes, axis: Floats, maps: Maps) -> Floats:
    """Make pons, midbrain and medulla one tissue: there the maps show mixtures, which sharpening would chequer."""
    x, y, z = axes
    stem = np.hypot(x / 17, (y + 27 - 0.4 * (z + 35)) / 15) < 1
    stem = stem & (z < -8) & (maps.grey + maps.white > 0.6)
    return np.where(stem & (axis > -0.1), np.float32(0.95), axis)


def _in_mm(level: Floats, step_mm: float) -> Floats:
    slopes = np.gradient(level, step_mm)
    slope = np.sqrt(sum(part**2 for part in slopes))
    return np.asarray(np.clip(level / np.maximum(slope, 0.12), -NEAR_MM, NEAR_MM), np.float32)
