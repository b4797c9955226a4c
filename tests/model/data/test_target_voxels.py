"""A block of target voxels lies inside a patch of another grid, and is as large as it can be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.data.target_voxels import TargetVoxels, block_for
from model.networks.synthesis.voxels import sample
from tests.model.networks.synthesis.test_voxels import EVERY_BLOCK, Matrix, smooth
from warehouse.imaging.geometry import Grid


def fits(to_latent: Matrix, first: NDArray[np.int64], last: NDArray[np.int64], corner: float, side: int) -> bool:
    """Whether all corners of all voxels lie in a cube, one by one."""
    for index in itertools.product(*zip(first - 0.5, last + 0.5, strict=True)):
        position = to_latent[:3, :3] @ index + to_latent[:3, 3]
        if (position < corner - 0.501).any() or (position > corner + side - 0.499).any():
            return False
    return True


@EVERY_BLOCK
def test_a_block_for_a_patch_lies_inside_and_is_nearly_the_largest(at: TargetVoxels) -> None:
    corner, side = 4, 11
    block, slices = block_for(Grid(at.shape, at.matrix), at.matrix, [corner] * 3, [side] * 3) or pytest.fail("no block")
    first, last = np.array([one.start for one in slices]), np.array([one.stop - 1 for one in slices])
    assert fits(at.matrix, first, last, corner, side)
    assert block.shape == tuple(last - first + 1)
    spans = [[(a, b) for a in range(n) for b in range(a, n)] for n in at.shape]
    first_and_last = np.array(list(itertools.product(*spans))).transpose(0, 2, 1)
    middle = first_and_last.mean(1) @ at.matrix[:3, :3].T + at.matrix[:3, 3] - (corner + (side - 1) / 2)
    counts = first_and_last[:, 1] - first_and_last[:, 0] + 1
    inside = (np.abs(middle) + counts @ np.abs(at.matrix[:3, :3]).T / 2 <= side / 2 + 1e-6).all(1)
    is_parallel = (at.matrix[:3, :3] != 0).sum() == 3
    assert np.prod(block.shape) >= (1 if is_parallel else 0.8) * counts[inside].prod(1).max()


@EVERY_BLOCK
def test_a_patch_gives_what_the_whole_latent_map_gives(at: TargetVoxels) -> None:
    latent, box = smooth()[None, None], slice(4, 15)
    block, slices = block_for(Grid(at.shape, at.matrix), at.matrix, [4] * 3, [11] * 3, margin=0.5) or pytest.fail(
        "none"
    )
    whole, where = sample(latent, at)
    part, there = sample(latent[..., box, box, box], block)
    assert torch.allclose(part, whole[..., *slices], atol=1e-4)
    assert torch.allclose(there, where[:, *slices], atol=1e-4)


def test_a_patch_of_the_same_grid_is_the_block() -> None:
    grid = Grid((30, 30, 30), np.eye(4))
    block, slices = block_for(grid, np.eye(4) + 1e-7, [3, 4, 5], [8, 9, 10]) or pytest.fail("no block")
    assert slices == (slice(3, 11), slice(4, 13), slice(5, 15))
    assert np.allclose(block.matrix, np.eye(4), atol=1e-5)


def test_there_is_no_block_where_the_target_has_no_voxel() -> None:
    far, thick = np.diag([1.0, 1.0, 1.0, 1.0]), np.diag([1.0, 1.0, 9.0, 1.0])
    far[0, 3] = 40.0
    grid = Grid((10, 10, 10), np.eye(4))
    assert block_for(grid, far, [0] * 3, [8] * 3) is None
    assert block_for(grid, thick, [0] * 3, [8] * 3) is None
    assert block_for(grid, np.eye(4), [0] * 3, [8] * 3, margin=4.0) is None
