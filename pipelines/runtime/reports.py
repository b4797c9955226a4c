"""Write and check the reports of evaluations, and say in a few lines what they find.

A report reads one catalogue: the data that the evaluation measured, and everything that was recorded of the model by
the time of a snapshot that knows the evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.runtime.evaluation import data_in_force, data_of
from pipelines.runtime.shipped import picture_of
from warehouse.catalog import model_registry, snapshots, verdicts
from warehouse.catalog.query import Catalogue
from warehouse.errors import ModelError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    import duckdb

    from model.evaluation.protocol import EvaluationProtocol


def write_report(
    home: Home,
    model: str | None,
    protocol_name: str,
    *,
    evaluation_id: str | None = None,
    snapshot: str | None = None,
    device: str | None = None,
) -> Path:
    """Write the page of a published evaluation.

    Parameters
    ----------
    model : str, optional
        Identity, alias or folder; default: the champion.
    protocol_name : str
        Name of a shipped protocol, or path of a file.
    evaluation_id : str, optional
        Default: the evaluation of the model by the protocol on the data in force, else its last one on other data.
    snapshot : str, optional
        A snapshot that knows the evaluation; default, and where it is kept no more: the one in force.

    Returns
    -------
    Path
        ``<home>/reports/<evaluation_id>/report.html``.

    Raises
    ------
    ModelError
        When the model was not evaluated by the protocol, or the evaluation is not published.
    """
    from model.evaluation.protocol import load_protocol
    from model.networks.checkpoint import read_config
    from model.networks.weights import resolve

    protocol, path, catalogue = load_protocol(protocol_name), resolve(home, model, "synthesis"), _kept(home, snapshot)
    found = evaluation_id or _evaluation_of(catalogue, str(read_config(path)["model_id"]), protocol)
    with _opened(home, catalogue, found) as connection:
        return _written(home, connection, found, str(path), protocol, device)


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

    evaluation_id, protocol = path.parent.name, load_protocol(protocol_name)
    with _opened(home, Catalogue(home), evaluation_id) as connection:
        model_id = read_figures(connection, evaluation_id, protocol).model_id
        return _written(home, connection, evaluation_id, model_id, protocol, None)


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

    with _opened(home, Catalogue(home), path.parent.name) as connection:
        return "\n".join(lines(read_figures(connection, path.parent.name, load_protocol(protocol_name))))


def report_problems(
    home: Home, path: Path, evaluation_id: str, protocol_name: str, snapshot: str | None = None
) -> list[str]:
    """Return what is wrong with a report: missing pictures, and figures that are not those of the catalogue.

    Parameters
    ----------
    snapshot : str, optional
        As `write_report` takes it.
    """
    from model.evaluation.protocol import load_protocol
    from model.report.page import problems

    with _opened(home, _kept(home, snapshot), evaluation_id) as connection:
        protocol, shipped = load_protocol(protocol_name), _shipped_picture(home)
        return problems(path, connection, evaluation_id, protocol, shipped=shipped)


def _written(
    home: Home,
    connection: duckdb.DuckDBPyConnection,
    evaluation_id: str,
    model: str,
    protocol: EvaluationProtocol,
    device: str | None,
) -> Path:
    from model.inference.synthesize import load_synthesizer
    from model.report import page

    synthesizer, folder = load_synthesizer(home, model, device), home.reports / evaluation_id
    shipped = _shipped_picture(home)
    return page.write_report(home, connection, evaluation_id, synthesizer, folder, protocol, shipped=shipped)


def _kept(home: Home, snapshot: str | None) -> Catalogue:
    """Return a snapshot where it is kept, else the one in force, which knows all that an earlier one knows."""
    return Catalogue(home, snapshot if snapshot in snapshots.existing(home) else None)


@contextmanager
def _opened(home: Home, catalogue: Catalogue, evaluation_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a catalogue, read-only, with the data that an evaluation measured, where they are kept.

    Raises
    ------
    ModelError
        When the catalogue does not know the evaluation.
    """
    from model.report.data import about

    with catalogue.connect() as connection:
        evaluation, existing = about(connection, evaluation_id), snapshots.existing(home)
        known = verdicts.published(connection, evaluation["model_id"])
        judged = verdicts.of_evaluation(known, evaluation["data_id"], evaluation["protocol_hash"])
        measured = next((row["snapshot_id"] for row in judged if row["snapshot_id"] in existing), None)
        if measured is None or data_of(catalogue) == evaluation["data_id"]:
            yield connection
            return
    with Catalogue(home, measured).connect_with_events_of(catalogue) as connection:
        yield connection


def _evaluation_of(catalogue: Catalogue, model_id: str, protocol: EvaluationProtocol) -> str:
    """Return the evaluation of a model by a protocol: on the data of the catalogue, else the last one on other data."""
    from model.evaluation.evaluate import identify

    with catalogue.connect() as connection:
        known = verdicts.published(connection, model_id)
    made_on = [row["data_id"] for row in known if row["protocol_hash"] == protocol.hash]
    if not made_on:
        what = f"the catalogue has no evaluation of model {model_id} by protocol {protocol.name}"
        raise ModelError(what, f"run `tumsyn evaluate --model {model_id}` with this protocol, which also publishes")
    data_id = data_of(catalogue)
    return identify(model_id, data_id if data_id in made_on else made_on[-1], protocol.hash)


def _shipped_picture(home: Home) -> bytes:
    path = picture_of(home)
    return path.read_bytes() if path else b""
