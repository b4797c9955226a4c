"""The ideal observer: its moments are those of drawn people, its gain is integrated out, and certainty finds all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from model.data.ambiguity import is_ambiguous
from model.data.population import people_of
from model.evaluation.observer import WHOLE, Expected, IdealObserver, drawn_signals, log_evidence, tissues_seen
from model.physics.tissue import N_TISSUES, TISSUES
from model.simulation.ageing import relaxation_scale
from model.simulation.people import Subject
from tests.model.evaluation.seen import drawn_records
from warehouse.prompts.record import PromptRecord

FLAIR = PromptRecord(
    "FLAIR",
    field_strength_t=3.0,
    age_years=40.0,
    repetition_time_s=9.0,
    echo_time_s=0.12,
    inversion_time_s=2.5,
    flip_angle_deg=150.0,
)
T2W = PromptRecord(
    "T2w", field_strength_t=3.0, age_years=40.0, repetition_time_s=4.0, echo_time_s=0.09, flip_angle_deg=150.0
)


@pytest.mark.slow
@pytest.mark.parametrize("record", [T2W, FLAIR, replace(FLAIR, inversion_time_s=2.8), replace(T2W, age_years=None)])
def test_its_moments_are_those_of_drawn_people(record: PromptRecord) -> None:
    drawn = drawn_signals([record] * 2000, [str(number) for number in range(2000)])
    expected = IdealObserver(noise=0.0).expected([record])
    deviation = np.sqrt(np.diagonal(expected.covariance[0]))
    seen = tissues_seen(False)
    np.testing.assert_allclose(expected.mean[0][seen], drawn.mean(0)[seen], rtol=0.03, atol=0.004)
    np.testing.assert_allclose(deviation[seen], drawn.std(0)[seen], rtol=0.12, atol=0.002)


def test_what_varies_with_age_varies_in_all_tissues_together() -> None:
    record = replace(T2W, age_years=None, echo_time_s=0.2)
    drawn = drawn_signals([record] * 2000, [str(number) for number in range(2000)])
    one, other = TISSUES.index("striatum"), TISSUES.index("pallidum")
    covariance = IdealObserver(noise=0.0).expected([record]).covariance[0]
    assert covariance[one, other] > 0
    assert covariance[one, other] == pytest.approx(np.cov(drawn[:, one], drawn[:, other])[0, 1], rel=0.25)


def test_the_spread_is_that_of_the_simulated_people() -> None:
    scales = np.log([list(relaxation_scale(Subject(seed, 40.0, "F")).values()) for seed in range(400)])
    people = people_of(40.0)
    at = TISSUES.index("white_matter")
    np.testing.assert_allclose(scales[:, at].mean(0)[:3], people.mean[at][:3], atol=0.006)
    np.testing.assert_allclose(scales[:, at].std(0)[:3], people.spread[:3], rtol=0.12)


@pytest.mark.slow
def test_the_gain_is_integrated_out_as_numerical_integration_does() -> None:
    random = np.random.default_rng(0)
    seen = tissues_seen(True)
    observer = IdealObserver(noise=0.05)
    records = [T2W, replace(T2W, echo_time_s=0.07), FLAIR]
    expected = observer.expected(records)
    signals = drawn_signals([T2W, FLAIR], ["somebody", "another"]) * [[3.0], [0.2]]
    signals *= np.exp(0.02 * random.standard_normal(signals.shape))
    found = observer.log_likelihood(signals, expected, is_stripped=True)

    def brute(scan: np.ndarray, place: int) -> float:
        normal = multivariate_normal(expected.mean[place][seen], expected.covariance[place][np.ix_(seen, seen)])

        def log_density(log_u: float) -> float:
            return float(normal.logpdf(np.exp(log_u) * scan[seen]) + len(seen) * log_u)

        grid = np.linspace(-8, 8, 4001)
        best = grid[int(np.argmax([log_density(one) for one in grid]))]
        top = log_density(best)
        area, _ = quad(lambda one: np.exp(log_density(one) - top), best - 0.5, best + 0.5, points=[best], limit=200)
        return float(top + np.log(area))

    wanted = np.array([[brute(scan, place) for place in range(3)] for scan in signals])
    np.testing.assert_allclose(found - found[:, :1], wanted - wanted[:, :1], atol=0.02)


def test_scans_under_their_own_prompts_are_the_diagonal_of_all_scans_under_all() -> None:
    records = drawn_records(14)
    signals = drawn_signals(records, [str(place) for place in range(len(records))])
    observer = IdealObserver()
    expected = observer.expected(records)
    every = observer.log_likelihood(signals, expected, is_stripped=False)
    np.testing.assert_allclose(observer.log_likelihood_each(signals, expected, False), np.diagonal(every))


def test_without_spread_and_noise_the_right_prompt_is_always_found() -> None:
    records = [record for record in drawn_records(140) if not is_ambiguous(record)]
    observer = IdealObserver(noise=1e-4, spread=0.0)
    expected = observer.expected(records)
    for is_stripped in (False, True):
        found = observer.log_likelihood(7.0 * expected.mean, expected, is_stripped)
        assert (found.argmax(1) == np.arange(len(records))).all()


def test_a_gain_changes_no_comparison_of_prompts() -> None:
    records = drawn_records(7)
    observer = IdealObserver()
    expected = observer.expected(records)
    signals = drawn_signals(records, ["x"] * len(records))
    one, other = (observer.log_likelihood(gain * signals, expected, False) for gain in (1.0, 250.0))
    np.testing.assert_allclose(one - one[:, :1], other - other[:, :1], atol=1e-6)


def test_less_spread_and_more_tissues_find_more() -> None:
    records = [replace(record, age_years=50.0) for record in drawn_records(210)]
    signals = drawn_signals(records, [str(place) for place in range(len(records))])
    observer = IdealObserver()
    expected = observer.expected(records)
    whole, stripped = (observer.log_likelihood(signals, expected, is_stripped) for is_stripped in (False, True))
    hits = [(scores.argmax(1) == np.arange(len(records))).mean() for scores in (whole, stripped)]
    assert hits[0] > hits[1] > 5 / len(records)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(replace(T2W, echo_time_s=None), id="no echo time"),
        pytest.param(replace(T2W, contrast=None), id="no contrast"),
        pytest.param(replace(T2W, field_strength_t=None), id="no field strength"),
        pytest.param(replace(FLAIR, inversion_time_s=None), id="a FLAIR without TI"),
        pytest.param(replace(T2W, echo_time_s=9.0), id="an echo after the next excitation"),
        pytest.param(replace(T2W, field_strength_t=7.0), id="a field of which nothing is known"),
    ],
)
def test_a_prompt_that_does_not_determine_signals_has_no_score(record: PromptRecord) -> None:
    observer = IdealObserver()
    found = observer.log_likelihood(drawn_signals([T2W], ["x"]), observer.expected([T2W, record]), False)
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[0, 1])
    assert np.isnan(drawn_signals([record], ["x"])).all()


def test_a_scan_without_signals_has_no_score() -> None:
    observer = IdealObserver()
    assert np.isnan(observer.log_likelihood(np.full((1, N_TISSUES), np.nan), observer.expected([T2W]), False)).all()
    empty = Expected(np.full((2, N_TISSUES), np.nan), np.full((2, N_TISSUES, N_TISSUES), np.nan))
    assert np.isnan(observer.log_likelihood(np.ones((1, N_TISSUES)), empty, False)).all()


def test_evidence_of_a_contrast_is_the_mean_over_its_protocols() -> None:
    scores = np.log(np.array([[1.0, 3.0, 5.0]]))
    found = log_evidence(scores, ["a", "a", "b"], ["b", "a", "c"])
    np.testing.assert_allclose(np.exp(found), [[5.0, 2.0, 0.0]])


def test_a_whole_head_shows_all_that_a_stripped_one_does() -> None:
    assert [TISSUES[place] for place in tissues_seen(False)] == list(WHOLE)
    assert set(tissues_seen(True)) < set(tissues_seen(False))
