"""Whether images find their prompts, prompts their images, and images the word for their contrast.

Each measure is computed from scores alone, so that a text encoder and the ideal observer are measured alike. Candidates
state the same fields: those of the image's own prompt; what else they state is left out, and prompts that do not state
them are no candidates, since a vague prompt contradicts no image. Equal prompts count as right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.scorers import Scorer, Seen
from model.evaluation.statistics import by_person
from warehouse.prompts.record import PromptRecord, contrast_label, render
from warehouse.prompts.vocabulary import CONTRASTS

ALWAYS = ("inversion_time_s", "post_contrast", "words")  # their absence states something: that there is none
STATED = tuple(one.name for one in fields(PromptRecord) if one.name not in ALWAYS)
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Signature = frozenset[str]


@dataclass(frozen=True)
class Ranking:
    """Queries and their candidates.

    Parameters
    ----------
    queries : (n,) int array
        Images that ask, or whose prompts do.
    own : (n,) float64 array
        Score of the right candidate; NaN where it cannot be told.
    scores : (n, m) float64 array
    is_wrong : (n, m) bool array
        False for candidates that are no other than the right one, or right as well.
    """

    queries: NDArray[np.int64]
    own: Array
    scores: Array
    is_wrong: Flags

    @property
    def n_candidates(self) -> NDArray[np.int64]:
        """Wrong ones and the right one, of each query."""
        return np.asarray(self.is_wrong.sum(1) + 1)


def rankings(scorer: Scorer, seen: Seen, direction: str) -> list[Ranking]:
    """Return how all candidates are scored, one ranking for each set of fields that is stated.

    Parameters
    ----------
    scorer : Scorer
    seen : Seen
    direction : {"image_to_prompt", "prompt_to_image"}
    """
    stated = [signature(record) for record in seen.records]
    found = []
    for asked in dict.fromkeys(stated):
        queries = np.array([place for place, names in enumerate(stated) if names == asked])
        able = np.array([place for place, names in enumerate(stated) if names >= asked])
        records = {place: restricted(seen.records[place], asked) for place in able}
        texts = {place: render(record) for place, record in records.items()}
        distinct = {texts[place]: records[place] for place in able}
        column = {text: place for place, text in enumerate(distinct)}
        own = np.array([column[texts[place]] for place in queries])
        scores = scorer.among(seen.at(able), list(distinct.values()))
        row = {place: number for number, place in enumerate(able)}
        rows = np.array([row[place] for place in queries])
        right = scores[rows, own]
        if direction == "image_to_prompt":
            found.append(Ranking(queries, right, scores[rows], np.arange(len(distinct)) != own[:, None]))
        else:
            of_image = np.array([column[texts[place]] for place in able])
            found.append(Ranking(queries, right, scores[:, own].T, of_image != own[:, None]))
    return found


def shares_found(
    found: Sequence[Ranking], n: int, n_candidates: int, n_best: int, guesses: bool
) -> tuple[Array, Array]:
    """Return how often each query finds its own among so many candidates, and how often it would by chance.

    Parameters
    ----------
    found : sequence of Ranking
    n : int
        Images in all.
    n_candidates : int
        Or as many as there are, where fewer.
    n_best : int
    guesses : bool
        Whether ties are decided by chance; else they are lost.

    Returns
    -------
    shares, chance : (n,) float64 arrays
        NaN for queries that have no more than `n_best` candidates, or cannot be scored.
    """
    shares, chance = np.full(n, np.nan), np.full(n, np.nan)
    for one in found:
        own = one.own[:, None]
        better = ((one.scores > own) & one.is_wrong).sum(1)
        tied = ((one.scores == own) & one.is_wrong).sum(1)
        of = np.minimum(n_candidates, one.n_candidates)
        if guesses:
            share = _guessed(better, tied, one.n_candidates - 1, of, n_best)
        else:
            share = share_found(better + tied, one.n_candidates - 1, of, n_best)
        is_known = np.isfinite(one.own) & ~(np.isnan(one.scores) & one.is_wrong).any(1) & (of > n_best)
        shares[one.queries] = np.where(is_known, share, np.nan)
        chance[one.queries] = np.where(of > n_best, n_best / of, np.nan)
    return shares, chance


def share_found(
    n_better: NDArray[np.int64], n_others: int | NDArray[np.int64], n_candidates: Any, n_best: int
) -> Array:
    """Return how often the right one of so many candidates is among the best, over every draw of the wrong ones.

    Exact, so nothing is drawn: the number of better ones among the drawn follows a hypergeometric distribution.

    Parameters
    ----------
    n_better : (n,) int array
        Wrong ones that score as well as the right one, or better.
    n_others : int or (n,) int array
        Wrong ones in all.
    n_candidates : int or (n,) int array
        The right one and those drawn; at most n_others + 1.
    n_best : int
    """
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.cdf(n_best - 1, n_others, n_better, np.asarray(n_candidates) - 1), np.float64)


def _guessed(better: Any, tied: Any, n_others: Any, of: Any, n_best: int) -> Array:
    """Return shares where the right one takes each place among its ties with equal probability."""
    total = np.zeros(len(better))
    for extra in range(int(tied.max(initial=0)) + 1):
        at = np.flatnonzero(tied >= extra)
        total[at] += share_found(better[at] + extra, n_others[at], of[at], n_best)
    return np.asarray(total / (tied + 1))


def contrast_found(scorer: Scorer, seen: Seen) -> Array:
    """Return 1 for each image whose own contrast is the best of seven words, 0 for others; NaN after gadolinium."""
    own = [None if record.post_contrast else record.contrast for record in seen.records]
    return _best(scorer, seen, own, CONTRASTS)


def agent_found(scorer: Scorer, seen: Seen) -> Array:
    """Return 1 for each T1w whose gadolinium, or the lack of it, is found, 0 for others; NaN for other contrasts."""
    labels = [contrast_label(record.contrast, record.post_contrast) for record in seen.records]
    return _best(scorer, seen, labels, ("T1w", "ceT1w"))


def _best(scorer: Scorer, seen: Seen, own: Sequence[str | None], labels: Sequence[str]) -> Array:
    found = np.full(len(seen), np.nan)
    asked = [place for place, label in enumerate(own) if label in labels]
    if not asked:
        return found
    scores = scorer.labels(seen.at(asked), labels)
    for place, row in zip(asked, scores, strict=True):
        if np.isfinite(row).any():
            found[place] = float(labels[int(np.argmax(row))] == own[place])
    return found


def constant_answer(people: Sequence[str], labels: Sequence[str | None], n_labels: int) -> float:
    """Return the share, averaged over people, that the best constant answer gets right, or one of n_labels guesses."""
    pairs = list(zip(people, labels, strict=True))
    shares = (by_person((person, float(one == label)) for person, one in pairs).mean() for label in set(labels))
    return max(1 / n_labels, *(float(share) for share in shares))


def signature(record: PromptRecord) -> Signature:
    """Return the names of the fields that a record states, without those of `ALWAYS`."""
    names = {name for name in STATED if getattr(record, name) not in (None, False)}
    if "flip_angle_variable" in names:  # states how the pulses turn, as an angle does
        names = (names - {"flip_angle_variable"}) | {"flip_angle_deg"}
    return frozenset(names)


def restricted(record: PromptRecord, names: Signature) -> PromptRecord:
    """Return a record without the fields that are not named."""
    dropped: dict[str, Any] = {name: None for name in STATED if name not in names and name != "flip_angle_variable"}
    if "flip_angle_deg" not in names:
        dropped["flip_angle_variable"] = False
    return replace(record, **dropped)


def numbers_of_candidates(found: Sequence[Ranking], wanted: Sequence[int]) -> Iterator[int]:
    """Yield the wanted numbers of candidates, at most as many as some query has."""
    most = max((int(one.n_candidates.max(initial=1)) for one in found), default=1)
    yield from sorted({min(number, most) for number in wanted} - {1})
