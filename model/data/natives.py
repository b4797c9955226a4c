"""Scans of the catalogue on their own grids: what training gives a network, as `tumsyn synthesize` does.

A volume on the grid of its session was turned and interpolated once. A network that learned from those would sharpen a
scan that comes straight from its file, and its targets would be blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import CACHE_BYTES, Item, outside
from model.data.lru_cache import LruCache
from model.data.target_voxels import ROUNDING_VOXELS, Matrix
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid, turn
from warehouse.imaging.resampling import blur_sigma
from warehouse.volumes.volume import Volume, open_store

AROUND = 8  # voxels of a scan that are read around a block: the spline's prefilter has decayed to 1e-5 after eight
BLUR_REACH = 4.0  # standard deviations of a blur that is cut off there
CUBIC = 3  # order of the splines


@dataclass(frozen=True)
class NativeScan:
    """A scan on its own grid, with axes in the order R, A, S.

    Parameters
    ----------
    voxels : (i, j, k) float16 array
        Network intensities. Do not write to it: it is shared.
    mask : (i, j, k) bool array
        Brain mask.
    grid : Grid
    to_session : (4, 4) array
        World of the scan to world of the session; RAS+, mm.
    fill : float
        Network intensity of no signal.
    is_stripped : bool
        Whether nothing is left but the brain: around it, nothing was measured.
    """

    voxels: NDArray[np.float16]
    mask: NDArray[np.bool_]
    grid: Grid
    to_session: Matrix
    fill: float
    is_stripped: bool = False

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes in memory."""
        return self.voxels.nbytes + self.mask.nbytes

    def to(self, other: NativeScan, grid: Grid) -> Matrix:
        """Return the transform from indices of this scan to those of a grid in the world of another."""
        worlds = np.linalg.inv(other.to_session) @ self.to_session
        return np.asarray(np.linalg.inv(grid.affine) @ worlds @ self.grid.affine)


@dataclass
class NativeScans:
    """Native scans of a list of images, the last used ones in memory.

    An image without a store on its own grid is taken as harmonised, on the grid of its session.

    Parameters
    ----------
    items : list of Item
    is_native : bool
        Whether scans are taken on their own grids; else all are taken as harmonised, which is quicker where voxels of
        the session are much larger.
    cache_bytes : int
        Scans are kept in memory up to this size.
    """

    items: list[Item]
    is_native: bool = True
    cache_bytes: int = CACHE_BYTES
    _cache: LruCache[NativeScan] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._cache = LruCache(self.cache_bytes)

    def scan(self, index: int) -> NativeScan:
        """Return a scan.

        Parameters
        ----------
        index : int
            Of `items`.

        Raises
        ------
        VolumeError
            When the store is absent or damaged.
        ModelError
            When the store has no transform to its session.
        """
        return self._cache.get(index, lambda: _read(self.items[index], self.is_native))


def to_session(native: Volume) -> Matrix:
    """Return the transform from a scan's world to its session's, in which each session is aligned with MNI152.

    Raises
    ------
    ModelError
        When the store has no transform, or no brain mask.
    """
    steps: list[dict[str, Any]] = native.attributes.get("transforms", [])
    matrices = {step["kind"]: np.array(step["matrix"], np.float64) for step in steps}
    if native.mask is None or "native_to_session" not in matrices:
        what = f"{native.path} has no brain mask, or no transform to its session"
        raise ModelError(what, "harmonise the scan again")
    return matrices["native_to_session"]


def working_grid(grid: Grid, voxel_mm: float) -> Grid:
    """Return the isotropic grid on which a network sees a scan: axes nearest to R, A and S, its field of view."""
    return grid.turned().with_voxels((voxel_mm,) * 3)


def block_of(
    scan: NativeScan, to_scan: Matrix, corner: Sequence[int], side: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a cube of a working grid, interpolated once from a scan, and where the scan shows anything.

    Voxels that coincide are copied. Else cubic splines interpolate, after a blur along axes that the working grid
    samples more coarsely.

    Parameters
    ----------
    scan : NativeScan
    to_scan : (4, 4) array
        Index of the working grid to index of the scan.
    corner : sequence of 3 int
        First voxel of the cube, in the working grid.
    side : int
        Voxels along each axis.

    Returns
    -------
    (side, side, side) float32 array
        Network intensities; that of no signal outside the scan.
    (side, side, side) bool array
        Whether a voxel's centre lies in a voxel of the scan; of a stripped one, in its brain.
    """
    matrix = np.array(to_scan, np.float64)
    matrix[:3, 3] += matrix[:3, :3] @ np.asarray(corner, np.float64)
    shape, ends = np.array(scan.voxels.shape), np.array([[0, 0, 0], [side - 1] * 3], float)
    corners = np.stack(np.meshgrid(*ends.T, indexing="ij"), -1).reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    inside = _within(matrix, side, shape)
    seen = inside & _brain(scan, matrix, side) if scan.is_stripped else inside
    drift = np.abs(corners - np.rint(corners)).max()
    if drift < ROUNDING_VOXELS and np.allclose(matrix[:3, :3], np.eye(3), atol=ROUNDING_VOXELS / side):
        first = np.rint(corners[0]).astype(int)
        return _copied(scan, first, side), seen
    sigmas = [blur_sigma(float(step), 1.0) for step in np.abs(matrix[:3, :3]).max(1)]
    around = AROUND + np.ceil(BLUR_REACH * np.array(sigmas)).astype(int)
    low = np.clip(np.floor(corners.min(0)).astype(int) - around, 0, shape)
    high = np.clip(np.ceil(corners.max(0)).astype(int) + around + 1, 0, shape)
    if (high <= low).any():
        return np.full((side,) * 3, scan.fill, np.float32), seen
    piece = scan.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].astype(np.float32)
    bounds = float(piece.min()), float(piece.max())
    for axis, sigma in enumerate(sigmas):
        if sigma and piece.shape[axis] > 1:
            piece = ndimage.gaussian_filter1d(piece, sigma, axis=axis, mode="nearest", truncate=BLUR_REACH)
    made = ndimage.affine_transform(
        piece, matrix[:3, :3], matrix[:3, 3] - low, (side,) * 3, order=CUBIC, mode="nearest"
    )
    return np.where(inside, made.clip(*bounds), np.float32(scan.fill)).astype(np.float32), seen


def _copied(scan: NativeScan, first: NDArray[np.int64], side: int) -> NDArray[np.float32]:
    made = np.full((side,) * 3, scan.fill, np.float32)
    inside = [(max(0, -at), min(side, n - at)) for at, n in zip(first, scan.voxels.shape, strict=True)]
    if all(a < b for a, b in inside):
        to = tuple(slice(a, b) for a, b in inside)
        made[to] = scan.voxels[tuple(slice(at + a, at + b) for at, (a, b) in zip(first, inside, strict=True))]
    return made


def _brain(scan: NativeScan, matrix: Matrix, side: int) -> NDArray[np.bool_]:
    """Return whether the centres of a cube of voxels lie in the brain, (side, side, side)."""
    brain = scan.mask.astype(np.uint8)
    return np.asarray(ndimage.affine_transform(brain, matrix[:3, :3], matrix[:3, 3], (side,) * 3, order=0) > 0)


def _within(matrix: Matrix, side: int, shape: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the centres of a cube of voxels lie within a volume, (side, side, side)."""
    inside = np.ones((side,) * 3, bool)
    along = np.arange(side)
    for axis in range(3):
        i, j, k = (along * matrix[axis, b] for b in range(3))
        position = i[:, None, None] + j[:, None] + k + matrix[axis, 3]
        inside &= (position >= -0.5 - ROUNDING_VOXELS) & (position < shape[axis] - 0.5 + ROUNDING_VOXELS)
    return inside


def _read(item: Item, is_native: bool) -> NativeScan:
    path = item.native_path
    is_native = is_native and path.is_dir()
    store = open_store(path if is_native else item.path)
    matrix = to_session(store) if is_native else np.eye(4)
    stored = turn(np.asarray(store[...]), store.affine)
    mask = stored > 0 if store.mask is None else turn(np.asarray(store.mask[...]), store.affine) > 0
    voxels = item.scale.to_network(stored).astype(np.float16)
    return NativeScan(voxels, mask, store.grid.turned(), matrix, outside(item.scale), item.is_stripped)
