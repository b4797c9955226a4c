"""Which sets of sources and targets a protocol takes: the same ones for every model."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product

from model.data.catalogue import CatalogueImages, Item, training_hashes
from model.evaluation.protocol import EvaluationProtocol, contrasts_of
from warehouse.errors import ModelError

NATIVE_ONLY = ("acceptance",)  # people who exist for the gates, which are measured on what ships


@dataclass(frozen=True)
class TestPair:
    """Sources and a target of one visit, as indices of `CatalogueImages.items`.

    Parameters
    ----------
    task, split : str
    sources : tuple of int
        One for each source contrast of the task, in its order.
    target : int
    """

    task: str
    split: str
    sources: tuple[int, ...]
    target: int


def draw_pairs(
    images: CatalogueImages, tasks: Sequence[str], split: str, limit: int, *, is_simulated: bool, seed: int = 0
) -> list[TestPair]:
    """Return pairs of every task in a split, at most so many each; a task without pairs gives none.

    The order is a hash of the seed and the images; a person's second pair comes after everybody's first.

    Parameters
    ----------
    images : CatalogueImages
    tasks : sequence of str
    split : str
    limit : int
        Of each task.
    is_simulated : bool
        Which population; real and simulated people are never drawn together.
    seed : int
    """
    known = _sources_of_targets(images)
    found = (_pairs_of(images, known, task, split, is_simulated, seed) for task in tasks)
    return [pair for pairs in found for pair in _balanced(pairs, images, limit)]


def session_pairs(images: CatalogueImages, protocol: EvaluationProtocol) -> list[TestPair]:
    """Return the pairs that are tested on the harmonised grid, split by split, real people before simulated ones."""
    limit, seed, chosen = protocol.max_pairs_per_task, protocol.seed, []
    for split in protocol.splits:
        for is_simulated in (False, True):
            if split not in NATIVE_ONLY:
                chosen += draw_pairs(images, protocol.tasks, split, limit, is_simulated=is_simulated, seed=seed)
    return chosen


def native_pairs(images: CatalogueImages, protocol: EvaluationProtocol) -> list[TestPair]:
    """Return the pairs that are tested from file to file, split by split, real people before simulated ones.

    A synthesis from files is slow, so the limit is that of a whole split. The next pair is always of the person with
    the fewest pairs so far, then of the task with the fewest. Tasks with more sources have a limit of their own, so
    that a model that takes one source is tested on the same pairs as any other.
    """
    known, chosen = _sources_of_targets(images), []
    for split, is_simulated in product(protocol.splits, (False, True)):
        for _, tasks in groupby(sorted(protocol.tasks, key=_n_sources), key=_n_sources):
            found = (_pairs_of(images, known, task, split, is_simulated, protocol.seed) for task in tasks)
            candidates = [pair for pairs in found for pair in pairs]
            chosen += _balanced(candidates, images, protocol.max_native_pairs.get(split, 0))
    return chosen


def populations(images: CatalogueImages, pairs: Sequence[TestPair]) -> list[tuple[str, bool]]:
    """Return split of each pair, and whether its people are simulated."""
    return [(pair.split, images.items[pair.target].is_simulated) for pair in pairs]


def other_target(images: CatalogueImages, pair: TestPair) -> int:
    """Return the image of the visit whose prompt asks the same sources for another contrast than the pair does.

    It is one of a third contrast, the first by name; where the visit has none, the first source itself.
    """
    wanted = images.items[pair.target].contrast_label
    given = {images.items[index].contrast_label for index in pair.sources}
    others = {images.items[index].contrast_label: index for source, index in images.pairs if source == pair.sources[0]}
    third = sorted(others.keys() - {wanted} - given)
    return others[third[0]] if third else pair.sources[0]


def repeat_scans(images: CatalogueImages, limit: int, splits: Sequence[str] | None = None) -> list[TestPair]:
    """Return two scans of one person and contrast from different sessions: source and target of task T2w_to_T2w.

    At most so many of each population, people before second pairs; people who were trained on are among them, since no
    model is, unless splits are named.
    """
    alike: dict[tuple[str, str], list[int]] = {}
    for index, item in enumerate(images.items):
        if splits is not None and item.split not in splits:
            continue
        alike.setdefault((item.person_id, item.contrast_label), []).append(index)
    found: dict[bool, list[TestPair]] = {False: [], True: []}
    for (_, label), indices in sorted(alike.items()):
        for source, target in product(indices, indices):
            one, other = images.items[source], images.items[target]
            if one.session_id != other.session_id and one.source_sha256 != other.source_sha256:
                pair = TestPair(f"{label}_to_{label}", other.split, (source,), target)
                found[other.is_simulated].append(pair)
    return [pair for pairs in found.values() for pair in _balanced(pairs, images, limit)]


SourcesOfTargets = Mapping[int, Mapping[str, Sequence[int]]]  # target, contrast of the sources, sources


def _sources_of_targets(images: CatalogueImages) -> SourcesOfTargets:
    found: dict[int, dict[str, list[int]]] = {}
    for source, target in images.pairs:
        found.setdefault(target, {}).setdefault(images.items[source].contrast_label, []).append(source)
    return found


def _pairs_of(
    images: CatalogueImages, known: SourcesOfTargets, task: str, split: str, is_simulated: bool, seed: int
) -> list[TestPair]:
    """Return all pairs of a task in a split and population, in the order of the draw."""
    wanted, label = contrasts_of(task)
    found: list[tuple[str, TestPair]] = []
    for target, sources in known.items():
        item = images.items[target]
        if (item.contrast_label, item.split, item.is_simulated) != (label, split, is_simulated):
            continue
        for chosen in product(*(sources.get(contrast, ()) for contrast in wanted)):
            names = [images.items[index].image_id for index in (*chosen, target)]
            drawn = hashlib.sha256("/".join([str(seed), *names]).encode()).hexdigest()
            found.append((drawn, TestPair(task, split, chosen, target)))
    return [pair for _, pair in sorted(found, key=lambda each: each[0])]


def _balanced(pairs: Sequence[TestPair], images: CatalogueImages, limit: int) -> list[TestPair]:
    """Return so many pairs: each time of the person with the fewest so far, then of the task with the fewest."""
    people: Counter[str] = Counter()
    tasks: Counter[str] = Counter()

    def rank(pair: TestPair) -> tuple[int, int]:
        return people[images.items[pair.target].person_id], tasks[pair.task]

    # Ranks only grow, so that an entry whose rank is out of date is put back with its new one.
    waiting = [(rank(pair), place) for place, pair in enumerate(pairs)]
    chosen: list[TestPair] = []
    while waiting and len(chosen) < limit:
        known, place = heapq.heappop(waiting)
        pair = pairs[place]
        if rank(pair) != known:
            heapq.heappush(waiting, (rank(pair), place))
            continue
        chosen.append(pair)
        people[images.items[pair.target].person_id] += 1
        tasks[pair.task] += 1
    return chosen


def _n_sources(task: str) -> int:
    return len(contrasts_of(task)[0])


TrainedOn = Mapping[str, Sequence[str]]  # as `training_hashes` returns it; empty for checkpoints of older versions


TRAIN_AGAIN = "train again on the catalogue in force, or fix the split of these people in the centre's definition"
SIMULATED_ONLY = "take a text encoder that knows nobody: train one with `simulated_share: 1` in its configuration"


def refuse_leakage(tested: Sequence[Item], trained_on: TrainedOn, model: str, remedy: str = TRAIN_AGAIN) -> None:
    """Raise where a person or a scan to be tested is among those that a model was trained on.

    Parameters
    ----------
    tested : sequence of Item
        Images of the splits to be tested.
    trained_on : mapping of str to sequence of str
        Hashes of people and of source files, from the checkpoint.
    model : str
        Which one, in words.
    remedy : str
        What to do.

    Raises
    ------
    ModelError
        Naming how many people and scans, and what to do.
    """
    shared = seen_by(tested, trained_on)
    if any(shared.values()):
        counts = f"{len(shared['people'])} people and {len(shared['scans'])} scans"
        raise ModelError(f"{counts} to be tested are among those that {model} was trained on", remedy)


def seen_by(tested: Sequence[Item], trained_on: TrainedOn) -> dict[str, set[str]]:
    """Return the hashes of people and of scans to be tested that a model was trained on, as `training_hashes` does."""
    return {what: set(hashes) & set(trained_on.get(what, ())) for what, hashes in training_hashes(tested).items()}


def refuse_two_splits(items: Sequence[Item]) -> None:
    """Raise where a person has images in two splits: baselines are fitted on one and tested on the other.

    Raises
    ------
    ModelError
        Naming the first of them, and what to do.
    """
    split_of: dict[str, str] = {}
    for item in items:
        if (known := split_of.setdefault(item.person_id, item.split)) != item.split:
            what = f"person {item.person_id} has images in {known} and in {item.split}"
            raise ModelError(what, "give this person one split in the centres' definitions, then publish again")
