"""Batches of images and prompts: a function of seed and step; what is hidden, changed and added is as configured."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages
from model.data.matching import GROUPS, Draws, MatchingSource, change_one, hide, vary
from model.data.simulated_scans import Faults, SimulatedScans
from model.data.words import ALL_WORDS, MEANINGS, true_words
from tests.model.data.small_bank import SmallBank
from warehouse.lake.home import Home
from warehouse.prompts.read import read_prompt
from warehouse.prompts.record import PromptRecord

BANK = SmallBank()
DRAWS = Draws(seed=0, batch_size=6, n_candidates=5, n_changed=2, scans_per_head=2)
FULL = PromptRecord("T1w", False, "GE", None, 3.0, 50.0, "F", (1.0, 1.0, 1.0), 2.0, 0.003, 0.9, 8.0)


def source(**changes: Any) -> MatchingSource:
    return MatchingSource(replace(DRAWS, **changes), None, SimulatedScans(BANK, 1))


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    one, same = source().batch(3), source().batch(3)
    assert torch.equal(one.volumes, same.volumes)
    assert one.prompts == same.prompts
    assert source().batch(4).prompts != one.prompts
    assert source(seed=1).batch(3).prompts != one.prompts


def test_a_batch_holds_images_their_prompts_false_ones_and_others() -> None:
    batch = source().batch(0)
    assert batch.volumes.shape == (6, 1, *BANK.box.shape)
    assert len(batch.truth) == 6
    assert len(batch.prompts) == 6 + 6 + 2 * 6 + 5
    assert batch.prompts[6:12] == batch.truth
    assert batch.wanted.shape == (6, 29)
    assert batch.signals.isfinite().all()


def test_what_an_image_says_of_itself_with_fields_hidden_is_true_of_it() -> None:
    batch = source(field_dropout=0.5, word_share=1.0).batch(1)
    assert torch.allclose(batch.wanted[:, :6].diagonal(), torch.ones(6))
    assert torch.allclose(batch.wanted[:, 6:12].diagonal(), torch.ones(6))


def test_a_scan_is_in_as_many_batches_in_a_row_as_it_has_uses() -> None:
    made = source(n_uses=3)
    batches = [made.batch(step) for step in (0, 1, 2, 3)]
    seen = [
        [any(torch.equal(one, other) for other in batch.volumes) for batch in batches] for one in batches[0].volumes[:2]
    ]
    assert seen == [[True, True, True, False]] * 2
    assert torch.equal(source(n_uses=3).batch(2).volumes, batches[2].volumes)  # whatever was made before


def test_catalogue_and_simulated_images_share_a_batch(tiny_home: Home) -> None:
    boxed = BoxedImages(CatalogueImages.open(tiny_home, "draft", ["train"]), BANK.box)
    batch = MatchingSource(replace(DRAWS, simulated_share=0.5), boxed, SimulatedScans(BANK, 1)).batch(0)
    assert batch.signals.isnan().all(1).tolist() == [False] * 3 + [True] * 3
    alone = MatchingSource(replace(DRAWS, simulated_share=0.5), boxed, None).batch(0)
    assert alone.signals.isnan().all()
    assert len(alone.truth) == 6


def test_of_a_scan_that_deviates_from_its_equation_parameters_are_unknown() -> None:
    scans = SimulatedScans(BANK, 1, faults=Faults(deviating_share=1.0))
    batch = MatchingSource(DRAWS, None, scans).batch(0)
    assert all(one.repetition_time_s is one.echo_time_s is one.flip_angle_deg is None for one in batch.truth)
    assert batch.wanted.isnan().any()
    assert batch.wanted[:, 6:12].diagonal().tolist() == [1.0] * 6


def test_a_source_travels_to_another_process() -> None:
    again = pickle.loads(pickle.dumps(source()))
    assert torch.equal(again.batch(2).volumes, source().batch(2).volumes)


def test_complete_draws_hide_and_change_nothing() -> None:
    batch = MatchingSource(DRAWS.complete(), None, SimulatedScans(BANK, 1)).batch(0)
    assert batch.prompts[:6] == batch.truth
    assert len(batch.prompts) == 6 + 6 + 5


def test_fields_are_hidden_as_often_as_is_asked() -> None:
    random = np.random.default_rng(0)
    found = [hide(FULL, random, 0.3, 0.25, 0.25) for _ in range(2000)]
    bare = [one for one in found if one == PromptRecord("T1w")]
    unacquired = [one for one in found if one.repetition_time_s == one.echo_time_s == one.flip_angle_deg is None]
    assert 0.2 < len(bare) / 2000 < 0.3
    assert 0.45 < len(unacquired) / 2000 < 0.6
    rest = [one for one in found if one not in bare]
    assert 0.25 < np.mean([one.vendor is None for one in rest]) < 0.35
    assert len(GROUPS) == 10


def test_a_false_copy_differs_in_one_number_that_still_fits() -> None:
    random = np.random.default_rng(0)
    changed = [change_one(FULL, random) for _ in range(300)]
    numbers = ("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg", "field_strength_t")
    for one in changed:
        assert sum(getattr(one, name) != getattr(FULL, name) for name in numbers) == 1
        assert one.repetition_time_s is not None
        assert one.repetition_time_s > (one.inversion_time_s or 0) + (one.echo_time_s or 0)
    seen = {name for one in changed for name in numbers if getattr(one, name) != getattr(FULL, name)}
    assert seen == set(numbers)


def test_a_record_without_numbers_has_no_false_copy() -> None:
    assert change_one(PromptRecord("T1w"), np.random.default_rng(0)) == PromptRecord("T1w")


def test_a_volume_is_varied_within_its_range_and_shape() -> None:
    volume = np.random.default_rng(0).random((12, 13, 14)).astype(np.float32)
    varied = [vary(volume, 0.5, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.shape == volume.shape and one.dtype == np.float32 for one in varied)
    assert all(-0.2 <= one.min() <= one.max() <= 1.2 for one in varied)
    assert not any(np.array_equal(varied[0], one) for one in varied[1:])


@pytest.mark.parametrize("word", ALL_WORDS)
def test_a_word_that_is_learned_is_one_that_the_parser_leaves_over(word: str) -> None:
    assert read_prompt(f"T2w {word}").record.words == (word,)


def test_words_are_true_where_one_of_their_facts_is() -> None:
    assert true_words(["tumour", "stripped"]) == {*MEANINGS["tumour"], *MEANINGS["stripped"]}
    assert true_words(["unheard of"]) == frozenset()


def test_images_of_a_box_are_those_that_the_source_asks_for(tiny_home: Home) -> None:
    boxed = BoxedImages(CatalogueImages.open(tiny_home, "draft", ["train"]), Box((8, 8, 8), 20.0))
    batch = MatchingSource(replace(DRAWS, simulated_share=0.0), boxed, None).batch(0)
    assert batch.volumes.shape == (6, 1, 8, 8, 8)
    assert {one.contrast for one in batch.truth} <= {item.record.contrast for item in boxed.images.items}
