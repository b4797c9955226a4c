"""Apply a network to a volume at once, or in overlapping tiles without visible seams."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import psutil
import torch
from torch import Tensor

from model.networks.synthesis import Box, Scans
from warehouse.errors import ModelError


@dataclass(frozen=True)
class Tile:
    """A tile of a volume, as slices along i, j, k.

    Parameters
    ----------
    context : tuple of 3 slices
        Input of the network, in voxels of the volume.
    core : tuple of 3 slices
        Part of the output that is kept, in voxels of the volume.
    core_in_context : tuple of 3 slices
        The same part, in voxels of `context`.
    """

    context: Box
    core: Box
    core_in_context: Box


def tiles(shape: tuple[int, int, int], core: int, halo: int, step: int) -> Iterator[Tile]:
    """Yield the tiles of a volume, ordered along i, j, k.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels along i, j, k; multiples of `step`.
    core : int
        Largest side of the part that a tile contributes, voxels; a multiple of `step`.
    halo : int
        Context around it, voxels; a multiple of `step`. It ends at the border of the volume, so that the layers of the
        network pad a tile there in the same way as the whole volume.
    step : int
        Downsampling factor of the network's lowest level.
    """
    assert all(size % step == 0 for size in (*shape, core, halo)), (shape, core, halo, step)
    for begins in product(*(range(0, size, core) for size in shape)):
        ends = [min(begin + core, size) for begin, size in zip(begins, shape, strict=True)]
        firsts = [max(0, begin - halo) for begin in begins]
        lasts = [min(size, end + halo) for end, size in zip(ends, shape, strict=True)]
        inner = zip(begins, ends, firsts, strict=True)
        yield Tile(
            context=_box(firsts, lasts),
            core=_box(list(begins), ends),
            core_in_context=_box(
                *map(list, zip(*((begin - first, end - first) for begin, end, first in inner), strict=True))
            ),
        )


def free_bytes(device: str) -> float:
    """Return the memory that is free on a device, bytes."""
    if device == "cuda":
        return float(torch.cuda.mem_get_info()[0])
    return float(psutil.virtual_memory().available)


def fits(n_voxels: int, bytes_per_voxel: float, memory_bytes: float) -> bool:
    """Return whether a network can see so many voxels at once."""
    return n_voxels * bytes_per_voxel <= memory_bytes


def largest_core(
    shape: tuple[int, int, int], bytes_per_voxel: float, memory_bytes: float, *, most: int, halo: int, step: int
) -> int:
    """Return the side of the part that a tile contributes, so that a tile with its halo fits into memory.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels of the volume along i, j, k; no tile is longer.
    bytes_per_voxel : float
        Of the network at its widest, for each voxel that it sees.
    memory_bytes : float
    most : int
        Largest side, voxels.
    halo, step : int
        As in `tiles`.

    Raises
    ------
    ModelError
        When not even the smallest tile fits.
    """
    context = 2 * -(-halo // step) * step

    def n_voxels(core: int) -> int:
        return math.prod(min(core + context, size) for size in shape)

    for core in range(-(-most // step) * step, 0, -step):
        if fits(n_voxels(core), bytes_per_voxel, memory_bytes):
            return core
    least_gb = n_voxels(step) * bytes_per_voxel / 1e9
    what = f"{memory_bytes / 1e9:.2g} GB of memory are too little: the smallest tile takes {least_gb:.2g} GB"
    raise ModelError(what, "give more memory (--max-memory, in GB), or another model")


def in_tiles(
    network: Callable[[Scans], Tensor],
    scans: Scans,
    *,
    core: int,
    halo: int,
    step: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """Return the output of a network for a volume, computed tile by tile.

    Parameters
    ----------
    network : callable
        Maps scans to a tensor of shape (batch, c, i, j, k) on their grid.
    scans : Scans
        Of any size; the result has the same.
    core, halo, step : int
        As in `tiles`; the first two are rounded up to multiples of `step`.
    progress : callable, optional
        Is called with the number of finished tiles and that of all.
    """
    i, j, k = scans.shape
    padded = scans.padded(step)
    output: Tensor | None = None
    cut = list(tiles(padded.shape, -(-core // step) * step, -(-halo // step) * step, step))
    for number, tile in enumerate(cut):
        progress(number, len(cut))
        result = network(padded.cut(tile.context))
        if output is None:
            output = result.new_empty((*result.shape[:2], *padded.shape))
        output[(..., *tile.core)] = result[(..., *tile.core_in_context)]
    progress(len(cut), len(cut))
    assert output is not None
    return output[:, :, :i, :j, :k]


def _box(begins: list[int], ends: list[int]) -> Box:
    i, j, k = (slice(begin, end) for begin, end in zip(begins, ends, strict=True))
    return i, j, k
