"""Images of the catalogue as a model sees them."""

from __future__ import annotations

import pickle
import shutil
from typing import Any

import duckdb
import numpy as np
import pytest

from model.data import catalogue
from model.data.catalogue import CatalogueImages
from warehouse import volumes
from warehouse.catalog import sqlfiles
from warehouse.errors import CatalogueError, ModelError, VolumeError
from warehouse.lake.home import Home

INTERNAL = ("train", "val", "test_internal")
N_INTERNAL = 11 * 3 + 1 - 1  # twelve people; 00 has a T1w alone, and the T2w of 01 was never harmonised


@pytest.fixture(scope="module")
def images(tiny_home: Home) -> CatalogueImages:
    return CatalogueImages.open(tiny_home, "draft", INTERNAL)


@pytest.mark.slow
def test_every_harmonised_image_of_the_splits_is_there_once_in_the_order_of_identities(images: CatalogueImages) -> None:
    identities = [item.image_id for item in images.items]
    assert len(images) == len(set(identities)) == N_INTERNAL
    assert identities == sorted(identities)
    assert {item.center_id for item in images.items} == {"alpha"}


@pytest.mark.slow
def test_splits_divide_the_images(tiny_home: Home, images: CatalogueImages) -> None:
    parts = [CatalogueImages.open(tiny_home, "draft", [split]) for split in INTERNAL]
    assert sum(len(part) for part in parts) == len(images)
    people = [{item.person_id for item in part.items} for part in parts]
    assert not people[0] & people[1]
    assert not people[0] & people[2]
    assert len(CatalogueImages.open(tiny_home, "draft", ["test_external"])) == 6


def test_pairs_are_different_images_of_one_session_in_both_directions(images: CatalogueImages) -> None:
    pairs = set(images.pairs)
    assert len(pairs) == len(images.pairs) == 10 * 6 + 2
    for source, target in pairs:
        assert source != target
        assert images.items[source].session_id == images.items[target].session_id
        assert (target, source) in pairs


def test_an_image_without_a_volume_is_in_no_pair(images: CatalogueImages) -> None:
    labels = {item.contrast_label for item in images.items if item.session_id == "alpha/sub-01"}
    assert labels == {"T1w", "FLAIR"}


def test_the_record_is_the_prompts(images: CatalogueImages) -> None:
    item = next(item for item in images.items if item.contrast_label == "FLAIR")
    assert item.record.contrast == "FLAIR"
    assert item.record.inversion_time_s == 2.5
    assert item.record.voxel_size_mm == (0.8, 0.8, 0.8)
    assert item.record.field_strength_t == 3.0
    assert not item.record.flip_angle_variable


def test_voxels_mask_and_affine_are_those_of_the_store(tiny_home: Home, images: CatalogueImages) -> None:
    sample, store = images.volume(3), volumes.open(images.items[3].image_id, "draft", home=tiny_home)
    assert sample.voxels.dtype == np.float32
    assert sample.mask.dtype == np.bool_
    scale = images.items[3].scale
    assert np.array_equal(sample.voxels, scale.to_network(store[...]))
    assert store.mask is not None
    assert np.array_equal(sample.mask, store.mask[...] == 1)
    assert np.array_equal(sample.affine, store.affine)
    assert sample.voxels.min() == pytest.approx(scale.floor)
    low, median, high = np.percentile(sample.voxels[sample.mask], (10, 50, 90))
    assert median == pytest.approx(0, abs=1e-3)
    assert high - low == pytest.approx(1, abs=1e-3)


def test_what_is_read_twice_comes_from_memory_until_the_limit(tiny_home: Home) -> None:
    images = CatalogueImages.open(tiny_home, "draft", INTERNAL)
    assert images.volume(0) is images.volume(0)
    size = images.volume(0).size_bytes
    small = CatalogueImages.open(tiny_home, "draft", INTERNAL, cache_bytes=2 * size)
    first, second = small.volume(0), small.volume(1)
    assert small.volume(0) is first
    small.volume(2)  # the one that was not used for longest goes
    assert small.volume(0) is first
    assert small.volume(1) is not second
    assert np.array_equal(small.volume(1).voxels, second.voxels)


def test_who_was_read_is_known(tiny_home: Home, images: CatalogueImages) -> None:
    assert images.recipe_id == "0123456789abcdef"
    assert images.grid_mm == 3.0
    assert len(images.data_id) == 16
    assert images.snapshot_id
    assert images.is_simulated
    again = CatalogueImages.open(tiny_home, images.recipe_id, INTERNAL, snapshot=images.snapshot_id)
    assert (again.items, again.pairs, again.data_id) == (images.items, images.pairs, images.data_id)


def test_no_splits_give_no_images(tiny_home: Home) -> None:
    nothing = CatalogueImages.open(tiny_home, "draft", [])
    assert (nothing.items, nothing.pairs, nothing.is_simulated) == ([], [], False)
    assert np.isnan(nothing.grid_mm)


def test_an_unknown_split_or_recipe_is_refused_with_what_there_is(tiny_home: Home) -> None:
    with pytest.raises(ModelError, match=r"no splits \['test'\][\s\S]*test_internal"):
        CatalogueImages.open(tiny_home, "draft", ["test"])
    with pytest.raises(ModelError, match=r"no volumes by recipe 'standard'[\s\S]*draft"):
        CatalogueImages.open(tiny_home, "standard", ["train"])


def test_a_home_without_a_catalogue_is_refused(home: Home) -> None:
    with pytest.raises(CatalogueError, match="nothing is published"):
        CatalogueImages.open(home, "draft", ["train"])


def test_a_store_that_is_gone_is_named(tiny_home: Home, tmp_path: object) -> None:
    images = CatalogueImages.open(tiny_home, "draft", ["test_external"])
    path = images.items[0].path
    hidden = path.with_name("hidden")
    shutil.move(path, hidden)
    try:
        with pytest.raises(VolumeError, match=images.items[0].image_id):
            images.volume(0)
    finally:
        shutil.move(hidden, path)


def test_images_travel_to_another_process_without_their_voxels(images: CatalogueImages) -> None:
    images.volume(0)
    copy = pickle.loads(pickle.dumps(images))
    assert not copy._cache._entries
    assert np.array_equal(copy.volume(0).voxels, images.volume(0).voxels)


def test_a_scan_that_harmonisation_flagged_is_neither_shown_nor_paired_and_counted(
    tiny_home: Home, images: CatalogueImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = catalogue._rows

    def with_one_flagged(connection: Any, query: str, parameters: Any = None) -> list[dict[str, Any]]:
        rows = read(connection, query, parameters)
        if query == "harmonized_images":
            rows[0]["is_flagged"] = True
        if query == "harmonized_pairs":
            gone = images.items[0].image_id
            rows = [row for row in rows if gone not in row.values()]
        return rows

    monkeypatch.setattr(catalogue, "_rows", with_one_flagged)
    found = CatalogueImages.open(tiny_home, "draft", INTERNAL)
    assert found.n_flagged == 1
    assert images.items[0].image_id not in {item.image_id for item in found.items}


def test_pairs_leave_out_flagged_volumes_and_copies_with_the_same_voxels() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA core; CREATE SCHEMA out;"
            "CREATE TABLE core.volume (image_id TEXT, form TEXT, recipe_id TEXT, verdict TEXT, voxels_sha256 TEXT);"
            "CREATE TABLE out.training_pair (source_image_id TEXT, target_image_id TEXT, split TEXT);"
            "INSERT INTO core.volume VALUES ('a', 'session', 'r', 'pass', '1'), ('b', 'session', 'r', 'flag', '2'),"
            " ('c', 'session', 'r', 'pass', '3'), ('d', 'session', 'r', 'pass', '1');"  # d has the voxels of a
            "INSERT INTO out.training_pair VALUES ('a', 'b', 'train'), ('b', 'a', 'train'), ('a', 'c', 'train'),"
            " ('a', 'd', 'train');"
        )
        query = sqlfiles.read("catalog/harmonized_pairs")
        found = connection.execute(query, {"identity": "r", "splits": ["train"]}).fetchall()
    assert found == [("a", "c")]
