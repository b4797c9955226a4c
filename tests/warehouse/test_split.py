"""out.split: by person, stable, without leakage."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import duckdb
import pytest


def splits(lab: Any) -> dict[tuple[str, str], str]:
    with duckdb.connect(str(lab.publish().path), read_only=True) as connection:
        rows = connection.execute("SELECT center_id, participant_id, split FROM out.split").fetchall()
    return {(center_id, participant_id): split for center_id, participant_id, split in rows}


def drawn(person_id: str) -> str:
    """The slow, obvious version of the draw."""
    percentile = int(hashlib.md5(f"split of {person_id}".encode(), usedforsecurity=False).hexdigest()[:8], 16) % 100
    return "train" if percentile < 80 else "val" if percentile < 90 else "test_internal"


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


def test_a_travelling_person_has_one_split_in_all_internal_centres(lab: Any) -> None:
    for center_id in ("a", "b", "c"):
        lab.center(center_id)
        for number in range(20):
            lab.participant(center_id, f"{number:02d}", person_id=f"traveller/{number}")
    found = splits(lab)
    for number in range(20):
        assert {found[center_id, f"{number:02d}"] for center_id in "abc"} == {drawn(f"traveller/{number}")}
    assert len(set(found.values())) > 1


def test_an_external_centre_is_wholly_for_testing_and_its_people_train_nowhere(small: Any) -> None:
    found = splits(small)
    assert found["gamma", "W"] == "test_external"
    assert found["beta", "walker"] == "excluded"
    assert found["beta", "01"] == drawn("beta/01")


def test_a_person_without_images_in_the_external_centre_is_excluded_as_well(lab: Any) -> None:
    lab.center("in")
    lab.participant("in", "1", person_id="p")
    lab.center("ex", role="external")
    lab.participant("ex", "1", person_id="p", has_images=False)
    assert splits(lab) == {("in", "1"): "excluded", ("ex", "1"): "test_external"}
