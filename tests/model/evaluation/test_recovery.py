"""Recovery of numbers within a contrast, and smooth embeddings of prompts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.evaluation.recovery import (
    over_people,
    posterior_mean,
    r_squared,
    rank_correlation,
    recovered,
    ridge,
    smoothness,
)
from model.evaluation.scorers import Encoder, Seen
from tests.model.evaluation.seen import WIDTH, Clairvoyant, Guesser, observer, random_vectors, scans


def with_echo_times_in_view(seen: Seen, seed: int) -> Seen:
    """Return scans whose vectors hold log TE along one direction, in noise."""
    vectors = random_vectors(len(seen), seed) * 0.3
    vectors[:, 0] += np.log([record.echo_time_s or np.nan for record in seen.records])
    return replace(seen, vectors=vectors)


@pytest.mark.slow
def test_what_embeddings_hold_is_recovered_and_what_they_do_not_hold_is_not() -> None:
    training, tested = (with_echo_times_in_view(scans(350, seed), seed) for seed in (0, 1))
    found = list(recovered(training, tested, observer(350)))
    of = {number: [one for one in found if one.number == number] for number in ("echo_time_s", "flip_angle_deg")}
    assert len(of["echo_time_s"]) == 7
    mean, low, high = over_people(of["echo_time_s"])
    assert mean > 0.6
    assert low <= mean <= high
    blind, low, high = over_people(of["flip_angle_deg"])
    assert low < 0.15
    assert abs(blind) < 0.3


@pytest.mark.slow
def test_within_a_contrast_the_contrast_alone_recovers_nothing() -> None:
    contrasts = sorted({str(record.contrast) for record in scans(7).records})

    def labelled(seen: Seen) -> Seen:
        places = [contrasts.index(str(record.contrast)) for record in seen.records]
        return replace(seen, vectors=np.eye(WIDTH, dtype=np.float32)[places])

    found = list(recovered(labelled(scans(350)), labelled(scans(350, 1)), observer(70)))
    mean, *_ = over_people([one for one in found if one.number == "echo_time_s"])
    assert mean == pytest.approx(0, abs=0.05)


def test_the_observer_recovers_echo_times_from_signals_and_no_ages() -> None:
    seen = scans(350)
    t2w = seen.at([place for place, record in enumerate(seen.records) if record.contrast == "T2w"])
    knowing = observer(2100)
    prior = [record for record in knowing.prior if record.contrast == "T2w"]
    true = np.log([record.echo_time_s or np.nan for record in t2w.records])
    assert rank_correlation(true, posterior_mean(knowing, t2w, prior, "echo_time_s")) > 0.75
    assert np.isnan(posterior_mean(knowing, t2w, prior, "age_years")).all()


def test_ridge_finds_a_line_and_gives_the_mean_where_there_is_none() -> None:
    random = np.random.default_rng(0)
    features, asked = random.standard_normal((200, 10)), random.standard_normal((50, 10))
    np.testing.assert_allclose(ridge(features, 3 + features[:, 0], asked), 3 + asked[:, 0], atol=0.01)
    noise = random.standard_normal(200)
    assert np.std(ridge(features, noise, asked)) < 0.35


def test_rank_correlation_and_explained_variance_of_known_cases() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, np.ones(4)) == 0
    assert r_squared(values, values) == 1
    assert r_squared(values, np.full(4, 2.5)) == 0
    assert r_squared(values, 100 * values) == -1


def test_embeddings_that_follow_the_number_are_smooth_and_random_ones_are_not() -> None:
    records = scans(7).records
    assert smoothness(Encoder(Clairvoyant()), records, "echo_time_s") == pytest.approx(1, abs=0.02)
    assert abs(smoothness(Encoder(Guesser()), records, "echo_time_s") or 1) < 0.2
    assert smoothness(Encoder(Guesser()), [replace(records[0], echo_time_s=None)], "echo_time_s") is None
