"""Measures of matching: exact shares, equal prompts, vague prompts, ties, and chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.data.ambiguity import is_ambiguous
from model.evaluation.matching import (
    agent_found,
    constant_answer,
    contrast_found,
    numbers_of_candidates,
    rankings,
    restricted,
    share_found,
    shares_found,
    signature,
)
from model.evaluation.scorers import Encoder, Seen
from tests.model.evaluation.seen import Clairvoyant, Guesser, observer, random_vectors, scans, without_signals
from warehouse.prompts.record import PromptRecord

T2W = PromptRecord("T2w", repetition_time_s=3.0, echo_time_s=0.09, flip_angle_deg=120.0)
T1W = PromptRecord("T1w", repetition_time_s=2.0, echo_time_s=0.003, inversion_time_s=0.9, flip_angle_deg=8.0)
DIRECTIONS = ("image_to_prompt", "prompt_to_image")


def seen_of(records: list[PromptRecord], encoder: Encoder) -> Seen:
    people = [str(place) for place in range(len(records))]
    return without_signals(records, people, encoder.vectors(records))


def many() -> list[PromptRecord]:
    echoes = [replace(T2W, echo_time_s=0.05 * 1.25**step) for step in range(6)]
    return echoes + [replace(T1W, repetition_time_s=1.0 * 1.25**step) for step in range(6)]


def share(encoder: Encoder, seen: Seen, direction: str, n_candidates: int, n_best: int = 1) -> float:
    found = rankings(encoder, seen, direction)
    return float(np.nanmean(shares_found(found, len(seen), n_candidates, n_best, encoder.guesses)[0]))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_one_who_knows_finds_everything_and_one_who_is_blind_nothing_since_a_tie_is_no_find(direction: str) -> None:
    knowing, blind = Encoder(Clairvoyant()), Encoder(Clairvoyant(is_blind=True))
    for n_candidates in (10, 12):
        assert share(knowing, seen_of(many(), knowing), direction, n_candidates) == 1
        assert share(blind, seen_of(many(), blind), direction, n_candidates) == 0


@pytest.mark.slow
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(("n_candidates", "n_best"), [(10, 1), (10, 5), (100, 5)])
def test_a_random_encoder_is_at_chance(direction: str, n_candidates: int, n_best: int) -> None:
    seen, encoder = scans(280), Encoder(Guesser())
    found = rankings(encoder, seen, direction)
    shares, chance = shares_found(found, len(seen), n_candidates, n_best, False)
    assert chance == pytest.approx(n_best / n_candidates)
    share = n_best / n_candidates
    assert np.mean(shares) == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / len(seen)))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_observer_itself_reaches_all_of_its_figure_and_far_more_than_chance(direction: str) -> None:
    seen = scans(140)
    one, other = (rankings(observer(7), seen, direction) for _ in range(2))
    ours, ideal = (shares_found(found, len(seen), 100, 1, True)[0] for found in (one, other))
    np.testing.assert_array_equal(ours, ideal)
    assert np.mean(ideal) > 0.6


def test_without_spread_between_people_the_observer_always_finds_the_right_prompt() -> None:
    certain = observer(7, spread=0.0, noise=1e-4)
    seen = scans(70)
    exact = replace(seen, signals=certain.observer.expected(seen.records).mean)
    for direction in DIRECTIONS:
        found = rankings(certain, exact, direction)
        assert np.mean(shares_found(found, len(seen), 1000, 1, True)[0]) == 1


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_images_with_equal_prompts_are_no_competitors(direction: str) -> None:
    encoder = Encoder(Clairvoyant())
    seen = seen_of([T1W, T1W, T1W, T2W], encoder)
    assert share(encoder, seen, direction, 10) == 1
    [found] = rankings(encoder, seen, direction)
    assert found.n_candidates.tolist() == ([2, 2, 2, 2] if direction == "image_to_prompt" else [2, 2, 2, 4])


def test_the_observer_guesses_between_prompts_whose_signals_are_equal() -> None:
    ideal = observer(7)
    seen = scans(7).at([0, 0, 0, 1])
    records = [replace(record, vendor=f"Vendor {place}") for place, record in enumerate(seen.records)]
    found = rankings(ideal, replace(seen, records=records), "image_to_prompt")
    shares, _ = shares_found(found, 4, 4, 1, guesses=True)
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 3, 1])
    shares, _ = shares_found(found, 4, 4, 2, guesses=True)
    np.testing.assert_allclose(shares, [2 / 3, 2 / 3, 2 / 3, 1])


def test_candidates_state_the_fields_of_the_image_s_own_prompt_and_no_others() -> None:
    encoder = Encoder(Clairvoyant())
    vague = replace(T2W, echo_time_s=None)
    seen = seen_of([T2W, T1W, vague], encoder)
    found = {tuple(one.queries.tolist()): one for one in rankings(encoder, seen, "image_to_prompt")}
    assert found[0, 1].n_candidates.tolist() == [2, 2]  # the vague prompt is no candidate of theirs
    assert found[2,].n_candidates.tolist() == [2]  # theirs are its candidates, without their echo times
    assert signature(restricted(T2W, signature(vague))) == signature(vague)


def test_the_lack_of_an_inversion_time_states_something_and_a_variable_angle_is_an_angle() -> None:
    assert signature(T1W) == signature(replace(T1W, inversion_time_s=None)) == signature(T2W)
    variable = replace(T2W, flip_angle_deg=None, flip_angle_variable=True)
    assert signature(variable) == signature(T2W)
    assert restricted(variable, signature(variable)) == variable
    assert not restricted(variable, signature(variable) - {"flip_angle_deg"}).flip_angle_variable


def test_the_share_over_all_draws_is_what_drawing_gives() -> None:
    random = np.random.default_rng(0)
    for n_better, n_others, n_candidates, n_best in ((0, 30, 10, 1), (3, 30, 10, 1), (12, 30, 10, 5), (30, 30, 10, 5)):
        draws = [random.permutation(n_others)[: n_candidates - 1] for _ in range(4000)]
        drawn = np.mean([(draw < n_better).sum() < n_best for draw in draws])
        exact = share_found(np.array([n_better]), n_others, n_candidates, n_best)[0]
        assert exact == pytest.approx(drawn, abs=0.03)


def test_numbers_of_candidates_are_bounded_by_what_there_is() -> None:
    encoder = Encoder(Clairvoyant())
    found = rankings(encoder, seen_of(many(), encoder), "image_to_prompt")
    assert list(numbers_of_candidates(found, (10, 100, 1000))) == [10, 12]
    assert list(numbers_of_candidates(rankings(encoder, seen_of([T1W], encoder), "image_to_prompt"), (10,))) == []


def test_contrasts_are_found_among_seven_words_and_gadolinium_apart() -> None:
    encoder = Encoder(Clairvoyant())
    records = [T1W, T2W, replace(T1W, post_contrast=True)]
    seen = seen_of(records, encoder)
    np.testing.assert_array_equal(contrast_found(encoder, seen), [1, 1, np.nan])
    np.testing.assert_array_equal(agent_found(encoder, seen), [1, np.nan, 1])
    wrong = replace(seen, vectors=seen.vectors[[1, 0, 0]])
    np.testing.assert_array_equal(contrast_found(encoder, wrong), [0, 0, np.nan])
    np.testing.assert_array_equal(agent_found(encoder, wrong)[2], 0)


def test_the_observer_finds_contrasts_that_no_other_protocol_explains() -> None:
    seen = scans(140)
    found = contrast_found(observer(), seen)
    clear = np.array([not is_ambiguous(record) and not record.post_contrast for record in seen.records])
    assert np.nanmean(found[clear]) > 0.95
    assert np.nanmean(agent_found(observer(), seen)) > 0.9
    assert np.isnan(contrast_found(observer(), without_signals([T1W], ["p"], random_vectors(1)))).all()


def test_the_best_constant_answer_counts_people_alike() -> None:
    assert constant_answer(["A", "A", "A", "B"], ["T1w", "T1w", "T1w", "T2w"], 7) == 0.5
    assert constant_answer(["A", "B", "C"], ["T1w", "T1w", "T2w"], 7) == pytest.approx(2 / 3)
    assert constant_answer(list("ABCDEFGH"), list("12345678"), 7) == pytest.approx(1 / 7)
