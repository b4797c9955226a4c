"""The grid a head is drawn on, and the maps of the average brain that everything starts from.

The maps are those of the wheel of nilearn: T1w, grey and white matter of ICBM152 2009a, non-linear and symmetric
(Fonov et al. 2011, NeuroImage 54, 313), 1 mm, brain only. They are resampled by linear interpolation of smoothed
voxels: the cubic splines that nilearn resamples by ring outside the brain.
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
TEMPLATE_MARGIN_MM = 14.5  # its voxels of 1 mm lie on those of the maps
FINEST_MM, COARSEST_MM = 0.8, 6.0


@dataclass(frozen=True)
class HeadGrid:
    """Isotropic voxels that hold a whole head, axes i → right, j → anterior, k → superior.

    Parameters
    ----------
    step_mm : float
    block : int
        The grid ends so that it divides into blocks of so many voxels along each axis.
    margin_mm : float
        How much further than the usual field of view it reaches on each side.

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
        """Voxel to world, RAS+, mm; (4, 4). The outer faces of the first voxels lie at the same place for all sizes."""
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
    """Return the grid of the template: the brain of MNI space is larger than subjects, so is its field of view."""
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
    # A voxel of the grid is as wide as its step: what is finer is averaged first.
    blur_mm = 0.4 * np.sqrt(max(grid.step_mm**2 - 1.0, 0.0))
    smooth = ndimage.gaussian_filter(values, blur_mm) if blur_mm > 0 else values
    return resampled(smooth, image.affine, grid, outside=0.0)


def resampled(values: Floats, affine: NDArray[np.float64], grid: HeadGrid, outside: float | None = None) -> Floats:
    """Return a volume on a grid by linear interpolation along each axis in turn; axes must not be turned.

    Parameters
    ----------
    values : (i, j, k) array
    affine : (4, 4) array
        Its own, diagonal, mm.
    outside : float, optional
        Beyond the volume; its outermost voxels go on where none is given.
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
