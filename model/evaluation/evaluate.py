"""Scores of a model and of the baselines on the test pairs that a protocol fixes, as rows for the catalogue."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Item, Sample, Source
from model.evaluation import gates
from model.evaluation.baselines import IDENTITY, MAP_ORACLE, MAP_TRAIN, IntensityMap
from model.evaluation.metrics import mae, measure, psnr
from model.evaluation.pairs import TestPair, TrainedOn, draw_pairs, other_target, refuse_leakage
from model.evaluation.protocol import DisplayRange, EvaluationProtocol
from warehouse.errors import ModelError
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

STEERING_MAE, STEERING_GAIN = "steering_mae", "steering_gain_db"
Row = dict[str, Any]
Report = Callable[[int, int, str], None]
Key = tuple[str, str]  # measure, mask


class SynthesisModel(Protocol):
    """What is evaluated: anything that makes a volume of a source and two prompts."""

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float32]:
        """Return the target (i, j, k) in network intensities, on the sources' grid."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Parameters
    ----------
    evaluation_id : str
        Hash of model, data and protocol.
    model_id, data_id, protocol_hash : str
    scores : list of dict
        Rows of `core.evaluation_score`, baselines included.
    gates : list of dict
        Rows of `core.gate_verdict`.
    n_pairs : dict of (str, str) to int
        Pairs that were tested, by task and split; 0 where the data have none.
    is_simulated : bool
        True where every image was simulated.
    """

    evaluation_id: str
    model_id: str
    data_id: str
    protocol_hash: str
    scores: list[Row]
    gates: list[Row]
    n_pairs: dict[tuple[str, str], int]
    is_simulated: bool

    @property
    def passed(self) -> bool:
        """Whether every gate holds."""
        return all(row["passed"] for row in self.gates)

    @property
    def untested(self) -> list[tuple[str, str]]:
        """Tasks and splits without a pair."""
        return [key for key, n_pairs in self.n_pairs.items() if not n_pairs]


def evaluate(
    home: Home,
    synthesizer: SynthesisModel,
    model_id: str,
    protocol: EvaluationProtocol,
    report: Report | None = None,
    *,
    trained_on: TrainedOn | None = None,
) -> Evaluation:
    """Measure a model and the baselines on the test pairs of the catalogue in force. Nothing is written.

    Parameters
    ----------
    home : Home
    synthesizer : SynthesisModel
    model_id : str
        Under which its scores stand.
    protocol : EvaluationProtocol
    report : callable, optional
        Told after each pair: pairs done, pairs in all, task.
    trained_on : mapping, optional
        Hashes of the people and scans that the model was trained on, from its checkpoint.

    Raises
    ------
    ModelError
        When there is no test pair at all, the model was trained on somebody to be tested, or it gives voxels that are
        not finite or another shape.
    """
    images = CatalogueImages.open(home, protocol.recipe, ["train", *protocol.splits])
    refuse_leakage([item for item in images.items if item.split in protocol.splits], trained_on or {}, model_id)
    limit = protocol.max_pairs_per_task
    pairs = [pair for split in protocol.splits for pair in draw_pairs(images, protocol, split, limit)]
    if not pairs:
        what = f"the catalogue has no pair of any task of protocol {protocol.name} in {', '.join(protocol.splits)}"
        raise ModelError(what, "harmonise more centres, or name a protocol whose tasks the data have")
    test = _Test(images, synthesizer, model_id, protocol)
    scores: list[Row] = []
    for done, pair in enumerate(pairs, start=1):
        scores += test.rows_of(pair)
        if report is not None:
            report(done, len(pairs), pair.task)
    counted = Counter((pair.task, pair.split) for pair in pairs)
    return Evaluation(
        evaluation_id=test.evaluation_id,
        model_id=model_id,
        data_id=images.data_id,
        protocol_hash=protocol.hash,
        scores=scores,
        gates=test.verdicts(scores),
        n_pairs={(task, str(split)): counted[task, split] for split in protocol.splits for task in protocol.tasks},
        is_simulated=all(images.items[index].is_simulated for pair in pairs for index in (pair.source, pair.target)),
    )


def identify(model_id: str, data_id: str, protocol_hash: str) -> str:
    """Return the identity of an evaluation, 16 hexadecimal digits."""
    return _hash(model_id, data_id, protocol_hash)[:16]


@dataclass
class _Test:
    """Everything that stays the same from pair to pair."""

    images: CatalogueImages
    synthesizer: SynthesisModel
    model_id: str
    protocol: EvaluationProtocol
    maps: dict[str, IntensityMap | None] = field(default_factory=dict)
    steered: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def evaluation_id(self) -> str:
        return identify(self.model_id, self.images.data_id, self.protocol.hash)

    def rows_of(self, pair: TestPair) -> list[Row]:
        """Return the rows of a pair; where it cannot be measured, the error says which pair it was."""
        try:
            return self._rows(pair)
        except ModelError as error:
            names = " and ".join(self._item(index).image_id for index in (pair.source, pair.target))
            raise ModelError(f"{pair.task}, images {names}: {error.what}", error.remedy) from error

    def _rows(self, pair: TestPair) -> list[Row]:
        source, target = self.images.volume(pair.source), self.images.volume(pair.target)
        if source.voxels.shape != target.voxels.shape:
            raise ModelError("two images of one visit lie on two grids", "harmonise the visit again")
        scale = DisplayRange.of(target.voxels, target.mask, self.protocol.percentiles)
        truth = scale.apply(target.voxels)
        made = scale.apply(predict(self.synthesizer, source, self._item(pair.source), self._item(pair.target)))
        found = {(self.model_id, *key): value for key, value in measure(made, truth, target.mask).items()}
        for name, baseline in self._baselines(pair, source, target, scale, truth):
            found |= {(name, *key): value for key, value in measure(baseline, truth, target.mask).items()}
        steered = self._steering(pair, source, target, scale, made)
        found |= {(self.model_id, *key): value for key, value in steered.items()}
        return [self._row(pair, *key, value) for key, value in found.items()]

    def verdicts(self, scores: list[Row]) -> list[Row]:
        person_of = {item.image_id: item.person_id for item in self.images.items}
        place = {"model_id": self.model_id, "data_id": self.images.data_id, "protocol_hash": self.protocol.hash}
        verdicts = gates.judge(scores, person_of, self.model_id, self.protocol)
        return [{"event_id": _hash(self.evaluation_id, row["gate"]), **place, **row} for row in verdicts]

    def _item(self, index: int) -> Item:
        return self.images.items[index]

    def _baselines(
        self, pair: TestPair, source: Sample, target: Sample, scale: DisplayRange, truth: NDArray[np.float64]
    ) -> Iterator[tuple[str, NDArray[np.float64]]]:
        yield IDENTITY, scale.apply(source.voxels)
        fitted = self._train_map(pair.task)
        if fitted is not None:
            yield MAP_TRAIN, scale.apply(fitted.apply(source.voxels, target.mask))
        oracle = IntensityMap.fit([(source.voxels, truth, target.mask)], self.protocol.map_bins)
        yield MAP_ORACLE, oracle.apply(source.voxels, target.mask)

    def _train_map(self, task: str) -> IntensityMap | None:
        """Return the map fitted on training pairs of a task; None where there are none."""
        if task not in self.maps:
            only = self.protocol.model_copy(update={"tasks": (task,)})
            pairs = draw_pairs(self.images, only, "train", self.protocol.max_map_pairs)
            read = ((self.images.volume(pair.source), self.images.volume(pair.target)) for pair in pairs)
            volumes = ((source.voxels, target.voxels, target.mask) for source, target in read)
            self.maps[task] = IntensityMap.fit(volumes, self.protocol.map_bins) if pairs else None
        return self.maps[task]

    def _steering(
        self, pair: TestPair, source: Sample, target: Sample, scale: DisplayRange, made: NDArray[np.float64]
    ) -> dict[Key, float]:
        """Return how much the brain changes, and how much worse it fits, when the prompt asks for another contrast."""
        if self.steered[pair.task, pair.split] >= self.protocol.max_steering_pairs:
            return {}
        self.steered[pair.task, pair.split] += 1
        asked = self._item(other_target(self.images, pair))
        other = scale.apply(predict(self.synthesizer, source, self._item(pair.source), asked))
        truth = scale.apply(target.voxels)
        gain = psnr(made, truth, target.mask) - psnr(other, truth, target.mask)
        return {(STEERING_MAE, "brain"): mae(other, made, target.mask), (STEERING_GAIN, "brain"): gain}

    def _row(self, pair: TestPair, model_id: str, metric: str, mask: str, value: float) -> Row:
        source, target = self._item(pair.source).image_id, self._item(pair.target).image_id
        key = (model_id, pair.task, pair.split, source, target, metric, mask)
        return {
            "event_id": _hash(self.evaluation_id, *key),
            "evaluation_id": self.evaluation_id,
            "model_id": model_id,
            "data_id": self.images.data_id,
            "protocol_hash": self.protocol.hash,
            "task": pair.task,
            "split": pair.split,
            "source_image_ids": [source],
            "target_image_id": target,
            "metric": metric,
            "mask": mask,
            "value": value,
        }


def predict(synthesizer: SynthesisModel, source: Sample, source_item: Item, asked: Item) -> NDArray[np.float32]:
    """Return what a model makes of a source when asked for an image's contrast, (i, j, k).

    Raises
    ------
    ModelError
        When it is of another shape or holds voxels that are not finite.
    """
    given = Source(source.voxels, source.mask, source_item.record)
    made = np.asarray(synthesizer.volume([given], asked.record))
    if made.shape != source.voxels.shape or not np.isfinite(made).all():
        what = f"the model made {made.shape} of {source.voxels.shape}, or voxels that are NaN or infinite"
        raise ModelError(f"{source_item.contrast_label} to {asked.contrast_label}: {what}", "train it again")
    return made


def _hash(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
