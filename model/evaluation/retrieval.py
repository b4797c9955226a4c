"""Whether images find their prompts: among ten as the paper asks, among all, by contrast, and by one number alone.

The paper lets an image choose among ten random complete prompts, nearly all of which are of another contrast or
centre: it can be solved without reading a single number. So it is asked among all prompts too, and between prompts
that differ in one number, which another scan of the same contrast has.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages, Item
from model.evaluation.gates import gated_split, verdict_on
from model.evaluation.pairs import refuse_leakage
from model.evaluation.statistics import Estimate, by_person, estimate_share
from model.networks.checkpoint import read_model
from model.networks.pair_encoder import Matcher
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord, render
from warehouse.prompts.vocabulary import CONTRAST_LABELS

SPLITS = ("val", "test_internal", "test_external", "acceptance")
GATE = "image_finds_its_contrast"
N_CANDIDATES = 10  # as in the paper
MAX_IMAGES = 1000  # of each split
MIN_RATIO = 1.2  # between a number and the other one that it must differ from
NUMBERS = ("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg")
VERSION = 4  # raised when a measure gives another figure for the same embeddings
Row = dict[str, Any]
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Retrieval:
    """What was found.

    Parameters
    ----------
    model_id, data_id, protocol_hash : str
    scores : list of dict
        Rows of `core.retrieval_score`.
    gates : list of dict
        Rows of `core.gate_verdict`.
    """

    model_id: str
    data_id: str
    protocol_hash: str
    scores: list[Row]
    gates: list[Row]


@dataclass(frozen=True)
class Embedded:
    """Images of some splits with their vectors.

    Parameters
    ----------
    items : list of Item
    images : (n_items, width) array
        Of length 1.
    """

    items: list[Item]
    images: NDArray[np.float32]

    def of(self, *splits: str) -> Embedded:
        """Return those of some splits."""
        places = [place for place, item in enumerate(self.items) if item.split in splits]
        return Embedded([self.items[place] for place in places], self.images[places])


def protocol_hash(seed: int) -> str:
    """Return the identity of how it is measured, 16 hexadecimal digits."""
    settings = {
        "retrieval": VERSION,
        "candidates": N_CANDIDATES,
        "images": MAX_IMAGES,
        "ratio": MIN_RATIO,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def retrieval_scores(
    home: Home, path: Path, seed: int = 0, *, device: str = "cpu", report: Report | None = None
) -> Retrieval:
    """Measure a text encoder on people that it never saw.

    Parameters
    ----------
    home : Home
    path : Path
        Checkpoint of kind text_encoder.
    seed : int
        Draws the images of splits with more than a thousand.
    device : {"cpu", "cuda"}
    report : callable, optional
        Told done, total and what is done.

    Raises
    ------
    ModelError
        When the model is unusable, or its recipe has made no volumes.
    """
    config, tensors = read_model(path)
    matcher = Matcher(config, tensors, device)
    images = CatalogueImages.open(home, config["recipe_id"], SPLITS, cache_bytes=0)
    refuse_leakage(images.items, config.get("trained_on", {}), str(config["model_id"]))
    box = Box(tuple(config["box"]["shape"]), config["box"]["voxel_mm"])
    embedded = _embed(matcher, BoxedImages(images, box), _drawn(images.items, seed), report)
    place = {"model_id": config["model_id"], "data_id": images.data_id, "protocol_hash": protocol_hash(seed)}
    scores = [
        {**place, "split": split, **row}
        for split in SPLITS
        for row in measure(matcher, embedded.of(split), embedded.items)
    ]
    verdicts = [{**place, **verdict(matcher, embedded)}]
    identity = ("task", "split", "n_candidates", "metric")
    return Retrieval(
        **place,
        scores=[_identified(row, identity) for row in scores],
        gates=[_identified(row, ("gate",)) for row in verdicts],
    )


def measure(matcher: Matcher, found: Embedded, known: Sequence[Item]) -> Iterator[Row]:
    """Yield the rows of a split, without identity.

    Parameters
    ----------
    matcher : Matcher
    found : Embedded
        Images that look for their prompts.
    known : sequence of Item
        Whose numbers are taken for false ones.
    """
    if not found.items:
        return
    yield from _among_prompts(matcher, found)
    yield _contrast(matcher, found)
    for number in NUMBERS:
        if row := _one_number(matcher, found, known, number):
            yield row


def verdict(matcher: Matcher, found: Embedded) -> Row:
    """Return whether people's images find their contrast more often than by chance, without identity.

    People are the units, since images of one person resemble each other.

    Parameters
    ----------
    matcher : Matcher
    found : Embedded
        Images of all splits; those of the gated one count.
    """
    split = _gated_split(found.items)
    gated = found.of(split)
    if not gated.items:
        return verdict_on(GATE, None, 1 / len(CONTRAST_LABELS), split, str)
    chance = _constant_answer(gated.items)

    def words(people: Estimate) -> str:
        around = "" if people.low is None else f" [{people.low:.1%}, {people.high:.1%}]"
        return (
            f"{people.mean:.1%}{around} of {len(gated.items)} images find their contrast among {len(CONTRAST_LABELS)};"
            f" chance is {chance:.1%}, which the best constant answer gets"
        )

    return verdict_on(GATE, _over_people(gated.items, _finds_contrast(matcher, gated)), chance, split, words)


def share_found(n_better: NDArray[np.int64], n_others: int, n_candidates: int, n_best: int) -> NDArray[np.float64]:
    """Return how often the right one of so many candidates is among the best, over every draw of the wrong ones.

    Exact, so nothing is drawn: the number of better ones among the drawn follows a hypergeometric distribution.

    Parameters
    ----------
    n_better : (n,) int array
        Wrong ones that score as well as the right one, or better.
    n_others : int
        Wrong ones in all.
    n_candidates : int
        The right one and those drawn; at most n_others + 1.
    n_best : int
    """
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.cdf(n_best - 1, n_others, n_better, n_candidates - 1), np.float64)


def _among_prompts(matcher: Matcher, found: Embedded) -> Iterator[Row]:
    """Yield how often an image's own prompt is the best, among ten and among all that differ in what they say."""
    distinct: dict[str, PromptRecord] = {}
    for item in found.items:
        distinct.setdefault(render(item.record), item.record)
    if len(distinct) < 2:
        return
    column = {text: place for place, text in enumerate(distinct)}
    own = np.array([column[render(item.record)] for item in found.items])
    similar = found.images @ matcher.embed_records(list(distinct.values())).T
    n_better = (similar >= similar[np.arange(len(own)), own][:, None]).sum(1) - 1
    n_others = len(distinct) - 1
    for n_candidates in sorted({min(N_CANDIDATES, len(distinct)), len(distinct)}):
        for n_best in (1, 5):
            if n_best < n_candidates:
                shares = share_found(n_better, n_others, n_candidates, n_best)
                yield _row(found.items, "image_to_prompt", n_candidates, n_best, shares, n_best / n_candidates)


def _contrast(matcher: Matcher, found: Embedded) -> Row:
    """Return how often the best of all contrasts, given as a word alone, is the image's own.

    Chance is what the best constant answer would get.
    """
    shares, chance = _finds_contrast(matcher, found), _constant_answer(found.items)
    return _row(found.items, "image_to_contrast", len(CONTRAST_LABELS), 1, shares, chance)


def _constant_answer(items: Sequence[Item]) -> float:
    """Return the share, averaged over people, that the best constant answer gets right."""
    shares = (
        by_person((item.person_id, float(item.contrast_label == label)) for item in items).mean()
        for label in {item.contrast_label for item in items}
    )
    return max(1 / len(CONTRAST_LABELS), *(float(share) for share in shares))


def _finds_contrast(matcher: Matcher, found: Embedded) -> NDArray[np.float64]:
    """Return 1 for each image whose own contrast is the best of all, 0 for the others."""
    words = [PromptRecord(label.removeprefix("ce"), label.startswith("ce")) for label in CONTRAST_LABELS]
    best = (found.images @ matcher.embed_records(words).T).argmax(1)
    pairs = zip(best, found.items, strict=True)
    return np.array([CONTRAST_LABELS[place] == item.contrast_label for place, item in pairs], float)


def _one_number(matcher: Matcher, found: Embedded, known: Sequence[Item], name: str) -> Row | None:
    """Return how often an image prefers its own number to those that other scans of its contrast have."""
    values: dict[str, set[float]] = {}
    for item in known:
        if (value := getattr(item.record, name)) is not None:
            values.setdefault(item.contrast_label, set()).add(value)
    asked, shares = [], []
    for item, image in zip(found.items, found.images, strict=True):
        own = getattr(item.record, name)
        others = [value for value in sorted(values.get(item.contrast_label, ())) if own and _differ(value, own)]
        if others:
            records = [item.record, *(_with(item.record, name, value) for value in others)]
            similar = matcher.embed_records(records) @ image
            asked.append(item)
            shares.append(float((similar[0] > similar[1:]).mean()))
    if not asked:
        return None
    return _row(asked, f"image_to_{name.rsplit('_', 1)[0]}", 2, 1, np.array(shares), 0.5)


def _with(record: PromptRecord, name: str, value: float) -> PromptRecord:
    changed: dict[str, Any] = {name: value}
    return replace(record, **changed)


def _differ(one: float, other: float) -> bool:
    return abs(math.log(one / other)) > math.log(MIN_RATIO)


def _row(
    items: Sequence[Item], task: str, n_candidates: int, n_best: int, shares: NDArray[np.float64], chance: float
) -> Row:
    """Return a score: the mean over people, and its interval with people as trials."""
    people = _over_people(items, shares)
    assert people is not None  # whoever asks has an image
    return {
        "task": task,
        "n_candidates": n_candidates,
        "n_queries": len(items),
        "n_people": people.n_people,
        "metric": f"recall_at_{n_best}",
        "value": people.mean,
        "low": people.low,
        "high": people.high,
        "chance": chance,
    }


def _over_people(items: Sequence[Item], shares: NDArray[np.float64]) -> Estimate | None:
    return estimate_share(by_person((item.person_id, share) for item, share in zip(items, shares, strict=True)))


def _gated_split(items: Sequence[Item]) -> str:
    """Return the split that the gate is measured on: simulated people do not stand in for real test people."""
    has_real = any(item.split == "test_internal" and not item.is_simulated for item in items)
    return gated_split({item.split for item in items} - ({"acceptance"} if has_real else set()))


def _drawn(items: Sequence[Item], seed: int) -> list[int]:
    """Return places of at most a thousand images of each split, by a hash of the seed and the image."""
    chosen: list[int] = []
    for split in SPLITS:
        places = [place for place, item in enumerate(items) if item.split == split]
        chosen += sorted(places, key=lambda place: _hash(str(seed), items[place].image_id))[:MAX_IMAGES]
    return sorted(chosen)


def _embed(matcher: Matcher, boxed: BoxedImages, places: Sequence[int], report: Report | None) -> Embedded:
    def volumes() -> Iterator[NDArray[np.float32]]:
        for done, place in enumerate(places):
            if report:
                report(done, len(places), boxed.images.items[place].image_id)
            yield boxed.volume(place)

    return Embedded([boxed.images.items[place] for place in places], matcher.embed_volumes(volumes()))


def _identified(row: Row, names: Sequence[str]) -> Row:
    parts = (row["model_id"], row["data_id"], row["protocol_hash"], *(str(row[name]) for name in names))
    return {"event_id": _hash(*parts), **row}


def _hash(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
