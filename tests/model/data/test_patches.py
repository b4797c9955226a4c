"""Batches are functions of seed and step; patches are cut where the affines say, and changed as was asked for."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from model.data.changes import Changes
from model.data.natives import NativeScans
from model.data.patches import LEAST_SPAN, N_CENTRES, BrainFacts, Patch, Patches, brain_range, pairs_by_contrast
from tests.model.data.native_scans import (
    GRIDS,
    Few,
    centers,
    few,
    item_of,
    marked,
    placed,
    pose,
    same,
    stored,
)
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

AS_IT_IS = Changes(several_share=0.0, field_dropout=0.0, source_dropout=0.0, gamma=0.0)
RESTLESS = Changes(several_share=0.5, field_dropout=0.3, gamma=0.2, noise=0.1, bias=0.2)


def patches(scans: Few | None = None, changes: Changes = AS_IT_IS, **settings: float) -> Patches:
    given = scans or few()
    sizes = {"seed": 1, "batch_size": 3, "side": 8, "voxel_mm": 3.0, "max_scans": 4} | settings
    return Patches(given, given.pairs, changes=changes, **sizes)  # type: ignore[arg-type]


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_same_step_gives_the_same_batch_in_any_order() -> None:
    first, again = patches(changes=RESTLESS), patches(changes=RESTLESS)
    again.batch(7)
    assert same(first.batch(3), again.batch(3))
    assert same(first.batch(3), pickle.loads(pickle.dumps(again)).batch(3))


def test_another_step_or_seed_gives_another_batch() -> None:
    one = patches().batch(3)
    assert not same(one, patches().batch(4))
    assert not same(one, patches(seed=2).batch(3))


@pytest.mark.slow
@pytest.mark.parametrize("target", GRIDS)
@pytest.mark.parametrize("source", ["LPS", "PIR", "thick, oblique"])
def test_one_place_of_the_head_is_one_place_of_the_patch(tmp_path: Path, source: str, target: str) -> None:
    scans = NativeScans([
        stored(tmp_path, "source", marked, GRIDS[source], pose(1)),
        stored(tmp_path, "target", marked, GRIDS[target], pose(2)),
        stored(tmp_path, "other", marked, GRIDS["oblique"], pose(3)),
    ])  # fmt: skip
    pairs = [(0, 1), (2, 1)]
    given = Patches(scans, pairs, seed=0, batch_size=1, side=24, voxel_mm=1.0, max_scans=2, changes=AS_IT_IS)
    draws, tolerance = random(), 0.25 if "thick" in source else 0.1  # of a spot of 1.25, with splines
    while True:
        patch = given.patch_of([0, 2], 1, draws)
        first, second = (one.voxels for one in patch.given)
        both = patch.given[0].seen & patch.given[1].seen
        if min(first[6:18, 6:18, 6:18].max(), patch.target.max()) > 0.5:
            break  # the spot is in the patch
    assert np.abs(first - second)[both].max() < tolerance
    matrix = np.eye(4) if patch.at is None else patch.at.matrix
    indices = np.indices(patch.target.shape).reshape(3, -1)
    places = matrix[:3, :3] @ indices + matrix[:3, 3:]
    sampled = ndimage.map_coordinates(first, places, order=3, mode="nearest").reshape(patch.target.shape)
    seen = ndimage.map_coordinates(both.astype(float), places, order=1).reshape(patch.target.shape) > 0.99
    assert np.abs(sampled - patch.target)[seen].max() < tolerance
    assert np.abs(sampled[::-1, ::-1, ::-1] - patch.target)[seen].max() > 0.5
    right = (places[0] > np.median(places[0])).reshape(patch.target.shape)
    assert patch.mask[right].mean() >= patch.mask[~right].mean()  # the brain is the right half of the head


def test_settings_are_drawn_for_sources_and_wanted_scans_that_have_none() -> None:
    silent = few()
    silent.items = [replace(item, record=PromptRecord(contrast="T2w")) for item in silent.items]
    patch = patches(silent, replace(AS_IT_IS, drawn_settings=1.0)).patch(random())
    assert patch.record.echo_time_s is not None
    assert patch.given[0].record.echo_time_s not in (None, patch.record.echo_time_s)
    assert patch.scale is not None, "its equation is known"
    assert patches(silent).patch(random()).record == PromptRecord(contrast="T2w")
    stated = few()
    told = PromptRecord(contrast="T2w", echo_time_s=0.033)
    stated.items = [replace(item, record=told) for item in stated.items]
    patch = patches(stated, replace(AS_IT_IS, drawn_settings=1.0)).patch(random())
    assert (patch.record, patch.given[0].record) == (told, told), "what a scan states is kept"


def test_targets_are_voxels_of_the_scan_itself(tmp_path: Path) -> None:
    items = [stored(tmp_path, name, marked, GRIDS[name], pose(n)) for n, name in enumerate(("PIR", "thick"))]
    scans = NativeScans(items)
    patch = Patches(scans, [(0, 1)], seed=0, batch_size=1, side=20, voxel_mm=1.0).patch_of([0], 1, random())
    whole, shape = scans.scan(1), patch.target.shape
    windows = np.lib.stride_tricks.sliding_window_view(whole.voxels, shape)
    hits = np.argwhere((windows == patch.target).all((3, 4, 5)))
    assert len(hits) == 1
    assert patch.at is not None
    assert patch.at.shape == shape
    np.testing.assert_allclose(patch.size_mm, patch.at.extents, rtol=1e-6)  # the working grid has voxels of 1 mm
    assert max(patch.size_mm) == pytest.approx(4.0, abs=0.1)


def test_scans_say_the_size_of_their_own_voxels(tmp_path: Path) -> None:
    items = [stored(tmp_path, name, marked, GRIDS[name], pose(0)) for name in ("PIR", "thick", "thick, oblique")]
    given = Patches(NativeScans(items), [(0, 1), (2, 1)], seed=0, batch_size=1, side=12, voxel_mm=1.0, changes=AS_IT_IS)
    patch = given.patch_of([0, 1, 2], 0, random())
    np.testing.assert_allclose(patch.given[0].size_mm, 1.5, rtol=1e-6)
    np.testing.assert_allclose(patch.given[1].size_mm, (1, 1, 4), rtol=1e-6)
    assert np.argmax(patch.given[2].size_mm) == 0  # its slices are sagittal, and turned
    assert patch.at is None or np.allclose(patch.size_mm, 1.5)


def test_target_on_the_grid_of_the_source_needs_no_sampling() -> None:
    batch = patches().batch(0)
    assert batch.voxels.shape == (3, 1, 8, 8, 8)
    for row, patch in enumerate(batch.patches):
        assert patch.at is None
        assert patch.target.shape == patch.mask.shape == (8, 8, 8)
        source = batch.voxels[row, 0].numpy()
        # Scans of a head differ by a constant, or one is the negative of the other but for a constant.
        assert min(np.ptp(source - patch.target), np.ptp(source + patch.target)) < 5e-3
        assert patch.mask.any()


def test_patches_stay_within_the_scan_where_they_fit() -> None:
    given = patches(batch_size=50)
    assert given.batch(0).seen.all()


def test_patch_of_a_scan_that_is_smaller_is_seen_where_the_scan_is() -> None:
    scans = few()
    scans.grid = placed(np.eye(3), (3.0, 3.0, 3.0), (7, 14, 10))
    batch = patches(scans).batch(0)
    assert batch.seen[:, :, :7].all()
    assert not batch.seen[:, :, 7:].any()
    assert (batch.voxels[:, :, 7:] == batch.voxels[0, 0, -1, -1, -1]).all()
    assert all(patch.target.shape == (7, 8, 8) for patch in batch.patches)


def test_nothing_is_wanted_where_the_first_scan_sees_nothing() -> None:
    scans = few(n_sessions=1)
    scans.grids = {0: placed(np.eye(3), (3.0, 3.0, 3.0), (7, 14, 10))}
    given = patches(scans)
    for _ in range(10):
        patch = given.patch_of([0], 1, random())
        assert patch.at is not None
        assert patch.at.matrix[0, 3] + patch.at.matrix[0, 0] * (patch.at.shape[0] - 1) <= 6.01
        assert not patch.given[0].seen[7:].any()


def test_brain_that_no_mask_shows_is_taken_as_everywhere() -> None:
    facts = BrainFacts.of(np.ones((9, 9, 9), np.float32), np.zeros((9, 9, 9), bool), seed=0)
    assert len(facts.centres) == 9**3


def test_centres_of_a_large_brain_are_a_bounded_sample_of_it() -> None:
    mask = np.zeros((40, 40, 40), bool)
    mask[5:35, 5:35, 5:35] = True
    centres = BrainFacts.of(np.ones(mask.shape, np.float32), mask, seed=0).centres
    assert len(np.unique(centres, axis=0)) == N_CENTRES
    assert mask[tuple(centres.T)].all()
    assert np.abs(centres.mean(0) - 19.5).max() < 1


def test_the_span_of_a_brain_ignores_outliers_and_is_never_nothing() -> None:
    scan = few().scan(0)
    low, high = np.percentile(scan.voxels[scan.mask].astype(np.float32), (0.5, 99.5))
    assert brain_range(scan.voxels, scan.mask) == pytest.approx((low, max(high - low, LEAST_SPAN)), rel=1e-5)
    assert brain_range(np.zeros_like(scan.voxels), scan.mask)[1] == LEAST_SPAN


@pytest.mark.slow
def test_rare_pairs_of_contrasts_are_drawn_more_often_than_they_are_there() -> None:
    scans = few(n_sessions=30)
    drawn = Counter[tuple[str | None, str | None]]()
    loader = patches(scans, seed=0, batch_size=64, side=2)
    for step in range(4):
        batch = loader.batch(step)
        given = (records[0].contrast for records in batch.records)
        drawn.update(zip(given, (patch.record.contrast for patch in batch.patches), strict=True))
    groups = pairs_by_contrast(scans.items, scans.pairs)
    assert drawn.keys() == groups.keys()
    share_there = len(groups["T1w", "FLAIR"]) / len(scans.pairs)
    assert drawn["T1w", "FLAIR"] / drawn.total() > 2 * share_there
    assert drawn["T1w", "T2w"] > drawn["T1w", "FLAIR"]


def several(n_scans: int = 5, **settings: float) -> Patches:
    """Patches of one session of scans of one contrast."""
    items = [item_of(Path(f"{number}"), "T1w") for number in range(n_scans)]
    pairs = [(one, other) for one in range(n_scans) for other in range(n_scans) if one != other]
    sizes = {"seed": 0, "batch_size": 40, "side": 4, "voxel_mm": 3.0, "max_scans": 3} | settings
    return Patches(Few(items, pairs), pairs, changes=replace(AS_IT_IS, several_share=0.5), **sizes)  # type: ignore[arg-type]


def test_a_share_of_patches_has_several_scans_but_never_the_wanted_one() -> None:
    given = several()
    batch = given.batch(0)
    counts = Counter(len(patch.given) for patch in batch.patches)
    assert counts.keys() == {1, 2, 3}
    assert 10 < counts[1] < 30
    drawn: list[tuple[list[int], int]] = []
    given.patch_of = lambda sources, target, random: drawn.append((list(sources), target))  # type: ignore[assignment, method-assign, func-returns-value, return-value]
    draws = random()
    for _ in range(100):
        given.patch(draws)
    assert all(len(set(sources)) == len(sources) and target not in sources for sources, target in drawn)
    assert {len(sources) for sources, _ in drawn} == {1, 2, 3}


def test_network_of_one_scan_gets_one() -> None:
    assert several(max_scans=1).batch(0).voxels.shape[1] == 1


def test_scans_that_are_not_there_are_unseen_and_say_nothing() -> None:
    batch = several().batch(0)
    assert batch.voxels.shape[:2] == (40, 3)
    for row, patch in enumerate(batch.patches):
        n = len(patch.given)
        assert batch.seen[row, :n].flatten(1).any(1).all()
        assert not batch.seen[row, n:].any()
        assert batch.records[row] == [*(one.record for one in patch.given), *[PromptRecord()] * (3 - n)]
        assert (batch.sizes_mm[row] > 0).all()


def test_field_of_view_of_each_scan_is_its_own() -> None:
    scans = few(n_sessions=1)
    half = placed(np.eye(3), (3.0, 3.0, 3.0), (6, 14, 10))
    moved = np.eye(4)
    moved[0, 3] = -9.0  # the left half of the others
    scans.grids, scans.poses = {2: half}, {2: moved}
    patch = patches(scans, side=10).patch_of([0, 2], 1, random())
    assert patch.given[0].seen[:, :, :].all()
    x = centers(placed(np.eye(3), (3.0, 3.0, 3.0), (12, 14, 10)), np.eye(4))[:, 0, 0, 0]
    n_left = [(x[first : first + 10] < 0).sum() for first in range(3)]
    seen = patch.given[1].seen
    assert seen.any((1, 2)).sum() in n_left
    assert seen[: seen.any((1, 2)).sum()].all()
    np.testing.assert_allclose(patch.given[1].voxels[:3], patch.given[0].voxels[:3], atol=2e-3)


def test_session_without_overlap_is_an_error_with_a_remedy() -> None:
    scans = few(n_sessions=1)
    far = np.eye(4)
    far[0, 3] = 500.0
    scans.poses = {1: far}
    with pytest.raises(ModelError, match=f"{scans.items[0].image_id} and {scans.items[1].image_id}") as refusal:
        patches(scans).patch_of([0], 1, random())
    assert "registration" in refusal.value.remedy


def test_without_pairs_there_is_nothing_to_train_on() -> None:
    with pytest.raises(ModelError, match="no pair") as refusal:
        patches(Few([], []))
    assert refusal.value.remedy


def test_targets_keep_their_contrast_and_sources_lose_all_now_and_then() -> None:
    batch = patches(changes=replace(AS_IT_IS, field_dropout=0.5, source_dropout=0.5), batch_size=64, side=2).batch(0)
    assert all(patch.record.contrast for patch in batch.patches)
    assert any(patch.record.echo_time_s is None for patch in batch.patches)
    assert 16 < sum(records[0] == PromptRecord() for records in batch.records) < 48


def test_targets_are_never_changed() -> None:
    def targets(changes: Changes) -> list[Patch]:
        return [patches(changes=changes).patch_of([0], 1, random())]

    [calm], [restless] = targets(AS_IT_IS), targets(replace(RESTLESS, field_dropout=0.0))
    np.testing.assert_array_equal(calm.target, restless.target)
    assert np.abs(calm.given[0].voxels - restless.given[0].voxels).max() > 0.01
