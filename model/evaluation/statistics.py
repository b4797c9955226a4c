"""Means and their intervals, with people as units: two scans of one person are not two people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PEOPLE = 10  # of fewer, no interval is given: a nominal 95 % interval from three people covers 72 %


@dataclass(frozen=True)
class Estimate:
    """A mean over people, with its bootstrap interval.

    Parameters
    ----------
    mean : float
    low, high : float or None
        Bounds of the interval; None for fewer than ten people.
    n_people : int
    """

    mean: float
    low: float | None
    high: float | None
    n_people: int

    @property
    def excludes_zero(self) -> bool:
        """True where there is an interval, and zero lies outside it."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def by_person(values: Iterable[tuple[str, float]]) -> NDArray[np.float64]:
    """Return each person's mean, in the order of their names.

    Parameters
    ----------
    values : iterable of (str, float)
        Person and value; several a person.
    """
    collected: dict[str, list[float]] = {}
    for person, value in values:
        collected.setdefault(person, []).append(value)
    return np.array([np.mean(collected[person]) for person in sorted(collected)])


def estimate(
    values: Sequence[float] | NDArray[np.float64], *, n_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Estimate | None:
    """Return the mean and its bias-corrected and accelerated bootstrap interval (Efron 1987), by SciPy.

    With few people, or skewed values, the interval covers less than it says. At nominal 95 % and 1,000 simulated
    samples, it covered 89 % (10 people), 91 % (12) and 92 % (25) for normal values, and 82 %, 83 % and 87 % for
    lognormal ones (sigma 1). The lower bound lay above the true mean in 6.7 % of the samples of ten normal values, and
    in 15 % where ten values had a long tail downwards, against 2.5 % nominal.

    Parameters
    ----------
    values : (n_people,) sequence of float
        One a person. Of pairs, their difference.
    n_resamples : int
    confidence : float
        From 0 to 1.
    seed : int
        The same values and seed give the same interval.

    Returns
    -------
    Estimate or None
        None where there is nobody; without an interval for fewer than ten people.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        return None
    mean = float(values.mean())
    if len(values) < MIN_PEOPLE:
        return Estimate(mean, None, None, len(values))
    if np.ptp(values) < 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, mean, mean, len(values))
    low, high = _bca(values, n_resamples, confidence, seed)
    return Estimate(mean, low, high, len(values))


def estimate_share(values: Sequence[float] | NDArray[np.float64], confidence: float = 0.95) -> Estimate | None:
    """Return the mean of people's shares and its exact interval (Clopper and Pearson 1934).

    Each bound lies beyond the true share in at most half of what `confidence` leaves, however alike the trials of one
    person are: people who have all or nothing are the worst case, and those in between vary less. An approximate
    interval does not hold this: the lower bound of Wilson's lies above 1/4 in 5.4 % of samples of twelve people.

    Parameters
    ----------
    values : (n_people,) sequence of float
        One a person, from 0 to 1.
    confidence : float
        From 0 to 1.

    Returns
    -------
    Estimate or None
        None where there is nobody; without an interval for fewer than ten people.
    """
    from scipy.stats import beta

    n = len(values)
    if not n:
        return None
    mean = float(np.mean(values))
    if n < MIN_PEOPLE:
        return Estimate(mean, None, None, n)
    # The quantiles that scipy.stats.binomtest takes too, which accepts whole numbers of successes only.
    found, tail = n * mean, (1 - confidence) / 2
    low = float(beta.ppf(tail, found, n - found + 1)) if found > 0 else 0.0
    high = float(beta.ppf(1 - tail, found + 1, n - found)) if found < n else 1.0
    return Estimate(mean, low, high, n)


def _bca(values: NDArray[np.float64], n_resamples: int, confidence: float, seed: int) -> tuple[float, float]:
    from scipy.stats import bootstrap

    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=n_resamples,
        confidence_level=confidence,
        method="BCa",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
