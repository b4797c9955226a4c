"""Decide whether there is reason to train, and record the decision with its figures; Dagster is not needed for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import model as model_package
from model.data.catalogue import CatalogueImages, training_hashes
from pipelines.runtime.drift import Comparison, compare, record_comparison
from pipelines.runtime.operations import Operations
from warehouse.catalog import model_registry, snapshots, verdicts
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.documents import read_yaml, shipped_or_own
from warehouse.errors import ModelError, TumsynError
from warehouse.lake import atomic, parts
from warehouse.lake.home import Home

DECISION, RUN = "core.retraining_decision", model_registry.RUN
CONFIGS = Path(model_package.__file__).parent / "configs"
DAY_S = 86400.0
FORCE_COMMAND = "tumsyn retrain --yes --force"
MAX_FAILURES = 2  # of the same training, after which only a person starts it again
MAX_TRIES = 3  # on the same data without a success, likewise; a training or evaluation that was killed counts, too
DecidedBy = Literal["schedule", "command", "asset"]


@dataclass(frozen=True)
class Decision:
    """Whether to train, why, and how; the figures are those of `core.retraining_decision`.

    Parameters
    ----------
    train : bool
    reasons : tuple of str
        Of `warehouse.tables.models.RETRAINING_REASONS`; also where something else prevents a training.
    detail : str
        The decision in words.
    start : {"fresh", "warm"}
        What happens, which is fresh where there is no champion to begin with.
    init : str or None
        Champion that a warm start begins with.
    text_encoder : str or None
        Text encoder that is kept; None where it is trained, or comes with `init`.
    """

    train: bool
    reasons: tuple[str, ...]
    detail: str
    least_new_people: int
    most_days: float
    start: Literal["fresh", "warm"]
    data_id: str | None = None
    snapshot_id: str | None = None
    champion_id: str | None = None
    last_success_id: str | None = None
    n_people: int | None = None
    n_new_people: int | None = None
    days_since_success: float | None = None
    comparison: Comparison | None = None
    init: str | None = None
    text_encoder: str | None = None

    @property
    def trains_text_encoder(self) -> bool:
        """Whether the text encoder is trained, too."""
        return self.init is None and self.text_encoder is None

    def row(self) -> dict[str, Any]:
        """Return the figures, by the names of the columns of `core.retraining_decision`."""
        limits, ids = ("least_new_people", "most_days"), ("data_id", "snapshot_id", "champion_id", "last_success_id")
        names = (*limits, *ids, "detail", "start", "n_people", "n_new_people", "days_since_success")
        found = self.comparison
        return {
            "decision": "train" if self.train else "skip",
            "reasons": list(self.reasons),
            **{name: getattr(self, name) for name in names},
            "drift_id": found.drift_id if found else None,
            "n_fields_tested": found.n_tested if found else None,
            "n_fields_drifted": len(found.drifted) if found else None,
        }


def decide(
    home: Home,
    operations: Operations,
    *,
    now: datetime,
    under_way: Sequence[str] = (),
    has_failed: Callable[[str], bool] = lambda _: False,
    force: bool = False,
) -> Decision:
    """Decide whether there is reason to train. Nothing is recorded.

    There is reason if nothing was trained and evaluated before; if there are enough people whom neither the champion
    nor the last success has learned from; if these people differ from the champion's; or if the last success is old.
    A reason is not enough if a training is under way, if the same training (data, configuration and code) was finished,
    if it failed twice, or if three runs that decisions launched on the same data ended without a success.

    Parameters
    ----------
    now : datetime
        With a time zone.
    under_way : sequence of str
        Trainings that run or wait, in words; those that hold the lock of their state are found here.
    has_failed : callable
        Whether the run that an earlier decision launched ended without a success, by the identity of the decision.
    force : bool
        Train without a reason; what makes it impossible still prevents it.

    Returns
    -------
    Decision
    """
    settings = operations.retraining
    nothing = Decision(
        False, ("forced",) if force else (), "", settings.least_new_participants, settings.most_days, settings.start
    )
    if snapshots.in_force(home) is None:
        return replace(nothing, detail="nothing is published; run `tumsyn ingest`, or register a centre first")
    try:
        recipe, centers = _data_of(settings.synthesis_config)
        images = CatalogueImages.open(home, recipe, ["train"], centers=centers)
    except TumsynError as error:
        return replace(nothing, detail=f"there is nothing to train on: {error}")
    figures = _figures(home, operations, images, centers, nothing, now)
    if not images.pairs:
        what = "no training person has two harmonised images of one visit"
        return replace(figures, detail=f"there is nothing to train on: {what}; harmonise sessions of several contrasts")
    figures = replace(figures, reasons=(*_reasons(figures, operations), *figures.reasons))
    if running := [*under_way, *locked_trainings(home)]:
        return replace(figures, detail=f"a training is under way: {'; '.join(running)}")
    if not figures.reasons:
        return replace(figures, detail=f"there is no reason to train: {in_words(figures)}")
    figures = _begun(home, operations, figures, images.recipe_id)
    if not force and (prevented := _prevented(home, operations, figures, has_failed)):
        return replace(figures, detail=prevented)
    return replace(
        figures, train=True, detail=f"training, because of {', '.join(figures.reasons)}: {in_words(figures)}"
    )


def in_words(decision: Decision) -> str:
    """Return the figures of a decision in a sentence."""
    people = f"{decision.n_new_people} of {decision.n_people} people are new ({decision.least_new_people} are a reason)"
    if decision.days_since_success is None:
        age = "nothing was trained and evaluated before"
    else:
        age = f"the last success is {decision.days_since_success:.1f} days old ({decision.most_days:g} are a reason)"
    return "; ".join([people, age, *([decision.comparison.in_words()] if decision.comparison else [])])


def record(home: Home, decision: Decision, decided_by: DecidedBy, decision_id: str | None = None) -> str:
    """Record a decision and the comparison that it was made by.

    Parameters
    ----------
    decided_by : {"schedule", "command", "asset"}
        The last one shows what would be decided; it launches nothing.
    decision_id : str, optional
        Identity of the decision; a repeat of the same one is ignored. Default: a new one.

    Returns
    -------
    str
        Identity of the decision: `event_id` of its row.
    """
    if decision.comparison:
        record_comparison(home, decision.comparison)
    event_id = decision_id or uuid4().hex
    row = {"event_id": event_id, "decided_by": decided_by, **decision.row()}
    model_registry.record(home, DECISION, [row])
    return event_id


def publish_records(home: Home) -> bool:
    """Publish what was recorded, unless that would put other data in force, or somebody else publishes just now.

    A decision must not change the data that it was made on; the publication that is due then contains it.

    Returns
    -------
    bool
        Whether the catalogue in force contains the records.
    """
    with atomic.lock(home.warehouse / "publish.lock", exclusive=True, wait=False) as free:
        if not free or snapshots.in_force(home) is None or _parts_in_force(home) != _parts_published(home):
            return False
    publish(home)
    return True


def locked_trainings(home: Home) -> list[str]:
    """Return the trainings whose process holds the lock of their state, in words; whoever started them."""
    found = []
    for path in sorted(home.training.glob("*/.lock")):
        with atomic.lock(path, exclusive=False, wait=False) as free:
            if not free:
                found.append(f"a process trains in {path.parent}")
    return found


def last_success(home: Home, recipe_id: str) -> dict[str, Any] | None:
    """Return the last synthesis model of a recipe that was trained and evaluated: its row of `core.training_run`.

    Returns
    -------
    dict or None
        With `model_id`. A training that nobody evaluated, or of cross-validation, is no success.
    """
    for run in model_registry.finished_runs(home, "synthesis"):
        for version in model_registry.statements(home, model_registry.VERSION, run_id=run["run_id"]):
            model_id = version["model_id"]
            served = model_registry.serves(home, model_id)[1] == recipe_id
            if served and verdicts.recorded(home, model_id):
                return {**run, "model_id": model_id}
    return None


def learned_people(home: Home, model_id: str, recipe_id: str) -> frozenset[str]:
    """Return the SHA-256 of the people that a model has learned from.

    They are read from its checkpoint, else from the snapshot that its training began with, so that people who were
    added during the training are not among them. If both are gone, nobody is known, and everybody counts as new.
    """
    try:
        config = json.loads((home.models / model_id / "config.json").read_text(encoding="utf-8"))
        return frozenset(config["trained_on"]["people"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for version in model_registry.statements(home, model_registry.VERSION, model_id=model_id):
        for run in model_registry.statements(home, RUN, run_id=version["run_id"]):  # in the order of time
            centers = json.loads(run["config"]).get("centers") or []
            try:
                images = CatalogueImages.open(home, recipe_id, ["train"], snapshot=run["snapshot_id"], centers=centers)
            except TumsynError:
                continue
            return frozenset(training_hashes(images.items)["people"])
    return frozenset()


def _data_of(synthesis_config: str) -> tuple[str, list[str]]:
    """Return recipe and centres of a configuration; it is validated only where it is used, which imports torch."""
    path = shipped_or_own("configuration", synthesis_config, CONFIGS, "synthesis_", ModelError)
    document = read_yaml(path, ModelError)
    given: Mapping[str, Any] = document if isinstance(document, dict) else {}
    return str(given.get("recipe") or "standard"), [str(one) for one in given.get("centers") or []]


def _figures(
    home: Home,
    operations: Operations,
    images: CatalogueImages,
    centers: Sequence[str],
    nothing: Decision,
    now: datetime,
) -> Decision:
    """Return the figures by which is decided."""
    champion_id = model_registry.champion(home, "synthesis", recipe=images.recipe_id)
    success = last_success(home, images.recipe_id)
    models = [one for one in (champion_id, success["model_id"] if success else None) if one]
    learned = {one: learned_people(home, one, images.recipe_id) for one in models}
    people = set(training_hashes(images.items)["people"])
    comparison = None
    if models:
        comparison = compare(home, images, models[0], learned[models[0]], operations.drift, centers)
    return replace(
        nothing,
        data_id=images.data_id,
        snapshot_id=images.snapshot_id,
        champion_id=champion_id,
        last_success_id=success["model_id"] if success else None,
        n_people=len(people),
        n_new_people=len(people.difference(*learned.values())),
        days_since_success=max(0.0, (now - success["occurred_at"]).total_seconds() / DAY_S) if success else None,
        comparison=comparison,
    )


def _reasons(figures: Decision, operations: Operations) -> list[str]:
    """Return the reasons to train.

    A drift from the champion is one only if enough people are new to the last success, too: a model that has learned
    from the drifted people and was not promoted must not be trained again and again.
    """
    new, days = figures.n_new_people or 0, figures.days_since_success
    drifted = bool(figures.comparison and figures.comparison.drifted)
    found = {
        "first_training": days is None,
        "new_people": days is not None and new >= figures.least_new_people,
        "drift": drifted and new >= operations.drift.least_people,
        "age": days is not None and days > figures.most_days,
    }
    return [name for name, holds in found.items() if holds]


def _begun(home: Home, operations: Operations, figures: Decision, recipe_id: str) -> Decision:
    """Return the figures with what the training begins with."""
    settings, champion_id = operations.retraining, figures.champion_id
    if settings.start == "warm" and champion_id:
        return replace(figures, init=champion_id)
    kept = None if settings.train_text_encoder else model_registry.champion(home, "text_encoder", recipe=recipe_id)
    return replace(figures, start="fresh", text_encoder=kept)


def _prevented(home: Home, operations: Operations, figures: Decision, has_failed: Callable[[str], bool]) -> str:
    """Return why a training is not started in spite of reasons; empty where it may be."""
    success = model_registry.statements(home, model_registry.VERSION, model_id=figures.last_success_id)
    decisions = model_registry.statements(home, DECISION, decision="train", data_id=figures.data_id)
    since = [row for row in decisions if all(row["occurred_at"] > version["occurred_at"] for version in success)]
    n_failed = sum(has_failed(row["event_id"]) for row in since)
    if n_failed >= MAX_TRIES:
        what = f"training was started {n_failed} times on data {figures.data_id} without a success"
        return f"{what}; look at its runs, remove the cause, then run `{FORCE_COMMAND}`"
    from model.training.config import load_config  # imports torch, which a decision without reasons does not need
    from model.training.trained import training_code

    settings = operations.retraining
    wanted: dict[str, dict[str, Any]] = {}
    try:
        for kind, name in (("text_encoder", settings.text_encoder_config), ("synthesis", settings.synthesis_config)):
            if kind == "synthesis" or figures.trains_text_encoder:
                wanted[kind] = load_config(kind, name).model_dump(mode="json")
    except TumsynError as error:
        return f"the training cannot begin: {error}"
    wanted["synthesis"]["init"] = figures.init
    same: dict[str, list[dict[str, Any]]] = {}
    for kind, config in wanted.items():
        keys = {"kind": kind, "data_id": figures.data_id, "training_code": training_code(kind)}
        same[kind] = [
            run for run in model_registry.statements(home, RUN, **keys) if json.loads(run["config"]) == config
        ]
        failed = [run for run in same[kind] if run["status"] == "failed"]
        if len(failed) >= MAX_FAILURES and same[kind][-1]["status"] != "finished":
            what = f"this training of the {kind.replace('_', ' ')} failed {len(failed)} times: {failed[-1]['detail']}"
            return f"{what}; remove the cause, then run `{FORCE_COMMAND}`"
    runs = {run["run_id"] for run in same["synthesis"] if run["status"] == "finished"}
    is_kept = figures.init or figures.text_encoder
    encoder_is_same = is_kept or any(run["status"] == "finished" for run in same.get("text_encoder", []))
    if any(version["run_id"] in runs for version in success) and encoder_is_same:
        return (
            f"model {figures.last_success_id} was made by the same training: data {figures.data_id}, configuration and"
            f" code are the same, and would give the same weights; {in_words(figures)}"
        )
    return ""


def _parts_in_force(home: Home) -> set[str]:
    return {part.path for manifest in parts.in_force(home) for part in manifest.parts}


def _parts_published(home: Home) -> set[str]:
    with Catalogue(home).connect() as connection:
        rows = connection.execute("SELECT part FROM meta.build WHERE center_id IS NOT NULL").fetchall()
    return {str(row[0]) for row in rows}
