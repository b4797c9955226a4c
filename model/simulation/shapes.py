"""Ellipsoids and tubes of which anatomy is built, and a canvas on which later bodies cover earlier ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.simulation.template import Floats, HeadGrid

Point = Sequence[float]
Box = tuple[slice, slice, slice]


def ellipsoid_level(
    x: Floats, y: Floats, z: Floats, center_mm: Point, radii_mm: Point, tilt_deg: float = 0.0
) -> Floats:
    """Return the distance to the surface of an ellipsoid, mm, positive inside; accurate near the surface only.

    Parameters
    ----------
    x, y, z : arrays that broadcast
        World, RAS+, mm.
    center_mm, radii_mm : three numbers
    tilt_deg : float
        Rotation about the left–right axis; positive lifts the front.
    """
    turn = np.deg2rad(tilt_deg)
    ahead, above = y - center_mm[1], z - center_mm[2]
    along = ahead * np.cos(turn) + above * np.sin(turn)
    across = above * np.cos(turn) - ahead * np.sin(turn)
    parts = [(part, radius) for part, radius in zip((x - center_mm[0], along, across), radii_mm, strict=True)]
    ratio = np.sqrt(sum((part / radius) ** 2 for part, radius in parts))
    slope = np.sqrt(sum((part / radius**2) ** 2 for part, radius in parts))
    level = ratio * (1.0 - ratio) / np.maximum(slope, 1e-6)
    # At the centre, ratio and slope are 0.
    return np.asarray(np.where(ratio < 1e-3, min(radii_mm), level), dtype=np.float32)


def tube_level(x: Floats, y: Floats, z: Floats, start_mm: Point, end_mm: Point, radius_mm: Sequence[float]) -> Floats:
    """Return the distance to the surface of a straight tube with round ends, mm, positive inside.

    Parameters
    ----------
    radius_mm : two numbers
        At its start and at its end.
    """
    a, b = np.asarray(start_mm, np.float32), np.asarray(end_mm, np.float32)
    line = b - a
    reach = np.clip(((x - a[0]) * line[0] + (y - a[1]) * line[1] + (z - a[2]) * line[2]) / (line @ line), 0.0, 1.0)
    off = np.sqrt(
        (x - a[0] - reach * line[0]) ** 2 + (y - a[1] - reach * line[1]) ** 2 + (z - a[2] - reach * line[2]) ** 2
    )
    return np.asarray(radius_mm[0] + reach * (radius_mm[1] - radius_mm[0]) - off, dtype=np.float32)


class Canvas:
    """Fractions of named tissues on a grid; later bodies cover earlier ones.

    Parameters
    ----------
    grid : HeadGrid
    names : sequence of str
        Tissues; `air` may be one of them.
    """

    def __init__(self, grid: HeadGrid, names: Sequence[str]) -> None:
        self.grid = grid
        self.names = tuple(names)
        self.fractions = np.zeros((len(self.names), *grid.shape), np.float32)

    def ellipsoid(
        self,
        name: str,
        center_mm: Point,
        radii_mm: Point,
        tilt_deg: float = 0.0,
        share: float = 1.0,
        *,
        both: bool = False,
    ) -> None:
        """Paint an ellipsoid; `both` adds its mirror image."""
        for center in _sides(center_mm, both):
            reach = max(radii_mm[1:]) if tilt_deg else 0.0
            box, axes = self.box(center, [radii_mm[0], max(radii_mm[1], reach), max(radii_mm[2], reach)])
            self.level(name, ellipsoid_level(*axes, center, radii_mm, tilt_deg), share, box)

    def tube(
        self,
        name: str,
        points_mm: Sequence[Point],
        radii_mm: Sequence[float] | float,
        share: float = 1.0,
        *,
        both: bool = False,
    ) -> None:
        """Paint a bent tube through points, with one radius or one for each point; `both` adds its mirror image."""
        radii = [radii_mm] * len(points_mm) if isinstance(radii_mm, (int, float)) else list(radii_mm)
        sides: Iterable[float] = (1.0, -1.0) if both else (1.0,)
        for side in sides:
            points = [(side * x, y, z) for x, y, z in points_mm]
            for start, end, *radius in zip(points, points[1:], radii, radii[1:], strict=False):
                middle = [(s + e) / 2 for s, e in zip(start, end, strict=True)]
                half = [abs(s - e) / 2 + max(radius) for s, e in zip(start, end, strict=True)]
                box, axes = self.box(middle, half)
                self.level(name, tube_level(*axes, start, end, radius), share, box)

    def level(self, name: str, level_mm: Floats, share: float | Floats = 1.0, box: Box | None = None) -> None:
        """Paint where a distance is positive, with an edge as wide as a voxel."""
        if level_mm.size == 0:
            return
        cover = np.clip(0.5 + level_mm / self.grid.step_mm, 0.0, 1.0) * share
        part = self.fractions[(slice(None), *(box or (slice(None),) * 3))]
        part *= 1.0 - cover
        part[self.names.index(name)] += cover

    def box(self, center_mm: Point, half_mm: Sequence[float]) -> tuple[Box, tuple[Floats, Floats, Floats]]:
        """Return the slices of the grid around a body, and x, y and z of their voxels, mm."""
        slices = []
        for axis, size in enumerate(self.grid.shape):
            first = (center_mm[axis] - half_mm[axis] - self.grid.affine[axis, 3]) / self.grid.step_mm - 2
            last = (center_mm[axis] + half_mm[axis] - self.grid.affine[axis, 3]) / self.grid.step_mm + 3
            slices.append(slice(max(0, int(first)), max(0, min(size, int(np.ceil(last))))))
        box = (slices[0], slices[1], slices[2])
        x, y, z = self.grid.axes_mm()
        return box, (x[box[0]], y[:, box[1]], z[:, :, box[2]])


def union(levels: Sequence[Floats], blend_mm: float) -> Floats:
    """Return the level of a smooth union of bodies: the crease between two is filled over `blend_mm`."""
    total = levels[0]
    for other in levels[1:]:
        near = np.clip(1.0 - np.abs(total - other) / blend_mm, 0.0, 1.0)
        total = np.maximum(total, other) + near**2 * (blend_mm / 4)
    return np.asarray(total, dtype=np.float32)


def _sides(center_mm: Point, both: bool) -> list[Point]:
    x, y, z = center_mm
    return [(x, y, z), (-x, y, z)] if both else [(x, y, z)]


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator, every: int) -> NDArray[np.float32]:
    """Return smooth noise of unit standard deviation whose bumps are about `every` voxels apart."""
    coarse = tuple(max(4, -(-size // every) + 3) for size in shape)
    fine = ndimage.zoom(rng.standard_normal(coarse).astype(np.float32), every, order=1)
    fine = fine[tuple(slice(0, size) for size in shape)]
    smooth = ndimage.uniform_filter(fine, every)
    return np.asarray(smooth / smooth.std(), dtype=np.float32)
