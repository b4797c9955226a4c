"""out.split: by person, stable, without leakage."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse.errors import PublishError


def splits(lab: Any) -> dict[tuple[str, str], str]:
    with duckdb.connect(str(lab.publish().path), read_only=True) as connection:
        rows = connection.execute("SELECT center_id, participant_id, split FROM out.split").fetchall()
    return {(center_id, participant_id): split for center_id, participant_id, split in rows}


def drawn(person_id: str) -> str:
    """The slow, obvious version of the draw."""
    percentile = int(hashlib.md5(f"split of {person_id}".encode(), usedforsecurity=False).hexdigest()[:8], 16) % 100
    return "train" if percentile < 80 else "val" if percentile < 90 else "test_internal"


@pytest.mark.slow
def test_the_draw_is_a_hash_of_the_person_in_these_proportions(lab: Any) -> None:
    lab.center("a")
    for number in range(2000):
        lab.participant("a", f"{number:04d}")
    found = splits(lab)
    assert found == {("a", label): drawn(f"a/{label}") for _, label in found}
    counts = Counter(found.values())
    assert counts["train"] == pytest.approx(1600, abs=60)
    assert counts["val"] == pytest.approx(200, abs=50)
    assert counts["test_internal"] == pytest.approx(200, abs=50)


@pytest.mark.slow
def test_a_person_stays_in_its_split_when_others_come(lab: Any) -> None:
    lab.center("a")
    for number in range(30):
        lab.participant("a", f"{number:02d}")
    before = splits(lab)
    lab.center("b")
    lab.participant("b", "x")
    lab.participant("a", "new")
    after = splits(lab)
    assert {key: after[key] for key in before} == before


@pytest.mark.slow
def test_a_travelling_person_has_one_split_in_all_internal_centres(lab: Any) -> None:
    for center_id in ("a", "b", "c"):
        lab.center(center_id)
        for number in range(20):
            lab.participant(center_id, f"{number:02d}", person_id=f"traveller/{number}")
    found = splits(lab)
    for number in range(20):
        assert {found[center_id, f"{number:02d}"] for center_id in "abc"} == {drawn(f"traveller/{number}")}
    assert len(set(found.values())) > 1


@pytest.mark.slow
def test_an_external_centre_is_wholly_for_testing_and_its_people_train_nowhere(small: Any) -> None:
    found = splits(small)
    assert found["gamma", "W"] == "test_external"
    assert found["beta", "walker"] == "excluded"
    assert found["beta", "01"] == drawn("beta/01")


@pytest.mark.slow
def test_a_person_without_images_in_the_external_centre_is_excluded_as_well(lab: Any) -> None:
    lab.center("in")
    lab.participant("in", "1", person_id="p")
    lab.center("ex", role="external")
    lab.participant("ex", "1", person_id="p", has_images=False)
    assert splits(lab) == {("in", "1"): "excluded", ("ex", "1"): "test_external"}


@pytest.mark.slow
def test_a_split_that_a_definition_fixes_goes_before_the_draw_in_every_centre_of_the_person(lab: Any) -> None:
    for center_id in ("a", "b"):
        lab.center(center_id)
    lab.participant("a", "1", person_id="p", fixed_split="val")
    lab.participant("b", "1", person_id="p")
    lab.participant("a", "2", fixed_split="acceptance")
    assert splits(lab) == {("a", "1"): "val", ("b", "1"): "val", ("a", "2"): "acceptance"}


@pytest.mark.slow
def test_who_is_seen_externally_is_excluded_although_a_definition_fixes_another_split(lab: Any) -> None:
    lab.center("in")
    lab.participant("in", "1", person_id="p", fixed_split="train")
    lab.center("ex", role="external")
    lab.participant("ex", "1", person_id="p")
    assert splits(lab)["in", "1"] == "excluded"


@pytest.mark.slow
def test_two_definitions_that_fix_different_splits_of_one_person_are_refused(lab: Any) -> None:
    for center_id, split in (("a", "train"), ("b", "val")):
        lab.center(center_id)
        lab.participant(center_id, "1", person_id="p", fixed_split=split)
    with pytest.raises(PublishError, match="person_fixed_to_two_splits"):
        lab.publish()


PERSON = st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 40))


@pytest.mark.slow
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.sets(PERSON, max_size=25), later=st.sets(PERSON, max_size=25))
def test_nobody_is_moved_by_people_who_come_later_unless_seen_in_an_external_centre(
    lab: Any, first: set[tuple[str, int, int]], later: set[tuple[str, int, int]]
) -> None:
    def drawn_with(people: set[tuple[str, int, int]]) -> dict[tuple[str, str], str]:
        lab.rows.clear()
        lab.center("a")
        lab.center("b")
        known = {}
        for center_id, number, person in sorted(people):
            known[center_id, f"{number:02d}"] = f"person/{person}"
        for (center_id, label), person_id in known.items():
            lab.participant(center_id, label, person_id=person_id)
        return splits(lab)

    taken = {(center_id, number) for center_id, number, _ in first}
    fresh = {one for one in later if one[:2] not in taken}
    before = drawn_with(first)
    after = drawn_with(first | fresh)
    assert {key: after[key] for key in before} == before
