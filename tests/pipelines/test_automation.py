"""Partitions follow the registry; ingest, publication and training follow changes once they are switched on."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import pytest

from pipelines import automation
from pipelines.runtime.resources import HomeResource, sync_partitions
from tests.conftest import write_bids
from warehouse.catalog import model_registry
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home


def test_a_new_centre_becomes_a_partition_while_dagster_runs(
    home: Home, tiny: RegisteredCenter, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, home)
        resource = HomeResource(root=str(home.root))

        def tick() -> dg.SensorResult | dg.SkipReason:
            with dg.build_sensor_context(instance=instance, resources={"home": resource}) as context:
                return automation.registered_centers(context)  # type: ignore[return-value]

        assert isinstance(tick(), dg.SkipReason)
        root = write_bids(tmp_path_factory.mktemp("other") / "bids")
        register(home, Center(center_id="other", title="Other", layout=Layout(kind="bids")), root)
        result = tick()
        assert isinstance(result, dg.SensorResult)
        assert [request.partition_keys for request in result.dynamic_partitions_requests or []] == [["other"]]


def test_changed_centres_are_ingested_and_published_once_switched_on(home: Home, tiny: RegisteredCenter) -> None:
    resource = HomeResource(root=str(home.root))
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, home)
        with dg.build_sensor_context(instance=instance, resources={"home": resource}) as context:
            asked = automation.changed_centers(context)
        assert isinstance(asked, dg.SensorResult)
        assert [request.partition_key for request in asked.run_requests or []] == ["tiny"]
        assert isinstance(automation.committed_centers(home=resource), dg.SkipReason)
        ingest_center(home, tiny)
        with dg.build_sensor_context(instance=instance, resources={"home": resource}) as context:
            assert isinstance(automation.changed_centers(context), dg.SkipReason)
        assert isinstance(automation.committed_centers(home=resource), dg.RunRequest)
    assert automation.changed_centers.default_status is dg.DefaultSensorStatus.STOPPED
    assert automation.committed_centers.default_status is dg.DefaultSensorStatus.STOPPED


def tick(home: Home) -> dg.RunRequest | dg.SkipReason:
    with dg.build_schedule_context(resources={"home": HomeResource(root=str(home.root))}) as context:
        return automation.retrain_weekly(context)  # type: ignore[return-value]


def test_the_schedule_trains_where_the_data_changed_and_says_why_it_does_not(filled: Home, tmp_path: Path) -> None:
    assert isinstance(tick(Home(tmp_path / "empty")), dg.SkipReason)
    home = Home(shutil.copytree(filled.root, tmp_path / "copy", symlinks=True))
    request = tick(home)
    assert isinstance(request, dg.RunRequest)
    data_id = request.tags["tumsyn/data_id"]
    facts = {"snapshot_id": "s", "training_code": "0", "seed": 0, "device": "cpu", "config": "{}", "run_id": "r"}
    end = {"kind": "synthesis", "status": "finished", "data_id": data_id}
    model_registry.record(home, "core.training_run", [facts | end])
    skipped = tick(home)
    assert isinstance(skipped, dg.SkipReason)
    assert data_id in str(skipped.skip_message)


def test_the_schedule_is_weekly_and_off_until_it_is_switched_on() -> None:
    assert automation.retrain_weekly.cron_schedule == "0 3 * * 0"
    assert automation.retrain_weekly.default_status is dg.DefaultScheduleStatus.STOPPED
    assert automation.retrain_weekly.job_name == "train_and_report"
