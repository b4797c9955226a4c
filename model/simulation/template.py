"""The grid of a head, the maps of the average brain, and the distances of its voxels to the surfaces of the brain.

The maps come with nilearn: T1w, grey and white matter of ICBM152 2009a, non-linear and symmetric (Fonov et al. 2011,
NeuroImage 54, 313), 1 mm, brain only. They are resampled by linear interpolation of smoothed voxels, since the cubic
splines of nilearn ring outside the brain.

An average of 152 brains has no sharp sulci. Its maps are placed on one axis, fluid (-1), grey (0), white (+1), and
the local contrast is raised: a voxel that is more like fluid than its surroundings becomes fluid, so that thin sulci
and the white blades of gyri reappear where the average has blurred them. Division by the slope turns the position on
the axis into millimetres. Such distances stay sharp on any grid and can be shifted: a thinner cortex is a shifted
surface.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.errors import PhantomError

Floats = NDArray[np.float32]

LOWEST_MM = np.array([-100.0, -122.0, -124.0])
EXTENT_MM = np.array([200.0, 240.0, 226.0])
TEMPLATE_MARGIN_MM = 14.5  # aligns voxels of 1 mm with those of the maps
FINEST_MM, COARSEST_MM = 0.8, 6.0


@dataclass(frozen=True)
class HeadGrid:
    """Isotropic voxels that hold a whole head, axes i → right, j → anterior, k → superior.

    Parameters
    ----------
    step_mm : float
    block : int
        The number of voxels along each axis is a multiple of this.
    margin_mm : float
        Added to the usual field of view on each side.

    Raises
    ------
    PhantomError
        For voxels finer than the template or coarser than its structures.
    """

    step_mm: float
    block: int = 1
    margin_mm: float = 0.0

    def __post_init__(self) -> None:
        if not FINEST_MM <= self.step_mm <= COARSEST_MM:
            what = f"a head cannot be made of voxels of {self.step_mm} mm"
            raise PhantomError(what, f"give a resolution from {FINEST_MM} to {COARSEST_MM} mm")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = (
            int(n) for n in np.ceil((EXTENT_MM + 2 * self.margin_mm) / self.step_mm / self.block - 1e-6) * self.block
        )
        return i, j, k

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Voxel to world, RAS+, mm; (4, 4). The outer faces of the first voxels are the same for all sizes."""
        affine = np.diag([self.step_mm] * 3 + [1.0])
        affine[:3, 3] = LOWEST_MM - self.margin_mm + self.step_mm / 2
        return affine

    def axes_mm(self) -> tuple[Floats, Floats, Floats]:
        """Return x, y and z of the voxel centres, mm, each in a shape that broadcasts over (i, j, k)."""
        lines = [
            (low + self.step_mm * np.arange(n)).astype(np.float32)
            for low, n in zip(self.affine[:3, 3], self.shape, strict=True)
        ]
        return lines[0][:, None, None], lines[1][None, :, None], lines[2][None, None, :]

    def points_mm(self) -> Floats:
        """Return the voxel centres, mm: (3, i, j, k)."""
        return np.stack(np.broadcast_arrays(*self.axes_mm()))


def template_grid(step_mm: float) -> HeadGrid:
    """Return the grid of the template, whose field of view is larger than that of subjects, as is its brain."""
    return HeadGrid(step_mm, margin_mm=TEMPLATE_MARGIN_MM)


@dataclass(frozen=True)
class Maps:
    """The average brain on a grid, each in [0, 1]: (i, j, k) float32."""

    t1w: Floats
    grey: Floats
    white: Floats


@lru_cache(maxsize=4)
def brain_maps(step_mm: float) -> Maps:
    """Return the template's maps in MNI space on a grid.

    Parameters
    ----------
    step_mm : float
        Size of the grid's voxels.
    """
    from nilearn import datasets

    loaders = (datasets.load_mni152_template, datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
    grid = template_grid(step_mm)
    return Maps(*(_on(grid, loader(resolution=1)) for loader in loaders))


def _on(grid: HeadGrid, image: Any) -> Floats:
    values = np.asarray(image.dataobj, dtype=np.float32)
    # Detail finer than a voxel of the grid is smoothed first.
    blur_mm = 0.4 * np.sqrt(max(grid.step_mm**2 - 1.0, 0.0))
    smooth = ndimage.gaussian_filter(values, blur_mm) if blur_mm > 0 else values
    return resampled(smooth, image.affine, grid, outside=0.0)


def resampled(values: Floats, affine: NDArray[np.float64], grid: HeadGrid, outside: float | None = None) -> Floats:
    """Return a volume on a grid, interpolated linearly along each axis in turn.

    Parameters
    ----------
    values : (i, j, k) array
    affine : (4, 4) array
        Of the volume, diagonal, mm.
    outside : float, optional
        Value beyond the volume; by default that of the nearest voxel.
    """
    for axis, line in enumerate(grid.axes_mm()):
        at = (line.ravel() - affine[axis, 3]) / affine[axis, axis]
        size = values.shape[axis]
        low = np.clip(np.floor(at).astype(int), 0, size - 2)
        part = np.clip(at - low, 0.0, 1.0).astype(np.float32).reshape([-1 if dim == axis else 1 for dim in range(3)])
        values = np.take(values, low, axis) * (1 - part) + np.take(values, low + 1, axis) * part
        if outside is not None:
            beyond = (at < -0.5) | (at > size - 0.5)
            values[tuple(beyond if dim == axis else slice(None) for dim in range(3))] = outside
    return np.asarray(values, np.float32)


Axes = tuple[Floats, Floats, Floats]

BRAIN_FROM = 0.15  # intensity of the T1w template below which there is no brain
COARSE_MM = 2.0  # grid on which the smooth surface of the dura is computed
CLOSES_MM = 12.0  # fissures narrower than twice this lie inside the dura
FLUID_MM = np.float32(1.2)  # between the outermost gyri and the dura
FLUID_BELOW = -0.4  # on the axis
CONTRAST_MM = 4.0  # standard deviation of the surroundings that a voxel is compared with
# A point inside each ventricle.
VENTRICLE_MM = ((12, 10, 14), (-12, 10, 14), (27, -46, 8), (-27, -46, 8), (0, -10, 2), (0, -46, -30))
NEAR_MM = 6.0  # largest distance: levels are accurate near their surface only
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
    """Return the distance to the dura, mm, positive inside: the closed brain with a thin layer of fluid around it."""
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
    """Return the level of the bone between the lobes: body of the sphenoid and petrous ridges."""
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

    Where a ventricle opens into a cistern there is no wall: inside, the distance is that to tissue; cisterns are given
    the largest distance outside.
    """
    inside = ndimage.distance_transform_edt(ventricle | fluid) - 0.5
    outside = ndimage.distance_transform_edt(~ventricle) - 0.5
    distance = np.where(ventricle, inside, np.where(fluid, -np.inf, -outside)) * step_mm
    return np.asarray(np.clip(distance, -3 * NEAR_MM, 3 * NEAR_MM), np.float32)


def ventricle_mask(axes: Axes, axis: Floats, inner: Floats) -> NDArray[np.bool_]:
    """Return the ventricles: fluid far below the dura that is connected with a point of `VENTRICLE_MM`."""
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
    """Set pons, midbrain and medulla to one tissue: their mixtures in the maps would become noise if sharpened."""
    x, y, z = axes
    stem = np.hypot(x / 17, (y + 27 - 0.4 * (z + 35)) / 15) < 1
    stem = stem & (z < -8) & (maps.grey + maps.white > 0.6)
    return np.where(stem & (axis > -0.1), np.float32(0.95), axis)


def _in_mm(level: Floats, step_mm: float) -> Floats:
    slopes = np.gradient(level, step_mm)
    slope = np.sqrt(sum(part**2 for part in slopes))
    return np.asarray(np.clip(level / np.maximum(slope, 0.12), -NEAR_MM, NEAR_MM), np.float32)
