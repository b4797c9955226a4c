"""Windows cover every voxel, end at the border, and are as many as in the published inference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.networks.synthesis import Scans, Wanted
from model.networks.synthesis.windows import in_windows, windows

WANTED = Wanted(torch.zeros(2, 4), torch.ones(2, 3))


def scans(shape: tuple[int, int, int]) -> Scans:
    voxels = torch.randn(2, 1, *shape)
    return Scans(voxels, torch.ones_like(voxels), torch.ones(2, 1, 3), torch.zeros(2, 1, 4))


@pytest.mark.parametrize(("shape", "n"), [((182, 218, 182), 252), ((208, 300, 320), 540), ((60, 61, 20), 2)])
def test_windows_are_as_many_as_published(shape: tuple[int, int, int], n: int) -> None:
    assert len(windows(shape)) == n


@pytest.mark.parametrize("shape", [(182, 218, 182), (120, 60, 59), (1, 90, 91)])
def test_every_voxel_is_covered_by_windows_of_full_size(shape: tuple[int, int, int]) -> None:
    covered = np.zeros(shape, int)
    for box in windows(shape):
        covered[box] += 1
        assert covered[box].shape == tuple(min(60, size) for size in shape)
    assert covered.min() >= 1
    assert covered.max() <= 27


def test_average_of_what_a_network_hands_on_is_its_input() -> None:
    given = scans((13, 8, 5))
    made = in_windows(lambda part, _: part.voxels, given, WANTED, side=6, stride=3)
    torch.testing.assert_close(made, given.voxels)


def test_windows_of_a_voxel_weigh_the_same() -> None:
    calls = iter([1.0, 2.0, 6.0])
    made = in_windows(
        lambda part, _: torch.full_like(part.voxels, next(calls)), scans((9, 4, 4)), WANTED, side=5, stride=2
    )
    torch.testing.assert_close(made[0, 0, :, 0, 0], torch.tensor([1, 1, 1.5, 1.5, 3, 4, 4, 6, 6]))


def test_progress_is_told_after_each_window() -> None:
    said: list[tuple[int, int]] = []
    in_windows(
        lambda part, _: part.voxels,
        scans((9, 4, 4)),
        WANTED,
        side=5,
        stride=2,
        told=lambda *numbers: said.append(numbers),
    )
    assert said == [(1, 3), (2, 3), (3, 3)]
