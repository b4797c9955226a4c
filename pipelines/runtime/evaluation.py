"""What happens to a model between its training and its use: judged, recorded, perhaps champion, published, reported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warehouse.catalog import model_registry
from warehouse.catalog.publish import Published, publish
from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.lake.home import Home

SCORE, RETRIEVAL, VERDICT = "core.evaluation_score", "core.retrieval_score", "core.gate_verdict"
VERDICT_WORDS = {"passed": "holds", "failed": "FAILS", "not_enough_data": "not enough data"}
SEED = 0  # of the images that a text encoder is judged by
Show = Callable[[int, int, str], None]  # done, total, what


@dataclass(frozen=True)
class Evaluated:
    """A model and what its gates say.

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
    is_champion : bool
    """

    model_id: str
    kind: str
    evaluation_id: str
    verdicts: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    is_champion: bool

    @property
    def passed(self) -> bool:
        """Whether there are gates and all of them hold."""
        return bool(self.verdicts) and all(row["passed"] for row in self.verdicts)

    @property
    def failed(self) -> list[str]:
        """Gates that do not hold; one without enough data is none of them."""
        return [row["gate"] for row in self.verdicts if model_registry.verdict_of(row) == "failed"]


def evaluate_model(
    home: Home, model: str | None, protocol_name: str, show: Show, *, device: str | None = None
) -> Evaluated:
    """Measure a synthesis model by a protocol and record what was found; what is on record is not measured again.

    Parameters
    ----------
    model : str, optional
        Identity, alias or folder; default: the champion.
    protocol_name : str
        Name of a shipped protocol, or path of a file.
    show : callable
        Told done, total and what is done.

    Raises
    ------
    ModelError
        When there is no such model or protocol, or nothing to measure it on.
    """
    from model.evaluation.evaluate import evaluate, identify
    from model.evaluation.protocol import load_protocol
    from model.inference.synthesize import load_synthesizer
    from model.networks.checkpoint import read_config
    from model.networks.weights import resolve

    protocol = load_protocol(protocol_name)
    path = resolve(home, model, "synthesis")
    config = read_config(path)
    model_id, data_id = str(config["model_id"]), data_in_force(home)
    evaluation_id = identify(model_id, data_id, protocol.hash)
    told = {"model_id": model_id, "data_id": data_id, "protocol_hash": protocol.hash}
    if not model_registry.statements(home, VERDICT, **told):
        found = evaluate(
            home,
            load_synthesizer(home, str(path), device),
            model_id,
            protocol,
            show,
            trained_on=config.get("trained_on"),
        )
        model_registry.record(home, SCORE, found.scores)
        model_registry.record(home, VERDICT, found.gates)  # last: where it is, all is
    verdicts = model_registry.statements(home, VERDICT, **told)
    scores = model_registry.statements(home, SCORE, evaluation_id=evaluation_id)
    return _offered(home, model_id, "synthesis", evaluation_id, verdicts, scores)


def judge_text_encoder(home: Home, model: str | None, show: Show, *, device: str | None = None) -> Evaluated:
    """Measure what a text encoder finds again and record it; what is on record is not measured again.

    Parameters
    ----------
    model : str, optional
        Identity, alias or folder; default: the champion.
    show : callable
        Told done, total and what is done.

    Raises
    ------
    ModelError
        When there is no such model, or it is unusable.
    """
    from model.evaluation.retrieval import protocol_hash, retrieval_scores
    from model.networks.checkpoint import read_config
    from model.networks.device import choose_device
    from model.networks.weights import resolve

    path = resolve(home, model, "text_encoder")
    model_id = str(read_config(path)["model_id"])
    told = {"model_id": model_id, "data_id": data_in_force(home), "protocol_hash": protocol_hash(SEED)}
    if not model_registry.statements(home, VERDICT, **told):
        found = retrieval_scores(home, path, SEED, device=choose_device(device), report=show)
        model_registry.record(home, RETRIEVAL, found.scores)
        model_registry.record(home, VERDICT, found.gates)  # last: where it is, all is
    verdicts = model_registry.statements(home, VERDICT, **told)
    scores = model_registry.statements(home, RETRIEVAL, **told)
    return _offered(home, model_id, "text_encoder", identity(*told.values()), verdicts, scores)


def write_report(home: Home, model: str | None, protocol_name: str, *, device: str | None = None) -> Path:
    """Write the page of an evaluation that is published, unless it is there.

    Returns
    -------
    Path
        ``<home>/reports/<evaluation_id>/report.html``.

    Raises
    ------
    ModelError
        When the model was not evaluated by the protocol on the data in force.
    """
    from model.evaluation.evaluate import identify
    from model.evaluation.protocol import load_protocol
    from model.inference.synthesize import load_synthesizer
    from model.networks.checkpoint import read_config
    from model.networks.weights import resolve
    from model.report import page
    from warehouse.catalog.query import Catalogue

    protocol = load_protocol(protocol_name)
    path = resolve(home, model, "synthesis")
    evaluation_id = identify(str(read_config(path)["model_id"]), data_in_force(home), protocol.hash)
    target = home.reports / evaluation_id
    with Catalogue(home).connect() as connection:
        synthesizer = load_synthesizer(home, str(path), device)
        return page.write_report(home, connection, evaluation_id, synthesizer, target, protocol)


def current_report(home: Home, text_encoder: str, synthesis: str, protocol_name: str) -> Path | None:
    """Return the report of what these configurations make of the data in force by this code; None where there is none.

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
    for kind, name in (("text_encoder", text_encoder), ("synthesis", synthesis)):
        config = load_config(kind, name).model_dump(mode="json")
        run = model_registry.last_run(home, kind)
        said = run and (run["data_id"], run["training_code"], json.loads(run["config"]))
        if run is None or said != (data_id, training_code(kind), config):
            return None
    last = model_registry.last_run(home, "synthesis") or {}
    for version in model_registry.statements(home, model_registry.VERSION, run_id=last.get("run_id")):
        path = home.reports / identify(version["model_id"], data_id, load_protocol(protocol_name).hash) / "report.html"
        if path.is_file():
            return path
    return None


def headline(home: Home, path: Path, protocol_name: str) -> str:
    """Return what a report finds, in a few lines of text.

    Parameters
    ----------
    path : Path
        The page; its folder is named by the evaluation.
    """
    from model.evaluation.protocol import load_protocol
    from model.report.data import read_figures
    from model.report.headline import lines
    from warehouse.catalog.query import Catalogue

    with Catalogue(home).connect() as connection:
        return "\n".join(lines(read_figures(connection, path.parent.name, load_protocol(protocol_name))))


def report_faults(home: Home, path: Path, evaluation_id: str, protocol_name: str) -> list[str]:
    """Return what is wrong with a report; nothing where it is whole and its figures are those of the catalogue."""
    from model.evaluation.protocol import load_protocol
    from model.report.page import problems
    from warehouse.catalog.query import Catalogue

    with Catalogue(home).connect() as connection:
        return problems(path, connection, evaluation_id, load_protocol(protocol_name))


def publish_once(home: Home, run_id: str | None = None) -> Published:
    """Put everything that was recorded in force as one snapshot."""
    return publish(home, run_id=run_id)


def data_in_force(home: Home) -> str:
    """Return the data_id of the published catalogue."""
    from warehouse.catalog.query import Catalogue

    with Catalogue(home).connect() as connection:
        row = connection.execute("SELECT data_id FROM meta.snapshot").fetchone()
    assert row is not None  # every snapshot says what it is
    return str(row[0])


def identity(*parts: str) -> str:
    """Return the identity of what is made of these, 16 hexadecimal digits."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]


def digest(path: Path) -> str:
    """Return the identity of a file's content."""
    return atomic.sha256(path)[:16]


def kind_of(home: Home, model: str) -> str:
    """Return the kind of a model that is named by identity or folder.

    Raises
    ------
    ModelError
        When there is none.
    """
    from model.networks.weights import resolve
    from warehouse.tables.models import KINDS

    for kind in KINDS:
        try:
            resolve(home, model, kind)
        except ModelError as error:
            last = error
        else:
            return kind
    raise last


def _offered(
    home: Home,
    model_id: str,
    kind: str,
    evaluation_id: str,
    verdicts: list[dict[str, Any]],
    scores: list[dict[str, Any]],
) -> Evaluated:
    judged = Evaluated(model_id, kind, evaluation_id, verdicts, scores, False)
    reason = "; ".join(row["detail"] for row in verdicts)
    is_champion = model_registry.offer(home, model_id, kind, passed=judged.passed, reason=reason)
    return Evaluated(model_id, kind, evaluation_id, verdicts, scores, is_champion)
