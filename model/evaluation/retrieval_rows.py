"""Figures of a text encoder on one population, each with its interval over people, chance, and the ideal observer's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.ambiguity import is_ambiguous
from model.evaluation import matching, recovery, robustness, single_field
from model.evaluation.scorers import Encoder, Observer, Scorer, Seen
from model.evaluation.statistics import Estimate, by_person, estimate_share
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.prompts.vocabulary import CONTRASTS

Row = dict[str, Any]
Array = NDArray[np.float64]
N_BEST = (1, 5)
N_ROBUST = 10  # candidates among which prompts that are written otherwise are found


def matching_rows(encoder: Encoder, observer: Observer, seen: Seen, n_candidates: Sequence[int]) -> Iterator[Row]:
    """Yield how often an image finds its prompt, and a prompt its image."""
    scorers: tuple[Scorer, ...] = (encoder, observer)
    for task in ("image_to_prompt", "prompt_to_image"):
        found, ideal = (matching.rankings(scorer, seen, task) for scorer in scorers)
        for count in matching.numbers_of_candidates(found, n_candidates):
            for n_best in N_BEST:
                shares, chance = matching.shares_found(found, len(seen), count, n_best, encoder.guesses)
                best, _ = matching.shares_found(ideal, len(seen), count, n_best, observer.guesses)
                if row := share_row(seen, shares, best, chance):
                    yield {"task": task, "n_candidates": count, "metric": f"recall_at_{n_best}"} | row


def contrast_rows(encoder: Encoder, observer: Observer, seen: Seen) -> Iterator[Row]:
    """Yield how often an image finds its contrast among seven words, and whether gadolinium was given.

    Images whose protocol another contrast may have as well, such as SWI and T2*w of one TR, TE and flip angle, are
    listed apart too.
    """
    shares, ideal = (matching.contrast_found(scorer, seen) for scorer in (encoder, observer))
    ambiguous = np.array([is_ambiguous(record) for record in seen.records], bool)
    labels = [record.contrast for record in seen.records]
    tasks = {"image_to_contrast": np.ones(len(seen), bool)}
    if ambiguous.any():
        tasks |= {"image_to_contrast_clear": ~ambiguous, "image_to_contrast_ambiguous": ambiguous}
    for task, inside in tasks.items():
        kept = np.where(inside, shares, np.nan)
        yield from _word_row(task, seen, kept, ideal, labels, len(CONTRASTS))
    agents = [contrast_label(record.contrast, record.post_contrast) for record in seen.records]
    if "ceT1w" in agents:
        found, best = (matching.agent_found(scorer, seen) for scorer in (encoder, observer))
        yield from _word_row("image_to_agent", seen, found, best, agents, 2)


def field_rows(encoder: Encoder, observer: Observer, seen: Seen) -> Iterator[Row]:
    """Yield how often the right prompt is preferred to the same one with one field changed: headline and curve."""
    for name in single_field.FIELDS:
        for part in single_field.parts({"encoder": encoder, "ideal": observer}, seen, name):
            asked = seen.at(part.owners)
            chance = np.full(len(asked), 0.5)
            if row := share_row(asked, part.shares["encoder"], part.shares["ideal"], chance):
                high = None if part.high is None or np.isinf(part.high) else part.high
                place = {"field": name, "change_low": part.low, "change_high": high}
                yield {"task": "one_field", "n_candidates": 2, "metric": "recall_at_1"} | place | row


def recovery_rows(found: Sequence[recovery.Recovered]) -> Iterator[Row]:
    """Yield how well each number is recovered from embeddings within the contrasts."""
    for number in recovery.NUMBERS:
        own = [one for one in found if one.number == number]
        if not own:
            continue
        n_queries = sum(len(one.true) for one in own)
        people = {person for one in own for person in one.people}
        has_ideal = all(np.isfinite(one.ideal).all() for one in own)
        mean, low, high = recovery.over_people(own)
        ideal = recovery.over_people(own, ideal=True)[0] if has_ideal else None
        common = {"task": "recovery", "field": number, "n_queries": n_queries, "n_people": len(people), "chance": 0.0}
        yield common | {"metric": "spearman", "value": mean, "low": low, "high": high, "ideal": ideal}
        explained = [
            sum(len(one.true) * recovery.r_squared(one.true, made) for one, made in zip(own, listed, strict=True))
            / n_queries
            for listed in ([one.made for one in own], [one.ideal for one in own])
        ]
        best = explained[1] if has_ideal else None
        yield common | {"metric": "r_squared", "value": explained[0], "low": None, "high": None, "ideal": best}


def smoothness_rows(encoder: Encoder, records: Sequence[PromptRecord]) -> Iterator[Row]:
    """Yield whether the embedding of a prompt moves farther the more a number changes."""
    for number in recovery.SWEPT:
        value = recovery.smoothness(encoder, records, number)
        if value is not None:
            n_queries = sum(getattr(record, number) is not None for record in records)
            found = {"metric": "spearman", "value": value, "n_queries": n_queries, "chance": 0.0}
            yield {"task": "smoothness", "field": number} | found


def robustness_rows(encoder: Encoder, seen: Seen) -> Iterator[Row]:
    """Yield how far embeddings move where prompts are written otherwise, and whether images still find them."""
    for variant in robustness.variants(seen.records):
        place = {"task": "robustness", "field": variant.name}
        value = robustness.cosine(encoder, seen.records, variant)
        people = len(set(seen.people))
        yield place | {"metric": "cosine", "value": value, "n_queries": len(seen), "n_people": people, "chance": 0.0}
        written = Seen(variant.records, seen.people, seen.vectors, seen.is_stripped, seen.signals)
        found = matching.rankings(encoder, written, "image_to_prompt")
        for count in matching.numbers_of_candidates(found, (N_ROBUST,)):
            shares, chance = matching.shares_found(found, len(seen), count, 1, encoder.guesses)
            if row := share_row(seen, shares, np.full(len(seen), np.nan), chance):
                yield place | {"metric": "recall_at_1", "n_candidates": count} | row


def share_row(seen: Seen, shares: Array, ideal: Array, chance: Array) -> Row | None:
    """Return a share of images as its mean over people, with its interval; None where no image can be asked.

    The observer's figure is given where it can tell of every image that is asked.
    """
    asked = np.flatnonzero(np.isfinite(shares))
    people = over_people(seen, shares)
    if people is None:
        return None
    best = over_people(seen.at(asked), ideal[asked]) if np.isfinite(ideal[asked]).all() else None
    by_chance = over_people(seen.at(asked), chance[asked])
    return {
        "n_queries": len(asked),
        "n_people": people.n_people,
        "value": people.mean,
        "low": people.low,
        "high": people.high,
        "ideal": None if best is None else best.mean,
        "chance": 0.0 if by_chance is None else by_chance.mean,
    }


def over_people(seen: Seen, shares: Array) -> Estimate | None:
    """Return the mean of the people's shares and its interval; images without a figure are left out."""
    pairs = zip(seen.people, shares.tolist(), strict=True)
    return estimate_share(by_person((person, share) for person, share in pairs if np.isfinite(share)))


def _word_row(
    task: str, seen: Seen, shares: Array, ideal: Array, labels: Sequence[str | None], n_labels: int
) -> Iterator[Row]:
    asked = np.flatnonzero(np.isfinite(shares))
    if len(asked):
        people, own = [seen.people[place] for place in asked], [labels[int(place)] for place in asked]
        chance = np.full(len(seen), matching.constant_answer(people, own, n_labels))
        row = share_row(seen, shares, ideal, chance)
        assert row is not None  # some image is asked
        yield {"task": task, "n_candidates": n_labels, "metric": "recall_at_1"} | row
