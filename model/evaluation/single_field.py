"""Whether the right prompt is preferred to the same one with one acquisition field changed, by the size of the change.

How much a change matters is what it does to an image: the largest |Δ(S_tissue / S_WM)| over the tissues, by the signal
equations. Changes below a tenth hardly show, and do not count in the headline; the curve has them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.observer import IdealObserver, tissues_seen
from model.evaluation.scorers import Scorer, Seen
from model.physics.tissue import TISSUES
from warehouse.prompts.record import PromptRecord

FIELDS = ("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg", "field_strength_t")
FACTORS = (1 / 3, 1 / 2, 1 / 1.5, 1 / 1.25, 1 / 1.1, 1.1, 1.25, 1.5, 2.0, 3.0)
FIELD_STRENGTHS_T = (1.5, 3.0)
MIN_CHANGE = 0.10  # of the signal of some tissue, as a multiple of white matter's
BIN_EDGES = (0.0, 0.02, 0.05, 0.10, 0.20, 0.40, 0.80, np.inf)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Changes:
    """Prompts with one field changed.

    Parameters
    ----------
    owners : (n,) int array
        Image that each belongs to.
    records : list of PromptRecord
    sizes : (n,) float64 array
        Largest change of a tissue's signal, as a multiple of white matter's.
    """

    owners: NDArray[np.int64]
    records: list[PromptRecord]
    sizes: Array


def changed(seen: Seen, name: str) -> Changes:
    """Return each image's prompt with one field changed, wherever both have signals.

    Parameters
    ----------
    seen : Seen
    name : str
        Of `FIELDS`.
    """
    owners, records = [], []
    for place, record in enumerate(seen.records):
        for value in _others(record, name):
            owners.append(place)
            records.append(replace(record, **_set(name, value)))
    of_own, of_other = (_ratios(listed) for listed in (seen.records, records))
    index = np.array(owners, int)
    apart = np.abs(of_other - of_own[index]) if len(records) else np.zeros((0, len(TISSUES)))
    sizes = np.full(len(records), np.nan)
    for is_stripped in (False, True):
        rows = np.flatnonzero(seen.is_stripped[index] == is_stripped)
        sizes[rows] = apart[rows][:, tissues_seen(is_stripped)].max(1, initial=-np.inf)
    kept = np.flatnonzero(np.isfinite(sizes))
    return Changes(index[kept], [records[row] for row in kept], sizes[kept])


def preferred(scorer: Scorer, seen: Seen, changes: Changes) -> Array:
    """Return 1 where the right prompt scores above the changed one, 0 where not; a half where a guess decides a tie."""
    own = scorer.each(seen, np.arange(len(seen)), seen.records)[changes.owners]
    other = scorer.each(seen, changes.owners, changes.records)
    found = (own > other) + (0.5 * (own == other) if scorer.guesses else 0.0)
    return np.where(np.isfinite(own) & np.isfinite(other), found, np.nan)


@dataclass(frozen=True)
class Part:
    """Shares of the changes of one size.

    Parameters
    ----------
    low, high : float or None
        Of the size of the change; None for the headline, which has all from `MIN_CHANGE` on.
    owners : (n,) int array
        Images with such a change.
    shares : dict of str to (n,) float64 array
        By scorer: the mean over an image's changes.
    """

    low: float | None
    high: float | None
    owners: NDArray[np.int64]
    shares: dict[str, Array]


def parts(scorers: Mapping[str, Scorer], seen: Seen, name: str) -> Iterator[Part]:
    """Yield the headline of a field, then its curve by the size of the change.

    Parameters
    ----------
    scorers : mapping of str to Scorer
    seen : Seen
    name : str
        Of `FIELDS`.
    """
    changes = changed(seen, name)
    if not len(changes.records):
        return
    found = {who: preferred(scorer, seen, changes) for who, scorer in scorers.items()}
    ranges: list[tuple[float | None, float | None]] = [(None, None), *pairwise(BIN_EDGES)]
    for low, high in ranges:
        inside = changes.sizes >= (MIN_CHANGE if low is None else low)
        if high is not None:
            inside &= changes.sizes < high
        owners = np.unique(changes.owners[inside])
        if len(owners):
            shares = {
                who: np.array([right[inside & (changes.owners == owner)].mean() for owner in owners])
                for who, right in found.items()
            }
            yield Part(low, high, owners, shares)


def _others(record: PromptRecord, name: str) -> list[float]:
    own = getattr(record, name)
    if own is None:
        return []
    if name == "field_strength_t":
        return [value for value in FIELD_STRENGTHS_T if abs(value - own) > 0.5]
    return [own * factor for factor in FACTORS]


def _set(name: str, value: float) -> dict[str, Any]:
    return {name: value}


def _ratios(records: list[PromptRecord]) -> Array:
    """Return signals as multiples of white matter's, (n, len(TISSUES)), of typical people; NaN without signals."""
    mean = IdealObserver(noise=0.0, spread=0.0).expected(records).mean
    return np.asarray(mean / mean[:, [TISSUES.index("white_matter")]])
