"""Scans are read on their own grids, turned but not moved, and interpolated once."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.catalogue import CatalogueImages, outside
from model.data.natives import NativeScan, NativeScans, block_of, to_session, working_grid
from tests.model.data.native_scans import GRIDS, UNIT, centers, marked, placed, pose, scan_of, sloped, stored
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid
from warehouse.lake.home import Home
from warehouse.volumes import Payload, open_store, write

EVERY_GRID = pytest.mark.parametrize("name", GRIDS)
EVERYWHERE = placed(np.eye(3), (1.0, 1.0, 1.0), (20, 20, 20))  # of the session's world


def between(grid: Grid, scan: NativeScan) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Index of a grid in the session's world to index of a scan."""
    return np.asarray(np.linalg.inv(scan.to_session @ scan.grid.affine) @ grid.affine)


@EVERY_GRID
def test_scan_is_turned_without_moving_any_voxel(tmp_path: Path, name: str) -> None:
    item = stored(tmp_path, "one", marked, GRIDS[name], pose(1))
    scan = NativeScans([item]).scan(0)
    assert scan.grid.axcodes == "RAS"
    assert np.array_equal(scan.grid.voxel_size_mm.round(6), GRIDS[name].turned().voxel_size_mm.round(6))
    places = centers(scan.grid, scan.to_session)
    expected = UNIT.to_network(marked(places).astype(np.float16))
    np.testing.assert_allclose(scan.voxels, expected, atol=3e-3)  # half a step of float16, twice
    np.testing.assert_array_equal(scan.mask, places[..., 0] > 0)
    assert np.abs(scan.voxels - expected[::-1]).max() > 0.5  # a mirrored head is another one
    assert (scan.voxels.dtype, scan.fill) == (np.float16, outside(UNIT))


@EVERY_GRID
def test_block_shows_each_place_where_it_is(name: str) -> None:
    scan = scan_of(marked, GRIDS[name].turned(), pose(1))
    corner = [3, 2, 1]
    voxels, seen = block_of(scan, between(EVERYWHERE, scan), corner, 14)
    expected = UNIT.to_network(marked(centers(EVERYWHERE, np.eye(4))[3:17, 2:16, 1:15]))
    error = np.abs(voxels - expected)
    assert seen.mean() > 0.9
    assert error[seen].max() < (0.25 if "thick" in name else 0.08)  # of a spot of 1.25
    assert np.abs(voxels - expected[::-1])[seen & seen[::-1]].max() > 0.8


@EVERY_GRID
def test_linear_signal_is_interpolated_exactly(name: str) -> None:
    scan = scan_of(sloped, GRIDS[name].turned(), pose(2))
    voxels, _ = block_of(scan, between(EVERYWHERE, scan), [6, 6, 6], 8)
    expected = UNIT.to_network(sloped(centers(EVERYWHERE, np.eye(4))[6:14, 6:14, 6:14]))
    np.testing.assert_allclose(voxels, expected, atol=3e-3)


@pytest.mark.parametrize("corner", [[2, 3, 4], [0, 0, 0], [20, 21, 17], [-3, -2, 5], [40, 0, 0]])
def test_voxels_that_coincide_are_copied(corner: list[int]) -> None:
    scan = scan_of(marked, GRIDS["oblique"].turned(), pose(1))
    rounding = np.eye(4) + np.random.default_rng(0).normal(0, 1e-6, (4, 4)) * [[1], [1], [1], [0]]
    voxels, seen = block_of(scan, rounding, corner, 8)
    expected, there = np.full((8, 8, 8), np.float32(scan.fill)), np.zeros((8, 8, 8), bool)
    for index in np.ndindex(8, 8, 8):
        at = np.add(index, corner)
        if (at >= 0).all() and (at < scan.voxels.shape).all():
            expected[index], there[index] = scan.voxels[tuple(at)], True
    np.testing.assert_array_equal(voxels, expected)
    np.testing.assert_array_equal(seen, there)


def test_own_working_grid_copies_a_scan_of_its_voxel_size() -> None:
    scan = scan_of(marked, placed(np.eye(3), (1.0, 1.0, 1.0), (9, 11, 7)), pose(3))
    grid = working_grid(scan.grid, 1.0)
    voxels, seen = block_of(scan, np.linalg.inv(scan.to(scan, grid)), [0, 0, 0], 7)
    np.testing.assert_array_equal(voxels, scan.voxels[:7, :7, :7])
    assert seen.all()


def test_what_lies_outside_the_scan_is_no_signal_and_unseen() -> None:
    scan = scan_of(sloped, GRIDS["oblique"].turned(), pose(1))
    whole = placed(np.eye(3), (2.0, 2.0, 2.0), (40, 40, 40))
    voxels, seen = block_of(scan, between(whole, scan), [0, 0, 0], 40)
    at = centers(whole, np.linalg.inv(scan.to_session @ scan.grid.affine))
    inside = ((at >= -0.5) & (at <= np.array(scan.voxels.shape) - 0.5)).all(-1)
    assert (seen == inside).mean() > 0.9999
    assert 0.05 < seen.mean() < 0.5
    assert (voxels[~seen] == np.float32(scan.fill)).all()
    assert np.abs(voxels[seen]).max() < 1
    far, nothing = block_of(scan, between(whole, scan), [500, 0, 0], 4)
    assert not nothing.any()
    assert (far == np.float32(scan.fill)).all()


@EVERY_GRID
def test_of_a_stripped_scan_its_brain_alone_is_seen(name: str) -> None:
    whole = scan_of(marked, GRIDS[name].turned(), pose(1))
    is_left = centers(whole.grid, whole.to_session)[..., 0] < 0
    stripped = replace(whole, mask=is_left, is_stripped=True)
    to_scan = between(EVERYWHERE, whole)
    voxels, seen = block_of(stripped, to_scan, [3, 2, 1], 14)
    same, everything = block_of(whole, to_scan, [3, 2, 1], 14)
    x_mm = centers(EVERYWHERE, np.eye(4))[3:17, 2:16, 1:15, 0]
    reach_mm = float(np.linalg.norm(whole.grid.voxel_size_mm)) / 2
    assert not seen[x_mm > reach_mm].any()
    assert (seen == everything)[x_mm < -reach_mm].all()
    assert seen.any()
    np.testing.assert_array_equal(voxels, same)


@pytest.mark.parametrize("size_mm", [0.3, 0.5, 4.0])
def test_block_does_not_depend_on_where_it_is_cut(size_mm: float) -> None:
    shape = (int(66 / size_mm), 6, int(45 / size_mm))
    scan = scan_of(sloped, placed(np.eye(3), (size_mm, 5.0, size_mm), shape), np.eye(4))
    rough = np.random.default_rng(0).normal(size=shape).astype(np.float16)
    scan, coarse = replace(scan, voxels=rough), placed(np.eye(3), (3.0, 3.0, 3.0), (22, 10, 15))
    whole, _ = block_of(scan, between(coarse, scan), [0, 0, 0], 22)
    part, _ = block_of(scan, between(coarse, scan), [7, 2, 5], 4)
    assert np.abs(part - whole[7:11, 2:6, 5:9]).max() < 2e-3


def test_coarser_voxels_hold_less_noise_and_nothing_exceeds_the_scan() -> None:
    fine = scan_of(sloped, placed(np.eye(3), (0.5, 0.5, 0.5), (40, 40, 40)), np.eye(4))
    fine = replace(fine, voxels=np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float16))
    voxels, seen = block_of(fine, between(EVERYWHERE, fine), [0, 0, 0], 20)
    assert seen.all()
    assert voxels.std() < 0.7
    spot = np.zeros((40, 40, 40), np.float16)
    spot[20:] = 1
    turned = between(placed(np.eye(3), (0.4, 0.4, 0.4), (20, 20, 20)), fine)
    edge, _ = block_of(replace(fine, voxels=spot), turned, [0, 0, 0], 20)
    assert (edge.min(), edge.max()) == (0, 1)  # splines overshoot at edges


def test_scan_of_one_slice_fills_its_slice_alone() -> None:
    scan = scan_of(sloped, placed(np.eye(3), (1.0, 1.0, 5.0), (20, 20, 1)), np.eye(4))
    voxels, seen = block_of(scan, between(EVERYWHERE, scan), [0, 0, 0], 20)
    assert seen.any((0, 1)).sum() in (5, 6)
    expected = UNIT.to_network(sloped(centers(EVERYWHERE, np.eye(4)) * [1, 1, 0]))
    np.testing.assert_allclose(voxels[seen], expected[seen], atol=3e-3)


@EVERY_GRID
def test_working_grid_has_the_axes_centre_and_field_of_view_of_the_scan(name: str) -> None:
    own = GRIDS[name].turned()
    grid = working_grid(own, 1.2)
    np.testing.assert_allclose(grid.voxel_size_mm, 1.2)
    np.testing.assert_allclose(grid.affine[:3, :3] / 1.2, own.affine[:3, :3] / own.voxel_size_mm, atol=1e-9)
    middles = [one.affine[:3, :3] @ ((np.array(one.shape) - 1) / 2) + one.affine[:3, 3] for one in (grid, own)]
    np.testing.assert_allclose(*middles, atol=1e-9)
    excess = np.array(grid.shape) * 1.2 - np.array(own.shape) * own.voxel_size_mm
    assert (excess > -0.01).all()
    assert (excess < 1.2).all()


def test_transform_to_another_scan_goes_through_the_session() -> None:
    one, other = scan_of(sloped, GRIDS["PIR"].turned(), pose(1)), scan_of(sloped, GRIDS["thick"].turned(), pose(2))
    grid = working_grid(other.grid, 1.0)
    made = one.to(other, grid) @ [3, 4, 5, 1]
    session = one.to_session @ one.grid.affine @ [3, 4, 5, 1]
    np.testing.assert_allclose(other.to_session @ grid.affine @ made, session, atol=1e-9)


def test_image_without_a_store_of_its_own_is_taken_from_its_session(tiny_home: Home) -> None:
    images = CatalogueImages.open(tiny_home, "draft", ["train"])
    assert not images.items[0].native_path.exists()
    scan, sample = NativeScans(images.items).scan(0), images.volume(0)
    np.testing.assert_array_equal(scan.voxels, sample.voxels.astype(np.float16))
    np.testing.assert_array_equal(scan.mask, sample.mask)
    np.testing.assert_array_equal(scan.to_session @ scan.grid.affine, sample.affine)


@pytest.mark.parametrize("missing", ["transform", "mask"])
def test_store_that_lies_nowhere_is_an_error_with_a_remedy(tmp_path: Path, missing: str) -> None:
    item = stored(tmp_path, "one", marked, GRIDS["LPS"], pose(1))
    whole = open_store(item.native_path)
    steps = whole.attributes["transforms"] if missing == "mask" else []
    mask = None if missing == "mask" else whole.mask[...] if whole.mask else None
    attributes = {"image_id": "one", "form": "native", "transforms": steps}
    path = tmp_path / "other" / "native.zarr"
    write(path, Payload(whole[...], whole.affine, mask, attributes, b""), name="one")
    with pytest.raises(ModelError, match="no brain mask, or no transform") as refusal:
        to_session(open_store(path))
    assert "harmonise" in refusal.value.remedy


def test_memory_holds_the_last_scans_up_to_a_size_and_other_processes_read_their_own(tmp_path: Path) -> None:
    items = [stored(tmp_path, name, marked, GRIDS["RAS"], pose(0)) for name in "abc"]
    size = int(np.prod(GRIDS["RAS"].shape)) * 3
    scans = NativeScans(items, cache_bytes=2 * size)
    first = scans.scan(0)
    assert first.size_bytes == size
    scans.scan(1)
    assert scans.scan(0) is first
    scans.scan(2)
    assert list(scans._cache._entries) == [0, 2]
    again = pickle.loads(pickle.dumps(scans))
    assert not again._cache._entries
    np.testing.assert_array_equal(again.scan(0).voxels, first.voxels)


def test_scans_are_taken_as_harmonised_where_asked(tmp_path: Path) -> None:
    item = stored(tmp_path, "one", marked, GRIDS["LPS"], pose(1))
    native = NativeScans([item]).scan(0)
    voxels = marked(centers(EVERYWHERE, np.eye(4))).astype(np.float16)
    attributes = {"image_id": "one", "form": "session"}
    payload = Payload(voxels, EVERYWHERE.affine, np.ones(voxels.shape, np.uint8), attributes, b"")
    write(item.path, payload, name="one")
    harmonised = NativeScans([item], is_native=False).scan(0)
    assert np.array_equal(harmonised.to_session, np.eye(4))
    assert harmonised.grid.shape == EVERYWHERE.shape != native.grid.shape
