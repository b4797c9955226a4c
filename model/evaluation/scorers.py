"""Scorers of image–prompt pairs, for all measures: a text encoder with its image tower, or the ideal observer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from model.evaluation.observer import IdealObserver, log_evidence
from warehouse.prompts.record import PromptRecord, contrast_label

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Images of one population that look for their prompts.

    Parameters
    ----------
    records : list of PromptRecord
        What is known of each image.
    people : list of str
    vectors : (n, width) float32 array
        Embeddings, of length 1.
    is_stripped : (n,) bool array
        Whether the brain alone is seen.
    signals : (n, N_TISSUES) float64 array
        Magnitudes of the person's own tissues; NaN where unknown, as in real scans.
    """

    records: list[PromptRecord]
    people: list[str]
    vectors: NDArray[np.float32]
    is_stripped: NDArray[np.bool_]
    signals: Array

    def __len__(self) -> int:
        return len(self.records)

    def at(self, places: Sequence[int] | NDArray[Any]) -> Seen:
        """Return some of the images, by their indices."""
        index = np.asarray(places, int)
        records, people = [self.records[i] for i in index], [self.people[i] for i in index]
        return Seen(records, people, self.vectors[index], self.is_stripped[index], self.signals[index])


class Embedder(Protocol):
    """What is evaluated: anything with text embeddings of length 1, as `Matcher` has them."""

    def embed_records(self, records: Sequence[PromptRecord]) -> NDArray[np.float32]:
        """Return (n, width) vectors of length 1."""


class Scorer(Protocol):
    """Scores prompts by images; a higher score is a better match, and NaN says that it cannot tell."""

    @property
    def guesses(self) -> bool:
        """Whether equal scores are decided by chance; else a tie is no find."""

    def among(self, seen: Seen, records: Sequence[PromptRecord]) -> Array:
        """Return the scores of every image and every record, (n, n_records)."""

    def each(self, seen: Seen, owners: NDArray[np.int64], records: Sequence[PromptRecord]) -> Array:
        """Return the score of each record for the image that it belongs to, (n_records,)."""

    def labels(self, seen: Seen, labels: Sequence[str]) -> Array:
        """Return the scores of every image and every contrast, given as a word alone, (n, n_labels)."""


@dataclass
class Encoder:
    """Scores by the cosine between embeddings."""

    matcher: Embedder
    guesses: bool = False  # else an encoder that maps everything to one point would be at chance
    _known: dict[PromptRecord, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def vectors(self, records: Sequence[PromptRecord]) -> NDArray[np.float32]:
        """Return the embeddings of records, (n, width), each computed once."""
        if new := [record for record in dict.fromkeys(records) if record not in self._known]:
            self._known |= zip(new, self.matcher.embed_records(new), strict=True)
        return np.stack([self._known[record] for record in records])

    def among(self, seen: Seen, records: Sequence[PromptRecord]) -> Array:
        """Return the cosines of every image and every record, (n, n_records)."""
        return np.asarray(seen.vectors @ self.vectors(records).T, np.float64)

    def each(self, seen: Seen, owners: NDArray[np.int64], records: Sequence[PromptRecord]) -> Array:
        """Return the cosine of each record and the image that it belongs to, (n_records,)."""
        return np.asarray((seen.vectors[owners] * self.vectors(records)).sum(1), np.float64)

    def labels(self, seen: Seen, labels: Sequence[str]) -> Array:
        """Return the cosines of every image and every contrast, (n, n_labels)."""
        return self.among(seen, [PromptRecord(one.removeprefix("ce"), one.startswith("ce")) for one in labels])


@dataclass
class Observer:
    """Scores by the likelihood of the signals of the image's own tissues.

    Parameters
    ----------
    observer : IdealObserver
    prior : list of PromptRecord
        Of protocols drawn at random, by which it knows what scans of a contrast look like.
    """

    observer: IdealObserver
    prior: list[PromptRecord]
    guesses: bool = True

    def among(self, seen: Seen, records: Sequence[PromptRecord]) -> Array:
        """Return the log-probability of every record for every image, if one of these records were true of it.

        So that images are comparable, too: some are likely under many records. Equal acquisitions have equal scores.
        """
        stated = [_acquired(record) for record in records]
        distinct = list(dict.fromkeys(stated))
        column = {record: place for place, record in enumerate(distinct)}
        expected = self.observer.expected(distinct)
        found = np.full((len(seen), len(distinct)), np.nan)
        for is_stripped in (False, True):
            rows = np.flatnonzero(seen.is_stripped == is_stripped)
            found[rows] = self.observer.log_likelihood(seen.signals[rows], expected, is_stripped)
        every = found[:, [column[record] for record in stated]]
        return np.asarray(every - logsumexp(np.where(np.isnan(every), -np.inf, every), axis=1, keepdims=True))

    def each(self, seen: Seen, owners: NDArray[np.int64], records: Sequence[PromptRecord]) -> Array:
        """Return the log-likelihood of each record for the image that it belongs to, (n_records,)."""
        found = np.full(len(records), np.nan)
        for is_stripped in (False, True):
            rows = np.flatnonzero(seen.is_stripped[owners] == is_stripped)
            expected = self.observer.expected([records[int(row)] for row in rows])
            signals = seen.signals[owners[rows]]
            found[rows] = self.observer.log_likelihood_each(signals, expected, is_stripped)
        return found

    def labels(self, seen: Seen, labels: Sequence[str]) -> Array:
        """Return the log-likelihoods of every image and every contrast, over its protocols, (n, n_labels)."""
        of_prior = [str(contrast_label(record.contrast, record.post_contrast)) for record in self.prior]
        return log_evidence(self.among(seen, self.prior), of_prior, labels)


def _acquired(record: PromptRecord) -> PromptRecord:
    """Return what of a record determines signals, so that equal ones are scored once and alike."""
    age = record.age_years
    return PromptRecord(
        record.contrast,
        record.post_contrast,
        field_strength_t=record.field_strength_t,
        age_years=None if age is None else float(round(age)),
        repetition_time_s=record.repetition_time_s,
        echo_time_s=record.echo_time_s,
        inversion_time_s=record.inversion_time_s,
        flip_angle_deg=record.flip_angle_deg,
        flip_angle_variable=record.flip_angle_variable,
    )
