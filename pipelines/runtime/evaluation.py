"""Evaluate a trained model, record its scores and verdicts, and offer it as champion.

An evaluation reads one snapshot, which is chosen when it begins: what is published meanwhile does not enter it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.progress import Report
from warehouse.catalog import model_registry, snapshots, sqlfiles, verdicts
from warehouse.catalog.query import Catalogue
from warehouse.errors import ModelError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from model.evaluation.evaluate import Evaluation
    from model.evaluation.protocol import EvaluationProtocol
    from model.evaluation.summary import Person, Summary
    from model.inference.synthesize import Synthesizer
    from warehouse.catalog.promotion import Offer

SCORE, RETRIEVAL, FIDELITY = "core.evaluation_score", "core.retrieval_score", "core.fidelity_score"
VERDICT_WORDS = {"passed": "passed", "failed": "FAILED", "not_enough_data": "not enough data"}


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of a model.

    Parameters
    ----------
    model_id : str
    kind : {"text_encoder", "synthesis"}
    evaluation_id : str
        Identity of model, data and protocol.
    snapshot_id : str
        Catalogue that was read; of a recorded evaluation one of the same data, which its verdicts may not name.
    verdicts : list of dict
        Rows of `core.gate_verdict`.
    scores : list of dict
        Rows of `core.evaluation_score` or `core.retrieval_score`.
    offer : Offer
        Whether it became champion, and why or why not.
    summaries : list of Summary
        Of a synthesis model: means by form, population and split, of all tasks and of each.
    skipped : list of str
        What has no figure, and why. Absent files and refused scans are known only to the run that scored them.
    page : Path or None
        Of a text encoder: its page; the plots of it lie beside it.
    """

    model_id: str
    kind: str
    evaluation_id: str
    snapshot_id: str
    verdicts: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    offer: Offer
    summaries: list[Summary] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    page: Path | None = None

    @property
    def is_champion(self) -> bool:
        """Whether the model is the champion now."""
        return self.offer.is_champion

    @property
    def failed(self) -> list[str]:
        """Gates that the model failed; a gate without enough data is not among them."""
        return [row["gate"] for row in self.verdicts if verdicts.verdict_of(row) == "failed"]


def evaluate_synthesis(
    home: Home, model: str | None, protocol_name: str, report: Report, *, device: str | None = None
) -> Evaluated:
    """Evaluate a synthesis model by a protocol, and record the result; a recorded evaluation is not repeated.

    Parameters
    ----------
    model : str, optional
        Identity, alias or folder; default: the champion.
    protocol_name : str
        Name of a shipped protocol, or path of a file.
    report : callable
        Is called with done, total and the current item.

    Raises
    ------
    ModelError
        When there is no such model or protocol, or no test pair.
    """
    from model.data.folds import Fold
    from model.evaluation.evaluate import evaluate
    from model.evaluation.gates import Opponent
    from model.evaluation.protocol import load_protocol
    from model.evaluation.summary import summarise
    from model.inference.synthesize import load_synthesizer
    from model.networks.checkpoint import read_config
    from model.networks.weights import resolve
    from pipelines.runtime.promotion import compare_synthesis, offer

    protocol, path = load_protocol(protocol_name), resolve(home, model, "synthesis")
    config, catalogue = read_config(path), Catalogue(home)
    keys, evaluation_id = _identity(catalogue, config, protocol.hash)
    model_id, snapshot = keys["model_id"], catalogue.snapshot_id
    found: Evaluation | None = None
    with _held(home, catalogue, keys, evaluation_id) as is_recorded:
        if not is_recorded:
            found = evaluate(
                home,
                load_synthesizer(home, str(path), device),
                model_id,
                protocol,
                report,
                trained_on=config.get("trained_on"),
                start=_start(home, path, config, device),
                fold=Fold.of(config.get("training")),
                centers=(config.get("training") or {}).get("centers") or (),
                snapshot=snapshot,
            )
            model_registry.record(home, SCORE, found.scores)
            model_registry.record(home, FIDELITY, found.fidelity)
            model_registry.record(home, verdicts.TABLE, found.gates)  # last: its presence marks a complete evaluation
        scores = model_registry.statements(home, SCORE, evaluation_id=evaluation_id)

        def compare(gate: str, other: str, margin: float) -> dict[str, Any]:
            opponent = Opponent(other, gate, margin)
            with snapshots.held(home, snapshot, f"comparison:{evaluation_id}"):  # also of a recorded evaluation
                return compare_synthesis(home, scores, model_id, protocol, opponent, report, device, snapshot)

        people = people_of_images(catalogue)
        made, judged = offer(home, "synthesis", keys, evaluation_id, compare)
    summaries = [row for by_task in (False, True) for row in summarise(scores, people, model_id, by_task=by_task)]
    skipped = _skipped(scores, model_id, protocol, found)
    return Evaluated(model_id, "synthesis", evaluation_id, snapshot, judged, scores, made, summaries, skipped)


def _start(home: Home, path: Path, config: Mapping[str, Any], device: str | None) -> Synthesizer | None:
    """Return the model that a training was initialised with; None for random weights.

    The one of the shipped weights was left in the home that trained them, so it is None elsewhere.

    Raises
    ------
    ModelError
        When that model is neither in this home nor the one that ships.
    """
    from model.inference.synthesize import load_synthesizer
    from model.networks.weights import shipped

    begun = str(config.get("init") or "")
    if not begun or (path == shipped("synthesis") and not (home.models / begun).is_dir()):
        return None
    return load_synthesizer(home, begun, device)


def evaluate_text_encoder(
    home: Home, model: str | None, protocol_name: str, report: Report, *, device: str | None = None
) -> Evaluated:
    """Evaluate a text encoder, record the result, and write its page; what is recorded and written is not repeated.

    Parameters
    ----------
    model : str, optional
        Identity, alias or folder; default: the champion.
    protocol_name : str
        As `evaluate_synthesis` takes it; the protocol of a text encoder goes with it.
    report : callable
        Is called with done, total and the current item.

    Raises
    ------
    ModelError
        When there is no such model, or it is unusable.
    """
    from model.evaluation.champion_encoder import compare_encoders
    from model.evaluation.gates import Opponent
    from model.evaluation.retrieval import retrieval_scores
    from model.evaluation.retrieval_protocol import retrieval_protocol
    from model.networks.checkpoint import read_config
    from model.networks.device import choose_device
    from model.networks.weights import resolve
    from model.report.text_encoder import PAGE, write_page
    from pipelines.runtime.promotion import offer

    protocol, path = retrieval_protocol(protocol_name), resolve(home, model, "text_encoder")
    config, catalogue = read_config(path), Catalogue(home)
    keys, evaluation_id = _identity(catalogue, config, protocol.hash)
    where: dict[str, Any] = {"device": choose_device(device), "snapshot": catalogue.snapshot_id}
    page = home.reports / evaluation_id / PAGE
    with _held(home, catalogue, keys, evaluation_id) as is_recorded:
        if not is_recorded or not page.is_file():
            found = retrieval_scores(home, path, protocol, report=report, **where)
            about = {"Protocol": protocol.name, "Evaluation": evaluation_id, "Training run": str(config.get("run_id"))}
            write_page(found, page.parent, about | {"Catalogue": catalogue.snapshot_id})
            if not is_recorded:
                model_registry.record(home, RETRIEVAL, found.scores)
                model_registry.record(home, verdicts.TABLE, found.gates)  # last, as above
        scores = model_registry.statements(home, RETRIEVAL, **keys)

        def compare(gate: str, other: str, margin: float) -> dict[str, Any]:
            opponent = Opponent(other, gate, margin)
            with snapshots.held(home, catalogue.snapshot_id, f"comparison:{evaluation_id}"):
                return compare_encoders(home, path, protocol, opponent, home.models / other, **where)

        made, judged = offer(home, "text_encoder", keys, evaluation_id, compare)
    snapshot = catalogue.snapshot_id
    return Evaluated(keys["model_id"], "text_encoder", evaluation_id, snapshot, judged, scores, made, page=page)


def data_in_force(home: Home) -> str:
    """Return the data_id of the published catalogue."""
    return data_of(Catalogue(home))


def data_of(catalogue: Catalogue) -> str:
    """Return the data_id of a snapshot."""
    with catalogue.connect() as connection:
        row = connection.execute("SELECT data_id FROM meta.snapshot").fetchone()
    assert row is not None  # every snapshot has one row
    return str(row[0])


def people_of_images(catalogue: Catalogue) -> dict[str, Person]:
    """Return whom each image of a snapshot shows."""
    from model.evaluation.summary import Person

    with catalogue.connect() as connection:
        rows = connection.execute(sqlfiles.read("catalog/people_of_images")).fetchall()
    return {image_id: Person(person_id, is_simulated) for image_id, person_id, is_simulated in rows}


def kind_of(home: Home, model: str) -> str:
    """Return the kind of a model that is named by identity or folder.

    Raises
    ------
    ModelError
        When there is no such model.
    """
    from model.networks.weights import resolve
    from warehouse.tables.models import KINDS

    last = ModelError(f"there is no model {model!r}", "`tumsyn models list` shows those that there are")
    for kind in KINDS:
        try:
            resolve(home, model, kind)
        except ModelError as error:
            last = error
        else:
            return kind
    raise last


def _identity(catalogue: Catalogue, config: Mapping[str, Any], protocol_hash: str) -> tuple[dict[str, str], str]:
    """Return model, data and protocol of an evaluation, and its identity."""
    from model.evaluation.evaluate import identify

    keys = {"model_id": str(config["model_id"]), "data_id": data_of(catalogue), "protocol_hash": protocol_hash}
    return keys, identify(*keys.values())


@contextmanager
def _held(home: Home, catalogue: Catalogue, keys: Mapping[str, str], evaluation_id: str) -> Iterator[bool]:
    """Yield whether an evaluation is recorded; if not, keep its snapshot from being retired while it is computed."""
    known = verdicts.recorded(home, keys["model_id"])
    if verdicts.of_evaluation(known, keys["data_id"], keys["protocol_hash"]):
        yield True
        return
    with snapshots.held(home, catalogue.snapshot_id, f"evaluation:{evaluation_id}"):
        yield False


def _skipped(
    scores: list[dict[str, Any]], model_id: str, protocol: EvaluationProtocol, found: Evaluation | None
) -> list[str]:
    """Return what has no figure, and why; `found` is None where the scores were on record."""
    from model.evaluation.summary import without_model

    tested = {(row["task"], row["split"]) for row in scores}
    lines = [f"{task}: the model takes fewer sources; baselines only" for task in without_model(scores, model_id)]
    for task in protocol.tasks:
        if splits := [split for split in protocol.splits if (task, split) not in tested]:
            lines.append(f"{task}: no pair in {', '.join(splits)}")
    if found is not None and found.n_files_absent:
        lines.append(f"{found.n_files_absent} pairs: a source's file is absent, so that form native has no figure")
    return [*lines, *(found.refused if found is not None else [])]
