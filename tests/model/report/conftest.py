"""A home with a published evaluation of a model that is good, but not perfect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.evaluate import Evaluation, evaluate
from model.evaluation.protocol import EvaluationProtocol
from model.report.page import write_report
from tests.model.evaluation.fakes import Perfect, protocol
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.lake import parts as lake
from warehouse.lake.home import Home

MODEL, ENCODER, RUN = "1111222233334444", "fedcba9876543210", "aaaabbbbccccdddd"
WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@dataclass(frozen=True)
class Reported:
    """A report, and all that it was made of."""

    home: Home
    evaluation: Evaluation
    protocol: EvaluationProtocol
    model: Perfect
    page: Path


@pytest.fixture(scope="session")
def reported(peopled_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A report of the forty people; read it only."""
    folder, home = tmp_path_factory.mktemp("reported"), peopled_home
    model, asked = Perfect(home, spoil=0.04), protocol()
    found = evaluate(home, model, MODEL, asked)
    lake.append_events(home, "core.evaluation_score", found.scores)
    lake.append_events(home, "core.gate_verdict", found.gates)
    for table, rows in records(found).items():
        lake.append_events(home, table, rows)
    publish(home)
    with Catalogue(home).connect() as connection:
        page = write_report(home, connection, found.evaluation_id, model, folder / "report", asked)
    return Reported(home, found, asked, model, page)


@pytest.fixture
def connection(reported: Reported) -> Iterator[Any]:
    with Catalogue(reported.home).connect() as opened:
        yield opened


def records(found: Evaluation) -> dict[str, list[dict[str, object]]]:
    """What else is on record of a model: how it was trained, and how its text encoder retrieves."""
    run = {"run_id": RUN, "kind": "synthesis", "data_id": found.data_id}
    trained = {"snapshot_id": "s", "training_code": "0.1.0+abc", "seed": 7, "device": "cpu", "config": '{"width": 16}'}
    parts = [
        run | trained | {"status": "started", "n_parameters": 1234, "n_steps": 0, "seconds": 0.0},
        run | trained | {"status": "finished", "n_parameters": 1234, "n_steps": 300, "seconds": 90.0},
    ]
    times = [{"occurred_at": WHEN.replace(minute=minute)} for minute in (4, 9)]
    version = {"model_id": MODEL, "text_encoder_id": ENCODER, "path": f"models/{MODEL}", "n_parameters": 1234}
    retrieval = {"model_id": ENCODER, "data_id": found.data_id, "protocol_hash": "p", "split": "test_internal"}
    figures = {
        "n_queries": 40,
        "n_people": 40,
        "metric": "recall_at_1",
        "value": 0.75,
        "low": 0.6,
        "high": 0.87,
        "chance": 0.25,
    }
    gate = {"model_id": ENCODER, "data_id": found.data_id, "protocol_hash": "p", "gate": "retrieval_above_chance"}
    return {
        "core.training_run": [part | time for part, time in zip(parts, times, strict=True)],
        "core.training_metric": [
            {
                "run_id": RUN,
                "kind": "synthesis",
                "step": step,
                "split": split,
                "metric": "loss",
                "value": 1 / (1 + step),
            }
            for step in range(0, 300, 30)
            for split in ("train", "val")
        ],
        "core.model_version": [run | version | {"size_bytes": 5000, "is_simulated": True}],
        "core.retrieval_score": [retrieval | figures | {"task": "image_to_contrast", "n_candidates": 4}],
        "core.gate_verdict": [gate | {"passed": True, "value": 0.6, "threshold": 0.25, "detail": "found"}],
    }
