"""A refresh takes up the centres that changed, and a failed one keeps none of the others from being published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from pipelines.automation import refresh
from pipelines.runtime import launch
from tests.conftest import write_bids
from warehouse.catalog.query import Catalogue
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.lake.home import Home

TABLES_ONLY = {"refresh_centers": {"harmonize": False}}


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


def test_a_failed_centre_is_retried_alone_and_the_others_are_published(
    instance: dg.DagsterInstance, home: Home, tiny: RegisteredCenter
) -> None:
    moved = tiny.root.rename(tiny.root.with_name("moved"))
    error = refreshed(instance, home)
    assert error is not None
    assert "1 of 2 centres failed" in error
    assert "tiny: ingest: " in error
    assert "is not a folder" in error
    assert published(home) == ["other"]
    assert runs(instance) == ["ingest other", "ingest tiny", "publish"]
    moved.rename(tiny.root)
    assert refreshed(instance, home) is None
    assert runs(instance)[3:] == ["ingest tiny", "publish"]
    assert published(home) == ["other", "tiny"]
    assert refreshed(instance, home) is None
    assert runs(instance)[5:] == ["publish"]


def test_only_the_named_centres_are_taken_and_an_unknown_one_is_refused(
    instance: dg.DagsterInstance, home: Home
) -> None:
    assert refreshed(instance, home, {"refresh_centers": {"harmonize": False, "centers": ["tiny"]}}) is None
    assert runs(instance) == ["ingest tiny", "publish"]
    error = refreshed(instance, home, {"refresh_centers": {"centers": ["tony"]}})
    assert error is not None
    assert "'tony' is not registered" in error


def test_scans_are_harmonised_by_the_recipe_of_the_settings(
    instance: dg.DagsterInstance, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home.root / "operations.yaml").write_text("arrival: {recipe: draft}\n")
    asked: list[tuple[str, str | None, object]] = []
    monkeypatch.setattr(
        refresh, "started", lambda context, home, job, name=None, config=None: asked.append((job, name, config))
    )
    assert refreshed(instance, home, {}) is None
    assert ("harmonize", "tiny", {"center_volumes": {"recipe": None}}) in asked
    assert refresh.chosen_recipe(home, None).name == "draft"


def test_the_night_refreshes_and_evaluates_only_where_there_is_a_champion(
    instance: dg.DagsterInstance, home: Home
) -> None:
    outcome = launch.run(instance, home, "nightly", config=TABLES_ONLY)
    assert outcome.error is None
    assert runs(instance) == ["ingest other", "ingest tiny", "publish"]
    assert json.dumps(published(home)) == '["other", "tiny"]'


def test_the_night_is_a_schedule_that_is_off_until_it_is_switched_on() -> None:
    assert refresh.every_night.cron_schedule == "0 1 * * *"
    assert refresh.every_night.default_status is dg.DefaultScheduleStatus.STOPPED
    assert refresh.every_night.job_name == "nightly"
