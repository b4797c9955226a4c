"""Intervals: people are the units, and an interval holds the truth as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from model.evaluation.statistics import by_person, estimate


def test_each_person_counts_once() -> None:
    assert by_person([("b", 1.0), ("a", 4.0), ("b", 3.0)]).tolist() == [4.0, 2.0]


def test_it_is_scipys_interval() -> None:
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).gamma(2.0, size=30)
    found = estimate(values, n_resamples=20_000)
    expected = bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=2).confidence_interval
    assert found is not None
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_an_interval_of_95_percent_holds_the_truth_about_that_often() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for seed in range(300):
        found = estimate(rng.normal(1.0, 2.0, 25), n_resamples=500, seed=seed)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1.0 <= found.high
    assert 0.89 <= held / 300 <= 0.98


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=12)
    assert estimate(values, seed=5) == estimate(values, seed=5)


def test_two_people_have_no_interval_and_nobody_has_no_mean() -> None:
    found = estimate([1.0, 2.0])
    assert found is not None
    assert (found.mean, found.low, found.high, found.n_people, found.excludes_zero) == (1.5, None, None, 2, False)
    assert estimate([]) is None


def test_people_who_are_all_alike_have_an_interval_of_no_width() -> None:
    found = estimate([0.3] * 8)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.3), pytest.approx(0.3))
    assert found.excludes_zero


@pytest.mark.parametrize(("shift", "expected"), [(5.0, True), (-5.0, True), (0.0, False)])
def test_a_difference_counts_only_where_its_interval_leaves_zero_out(shift: float, expected: bool) -> None:
    found = estimate(np.linspace(-1, 1, 20) + shift)
    assert found is not None
    assert found.excludes_zero is expected
