"""One changed field: what counts is what the change does to the signals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.evaluation.scorers import Encoder
from model.evaluation.single_field import FIELDS, MIN_CHANGE, changed, parts, preferred
from tests.model.evaluation.seen import Clairvoyant, Guesser, observer, scans, without_signals


@pytest.mark.parametrize("name", FIELDS)
def test_every_changed_prompt_differs_in_that_field_alone(name: str) -> None:
    seen = scans(70)
    found = changed(seen, name)
    assert len(found.records) > 10
    for owner, record in zip(found.owners, found.records, strict=True):
        own = seen.records[owner]
        assert getattr(record, name) != getattr(own, name)
        assert replace(record, **{name: getattr(own, name)}) == own  # type: ignore[arg-type]


def test_the_echo_time_of_a_t2w_changes_much_and_that_of_an_mprage_little() -> None:
    seen = scans(70)
    t2w = seen.at([place for place, record in enumerate(seen.records) if record.contrast == "T2w"])
    mprage = seen.at([place for place, record in enumerate(seen.records) if (record.inversion_time_s or 9.0) < 1.2])
    much, little = (changed(scans, "echo_time_s") for scans in (t2w, mprage))
    assert np.median(much.sizes) > MIN_CHANGE > np.median(little.sizes)


def test_brains_without_heads_show_smaller_changes() -> None:
    seen = scans(70)
    whole, stripped = (changed(replace(seen, is_stripped=np.full(70, flag)), "echo_time_s") for flag in (False, True))
    assert (whole.sizes >= stripped.sizes).all()
    assert (whole.sizes > stripped.sizes).any()


def test_what_is_large_is_found_by_the_observer_and_what_is_small_is_not() -> None:
    seen = scans(210)
    found = {part.low: part for part in parts({"ideal": observer(7)}, seen, "echo_time_s")}
    means = {low: part.shares["ideal"].mean() for low, part in found.items()}
    assert means[0.4] > 0.97
    assert 0.5 <= means[0.0] < means[0.4]
    assert means[None] > 0.9


@pytest.mark.slow
def test_one_who_knows_prefers_the_right_prompt_and_a_guesser_does_not() -> None:
    seen, knowing = scans(140), Encoder(Clairvoyant())
    seen = replace(seen, vectors=knowing.vectors(seen.records))
    for name in FIELDS:
        headline, *_ = parts({"knowing": knowing}, seen, name)
        assert headline.shares["knowing"].mean() == 1
    headline, *_ = parts({"guessing": Encoder(Guesser())}, replace(seen, vectors=scans(140).vectors), "echo_time_s")
    assert headline.shares["guessing"].mean() == pytest.approx(0.5, abs=0.1)


def test_a_tie_is_no_preference() -> None:
    blind = Encoder(Clairvoyant(is_blind=True))
    seen = scans(14)
    seen = replace(seen, vectors=blind.vectors(seen.records))
    assert preferred(blind, seen, changed(seen, "echo_time_s")).max() == 0


def test_prompts_without_signals_are_not_asked() -> None:
    seen = scans(7)
    vague = [replace(record, field_strength_t=None) for record in seen.records]
    assert list(parts({"ideal": observer(7)}, without_signals(vague, seen.people, seen.vectors), "echo_time_s")) == []
