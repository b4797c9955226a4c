"""Evaluate a trained model, record its scores and verdicts, offer it as champion, and write its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.progress import Report
from pipelines.runtime.shipped import picture_of
from warehouse.catalog import model_registry, sqlfiles, verdicts
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
    from model.evaluation.summary import summarise
    from model.inference.synthesize import load_synthesizer
    from pipelines.runtime.promotion import compare_synthesis, offer

    path, config, protocol, evaluation_id = _evaluation(home, model, protocol_name)
    model_id, fold = str(config["model_id"]), Fold.of(config.get("training"))
    keys = {"model_id": model_id, "data_id": data_in_force(home), "protocol_hash": protocol.hash}
    found: Evaluation | None = None
    if not _is_recorded(home, keys):
        synthesizer = load_synthesizer(home, str(path), device)
        found = evaluate(
            home,
            synthesizer,
            model_id,
            protocol,
            report,
            trained_on=config.get("trained_on"),
            start=_start(home, config, device),
            fold=fold,
            centers=(config.get("training") or {}).get("centers") or (),
        )
        model_registry.record(home, SCORE, found.scores)
        model_registry.record(home, FIDELITY, found.fidelity)
        model_registry.record(home, verdicts.TABLE, found.gates)  # last: its presence marks a complete evaluation
    scores = model_registry.statements(home, SCORE, evaluation_id=evaluation_id)

    def compare(gate: str, other: str, margin: float) -> dict[str, Any]:
        return compare_synthesis(home, scores, model_id, protocol, Opponent(other, gate, margin), report, device)

    made, judged = offer(home, "synthesis", keys, evaluation_id, compare)
    people = people_of_images(home)
    summaries = [row for by_task in (False, True) for row in summarise(scores, people, model_id, by_task=by_task)]
    skipped = _skipped(scores, model_id, protocol, found)
    return Evaluated(model_id, "synthesis", evaluation_id, judged, scores, made, summaries, skipped)


def _start(home: Home, config: Mapping[str, Any], device: str | None) -> Synthesizer | None:
    """Return the model that a training began with; None where it began with nothing.

    Raises
    ------
    ModelError
        When that model is neither in this home nor the one that ships.
    """
    from model.inference.synthesize import load_synthesizer

    return load_synthesizer(home, str(config["init"]), device) if config.get("init") else None


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
    from model.evaluation.evaluate import identify
    from model.evaluation.gates import Opponent
    from model.evaluation.retrieval import retrieval_scores
    from model.evaluation.retrieval_protocol import retrieval_protocol
    from model.networks.checkpoint import read_config
    from model.networks.device import choose_device
    from model.networks.weights import resolve
    from model.report.text_encoder import PAGE, write_page
    from pipelines.runtime.promotion import offer

    path, protocol = resolve(home, model, "text_encoder"), retrieval_protocol(protocol_name)
    config = read_config(path)
    keys = {"model_id": str(config["model_id"]), "data_id": data_in_force(home), "protocol_hash": protocol.hash}
    evaluation_id = identify(*keys.values())
    page = home.reports / evaluation_id / PAGE
    is_recorded = _is_recorded(home, keys)
    if not is_recorded or not page.is_file():
        found = retrieval_scores(home, path, protocol, device=choose_device(device), report=report)
        about = {"Protocol": protocol.name, "Evaluation": evaluation_id, "Training run": str(config.get("run_id"))}
        write_page(found, page.parent, about)
        if not is_recorded:
            model_registry.record(home, RETRIEVAL, found.scores)
            model_registry.record(home, verdicts.TABLE, found.gates)  # last: its presence marks a complete evaluation
    scores = model_registry.statements(home, RETRIEVAL, **keys)

    def compare(gate: str, other: str, margin: float) -> dict[str, Any]:
        opponent, place = Opponent(other, gate, margin), home.models / other
        return compare_encoders(home, path, protocol, opponent, place, device=choose_device(device))

    made, judged = offer(home, "text_encoder", keys, evaluation_id, compare)
    return Evaluated(keys["model_id"], "text_encoder", evaluation_id, judged, scores, made, page=page)


def write_report(home: Home, model: str | None, protocol_name: str, *, device: str | None = None) -> Path:
    """Write the page of a published evaluation, unless it is there.

    Returns
    -------
    Path
        ``<home>/reports/<evaluation_id>/report.html``.

    Raises
    ------
    ModelError
        When the model was not evaluated by the protocol on the data in force.
    """
    from model.inference.synthesize import load_synthesizer
    from model.report import page

    path, _, protocol, evaluation_id = _evaluation(home, model, protocol_name)
    with Catalogue(home).connect() as connection:
        synthesizer, folder = load_synthesizer(home, str(path), device), home.reports / evaluation_id
        shipped = _shipped_picture(home)
        return page.write_report(home, connection, evaluation_id, synthesizer, folder, protocol, shipped=shipped)


def rewrite_report(home: Home, path: Path, protocol_name: str) -> Path:
    """Write the page of an evaluation again, with what there is to show now.

    Parameters
    ----------
    path : Path
        The page; its folder is named by the evaluation.
    protocol_name : str
        Name of the protocol, or path of its file.
    """
    from model.evaluation.protocol import load_protocol
    from model.report.data import read_figures

    with Catalogue(home).connect() as connection:
        model_id = read_figures(connection, path.parent.name, load_protocol(protocol_name)).model_id
    return write_report(home, model_id, protocol_name)


def current_report(home: Home, text_encoder: str, synthesis: str, protocol_name: str) -> Path | None:
    """Return the report that these configurations would give on the data in force by this code, if it exists.

    Parameters
    ----------
    text_encoder, synthesis : str
        Names of configurations, or paths of files.
    protocol_name : str
        Name of a protocol, or path of a file.
    """
    from model.evaluation.evaluate import identify
    from model.evaluation.protocol import load_protocol
    from model.training.config import load_config
    from model.training.trained import training_code

    data_id = data_in_force(home)
    run: dict[str, Any] | None = None
    for kind, name in (("text_encoder", text_encoder), ("synthesis", synthesis)):
        run = model_registry.last_run(home, kind)
        wanted = (data_id, training_code(kind), load_config(kind, name).model_dump(mode="json"))
        if run is None or wanted != (run["data_id"], run["training_code"], json.loads(run["config"])):
            return None
    assert run is not None
    for version in model_registry.statements(home, model_registry.VERSION, run_id=run["run_id"]):
        path = home.reports / identify(version["model_id"], data_id, load_protocol(protocol_name).hash) / "report.html"
        if path.is_file():
            return path
    return None


def headline(home: Home, path: Path, protocol_name: str) -> str:
    """Return the findings of a report in a few lines of text.

    Parameters
    ----------
    path : Path
        The page; its folder is named by the evaluation.
    """
    from model.evaluation.protocol import load_protocol
    from model.report.data import read_figures
    from model.report.headline import lines

    with Catalogue(home).connect() as connection:
        return "\n".join(lines(read_figures(connection, path.parent.name, load_protocol(protocol_name))))


def report_problems(home: Home, path: Path, evaluation_id: str, protocol_name: str) -> list[str]:
    """Return what is wrong with a report: missing pictures, and figures that are not those of the catalogue."""
    from model.evaluation.protocol import load_protocol
    from model.report.page import problems

    with Catalogue(home).connect() as connection:
        protocol, shipped = load_protocol(protocol_name), _shipped_picture(home)
        return problems(path, connection, evaluation_id, protocol, shipped=shipped)


def _shipped_picture(home: Home) -> bytes:
    path = picture_of(home)
    return path.read_bytes() if path else b""


def data_in_force(home: Home) -> str:
    """Return the data_id of the published catalogue."""
    with Catalogue(home).connect() as connection:
        row = connection.execute("SELECT data_id FROM meta.snapshot").fetchone()
    assert row is not None  # every snapshot has one row
    return str(row[0])


def people_of_images(home: Home) -> dict[str, Person]:
    """Return whom each image of the published catalogue shows."""
    from model.evaluation.summary import Person

    with Catalogue(home).connect() as connection:
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

    last = ModelError(f"there is no model {model!r}")
    for kind in KINDS:
        try:
            resolve(home, model, kind)
        except ModelError as error:
            last = error
        else:
            return kind
    raise last


def _evaluation(
    home: Home, model: str | None, protocol_name: str
) -> tuple[Path, dict[str, Any], EvaluationProtocol, str]:
    """Return the folder and configuration of a synthesis model, the protocol, and the identity of their evaluation."""
    from model.evaluation.evaluate import identify
    from model.evaluation.protocol import load_protocol
    from model.networks.checkpoint import read_config
    from model.networks.weights import resolve

    protocol, path = load_protocol(protocol_name), resolve(home, model, "synthesis")
    config = read_config(path)
    return path, config, protocol, identify(str(config["model_id"]), data_in_force(home), protocol.hash)


def _is_recorded(home: Home, keys: Mapping[str, str]) -> bool:
    """Return whether an evaluation is on record, whose verdicts are written last."""
    known = verdicts.recorded(home, keys["model_id"])
    return bool(verdicts.of_evaluation(known, keys["data_id"], keys["protocol_hash"]))


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
