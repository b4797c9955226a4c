"""Means and their intervals, with people as units: two scans of one person are not two people.

Belongs here: the few statistics that gates and reports share. Does not belong here: measures of images.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PEOPLE = 3  # of fewer, no interval is given


@dataclass(frozen=True)
class Estimate:
    """A mean over people, with its bootstrap interval.

    Parameters
    ----------
    mean : float
    low, high : float or None
        Bounds of the interval; None for fewer than three people.
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
    """Return the mean and its bias-corrected and accelerated bootstrap interval (Efron 1987).

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
        None where there is nobody.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        return None
    mean = float(values.mean())
    if len(values) < MIN_PEOPLE:
        return Estimate(mean, None, None, len(values))
    if np.ptp(values) < 1e-12 * max(1.0, abs(mean)):
        return Estimate(mean, mean, mean, len(values))
    low, high = _bca(values, n_resamples, confidence, np.random.default_rng(seed))
    return Estimate(mean, low, high, len(values))


def _bca(
    values: NDArray[np.float64], n_resamples: int, confidence: float, rng: np.random.Generator
) -> tuple[float, float]:
    from scipy.special import ndtr, ndtri

    n = len(values)
    means = values[rng.integers(0, n, (n_resamples, n))].mean(axis=1)
    below = np.mean(means < values.mean()) + np.mean(means == values.mean()) / 2
    bias = ndtri(np.clip(below, 1 / n_resamples, 1 - 1 / n_resamples))
    influence = values.mean() - (values.sum() - values) / (n - 1)  # of leaving each person out
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)
