"""Intervals: people are the units, and an interval holds the truth as often as it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, bootstrap

from model.evaluation.statistics import by_person, estimate, estimate_share


def test_each_person_counts_once() -> None:
    assert by_person([("b", 1.0), ("a", 4.0), ("b", 3.0)]).tolist() == [4.0, 2.0]


def test_it_is_scipys_interval() -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "truth", "least", "most"),
    [
        pytest.param(lambda rng: rng.normal(1.0, 2.0, 25), 1.0, 0.87, 0.97, id="25 people, normal"),
        pytest.param(lambda rng: rng.normal(1.0, 2.0, 10), 1.0, 0.83, 0.94, id="10 people, normal"),
        pytest.param(lambda rng: rng.lognormal(0, 1, 10), np.exp(0.5), 0.75, 0.89, id="10 people, skewed"),
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


def test_a_share_has_the_exact_interval() -> None:
    for successes, n_people in ((0, 12), (5, 12), (12, 12), (20, 40)):
        found = estimate_share([1.0] * successes + [0.0] * (n_people - successes))
        expected = binomtest(successes, n_people).proportion_ci(0.95, method="exact")
        assert found is not None
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_a_share_of_nine_people_has_no_interval_and_of_nobody_no_mean() -> None:
    found = estimate_share([1.0] * 9)
    assert found is not None
    assert (found.mean, found.low, found.high, found.n_people) == (1.0, None, None, 9)
    assert estimate_share([]) is None


def all_or_nothing(rng: np.random.Generator, chance: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return shares of people all of whose images are found, or none."""
    return (rng.random(shape) < chance).astype(float)


def partly_alike(rng: np.random.Generator, chance: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return shares of people with three images each, and a rate of their own."""
    return rng.binomial(3, rng.beta(2 * chance, 2 * (1 - chance), shape)) / 3


@pytest.mark.parametrize("people", [all_or_nothing, partly_alike])
@pytest.mark.parametrize("chance", [1 / 8, 1 / 4, 1 / 3, 1 / 2])
@pytest.mark.parametrize("n_people", [10, 11, 12, 30])
def test_the_lower_bound_of_a_share_lies_above_chance_no_more_often_than_it_says(
    people: Callable[..., NDArray[np.float64]], chance: float, n_people: int
) -> None:
    n_samples, nominal = 4000, 0.025
    sums, counts = np.unique(
        people(np.random.default_rng(5), chance, (n_samples, n_people)).sum(1).round(9), return_counts=True
    )
    above = [estimate_share([total / n_people] * n_people) for total in sums]
    share = sum(n for found, n in zip(above, counts, strict=True) if found and (found.low or 0) > chance) / n_samples
    assert share <= nominal + 3 * np.sqrt(nominal * (1 - nominal) / n_samples)  # Monte-Carlo error
