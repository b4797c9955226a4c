"""Record that a model was trained and evaluated, without training: what decisions to train again depend on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.runtime.evaluation import data_in_force
from pipelines.runtime.operations import Operations, default_operations
from tests.model.tiny_home import RECIPE
from warehouse.catalog import model_registry
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

MODEL = "a" * 16


def operations(drift: dict[str, Any] | None = None, **retraining: Any) -> Operations:
    """Return settings for the tiny home, whose recipe is that of the demonstration."""
    default = default_operations()
    demo = {"synthesis_config": "demo", "text_encoder_config": "demo", "protocol": "demo"}
    few = {"least_people": 5, "significance": 0.05} | (drift or {})
    sections = {
        "retraining": default.retraining.model_copy(update=demo | retraining),
        "drift": default.drift.model_copy(update=few),
    }
    return default.model_copy(update=sections)


def copy_of(home: Home, folder: Path) -> Home:
    """Return a copy of a home, without its volumes: what is decided depends on none of them."""
    return Home(shutil.copytree(home.root, folder, symlinks=True, ignore=lambda *_: {"volumes"}))


def training_people(home: Home, order: str = "person_id") -> list[str]:
    """Return the training people of a home, in the order of a column of their images."""
    query = "SELECT person_id FROM out.image_catalog WHERE split = 'train' GROUP BY person_id ORDER BY "
    with Catalogue(home).connect() as connection:
        rows = connection.execute(f"{query}min({order}) FILTER (WHERE contrast_label = 'T1w'), person_id").fetchall()
    return [str(row[0]) for row in rows]


def hashes(people: Sequence[str]) -> list[str]:
    return sorted(hashlib.sha256(person.encode()).hexdigest() for person in people)


def record_model(
    home: Home,
    people: Sequence[str],
    at: datetime,
    *,
    model_id: str = MODEL,
    champion: bool = True,
    evaluated: bool = True,
    has_checkpoint: bool = True,
    **run: Any,
) -> None:
    """Record a training of these people, which ended then; `run` replaces columns of its row."""
    row = {"run_id": f"run of {model_id}", "kind": "synthesis", "data_id": data_in_force(home), "occurred_at": at}
    facts = {"snapshot_id": "s", "training_code": "0", "seed": 0, "device": "cpu", "config": "{}", "status": "finished"}
    model_registry.record(home, "core.training_run", [facts | row | run])
    version = {"model_id": model_id, "path": f"models/{model_id}", "n_parameters": 1, "size_bytes": 1}
    served = {"is_simulated": True, "grid_mm": 3.0, "recipe_id": RECIPE}
    known = {name: row[name] for name in ("run_id", "kind", "data_id", "occurred_at")}
    model_registry.record(home, "core.model_version", [known | version | served])
    if has_checkpoint:
        folder = home.models / model_id
        folder.mkdir(parents=True)
        config = {"kind": "synthesis", "model_id": model_id, "trained_on": {"people": hashes(people), "scans": []}}
        (folder / "config.json").write_text(json.dumps(config))
    if evaluated:
        verdict = {"gate": "g", "passed": champion, "detail": "by a test", "protocol_hash": "p" * 16}
        known = {"model_id": model_id, "data_id": row["data_id"], "occurred_at": at}
        model_registry.record(home, "core.gate_verdict", [known | verdict])
    if champion:
        event = {"model_id": model_id, "kind": "synthesis", "alias": "champion", "action": "assign", "reason": "test"}
        model_registry.record(home, "core.model_event", [event | {"occurred_at": at + timedelta(seconds=1)}])
