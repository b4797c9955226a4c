"""The published inference: overlapping windows, and the uniform average of what they say of a voxel.

For networks whose reach is `UNBOUNDED` (`reference`): every voxel of a patch influences all others, so there is no halo
beyond which tiles agree (`model.inference.tiles`), and seams are averaged instead of avoided.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from model.networks.synthesis import Box, Scans, Wanted

SIDE = 60  # voxels, as published
STRIDE = 30
UNBOUNDED = 1 << 30  # voxels: more than any volume has


def windows(shape: tuple[int, int, int], side: int = SIDE, stride: int = STRIDE) -> list[Box]:
    """Return windows that cover a volume, ordered along i, j, k.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels of the volume.
    side : int
        Voxels along each axis of a window; all of an axis that has fewer.
    stride : int
        Voxels from one window to the next; at most `side`. The last window along an axis ends at the border.
    """
    assert 0 < stride <= side, (side, stride)
    along_i, along_j, along_k = (_along(size, side, stride) for size in shape)
    return list(product(along_i, along_j, along_k))


def in_windows(
    network: Callable[[Scans, Wanted], Tensor],
    scans: Scans,
    wanted: Wanted,
    *,
    side: int = SIDE,
    stride: int = STRIDE,
    told: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Return the output of a network for a whole volume, averaged over windows.

    Parameters
    ----------
    network : callable
        Returns (batch, 1, i, j, k) on the grid of the scans it is given.
    scans, wanted
        Of the whole volume.
    side, stride : int
        As in `windows`.
    told : callable, optional
        Called after each window with the windows that are done, and all of them.

    Returns
    -------
    (batch, 1, i, j, k) float32 Tensor
    """
    boxes = windows(scans.shape, side, stride)
    total = torch.zeros(len(scans.voxels), 1, *scans.shape, device=scans.voxels.device)
    n_windows = torch.zeros(scans.shape, device=scans.voxels.device)
    for n_done, box in enumerate(boxes, start=1):
        total[..., *box] += network(scans.cut(box), wanted)
        n_windows[box] += 1
        if told is not None:
            told(n_done, len(boxes))
    return total / n_windows


def _along(size: int, side: int, stride: int) -> list[slice]:
    """Return the windows of one axis.

    Examples
    --------
    >>> _along(130, 60, 30)
    [slice(0, 60, None), slice(30, 90, None), slice(60, 120, None), slice(70, 130, None)]
    """
    begins = [*range(0, size - side, stride), max(0, size - side)]
    return [slice(begin, min(begin + side, size)) for begin in begins]
