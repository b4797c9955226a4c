"""The schedule asks for a training where there is reason to, shows every decision, and starts one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from model.evaluation.drift import DriftScore
from pipelines.assets.models import EVALUATION, REPORT, SYNTHESIS, TEXT_ENCODER
from pipelines.assets.retraining import CHECK, DECIDED, DRIFT, drift_metadata, drift_verdict
from pipelines.automation import retraining
from pipelines.definitions import build_defs, defs
from pipelines.runtime import pools
from pipelines.runtime.drift import Comparison
from pipelines.runtime.evaluation import data_in_force
from pipelines.runtime.operations import OperationsError, default_operations, load_operations, path_of
from pipelines.runtime.resources import HomeResource
from tests.model.tiny_home import make_tiny_home
from tests.pipelines.trained_home import MODEL, copy_of, record_model, training_people
from warehouse.catalog import model_registry
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

DEMO = {"synthesis_config": "demo", "text_encoder_config": "demo", "protocol": "demo"}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on disk: a tick opens it anew by its reference."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home", 16)


@pytest.fixture
def place(template: Home, tmp_path: Path) -> Home:
    """A home of a few people, on whom nothing was trained."""
    home = copy_of(template, tmp_path / "copy")
    configure(home)
    return home


def configure(home: Home, drift: dict[str, Any] | None = None, **settings: Any) -> None:
    document = {"retraining": DEMO | settings, "drift": drift or {}}
    path_of(home).write_text(yaml.safe_dump(document), encoding="utf-8")


def tick(home: Home, instance: dg.DagsterInstance, at: datetime | None = None) -> dg.RunRequest | dg.SkipReason:
    """Evaluate the schedule for a time, by default another one than before."""
    [schedule] = retraining.SCHEDULES
    resources, time = {"home": HomeResource(root=str(home.root))}, at or datetime.now(UTC)
    with dg.build_schedule_context(instance=instance, resources=resources, scheduled_execution_time=time) as context:
        return schedule(context)  # type: ignore[no-any-return]


def yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


def shown(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.mark.slow
def test_a_tick_with_a_reason_asks_for_a_run_that_the_job_accepts(place: Home, instance: dg.DagsterInstance) -> None:
    request = tick(place, instance)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["tumsyn/data_id"] == data_in_force(place)
    assert request.tags["tumsyn/reasons"] == "first_training"
    [row] = model_registry.statements(place, "core.retraining_decision")
    assert request.tags["tumsyn/decision"] == row["event_id"]
    assert request.asset_selection is None
    job = defs.resolve_job_def(retraining.TRAINING_JOB.name)
    assert dg.validate_run_config(job, request.run_config)
    assert request.run_config["ops"]["text_encoder"]["config"] == {"config": "demo"}


@pytest.mark.slow
def test_a_tick_that_is_repeated_before_its_run_is_there_asks_for_the_same_training(
    place: Home, instance: dg.DagsterInstance
) -> None:
    sunday = datetime(2026, 6, 7, 3, tzinfo=UTC)
    first, again = tick(place, instance, sunday), tick(place, instance, sunday)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(again, dg.RunRequest)
    assert first.tags == again.tags
    assert isinstance(tick(place, instance, sunday + timedelta(days=7)), dg.SkipReason)


@pytest.mark.slow
def test_a_tick_without_a_reason_skips_with_the_figures_and_shows_them_everywhere(
    place: Home, instance: dg.DagsterInstance
) -> None:
    people = training_people(place)
    record_model(place, people[2:], yesterday())
    skipped = tick(place, instance)
    assert isinstance(skipped, dg.SkipReason)
    assert f"2 of {len(people)} people are new" in str(skipped.skip_message)
    assert shown(instance, DECIDED)["detail"] == skipped.skip_message
    assert shown(instance, DRIFT)["model_id"] == MODEL
    with Catalogue(place).connect() as connection:
        rows = connection.execute("SELECT decision, decided_by, n_new_people FROM core.retraining_decision").fetchall()
    assert rows == [("skip", "schedule", 2)]


@pytest.mark.slow
def test_a_drift_is_a_warning_on_its_asset_and_a_reason(place: Home, instance: dg.DagsterInstance) -> None:
    people = training_people(place, "echo_time_s")
    record_model(place, people[: len(people) // 2], yesterday())
    configure(place, {"least_people": 4, "significance": 0.4})
    request = tick(place, instance)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["tumsyn/reasons"] == "drift"
    key = dg.AssetCheckKey(DRIFT, CHECK)
    [record] = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    evaluation = record.event.dagster_event.event_specific_data  # type: ignore[union-attr]
    assert not evaluation.passed  # type: ignore[union-attr]
    assert evaluation.severity is dg.AssetCheckSeverity.WARN  # type: ignore[union-attr]
    assert "echo_time_s of T1w" in evaluation.description  # type: ignore[union-attr, operator]
    assert "data:image/png" in shown(instance, DRIFT)["differences"]


@pytest.mark.slow
def test_a_warm_start_asks_for_the_synthesis_model_alone_from_the_champion(
    place: Home, instance: dg.DagsterInstance
) -> None:
    record_model(place, training_people(place)[2:], yesterday())
    configure(place, start="warm", least_new_participants=1)
    request = tick(place, instance)
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["ops"]["synthesis_model"]["config"] == {"config": "demo", "init": MODEL}
    chosen = set(request.asset_selection or ())
    assert {SYNTHESIS, EVALUATION, REPORT} <= chosen
    assert TEXT_ENCODER not in chosen
    subset = defs.resolve_job_def(retraining.TRAINING_JOB.name).get_subset(asset_selection=chosen)
    assert dg.validate_run_config(subset, request.run_config)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTED"])
def test_no_second_training_starts_while_one_waits_or_runs(
    place: Home, instance: dg.DagsterInstance, status: str
) -> None:
    job = build_defs().resolve_job_def(retraining.TRAINING_JOB.name)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus[status])
    skipped = tick(place, instance)
    assert isinstance(skipped, dg.SkipReason)
    assert f"run {run.run_id[:8]} ({retraining.TRAINING_JOB.name}) is {status.lower().replace('_', ' ')}" in str(
        skipped.skip_message
    )
    instance.report_run_failed(run)
    assert isinstance(tick(place, instance), dg.RunRequest)
    waits = tick(place, instance)  # the run that was requested is not there yet
    assert isinstance(waits, dg.SkipReason)
    assert "is being launched" in str(waits.skip_message)
    assert dg.DagsterRunStatus.QUEUED in pools.UNFINISHED  # only Dagster's own launcher makes such a run


@pytest.mark.slow
def test_a_model_that_is_materialised_alone_is_a_training_and_another_run_is_none(
    instance: dg.DagsterInstance,
) -> None:
    definitions = build_defs()
    instance.create_run_for_job(definitions.resolve_job_def("publish"), status=dg.DagsterRunStatus.STARTED)
    assert retraining.trainings_under_way(instance) == []
    subset = definitions.resolve_job_def(retraining.TRAINING_JOB.name).get_subset(asset_selection={TEXT_ENCODER})
    instance.create_run_for_job(subset, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({TEXT_ENCODER}))
    [found] = retraining.trainings_under_way(instance)
    assert "is started" in found


def test_every_step_that_needs_the_device_waits_for_the_one_slot_of_its_pool() -> None:
    job = defs.resolve_job_def(retraining.TRAINING_JOB.name)
    pools = {node.name: node.definition.pool for node in job.nodes if hasattr(node.definition, "pool")}
    steps = {"text_encoder", "text_encoder_retrieval", "synthesis_model", "evaluation"}
    assert {name for name, pool in pools.items() if pool == "gpu"} == steps
    instance = yaml.safe_load((Path(__file__).parents[3] / "dagster.yaml").read_text(encoding="utf-8"))
    assert instance["concurrency"]["pools"] == {"granularity": "op", "default_limit": 1}


def test_an_empty_home_is_skipped(home: Home, instance: dg.DagsterInstance) -> None:
    skipped = tick(home, instance)
    assert isinstance(skipped, dg.SkipReason)
    assert "nothing is published" in str(skipped.skip_message)


@pytest.mark.slow
def test_a_damaged_file_leaves_the_code_location_alone_and_the_tick_says_what_to_do(
    place: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    path_of(place).write_text("retraining: {cron: never}\n", encoding="utf-8")
    monkeypatch.setenv("TUMSYN_HOME", str(place.root))
    assert retraining.operations_at_load() == default_operations()
    with pytest.raises(OperationsError):
        load_operations(place)
    skipped = tick(place, instance)
    assert isinstance(skipped, dg.SkipReason)
    assert str(path_of(place)) in str(skipped.skip_message)
    assert "correct that key" in str(skipped.skip_message)


def test_the_times_are_those_of_the_home_when_dagster_loads(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir()
    configure(home, cron="30 2 1 * *", time_zone="Europe/Berlin")
    monkeypatch.setenv("TUMSYN_HOME", str(home.root))
    schedule = retraining.retraining_schedule(retraining.operations_at_load())
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 2 1 * *", "Europe/Berlin")


def test_the_schedule_is_weekly_off_and_described_by_default() -> None:
    schedule = retraining.retraining_schedule(default_operations())
    assert (schedule.name, schedule.cron_schedule, schedule.execution_timezone) == ("retraining", "0 3 * * 0", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == retraining.TRAINING_JOB.name
    assert schedule.description


@pytest.mark.slow
def test_the_assets_show_a_home_without_models_in_words(place: Home, instance: dg.DagsterInstance) -> None:
    job = build_defs(resources={"home": HomeResource(root=str(place.root))}).resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_selection={DRIFT, DECIDED}).execute_in_process(instance=instance)
    assert result.success
    assert shown(instance, DECIDED)["reasons"] == "first_training"
    assert shown(instance, DECIDED)["dagster/row_count"] == 1
    assert "starts no training" in shown(instance, DECIDED)["preview"]
    assert isinstance(tick(place, instance), dg.RunRequest)  # a preview keeps nobody from training
    assert "no model to compare with" in shown(instance, DRIFT)["finding"]
    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed, check.blocking) == (CHECK, True, False)


def test_a_dollar_sign_in_a_contrast_is_no_formula_of_the_plot() -> None:
    score = DriftScore("field", r"$\frac$", "value", "ks_2samp", 1.0, 0.0, 0.0, 1.0, 9, 9, "1", "2", "drifted")
    metadata = drift_metadata(Comparison("d", MODEL, "data", [score]))
    assert metadata["differences"].value.startswith("![differences](data:image/png;base64,")


def test_what_is_shown_of_nothing_is_words() -> None:
    assert drift_metadata(None) == {"finding": "there is no model to compare with"}
    assert drift_verdict(None)["passed"]
