"""Partitions follow the registry, and one switch lets new data through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.automation import arrival
from pipelines.runtime import arrivals, ingest_requests, launch
from pipelines.runtime.operations import path_of
from pipelines.runtime.resources import HomeResource, sync_partitions
from tests.conftest import write_bids
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home

IS_ON = arrival.is_on  # tests of requests replace it


class Sensor:
    """`changed_centers` in the hands of Dagster's daemon: each tick gets the cursor of the one before."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self.home, self.instance, self.cursor = home, instance, None

    def tick(self) -> dg.SensorResult | dg.SkipReason:
        resources = {"home": HomeResource(root=str(self.home.root))}
        with dg.build_sensor_context(instance=self.instance, resources=resources, cursor=self.cursor) as context:
            found = arrival.changed_centers(context)
        if isinstance(found, dg.SensorResult):
            self.cursor = found.cursor  # type: ignore[assignment]
        return found  # type: ignore[return-value]

    def request(self) -> dg.RunRequest:
        """Return the first request of at most ten ticks."""
        for _ in range(10):
            found = self.tick()
            if isinstance(found, dg.SensorResult) and found.run_requests:
                return found.run_requests[0]
        raise AssertionError("nothing was requested")

    def requested(self, ticks: int) -> list[str | None]:
        """Return the centres that so many ticks requested."""
        found = (self.tick() for _ in range(ticks))
        return [
            request.partition_key
            for result in found
            if isinstance(result, dg.SensorResult)
            for request in result.run_requests or []
        ]


@pytest.fixture
def instance(home: Home, tiny: RegisteredCenter) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, home)
        yield instance


@pytest.fixture
def sensor(home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    monkeypatch.setattr(arrival, "is_on", lambda _: True)
    return Sensor(home, instance)


def text_of(found: dg.SensorResult | dg.SkipReason) -> str:
    reason = found.skip_reason if isinstance(found, dg.SensorResult) else found
    return str(reason.skip_message if isinstance(reason, dg.SkipReason) else reason)


def test_a_new_centre_becomes_a_partition_while_dagster_runs(
    home: Home, instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> None:
    resource = HomeResource(root=str(home.root))

    def tick() -> dg.SensorResult | dg.SkipReason:
        with dg.build_sensor_context(instance=instance, resources={"home": resource}) as context:
            return arrival.registered_centers(context)  # type: ignore[return-value]

    assert isinstance(tick(), dg.SkipReason)
    root = write_bids(tmp_path_factory.mktemp("other") / "bids")
    register(home, Center(center_id="other", title="Other", layout=Layout(kind="bids")), root)
    result = tick()
    assert isinstance(result, dg.SensorResult)
    assert [request.partition_keys for request in result.dynamic_partitions_requests or []] == [["other"]]


def test_nothing_is_looked_at_until_automation_is_switched_on(home: Home, tiny: RegisteredCenter) -> None:
    with launch.opened(home) as instance:
        said = text_of(Sensor(home, instance).tick())
    assert "switch on the sensor `refresh`" in said


def test_the_switch_is_off_by_default_and_the_sensors_that_wait_for_it_are_not() -> None:
    assert arrival.refresh.default_status is dg.DefaultSensorStatus.STOPPED
    assert arrival.changed_centers.default_status is dg.DefaultSensorStatus.RUNNING
    assert arrival.registered_centers.default_status is dg.DefaultSensorStatus.RUNNING


def test_a_changed_centre_is_ingested_once(home: Home, tiny: RegisteredCenter, sensor: Sensor) -> None:
    assert sensor.requested(5) == ["tiny"]
    ingest_center(home, tiny)
    assert sensor.requested(3) == []
    assert text_of(sensor.tick()) == "1 of 1 centres unchanged"


def test_a_centre_without_a_partition_waits_for_it(
    home: Home, instance: dg.DagsterInstance, sensor: Sensor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = write_bids(tmp_path_factory.mktemp("late") / "bids")
    register(home, Center(center_id="late", title="Late", layout=Layout(kind="bids")), root)
    assert sensor.requested(6) == ["tiny"]
    sync_partitions(instance, home)
    assert sensor.requested(4) == ["late"]


def test_a_centre_whose_ingest_is_queued_or_runs_is_not_requested(instance: dg.DagsterInstance, sensor: Sensor) -> None:
    tags = {"dagster/partition": "tiny"}
    run = instance.create_run_for_job(sensor_job(), status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert sensor.requested(5) == []
    instance.report_run_failed(run, "ended")
    assert sensor.requested(3) == ["tiny"]


@pytest.mark.parametrize("fate", ["never launched", "deleted"])
def test_a_requested_run_that_was_lost_is_requested_again(
    instance: dg.DagsterInstance, sensor: Sensor, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    monkeypatch.setattr(ingest_requests, "LOST_AFTER_S", 0.0)
    request = sensor.request()
    if fate != "never launched":
        run = instance.create_run_for_job(sensor_job(), tags=partition_of(request))
        assert sensor.requested(3) == []
        instance.delete_run(run.run_id)
    assert sensor.requested(1) == ["tiny"]


def test_a_requested_run_that_a_person_canceled_is_not_requested_again(
    instance: dg.DagsterInstance, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_requests, "LOST_AFTER_S", 0.0)
    run = instance.create_run_for_job(sensor_job(), tags=partition_of(sensor.request()))
    instance.report_run_canceled(run)
    assert sensor.requested(3) == []


def test_a_requested_run_that_failed_is_not_requested_again_though_its_record_is_deleted(
    instance: dg.DagsterInstance, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_requests, "LOST_AFTER_S", 0.0)
    run = instance.create_run_for_job(sensor_job(), tags=partition_of(sensor.request()))
    instance.report_run_failed(run, "broken")
    assert sensor.requested(3) == []
    instance.delete_run(run.run_id)
    assert sensor.requested(3) == []


def partition_of(request: dg.RunRequest) -> dict[str, str]:
    return {**request.tags, "dagster/partition": str(request.partition_key)}


def test_after_a_reset_of_dagster_the_switch_is_off_and_nothing_is_requested_again(
    home: Home, sensor: Sensor, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest_requests, "LOST_AFTER_S", 0.0)
    run = instance.create_run_for_job(sensor_job(), tags=partition_of(sensor.request()))
    instance.report_run_failed(run, "broken")
    sensor.requested(1)
    (folder := tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as renewed:
        assert not IS_ON(renewed)
        sync_partitions(renewed, home)
        assert Sensor(home, renewed).requested(6) == []


def sensor_job() -> dg.JobDefinition:
    from pipelines.definitions import build_defs

    return build_defs().resolve_job_def("ingest")


def test_an_absent_root_is_said_in_the_tick(tiny: RegisteredCenter, sensor: Sensor) -> None:
    tiny.root.rename(tiny.root.with_name("moved"))
    said = text_of(sensor.tick())
    assert "tiny: ERROR" in said
    assert "mount it" in said


def test_wrong_settings_are_said_in_the_tick(home: Home, sensor: Sensor) -> None:
    path_of(home).parent.mkdir(exist_ok=True)
    path_of(home).write_text("arrival: {seconds_per_tick: 0}\n")
    assert "arrival.seconds_per_tick" in text_of(sensor.tick())


def test_the_message_of_a_tick_begins_with_errors() -> None:
    found = arrivals.Look(messages={"a": arrivals.UNCHANGED, "b": "files changed"}, errors={"c": "gone"})
    assert arrival.tick_message(found).splitlines() == [
        "c: ERROR: gone",
        "b: files changed",
        "1 of 3 centres unchanged",
    ]


def test_a_broken_registration_is_said_and_the_partitions_stay(home: Home, instance: dg.DagsterInstance) -> None:
    (home.centers / "broken.yaml").write_text("root: [")
    resource = HomeResource(root=str(home.root))
    with dg.build_sensor_context(instance=instance, resources={"home": resource}) as context:
        said = text_of(arrival.registered_centers(context))  # type: ignore[arg-type]
    assert "broken.yaml" in said
    assert instance.get_dynamic_partitions("center") == ["tiny"]
