"""What of an acquisition can be read from an embedding, and whether embeddings of prompts change with their numbers.

Each number is recovered within its contrast, by a linear probe that is fitted on scans of training people and measured
on those of others. The rank correlation of recovered and true values is the measure; within a contrast, since between
contrasts every number follows from the contrast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from model.evaluation.scorers import Encoder, Observer, Seen
from warehouse.prompts.record import PromptRecord

NUMBERS = (
    *("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg", "field_strength_t"),
    "age_years",
)
SWEPT = NUMBERS[:4]
MIN_SCANS = 20  # of a contrast, in training and in test
PENALTIES = 10.0 ** np.arange(-4, 4)
SWEEP = np.geomspace(0.5, 2.0, 16)  # factors of a number along a sweep
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Recovered:
    """True and recovered values of a number within one contrast.

    Parameters
    ----------
    number, contrast : str
    people : list of str
    true, made : (n,) float64 array
        Natural logarithms of seconds, degrees or tesla; years for ages.
    ideal : (n,) float64 array
        The ideal observer's posterior mean; NaN where it sees nothing of the number.
    """

    number: str
    contrast: str
    people: list[str]
    true: Array
    made: Array
    ideal: Array


def recovered(training: Seen, tested: Seen, observer: Observer) -> Iterator[Recovered]:
    """Yield every number of every contrast with enough scans in training and in test.

    Parameters
    ----------
    training, tested : Seen
        Of different people.
    observer : Observer
        Its prior must be of protocols that are drawn as those of the scans.
    """
    contrasts = sorted({str(record.contrast) for record in tested.records})
    for contrast in contrasts:
        fit, test = (_of_contrast(seen, contrast) for seen in (training, tested))
        prior = [record for record in observer.prior if record.contrast == contrast]
        for number in NUMBERS:
            given, asked = (_values(seen.records, number) for seen in (fit, test))
            rows, places = np.flatnonzero(np.isfinite(given)), np.flatnonzero(np.isfinite(asked))
            if min(len(rows), len(places)) < MIN_SCANS or np.ptp(given[rows]) < 1e-6 or np.ptp(asked[places]) < 1e-6:
                continue
            here = test.at(places)
            made = ridge(fit.vectors[rows].astype(float), given[rows], here.vectors.astype(float))
            ideal = posterior_mean(observer, here, prior, number)
            yield Recovered(number, contrast, here.people, asked[places], made, ideal)


def ridge(features: Array, values: Array, asked: Array) -> Array:
    """Return predictions of a ridge regression whose penalty has the least leave-one-out error on the training data.

    Parameters
    ----------
    features : (n, width) array
    values : (n,) array
    asked : (m, width) array

    Returns
    -------
    (m,) float64 array
    """
    middle, mean = features.mean(0), values.mean()
    left, size, right = np.linalg.svd(features - middle, full_matrices=False)
    centred = values - mean
    along, scale = left.T @ centred, (size**2).mean() + 1e-12
    errors = []
    for penalty in PENALTIES * scale:
        kept = size**2 / (size**2 + penalty)
        leverage = (left**2 @ kept) + 1 / len(values)
        errors.append(float((((centred - left @ (kept * along)) / np.maximum(1 - leverage, 1e-6)) ** 2).mean()))
    penalty = PENALTIES[int(np.argmin(errors))] * scale
    weights = right.T @ (size / (size**2 + penalty) * along)
    return np.asarray(mean + (asked - middle) @ weights)


def posterior_mean(observer: Observer, seen: Seen, prior: Sequence[PromptRecord], number: str) -> Array:
    """Return the observer's expectation of a number, given the signals, over protocols of the prior that state it."""
    values = _values(prior, number)
    stating = np.flatnonzero(np.isfinite(values))
    if number == "age_years" or not len(stating):
        return np.full(len(seen), np.nan)
    scores = observer.among(seen, [prior[int(place)] for place in stating])
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray((weights @ values[stating]) / weights.sum(1))


def rank_correlation(one: Array, other: Array) -> float:
    """Return Spearman's rank correlation; 0 where one of both is constant."""
    a, b = (rankdata(values) - (len(values) + 1) / 2 for values in (one, other))
    length = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / length) if length else 0.0


def r_squared(true: Array, made: Array) -> float:
    """Return the share of the variance that is explained, at least −1."""
    return float(max(-1.0, 1 - ((true - made) ** 2).sum() / ((true - true.mean()) ** 2).sum()))


def over_people(found: Sequence[Recovered], ideal: bool = False, n_resamples: int = 200, seed: int = 0) -> Any:
    """Return the mean rank correlation of a number over contrasts, weighted by scans, and its interval over people.

    Parameters
    ----------
    found : sequence of Recovered
        Of one number.
    ideal : bool
        Of the ideal observer instead of the embedding; without interval.
    n_resamples : int
        Bootstrap samples of people, who keep all their scans; 2.5th and 97.5th percentile.

    Returns
    -------
    mean, low, high : float
    """

    def value(keep: dict[str, int] | None) -> float:
        total, weight = 0.0, 0
        for one in found:
            rows = np.arange(len(one.true))
            if keep is not None:
                rows = np.repeat(rows, [keep.get(person, 0) for person in one.people])
            made = one.ideal if ideal else one.made
            if len(rows) > 2:
                total += len(rows) * rank_correlation(one.true[rows], made[rows])
                weight += len(rows)
        return total / max(weight, 1)

    mean = value(None)
    people = sorted({person for one in found for person in one.people})
    if ideal or len(people) < 10:
        return mean, None, None
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(n_resamples):
        counts = np.bincount(random.integers(len(people), size=len(people)), minlength=len(people))
        drawn.append(value(dict(zip(people, counts.tolist(), strict=True))))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return mean, float(min(low, mean)), float(max(high, mean))


def smoothness(encoder: Encoder, records: Sequence[PromptRecord], number: str) -> float | None:
    """Return the rank correlation of embedding distance with |Δ log number| along sweeps, averaged over prompts.

    Parameters
    ----------
    encoder : Encoder
    records : sequence of PromptRecord
        Prompts whose number is swept from half of it to twice.
    number : str

    Returns
    -------
    float or None
        None where no record states the number.
    """
    found = []
    for record in records:
        own = getattr(record, number)
        if own is None:
            continue
        swept = [replace(record, **_set(number, own * factor)) for factor in SWEEP]
        vectors = encoder.vectors(swept).astype(float)
        one, other = np.triu_indices(len(SWEEP), 1)
        apart = np.linalg.norm(vectors[one] - vectors[other], axis=1)
        found.append(rank_correlation(apart, np.abs(np.log(SWEEP[one] / SWEEP[other]))))
    return float(np.mean(found)) if found else None


def _of_contrast(seen: Seen, contrast: str) -> Seen:
    return seen.at([place for place, one in enumerate(seen.records) if one.contrast == contrast])


def _values(records: Sequence[PromptRecord], number: str) -> Array:
    """Return a number of each record, logarithmic but for ages; NaN where it is missing."""
    given = np.array([getattr(record, number) or np.nan for record in records], float)
    return given if number == "age_years" else np.log(given)


def _set(name: str, value: float) -> dict[str, Any]:
    return {name: value}
