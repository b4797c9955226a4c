"""Means and their intervals, with people as units: two scans of one person are not two people.

Belongs here: the few statistics that gates and reports share. Does not belong here: measures of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PEOPLE = 10  # of fewer, no interval is given: one from three people covers 72 % and not 95 %


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

    The interval covers somewhat less than it says where people are few or skewed: nominally 95 %, it was measured to
    cover 90 % with ten people of a normal distribution and 85 % of a lognormal one.

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


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share of n people (Wilson 1927); of 0 and of n out of n it is no point.

    Of people's own shares it is conservative: they vary less than people who have all or nothing.
    """
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


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
