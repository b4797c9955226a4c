"""Apply a network to a volume in overlapping tiles, without visible seams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from model.networks.film_unet import pad_to_multiple

Box = tuple[slice, slice, slice]


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


def in_tiles(network: Callable[[Tensor], Tensor], volume: Tensor, *, core: int, halo: int, step: int) -> Tensor:
    """Return the output of a network for a volume, computed tile by tile.

    Parameters
    ----------
    network : callable
        Maps a tensor of shape (1, 1, i, j, k) to the same shape.
    volume : (1, 1, i, j, k) Tensor
        Input of any size; the result has the same shape.
    core, halo, step : int
        As in `tiles`; both are rounded up to multiples of `step`.
    """
    shape = volume.shape[2:]
    padded = pad_to_multiple(volume, step)
    output = torch.empty_like(padded)
    size = (padded.shape[2], padded.shape[3], padded.shape[4])
    for tile in tiles(size, -(-core // step) * step, -(-halo // step) * step, step):
        result = network(padded[(..., *tile.context)])
        output[(..., *tile.core)] = result[(..., *tile.core_in_context)].to(output.dtype)
    return output[:, :, : shape[0], : shape[1], : shape[2]]


def _box(begins: list[int], ends: list[int]) -> Box:
    i, j, k = (slice(begin, end) for begin, end in zip(begins, ends, strict=True))
    return i, j, k
