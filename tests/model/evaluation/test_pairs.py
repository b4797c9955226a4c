"""Which pairs are drawn, and that nobody is tested who was trained on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from model.data.catalogue import CatalogueImages, Item, training_hashes, united
from model.evaluation.pairs import (
    draw_pairs,
    native_pairs,
    other_target,
    refuse_leakage,
    refuse_two_splits,
    repeat_scans,
    session_pairs,
)
from tests.model.evaluation.fakes import TASKS, protocol
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

SCALE = BrainScale(0.5, 0.5)


def item(person: str, scan: str, contrast: str = "T1w", split: str = "val", **more: object) -> Item:
    names = f"{person}-{scan}", "c", f"c/{person}", person, split, contrast
    made = Item(*names, PromptRecord(), True, Path("nowhere"), SCALE, source_sha256=scan)
    return replace(made, **more)  # type: ignore[arg-type]


def images(items: list[Item]) -> CatalogueImages:
    """Every ordered pair of images of one session."""
    places = permutations(range(len(items)), 2)
    pairs = [(one, other) for one, other in places if items[one].session_id == items[other].session_id]
    return CatalogueImages(items, pairs, "s", "d", "r", 3.0, 0, 0)


def visit(person: str, contrasts: str = "T1w T2w FLAIR", split: str = "val", *, real: bool = False) -> list[Item]:
    return [item(person, f"{person} {label}", label, split, is_simulated=not real) for label in contrasts.split()]


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_takes_as_many_people_as_it_can(peopled_home: Home, limit: int) -> None:
    known = CatalogueImages.open(peopled_home, "draft", ["train"])
    pairs = draw_pairs(known, TASKS, "train", limit, is_simulated=True)
    for task in ("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR"):
        people = [known.items[pair.target].person_id for pair in pairs if pair.task == task]
        assert len(people) == len(set(people)) == limit


def test_another_contrast_is_a_third_one_where_the_visit_has_one(peopled_home: Home) -> None:
    known = CatalogueImages.open(peopled_home, "draft", ["train"])
    for pair in draw_pairs(known, TASKS, "train", 100, is_simulated=True):
        other = known.items[other_target(known, pair)]
        contrasts = [one.contrast_label for one in known.items if one.session_id == other.session_id]
        assert other.session_id == known.items[pair.target].session_id
        assert other.contrast_label != known.items[pair.target].contrast_label
        assert (other.contrast_label == known.items[pair.sources[0]].contrast_label) == (len(contrasts) == 2)


def test_a_set_has_one_image_of_each_contrast_in_the_order_of_the_task() -> None:
    known = images([*visit("anna", "T1w T1w T2w FLAIR"), *visit("bert", "T1w FLAIR")])
    found = draw_pairs(known, ["T1w+T2w_to_FLAIR"], "val", 9, is_simulated=True)
    assert len(found) == 2  # two T1w of Anna; Bert has no T2w
    for pair in found:
        assert [known.items[index].contrast_label for index in pair.sources] == ["T1w", "T2w"]
        assert pair.target not in pair.sources
        assert {known.items[index].person_id for index in (*pair.sources, pair.target)} == {"anna"}


def test_a_copy_of_the_target_is_no_source() -> None:
    known = images(visit("anna", "T1w T2w FLAIR"))
    copied = CatalogueImages(known.items, [pair for pair in known.pairs if pair != (1, 2)], "s", "d", "r", 3.0, 0, 0)
    assert draw_pairs(copied, ["T1w+T2w_to_FLAIR", "T2w_to_FLAIR"], "val", 9, is_simulated=True) == []


def test_real_and_simulated_people_are_drawn_apart() -> None:
    people = [one for number in range(9) for one in visit(f"simulated {number}")]
    known = images([*people, *visit("anna", real=True)])
    asked = protocol(splits=("val",), max_pairs_per_task=2, max_native_pairs={"val": 2})
    for found in (session_pairs(known, asked), native_pairs(known, asked)):
        counted = Counter(known.items[pair.target].is_simulated for pair in found)
        assert min(counted[False], counted[True]) >= 2
    for pair in session_pairs(known, asked):
        assert len({known.items[index].is_simulated for index in (*pair.sources, pair.target)}) == 1


def test_native_pairs_take_everybody_before_anybody_twice_and_spread_over_tasks() -> None:
    known = images([one for number in range(5) for one in visit(f"p{number}")])
    asked = protocol(splits=("val",), tasks=("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR"), max_native_pairs={"val": 7})
    found = native_pairs(known, asked)
    people = [known.items[pair.target].person_id for pair in found]
    assert len(set(people[:5])) == 5
    assert sorted(Counter(people).values()) == [1, 1, 1, 2, 2]
    assert sorted(Counter(pair.task for pair in found).values()) == [2, 2, 3]


def test_sets_of_sources_take_no_place_of_single_ones() -> None:
    known = images([one for number in range(5) for one in visit(f"p{number}")])
    one = protocol(splits=("val",), tasks=("T1w_to_FLAIR",), max_native_pairs={"val": 3})
    both = protocol(splits=("val",), tasks=("T1w+T2w_to_FLAIR", "T1w_to_FLAIR"), max_native_pairs={"val": 3})
    assert [pair for pair in native_pairs(known, both) if len(pair.sources) == 1] == native_pairs(known, one)
    assert len(native_pairs(known, both)) == 6


def test_people_for_the_gates_are_tested_from_files_only() -> None:
    known = images([*visit("anna", split="acceptance"), *visit("bert", split="test_internal")])
    splits = ("test_internal", "acceptance")
    asked = protocol(splits=splits, max_native_pairs=dict.fromkeys(splits, 9))
    assert {pair.split for pair in native_pairs(known, asked)} == set(splits)
    assert {pair.split for pair in session_pairs(known, asked)} == {"test_internal"}


def test_second_scans_are_of_one_person_and_contrast_and_of_two_visits() -> None:
    first, second = (
        item("anna", f"{label} {day}", label, "train", session_id=f"anna {day}")
        for label, day in (("T2w", "monday"), ("T2w", "friday"))
    )
    copy = replace(first, image_id="copy", session_id="anna sunday")  # the same file in a third visit
    others = [item("anna", "flair", "FLAIR", "train"), item("bert", "t2w", "T2w", "train")]
    known = images([first, second, copy, *others])
    found = repeat_scans(known, 10)
    named = {(known.items[pair.sources[0]].image_id, known.items[pair.target].image_id) for pair in found}
    one, other = first.image_id, second.image_id
    assert named == {(one, other), (other, one), ("copy", other), (other, "copy")}
    assert {(pair.task, pair.split) for pair in found} == {("T2w_to_T2w", "train")}
    assert len(repeat_scans(known, 1)) == 1
    assert repeat_scans(known, 0) == []


TRAINED_ON = training_hashes([item("anna", "scan-1"), item("bert", "scan-2")])


def test_other_people_with_other_scans_may_be_tested() -> None:
    refuse_leakage([item("clara", "scan-3")], TRAINED_ON, "model m")


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        pytest.param(item("anna", "scan-9"), "1 people and 0 scans", id="another scan of a trained person"),
        pytest.param(item("somebody", "scan-2"), "0 people and 1 scans", id="the same file under another name"),
    ],
)
def test_a_person_or_scan_that_was_trained_on_is_refused(tested: Item, said: str) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        refuse_leakage([item("clara", "scan-3"), tested], TRAINED_ON, "model m")
    assert "model m" in refusal.value.what
    assert refusal.value.remedy


def test_a_person_in_two_splits_is_refused() -> None:
    refuse_two_splits([item("anna", "1"), item("anna", "2"), item("bert", "3", split="train")])
    with pytest.raises(ModelError, match="person anna has images in train and in val"):
        refuse_two_splits([item("anna", "1", split="train"), item("anna", "2", split="val")])


def test_a_checkpoint_of_an_older_version_names_nobody_and_is_tested() -> None:
    refuse_leakage([item("anna", "scan-1")], {}, "model m")


def test_hashes_do_not_hold_the_names_of_people() -> None:
    assert "anna" not in str(TRAINED_ON)


def test_a_synthesis_model_names_the_people_of_its_text_encoder_as_well() -> None:
    both = united(TRAINED_ON, training_hashes([item("clara", "scan-3")]))
    assert len(both["people"]) == 3
    assert united(TRAINED_ON, {}) == TRAINED_ON
