"""Which pairs of images a protocol takes: the same ones for every model."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.evaluation.protocol import EvaluationProtocol

if TYPE_CHECKING:
    from model.data.catalogue import CatalogueImages
from collections.abc import Mapping, Sequence

from model.data.catalogue import Item, training_hashes
from warehouse.errors import ModelError


@dataclass(frozen=True)
class TestPair:
    """A source and a target of one visit, as indices of `CatalogueImages.items`.

    Parameters
    ----------
    task, split : str
    source, target : int
    """

    task: str
    split: str
    source: int
    target: int


def draw_pairs(images: CatalogueImages, protocol: EvaluationProtocol, split: str, limit: int) -> list[TestPair]:
    """Return pairs of every task in a split, at most so many each; a task without pairs gives none.

    The order is a hash of the seed and the two images; a person's second pair comes after everybody's first.
    """
    found: dict[str, list[tuple[str, TestPair]]] = {task: [] for task in protocol.tasks}
    for source, target in images.pairs:
        first, second = images.items[source], images.items[target]
        task = f"{first.contrast_label}_to_{second.contrast_label}"
        if first.split == split and task in found:
            drawn = hashlib.sha256(f"{protocol.seed}/{first.image_id}/{second.image_id}".encode()).hexdigest()
            found[task].append((drawn, TestPair(task, split, source, target)))
    chosen: list[TestPair] = []
    for candidates in found.values():
        in_order = [pair for _, pair in sorted(candidates, key=lambda item: item[0])]
        chosen += _people_first(in_order, images)[:limit]
    return chosen


def other_target(images: CatalogueImages, pair: TestPair) -> int:
    """Return the image of the visit whose prompt asks the same source for another contrast than the pair does.

    It is one of a third contrast, the first by name; where the visit has none, the source itself.
    """
    wanted = images.items[pair.target].contrast_label
    given = images.items[pair.source].contrast_label
    others = {images.items[index].contrast_label: index for _, index in _of_source(images, pair.source)}
    third = sorted(others.keys() - {wanted, given})
    return others[third[0]] if third else pair.source


def _of_source(images: CatalogueImages, source: int) -> list[tuple[int, int]]:
    return [pair for pair in images.pairs if pair[0] == source]


def _people_first(pairs: list[TestPair], images: CatalogueImages) -> list[TestPair]:
    seen: Counter[str] = Counter()
    rounds = []
    for pair in pairs:
        person = images.items[pair.source].person_id
        rounds.append(seen[person])
        seen[person] += 1
    return [pair for _, pair in sorted(zip(rounds, pairs, strict=True), key=lambda item: item[0])]


TrainedOn = Mapping[str, Sequence[str]]  # as `training_hashes` returns it; empty for checkpoints of older versions


def refuse_leakage(tested: Sequence[Item], trained_on: TrainedOn, model_id: str) -> None:
    """Raise where a person or a scan to be tested is among those that a model was trained on.

    Parameters
    ----------
    tested : sequence of Item
        Images of the splits to be tested.
    trained_on : mapping of str to sequence of str
        Hashes of people and of source files, from the checkpoint.
    model_id : str

    Raises
    ------
    ModelError
        Naming how many people and scans, and what to do.
    """
    shared = {what: set(hashes) & set(trained_on.get(what, ())) for what, hashes in training_hashes(tested).items()}
    if any(shared.values()):
        counts = f"{len(shared['people'])} people and {len(shared['scans'])} scans"
        raise ModelError(
            f"{counts} to be tested are among those that model {model_id} was trained on",
            "train again on the catalogue in force, or fix the split of these people in the centre's definition",
        )
