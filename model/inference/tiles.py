"""A volume in pieces: each is computed with its surroundings, so that the seams do not show."""

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
    """A piece of a volume.

    Parameters
    ----------
    seen : tuple of 3 slices
        What the network is given, in voxels i, j, k of the volume.
    made : tuple of 3 slices
        What is kept of its result, in voxels of the volume.
    kept : tuple of 3 slices
        The same, in voxels of `seen`.
    """

    seen: Box
    made: Box
    kept: Box


def tiles(shape: tuple[int, int, int], core: int, halo: int, step: int) -> Iterator[Tile]:
    """Yield the pieces of a volume, in the order of their voxels.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels along i, j, k; multiples of `step`.
    core : int
        Largest side of what a piece contributes; a multiple of `step`.
    halo : int
        What is seen around it, less at the volume's border: a piece never looks beyond it, since there a network sees
        the same padding in each of its layers whether it has the piece or the whole.
    step : int
        Of the network's lowest level.
    """
    assert all(size % step == 0 for size in (*shape, core, halo)), (shape, core, halo, step)
    for begins in product(*(range(0, size, core) for size in shape)):
        ends = [min(begin + core, size) for begin, size in zip(begins, shape, strict=True)]
        firsts = [max(0, begin - halo) for begin in begins]
        lasts = [min(size, end + halo) for end, size in zip(ends, shape, strict=True)]
        inner = zip(begins, ends, firsts, strict=True)
        yield Tile(
            seen=_box(firsts, lasts),
            made=_box(list(begins), ends),
            kept=_box(*map(list, zip(*((begin - first, end - first) for begin, end, first in inner), strict=True))),
        )


def in_tiles(network: Callable[[Tensor], Tensor], volume: Tensor, *, core: int, halo: int, step: int) -> Tensor:
    """Apply a network to a volume piece by piece.

    Parameters
    ----------
    network : callable
        From (1, 1, i, j, k) to the same shape.
    volume : (1, 1, i, j, k) Tensor
        Any size; the result has the same.
    core, halo, step : int
        As in `tiles`; both are rounded up to multiples of `step`.
    """
    shape = volume.shape[2:]
    padded = pad_to_multiple(volume, step)
    made = torch.empty_like(padded)
    size = (padded.shape[2], padded.shape[3], padded.shape[4])
    for tile in tiles(size, -(-core // step) * step, -(-halo // step) * step, step):
        made[(..., *tile.made)] = network(padded[(..., *tile.seen)])[(..., *tile.kept)].to(made.dtype)
    return made[:, :, : shape[0], : shape[1], : shape[2]]


def _box(begins: list[int], ends: list[int]) -> Box:
    i, j, k = (slice(begin, end) for begin, end in zip(begins, ends, strict=True))
    return i, j, k
