"""A refresh takes up the centres that changed, and a failed one keeps none of the others from being published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from pipelines.automation import refresh
from pipelines.definitions import defs
from pipelines.runtime import launch
from tests.conftest import write_bids
from warehouse.catalog import model_registry
from warehouse.catalog.query import Catalogue
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.lake.home import Home

TABLES_ONLY = {"refresh_centers": {"harmonize": False}}
NIGHT = {"refresh_and_evaluate": {"harmonize": False}}
Asked = list[tuple[str, str | None, object]]


@pytest.fixture
def instance(home: Home, tiny: RegisteredCenter, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    register(home, Center(center_id="other", title="Other", layout=Layout(kind="bids")), write_bids(tmp_path / "other"))
    with launch.opened(home) as instance:
        yield instance


def refreshed(instance: dg.DagsterInstance, home: Home, config: Mapping[str, object] = TABLES_ONLY) -> str | None:
    return launch.run(instance, home, "refresh_catalog", config=config).error


def runs(instance: dg.DagsterInstance) -> list[str]:
    """The runs that refreshes started, the oldest first."""
    found = [run for run in instance.get_runs() if refresh.STARTED_BY in run.tags]
    return [" ".join((run.job_name, run.tags.get("dagster/partition", ""))).strip() for run in reversed(found)]


def published(home: Home) -> list[str]:
    with Catalogue(home).connect() as connection:
        return [row[0] for row in connection.execute("SELECT center_id FROM core.center ORDER BY 1").fetchall()]


@pytest.mark.slow
def test_a_failed_centre_is_retried_alone_and_the_others_are_published(
    instance: dg.DagsterInstance, home: Home, tiny: RegisteredCenter
) -> None:
    moved = tiny.root.rename(tiny.root.with_name("moved"))
    error = refreshed(instance, home)
    assert error is not None
    assert "1 failed, everything else was published" in error
    assert "centre tiny: ingest: " in error
    assert "is not a folder" in error
    assert published(home) == ["other"]
    assert runs(instance) == ["ingest other", "ingest tiny", "publish"]
    moved.rename(tiny.root)
    assert refreshed(instance, home) is None
    assert runs(instance)[3:] == ["ingest tiny", "publish"]
    assert published(home) == ["other", "tiny"]
    assert refreshed(instance, home) is None
    assert runs(instance)[5:] == ["publish"]


@pytest.mark.slow
def test_only_the_named_centres_are_taken_and_an_unknown_one_is_refused(
    instance: dg.DagsterInstance, home: Home
) -> None:
    assert refreshed(instance, home, {"refresh_centers": {"harmonize": False, "centers": ["tiny"]}}) is None
    assert runs(instance) == ["ingest tiny", "publish"]
    error = refreshed(instance, home, {"refresh_centers": {"centers": ["tony"]}})
    assert error is not None
    assert "'tony' is not registered" in error


@pytest.mark.slow
def test_scans_are_harmonised_by_the_recipe_of_the_settings(
    instance: dg.DagsterInstance, home: Home, asked: Asked
) -> None:
    (home.root / "operations.yaml").write_text("arrival: {recipe: draft}\n")
    assert refreshed(instance, home, {}) is None
    assert ("harmonize", "tiny", {"center_volumes": {"recipe": None}}) in asked
    assert refresh.chosen_recipe(home, None).name == "draft"


@pytest.mark.slow
def test_the_night_refreshes_and_evaluates_only_where_there_is_a_champion(
    instance: dg.DagsterInstance, home: Home
) -> None:
    outcome = launch.run(instance, home, "nightly", config=NIGHT)
    assert outcome.error is None
    assert runs(instance) == ["ingest other", "ingest tiny", "publish"]
    assert json.dumps(published(home)) == '["other", "tiny"]'


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is started instead of runs: job, partition and configuration."""
    calls: Asked = []
    monkeypatch.setattr(
        refresh, "started", lambda context, home, job, name=None, config=None: calls.append((job, name, config))
    )
    return calls


@pytest.mark.slow
def test_every_error_of_a_night_is_named_with_its_centre_step_and_remedy_and_the_rest_is_done(
    instance: dg.DagsterInstance, home: Home, tiny: RegisteredCenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    center = Center(center_id="stale", title="Stale", layout=Layout(kind="bids"))
    register(home, center, write_bids(tmp_path / "stale"))
    (home.centers / "broken.yaml").write_text("root: [")
    tiny.root.rename(tiny.root.with_name("moved"))
    real = refresh.is_current

    def is_current(home: Home, entry: RegisteredCenter) -> bool:
        if entry.center.center_id == "stale":
            raise OSError("Stale file handle")
        return real(home, entry)

    monkeypatch.setattr(refresh, "is_current", is_current)
    monkeypatch.setattr(refresh, "_evaluate", lambda *_: "no disk is free")
    error = launch.run(instance, home, "nightly", config=NIGHT).error
    assert error is not None
    reasons = {text.partition(":")[0]: text.partition(":")[2] for text in error.split("\ncentre ")[1:]}
    assert reasons.keys() == {"broken", "stale", "tiny"}
    assert "registration: " in reasons["broken"]
    assert "ingest: Stale file handle" in reasons["stale"]
    assert "mount it" in reasons["tiny"]
    assert all("->" in reason for reason in reasons.values())
    assert "evaluate_champion: no disk is free" in error
    assert published(home) == ["other"]


def test_a_failed_publication_hides_no_failed_centre_and_is_followed_by_no_evaluation(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[str] = []

    def started(context: object, home: Home, job: str, name: str | None = None, config: object = None) -> str | None:
        jobs.append(job)
        return "a row breaks a rule" if job == "publish" or name == "tiny" else None

    monkeypatch.setattr(refresh, "started", started)
    error = launch.run(instance, home, "nightly", config=NIGHT).error
    assert error is not None
    assert "2 failed, nothing was published" in error
    assert "centre tiny: ingest: a row breaks a rule\n  -> " in error
    assert "publish: a row breaks a rule\n  -> the previous catalogue stays in force" in error
    assert "evaluate_champion" not in jobs


@pytest.mark.slow
def test_a_centre_that_was_registered_a_moment_ago_is_taken_up(
    instance: dg.DagsterInstance, home: Home, tmp_path: Path
) -> None:
    center = Center(center_id="late", title="Late", layout=Layout(kind="bids"))
    register(home, center, write_bids(tmp_path / "late"))
    assert refreshed(instance, home) is None
    assert published(home) == ["late", "other", "tiny"]


@pytest.mark.slow
def test_the_night_evaluates_by_the_protocol_of_the_home(
    instance: dg.DagsterInstance, home: Home, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.root / "operations.yaml").write_text("retraining: {protocol: demo, device: cpu}\n")
    record_champion(home)
    assert launch.run(instance, home, "nightly", config=NIGHT).error is None
    values = {"champion_evaluation": {"protocol": "demo", "device": "cpu"}}
    assert asked[-1] == ("evaluate_champion", None, values)
    assert dg.validate_run_config(
        defs.resolve_job_def("evaluate_champion"), {"ops": {name: {"config": one} for name, one in values.items()}}
    )


@pytest.mark.slow
def test_a_champion_of_another_recipe_is_no_failure_of_the_night(
    instance: dg.DagsterInstance, home: Home, asked: Asked
) -> None:
    record_champion(home, recipe_id="0" * 16, grid_mm=1.0)
    assert launch.run(instance, home, "nightly", config=NIGHT).error is None
    assert "evaluate_champion" not in [job for job, _, _ in asked]


def record_champion(home: Home, **served: object) -> None:
    if served:
        facts = {"run_id": "r", "kind": "synthesis", "data_id": "d", "path": "p", "n_parameters": 1, "size_bytes": 1}
        version = facts | {"model_id": "c" * 16, "is_simulated": True} | served
        model_registry.record(home, "core.model_version", [version])
    event = {"model_id": "c" * 16, "kind": "synthesis", "alias": "champion", "action": "assign", "reason": "a test"}
    model_registry.record(home, "core.model_event", [event])


def test_the_night_is_a_schedule_that_is_off_until_it_is_switched_on() -> None:
    assert refresh.every_night.cron_schedule == "0 1 * * *"
    assert refresh.every_night.default_status is dg.DefaultScheduleStatus.STOPPED
    assert refresh.every_night.job_name == "nightly"
