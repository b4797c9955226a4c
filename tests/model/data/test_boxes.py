"""Volumes in a box: the brain in its middle, left where left was, no detail that the box cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data.boxes import Box, BoxedImages, to_box
from model.data.catalogue import CatalogueImages, Sample, outside
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake.home import Home

BOX = Box((12, 14, 12), 4.0)
UNIT = BrainScale(0.0, 1.0)  # what lies outside a scan is 0 in network intensities, too


def sample(flips: tuple[int, int, int] = (1, 1, 1), shift_mm: float = 0.0, voxel_mm: float = 2.0) -> Sample:
    """A brain with a bright right half, stored along axes that may run backwards."""
    shape = (40, 44, 36)
    index = np.stack(np.indices(shape), -1).astype(float)
    affine = np.diag([*(voxel_mm * flip for flip in flips), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2) + shift_mm
    world: NDArray[np.float64] = index @ affine[:3, :3].T + affine[:3, 3] - shift_mm
    mask = np.linalg.norm(world / (18, 22, 16), axis=-1) < 1
    return Sample((np.where(world[..., 0] > 0, 0.9, 0.3) * mask).astype(np.float32), mask, affine, UNIT)


def test_the_brain_is_in_the_middle_wherever_it_was() -> None:
    one, other = to_box(sample(), BOX), to_box(sample(shift_mm=25.0), BOX)
    assert one.shape == BOX.shape
    assert one.dtype == np.float32
    assert np.allclose(one, other, atol=1e-4)
    brain = to_box(Sample(sample().mask.astype(np.float32), sample().mask, sample().affine, UNIT), BOX)
    middle = (np.array(brain.shape) - 1) / 2
    centre = np.average(np.stack(np.indices(brain.shape), -1).reshape(-1, 3), axis=0, weights=brain.ravel())
    assert np.allclose(centre, middle, atol=0.05)


@pytest.mark.parametrize("flips", [(-1, 1, 1), (1, -1, -1)], ids=str)
def test_right_is_right_in_whichever_order_voxels_were_stored(flips: tuple[int, int, int]) -> None:
    assert np.allclose(to_box(sample(flips), BOX), to_box(sample(), BOX), atol=1e-4)
    boxed = to_box(sample(flips), BOX)
    assert boxed[7:9, 7, 6].min() > 0.8  # i grows to the right
    assert boxed[3:5, 7, 6].max() < 0.4


def test_a_checkerboard_becomes_grey() -> None:
    fine = sample(voxel_mm=1.0)
    board = (np.indices(fine.voxels.shape).sum(0) % 2).astype(np.float32)
    boxed = to_box(Sample(board, fine.mask, fine.affine, UNIT), BOX)
    assert abs(boxed[4:8, 4:10, 4:8] - 0.5).max() < 0.05


def test_a_scan_without_a_brain_is_centred_on_its_grid() -> None:
    empty = sample()
    boxed = to_box(Sample(empty.voxels, np.zeros_like(empty.mask), empty.affine, UNIT), BOX)
    assert np.allclose(boxed, to_box(empty, BOX), atol=1e-3)


@pytest.mark.slow
def test_volumes_of_the_catalogue_are_read_once(tiny_home: Home) -> None:
    images = CatalogueImages.open(tiny_home, "draft", ["test_external"])
    boxed = BoxedImages(images, BOX)
    first = boxed.volume(0)
    images.volume = lambda index: pytest.fail("it was read again")  # type: ignore[method-assign]
    assert np.array_equal(boxed.volume(0), first)
    assert first.min() == pytest.approx(outside(images.items[0].scale), abs=1e-3)
