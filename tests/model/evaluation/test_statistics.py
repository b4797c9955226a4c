"""Intervals: people are the units, and an interval holds the truth as often as it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from model.evaluation.statistics import by_person, estimate, wilson


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


def covered(draw: Callable[[np.random.Generator], NDArray[np.float64]], truth: float, n: int = 300) -> float:
    """Return how often the interval of so many samples holds the true mean."""
    rng, held = np.random.default_rng(4), 0
    for seed in range(n):
        found = estimate(draw(rng), n_resamples=500, seed=seed)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    return held / n


@pytest.mark.parametrize(
    ("draw", "truth", "least", "most"),
    [
        pytest.param(lambda rng: rng.normal(1.0, 2.0, 25), 1.0, 0.89, 0.98, id="25 people, normal"),
        pytest.param(lambda rng: rng.normal(1.0, 2.0, 10), 1.0, 0.85, 0.96, id="10 people, normal"),
        pytest.param(lambda rng: rng.lognormal(0, 1, 10), np.exp(0.5), 0.75, 0.93, id="10 people, skewed"),
    ],
)
def test_a_nominal_interval_of_95_percent_covers_what_its_documentation_says(
    draw: Callable[[np.random.Generator], NDArray[np.float64]], truth: float, least: float, most: float
) -> None:
    assert least <= covered(draw, truth) <= most


def test_the_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=12)
    assert estimate(values, seed=5) == estimate(values, seed=5)


def test_nine_people_have_no_interval_and_nobody_has_no_mean() -> None:
    found = estimate([1.0, 2.0, *[1.5] * 7])
    assert found is not None
    assert (found.mean, found.low, found.high, found.n_people, found.excludes_zero) == (1.5, None, None, 9, False)
    assert estimate([]) is None


def test_people_who_are_all_alike_have_an_interval_of_no_width() -> None:
    found = estimate([0.3] * 10)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(0.3), pytest.approx(0.3))
    assert found.excludes_zero


@pytest.mark.parametrize(("shift", "expected"), [(5.0, True), (-5.0, True), (0.0, False)])
def test_a_difference_counts_only_where_its_interval_leaves_zero_out(shift: float, expected: bool) -> None:
    found = estimate(np.linspace(-1, 1, 20) + shift)
    assert found is not None
    assert found.excludes_zero is expected


def test_an_interval_of_a_share_is_no_point_at_its_ends() -> None:
    assert wilson(1.0, 5)[0] == pytest.approx(0.566, abs=0.001)  # as tables have it
    assert wilson(0.0, 5) == (0.0, pytest.approx(0.434, abs=0.001))
    assert wilson(0.5, 100) == (pytest.approx(0.404, abs=0.001), pytest.approx(0.596, abs=0.001))
