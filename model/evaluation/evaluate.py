"""Scores of a model and of the baselines on the test pairs that a protocol fixes, as rows for the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from model.data.catalogue import CatalogueImages
from model.data.folds import FOLD_SPLITS, Fold
from model.evaluation import gates
from model.evaluation.baselines import RESCAN, START
from model.evaluation.behaviour import behaviour, prompt_swap_gain_db
from model.evaluation.metrics import brain_range, mae
from model.evaluation.pairs import (
    SIMULATED_ONLY,
    TRAIN_AGAIN,
    TestPair,
    TrainedOn,
    native_pairs,
    other_target,
    populations,
    refuse_leakage,
    refuse_two_splits,
    repeat_scans,
    session_pairs,
)
from model.evaluation.protocol import EvaluationProtocol, Form, contrasts_of
from model.evaluation.references import Figures, PooledMaps, figures, figures_of_baselines, n_bins
from model.evaluation.rescan import rescan
from model.evaluation.scenes import (
    Linear,
    RefusedScanError,
    Scene,
    SynthesisModel,
    has_files,
    native_scene,
    session_scene,
    synthesise,
)
from model.evaluation.score_rows import REFUSED, Row, hashed, identify, score_rows
from warehouse.errors import ModelError, TumsynError
from warehouse.lake.home import Home
from warehouse.volumes import open_store

__all__ = ["Evaluation", "SynthesisModel", "Tested", "evaluate", "identify"]

KNOWN_SPLITS = ("train", "val", "test_internal", "test_external", "acceptance")
STEERING_MAE, STEERING_GAIN = "steering_mae", "steering_gain_db"
Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Tested:
    """How much was tested of a task, in one form, split and population.

    Parameters
    ----------
    form, split, task : str
    is_simulated : bool
    n_pairs, n_people : int
    """

    form: str
    split: str
    is_simulated: bool
    task: str
    n_pairs: int
    n_people: int


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Parameters
    ----------
    evaluation_id : str
        Hash of model, data and protocol.
    model_id, data_id, protocol_hash : str
    snapshot_id : str
        Catalogue that was read.
    scores : list of dict
        Rows of `core.evaluation_score`, baselines included.
    fidelity : list of dict
        Rows of `core.fidelity_score`.
    gates : list of dict
        Rows of `core.gate_verdict`.
    tested : list of Tested
        What was tested; nothing where the data have no pair.
    untested : list of (str, str)
        Tasks and splits without a pair in any form.
    unsupported : list of str
        Tasks with more sources than the model takes: their baselines are there, and no figure of the model.
    n_files_absent : int
        Pairs without a figure of form native, because a source's file is not where it was ingested from.
    refused : list of str
        Pairs without figures, because the path of a user refuses a scan of theirs, with the reason.
    """

    evaluation_id: str
    model_id: str
    data_id: str
    protocol_hash: str
    snapshot_id: str
    scores: list[Row]
    fidelity: list[Row]
    gates: list[Row]
    tested: list[Tested]
    untested: list[tuple[str, str]]
    unsupported: list[str]
    n_files_absent: int
    refused: list[str]


def evaluate(
    home: Home,
    synthesizer: SynthesisModel,
    model_id: str,
    protocol: EvaluationProtocol,
    report: Report | None = None,
    *,
    trained_on: TrainedOn | None = None,
    start: SynthesisModel | None = None,
    centers: Sequence[str] = (),
    fold: Fold | None = None,
    snapshot: str | None = None,
) -> Evaluation:
    """Measure a model and the baselines on the test pairs of one catalogue. Nothing is written.

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
    start : SynthesisModel, optional
        That its training began with. It is measured beside it from file to file, and a gate compares the two.
    centers : sequence of str
        On whose people that gate is measured; default: those of all centres.
    fold : Fold, optional
        That its training held out. A protocol of cross-validation tests the fold's people, and fits the pooled maps on
        those of the other folds.
    snapshot : str, optional
        Catalogue to read; default: the one in force.

    Raises
    ------
    ModelError
        When there is no test pair at all, the model was trained on somebody to be tested, somebody is in two splits,
        the model gives voxels that are not finite or another shape, or it held out no fold where one is to be tested.
    """
    images = _images(home, protocol, model_id, fold, snapshot)
    refuse_two_splits(images.items)
    held_out = [item for item in images.items if item.split in protocol.splits and item.split != "train"]
    remedy = f"run `tumsyn cross-validate` again; {SIMULATED_ONLY}" if protocol.is_cross_validation else TRAIN_AGAIN
    refuse_leakage(held_out, trained_on or {}, f"model {model_id}", remedy)
    test = _Test(images, synthesizer, model_id, protocol, start, tuple(centers))
    if not test.work:
        absent = f"; the files of {test.n_files_absent} pairs are absent" if test.n_files_absent else ""
        what = f"the catalogue has no pair of any task of protocol {protocol.name} in {', '.join(protocol.splits)}"
        raise ModelError(what + absent, "harmonise more centres, or name a protocol whose tasks the data have")
    found: dict[str, list[Row]] = {"scores": [], "fidelity": []}
    total = test.n_steps
    for done, (table, what, rows) in enumerate(test.steps(), start=1):
        found[table] += rows
        if report is not None:
            report(done, total, what)
    scores = found["scores"]
    tested = test.tested(scores)
    with_pair = {(one.task, one.split) for one in tested}
    asked = [(task, split) for split in protocol.splits for task in protocol.tasks]
    return Evaluation(
        evaluation_id=test.evaluation_id,
        model_id=model_id,
        data_id=images.data_id,
        protocol_hash=protocol.hash,
        snapshot_id=images.snapshot_id,
        scores=scores,
        fidelity=found["fidelity"],
        gates=test.verdicts(scores),
        tested=tested,
        untested=[each for each in asked if each not in with_pair],
        unsupported=[task for task in protocol.tasks if not test.is_supported(task)],
        n_files_absent=test.n_files_absent,
        refused=test.refused,
    )


def _images(
    home: Home, protocol: EvaluationProtocol, model_id: str, fold: Fold | None, snapshot: str | None
) -> CatalogueImages:
    """Return the images of all people who are tested or give maps."""
    if not protocol.is_cross_validation:
        return CatalogueImages.open(home, protocol.recipe, KNOWN_SPLITS, snapshot=snapshot)
    if fold is None:
        what = f"the training of model {model_id} held out no fold, which protocol {protocol.name} tests"
        raise ModelError(what, "train models that do: `tumsyn cross-validate`")
    return CatalogueImages.open(home, protocol.recipe, FOLD_SPLITS, fold=fold, snapshot=snapshot)


@dataclass
class _Test:
    """Everything that stays the same from pair to pair."""

    images: CatalogueImages
    synthesizer: SynthesisModel
    model_id: str
    protocol: EvaluationProtocol
    start: SynthesisModel | None = None
    centers: tuple[str, ...] = ()
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        protocol = self.protocol
        self.evaluation_id = identify(self.model_id, self.images.data_id, protocol.hash)
        self.maps = PooledMaps(self.images, protocol)
        native = native_pairs(self.images, protocol) if "native" in protocol.forms else []
        session = session_pairs(self.images, protocol) if "session" in protocol.forms else []
        drawn = native or session
        self.place = gates.gated_place(protocol.splits, populations(self.images, drawn))
        present = [pair for pair in native if has_files(self.images, pair)]
        self.n_files_absent = len(native) - len(present)
        self.work: list[tuple[Form, TestPair]] = [("native", pair) for pair in present]
        self.work += [("session", pair) for pair in session]
        watched = self._watched(drawn)
        with_files = set(present)
        self.steered = frozenset([pair for pair in watched if pair in with_files][: protocol.max_steering_pairs])
        self.behaving = watched[: protocol.max_behaviour_pairs]
        limit = protocol.max_rescan_pairs if "native" in protocol.forms else 0
        # Every person is tested by one fold, and scanned again in the evaluation of that one alone.
        self.rescanned = repeat_scans(self.images, limit, protocol.splits if protocol.is_cross_validation else None)

    @property
    def n_steps(self) -> int:
        return len(self.work) + len(self.behaving) + len(self.rescanned) + self.protocol.fidelity.n_people

    def steps(self) -> Iterator[tuple[str, str, list[Row]]]:
        """Yield table, what was done, and its rows; errors say which pair it was."""
        for form, pair in self.work:
            yield "scores", f"{pair.task}, {form}", self._of_pair(self._figures, pair, form)
        for pair in self.behaving:
            yield "scores", f"{pair.task}, behaviour", self._of_pair(self._behaviour, pair)
        for pair in self.rescanned:
            yield "scores", f"{pair.task}, second scan", self._of_pair(self._rescan, pair)
        for rows in self._fidelity():
            yield "fidelity", "contrast fidelity", rows

    def is_supported(self, task: str) -> bool:
        return len(contrasts_of(task)[0]) <= self.synthesizer.max_sources

    def _of_pair(self, measure: Callable[..., list[Row]], pair: TestPair, *more: Form) -> list[Row]:
        """Return the rows of a pair; where one of its scans is refused, one row that says so."""
        try:
            return measure(pair, *more)
        except RefusedScanError as error:
            self.refused.append(f"{self._named(pair)}: {error.what}")
            return [row for form in more for row in self._rows(form, pair, self.model_id, {REFUSED: 1.0})]
        except TumsynError as error:
            raise ModelError(f"{self._named(pair)}: {error.what}", error.remedy) from error

    def _figures(self, pair: TestPair, form: Form) -> list[Row]:
        scene = native_scene(self.images, pair) if form == "native" else session_scene(self.images, pair)
        target = self.images.items[pair.target]
        found: dict[str, Figures] = {}
        if self.is_supported(pair.task):
            made = synthesise(self.synthesizer, scene, target.record)
            found[self.model_id] = figures(made, scene)
            if form == "native" and pair in self.steered:
                found[self.model_id] |= self._steering(pair, scene, made)
        if self.start is not None and form == "native" and len(pair.sources) <= self.start.max_sources:
            found[START] = figures(synthesise(self.start, scene, target.record), scene)
        pooled = self.maps.of(pair.task, is_simulated=target.is_simulated)
        found |= figures_of_baselines(scene, pooled, n_bins(pair.task, self.protocol))
        return [row for name, values in found.items() for row in self._rows(form, pair, name, values)]

    def _steering(self, pair: TestPair, scene: Scene, made: Linear) -> Figures:
        """Return how much the brain changes, and how much worse it fits, when asked for another contrast."""
        asked = self.images.items[other_target(self.images, pair)].record
        other, span = synthesise(self.synthesizer, scene, asked), brain_range(scene.truth, scene.brain)
        gain = prompt_swap_gain_db(made, other, scene.truth, scene.brain, span)
        return {(STEERING_MAE, "brain"): mae(other, made, scene.brain, span), (STEERING_GAIN, "brain"): gain}

    def _behaviour(self, pair: TestPair) -> list[Row]:
        """Return identity, irrelevant fields and tiles, on the harmonised grid of the first source."""
        scene, asked = session_scene(self.images, pair), self.images.items[pair.target].record
        found = behaviour(self.synthesizer, scene.given[0], asked, scene.brain, scene.voxel_size_mm)
        in_brain = {(name, "brain"): value for name, value in found.items()}
        return list(self._rows("session", pair, self.model_id, in_brain))

    def _rescan(self, pair: TestPair) -> list[Row]:
        """Return the figures of a second scan, in form native; scans that cannot be compared have none."""
        other, target = (self.images.items[index] for index in (*pair.sources, pair.target))
        try:
            scene = native_scene(self.images, pair)
            made = rescan(open_store(target.native_path), open_store(other.native_path))
        except TumsynError as error:
            raise RefusedScanError(error.what, error.remedy) from error
        return list(self._rows("native", pair, RESCAN, figures(made, scene)))

    def _fidelity(self) -> Iterator[list[Row]]:
        """Yield the contrast fidelity on each digital person; the protocol may ask for none."""
        asked = self.protocol.fidelity
        if asked.n_people:
            from model.data.digital_people import DigitalCohort  # imports the simulation, which takes a second
            from model.evaluation import fidelity

            cohort = DigitalCohort(asked.n_people, asked.seed, asked.voxel_mm, asked.spread)
            yield from fidelity.scores(self.synthesizer, self.model_id, cohort)

    def _watched(self, pairs: Sequence[TestPair]) -> list[TestPair]:
        """Return the pairs on which steering and behaviour are measured: those of the gated split and population.

        A protocol that tests nobody there, such as one of validation people, watches its first split.
        """
        known = [pair for pair in pairs if self.is_supported(pair.task)]
        firsts = (gates.Place(split, simulated) for split in self.protocol.splits for simulated in (False, True))
        for place in (self.place, *firsts):
            if found := [pair for pair in known if self._place_of(pair) == place]:
                return found
        return []

    def verdicts(self, scores: list[Row]) -> list[Row]:
        items = {item.image_id: item for item in self.images.items}
        place = {"model_id": self.model_id, "data_id": self.images.data_id, "protocol_hash": self.protocol.hash}
        place["snapshot_id"] = self.images.snapshot_id
        verdicts = gates.judge(scores, items, self.place, self.model_id, self.protocol)
        if self.start is not None:
            center_of = {image_id: item.center_id for image_id, item in items.items()}
            own = [row for row in scores if not self.centers or center_of[row["target_image_id"]] in self.centers]
            verdicts.append(gates.judge_start(own, items, self.place, self.model_id, self.protocol))
        return [{"event_id": hashed(self.evaluation_id, row["gate"]), **place, **row} for row in verdicts]

    def tested(self, scores: Sequence[Row]) -> list[Tested]:
        """Count pairs and people with rows, by form, split, population and task."""
        items = {item.image_id: item for item in self.images.items}
        people: dict[tuple[str, str, bool, str], dict[tuple[str, ...], str]] = {}
        for row in scores:
            if (row["metric"], row["mask"]) == REFUSED:
                continue
            target = items[row["target_image_id"]]
            cell = (row["form"], row["split"], target.is_simulated, row["task"])
            pair = (*row["source_image_ids"], row["target_image_id"])
            people.setdefault(cell, {})[pair] = target.person_id
        return [Tested(*cell, len(pairs), len(set(pairs.values()))) for cell, pairs in sorted(people.items())]

    def _place_of(self, pair: TestPair) -> gates.Place:
        return gates.Place(pair.split, self.images.items[pair.target].is_simulated)

    def _named(self, pair: TestPair) -> str:
        names = " and ".join(self.images.items[index].image_id for index in (*pair.sources, pair.target))
        return f"{pair.task}, images {names}"

    def _rows(self, form: Form, pair: TestPair, model_id: str, values: Figures) -> Iterator[Row]:
        return score_rows(self.images, self.protocol, self.evaluation_id, model_id, form, pair, values)
