"""Summarise a model of a home for `tumsyn models show`: training, gates and history; its model card is another file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from warehouse.catalog import model_registry, verdicts
from warehouse.errors import ModelError
from warehouse.lake.home import Home

Fact = tuple[str, object]


def facts_of(home: Home, name: str, kind: str) -> list[Fact]:
    """Return the rows that are shown about a model: a heading and a value each.

    Parameters
    ----------
    name : str
        Identity, the beginning of it, or ``champion``.
    kind : {"text_encoder", "synthesis"}
        Of the champion.

    Raises
    ------
    ModelError
        When there is no such model, or no champion.
    """
    if name == "champion":
        champion = model_registry.champion(home, kind)
        if champion is None:
            raise ModelError(f"this home has no champion of kind {kind}", "tumsyn models list")
        name = champion
    version = model_registry.find(home, name)
    model_id = str(version["model_id"])
    [row] = [row for row in model_registry.known_models(home).to_pylist() if row["model_id"] == model_id]
    grid_mm, recipe_id = model_registry.serves(home, model_id)
    return [
        ("model", model_id),
        ("kind", version["kind"]),
        ("status", row["status"]),
        ("grid", "unknown" if grid_mm is None else f"{grid_mm:g} mm"),
        ("recipe", recipe_id or "unknown"),
        ("data_id", version["data_id"]),
        *_checkpoint_facts(home, version),
        ("training run", version["run_id"]),
        ("recorded", _moment(version["occurred_at"])),
        ("parameters", f"{version['n_parameters']:,}"),
        *_gates(home, model_id),
        *_history(home, model_id),
    ]


def _checkpoint_facts(home: Home, version: dict[str, Any]) -> Iterator[Fact]:
    folder = home.models / str(version["model_id"])
    if version["text_encoder_id"]:
        yield "text encoder", version["text_encoder_id"]
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        yield "checkpoint", f"absent or damaged: {folder}"
        return
    people = (config.get("trained_on") or {}).get("people")
    kind = "simulated people only" if version["is_simulated"] else "real people among them"
    yield "trained on", "people unknown" if people is None else f"{len(people):,} people of the catalogue; {kind}"
    yield "began with", config.get("init") or "random weights"
    if fold := model_registry.held_out_fold(home, str(version["model_id"])):
        yield "held out", f"{fold}, of cross-validation"
    yield "seed", config.get("seed", "unknown")
    yield "checkpoint", folder


def _gates(home: Home, model_id: str) -> Iterator[Fact]:
    judged = verdicts.of_last_evaluation(verdicts.recorded(home, model_id))
    if not judged:
        yield "gates", "not evaluated"
    for row in judged:
        words = verdicts.verdict_of(row).replace("_", " ")
        yield f"gate {row['gate']}", f"{words}: {row['detail']}"


def _history(home: Home, model_id: str) -> Iterator[Fact]:
    for row in model_registry.statements(home, model_registry.EVENT, model_id=model_id):
        by = f" by {row['decided_by']}" if row["decided_by"] else ""
        yield _moment(row["occurred_at"]), f"{row['alias']}: {row['action']}{by}: {row['reason']}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
