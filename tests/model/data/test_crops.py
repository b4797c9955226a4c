"""Batches are functions of seed and step; what is hidden, drawn and cut is what was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.data.catalogue import Item, Sample, cut, outside
from model.data.crops import (
    HIDEABLE,
    LEAST_SPAN,
    N_CENTRES,
    BrainFacts,
    Crops,
    brain_range,
    change_contrast,
    hide,
    pairs_by_contrast,
    random_corner,
)
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale, soften
from warehouse.prompts.record import PromptRecord

UNIT = BrainScale(0.5, 0.4)

FULL = PromptRecord(
    contrast="T1w",
    post_contrast=True,
    vendor="GE",
    model="MR750",
    field_strength_t=3.0,
    age_years=40.0,
    sex="F",
    voxel_size_mm=(1.0, 1.0, 1.0),
    repetition_time_s=2.0,
    echo_time_s=0.003,
    inversion_time_s=0.9,
    flip_angle_deg=8.0,
    flip_angle_variable=True,
)


@dataclass
class Few:
    """Images in memory: voxel values tell which image it is and where."""

    items: list[Item]
    pairs: list[tuple[int, int]]
    shape: tuple[int, int, int] = (12, 14, 10)

    def volume(self, index: int) -> Sample:
        voxels = np.linspace(-1, 1, int(np.prod(self.shape)), dtype=np.float32).reshape(self.shape)
        mask = np.zeros(self.shape, bool)
        mask[3:-3, 3:-3, 3:-3] = True
        return Sample(voxels if index % 2 == 0 else -voxels, mask, np.diag([3.0, 3.0, 3.0, 1.0]), UNIT)

    fits_in_memory = True

    def patch(
        self, index: int, corner: tuple[int, int, int], side: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        sample = self.volume(index)
        return cut(sample.voxels, corner, side, outside(UNIT)), cut(sample.mask, corner, side, False)


def few(contrasts: tuple[str, ...] = ("T1w", "T2w", "FLAIR"), n_sessions: int = 4) -> Few:
    items = []
    for session in range(n_sessions):
        for contrast in contrasts[: 3 if session == 0 else 2]:
            record = replace(FULL, contrast=contrast, post_contrast=False)
            names = f"{session}{contrast}", "c", f"s{session}", f"p{session}", "train", contrast
            items.append(Item(*names, record=record, is_simulated=True, path=Path("nowhere"), scale=UNIT))
    pairs = [
        (one, other)
        for one, source in enumerate(items)
        for other, target in enumerate(items)
        if one != other and source.session_id == target.session_id
    ]
    return Few(items, pairs)


def crops(**settings: float) -> Crops:
    return Crops(few(), **{"seed": 1, "batch_size": 3, "side": 8, **settings})  # type: ignore[arg-type]


def test_the_same_step_gives_the_same_batch_in_any_order() -> None:
    first, again = crops(field_dropout=0.3, intensity_jitter=0.2), crops(field_dropout=0.3, intensity_jitter=0.2)
    again.batch(7)
    one, other = first.batch(3), again.batch(3)
    for name in ("source", "target", "mask", "low", "span"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert (one.source_records, one.target_records) == (other.source_records, other.target_records)


def test_another_step_or_seed_gives_another_batch() -> None:
    one = crops().batch(3).source
    assert not torch.equal(one, crops().batch(4).source)
    assert not torch.equal(one, crops(seed=2).batch(3).source)


def test_source_target_and_mask_are_cut_at_one_place() -> None:
    batch = crops().batch(0)
    assert batch.source.shape == batch.target.shape == batch.mask.shape == (3, 1, 8, 8, 8)
    assert batch.source.dtype == torch.float32
    for one, other in zip(batch.source, batch.target, strict=True):  # images are equal, or each other's negative
        assert torch.allclose(one, other, atol=1e-5) or torch.allclose(one, -other, atol=1e-5)
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}
    assert batch.mask.mean() > 0.1


def test_rare_pairs_of_contrasts_are_drawn_more_often_than_they_are_there() -> None:
    images = few(n_sessions=30)
    drawn = Counter[tuple[str | None, str | None]]()
    loader = Crops(images, seed=0, batch_size=64, side=2)
    for step in range(4):
        batch = loader.batch(step)
        pairs = zip(batch.source_records, batch.target_records, strict=True)
        drawn.update((source.contrast, target.contrast) for source, target in pairs)
    groups = pairs_by_contrast(images)
    assert drawn.keys() == groups.keys()
    share_there = len(groups["T1w", "FLAIR"]) / len(images.pairs)
    assert drawn["T1w", "FLAIR"] / drawn.total() > 2 * share_there
    assert drawn["T1w", "T2w"] > drawn["T1w", "FLAIR"]


def test_targets_keep_their_contrast_and_sources_lose_all_now_and_then() -> None:
    loader = crops(batch_size=64, field_dropout=0.5, source_dropout=0.5)
    batch = loader.batch(0)
    assert all(record.contrast for record in batch.target_records)
    assert any(record.echo_time_s is None for record in batch.target_records)
    assert 16 < sum(record == PromptRecord() for record in batch.source_records) < 48


def test_everything_but_the_contrast_can_be_hidden() -> None:
    random = np.random.default_rng(0)
    assert hide(FULL, 0.0, random, with_contrast=True) == FULL
    assert hide(FULL, 1.0, random, with_contrast=True) == PromptRecord()
    assert hide(FULL, 1.0, random) == PromptRecord(contrast="T1w", post_contrast=True)
    together = {"contrast", "post_contrast", "flip_angle_variable", "words"}
    assert {field.name for field in fields(PromptRecord)} == together | set(HIDEABLE)


def facts_of(mask: NDArray[np.bool_]) -> BrainFacts:
    return BrainFacts.of(Sample(np.ones(mask.shape, np.float32), mask, np.eye(4), UNIT), seed=0)


def test_crops_stay_within_the_volume_where_they_fit() -> None:
    random, mask = np.random.default_rng(0), few().volume(0).mask
    for _ in range(50):
        corner = random_corner(facts_of(mask), 8, random)
        assert all(first >= 0 and first + 8 <= size for first, size in zip(corner, mask.shape, strict=True))
        assert cut(mask, corner, 8, False).any()


def test_a_volume_without_a_brain_is_cut_anywhere() -> None:
    corner = random_corner(facts_of(np.zeros((9, 9, 9), bool)), 4, np.random.default_rng(0))
    assert cut(np.ones((9, 9, 9)), corner, 4, 0.0).shape == (4, 4, 4)


def test_what_lies_beyond_a_small_volume_is_filled() -> None:
    corner = random_corner(facts_of(np.ones((3, 9, 1), bool)), 4, np.random.default_rng(0))
    piece = cut(np.ones((3, 9, 1)), corner, 4, -2.0)
    assert piece.shape == (4, 4, 4)
    assert np.unique(piece).tolist() == [-2.0, 1.0]
    assert (piece == 1).sum() == 3 * 4 * 1


def test_another_contrast_keeps_median_spread_and_no_signal() -> None:
    signal = np.random.default_rng(0).uniform(0.6, 1.4, (12, 12, 12))
    signal[0] = 0
    brain = signal > 0
    scale = BrainScale.of(signal, brain)
    given = scale.to_network(signal)
    for exponent in (0.8, 1.2):
        changed = change_contrast(given, scale.relative_spread, exponent)
        low, median, high = np.percentile(changed[brain], (10, 50, 90))
        assert median == pytest.approx(0, abs=0.02)
        assert high - low == pytest.approx(1, abs=0.05)
        air = (0 - 1) / (scale.relative_spread * exponent)
        assert np.allclose(changed[0], soften(np.array(air)), atol=1e-3)
        assert np.abs(changed - given)[brain].max() > 0.02
    np.testing.assert_allclose(change_contrast(given, scale.relative_spread, 1.0), given, atol=1e-5)


def test_centres_of_a_large_brain_are_a_bounded_sample_of_it() -> None:
    mask = np.zeros((40, 40, 40), bool)
    mask[5:35, 5:35, 5:35] = True
    found = facts_of(mask)
    assert len(np.unique(found.centres, axis=0)) == N_CENTRES
    assert mask[tuple(found.centres.T)].all()
    assert np.abs(found.centres.mean(0) - 19.5).max() < 1


def test_the_span_of_a_brain_ignores_outliers_and_is_never_nothing() -> None:
    sample = few().volume(0)
    inside = sample.voxels[sample.mask]
    low, high = np.percentile(inside, (0.5, 99.5))
    assert brain_range(sample) == pytest.approx((low, high - low), rel=1e-5)
    assert brain_range(Sample(np.zeros_like(sample.voxels), sample.mask, sample.affine, UNIT))[1] == LEAST_SPAN


def test_without_pairs_there_is_nothing_to_train_on() -> None:
    with pytest.raises(ModelError, match="no pair") as refusal:
        Crops(Few([], []), seed=0, batch_size=1, side=4)
    assert refusal.value.remedy
