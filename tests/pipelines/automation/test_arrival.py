"""Partitions follow the registry; ingest and publication follow changes once they are switched on."""

from __future__ import annotations

import dagster as dg
import pytest

from pipelines.automation import arrival
from pipelines.runtime.resources import HomeResource, sync_partitions
from tests.conftest import write_bids
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
                return arrival.registered_centers(context)  # type: ignore[return-value]

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
            asked = arrival.changed_centers(context)
        assert isinstance(asked, dg.SensorResult)
        assert [request.partition_key for request in asked.run_requests or []] == ["tiny"]
        assert isinstance(arrival.committed_centers(home=resource), dg.SkipReason)
        ingest_center(home, tiny)
        with dg.build_sensor_context(instance=instance, resources={"home": resource}) as context:
            assert isinstance(arrival.changed_centers(context), dg.SkipReason)
        assert isinstance(arrival.committed_centers(home=resource), dg.RunRequest)
    assert arrival.changed_centers.default_status is dg.DefaultSensorStatus.STOPPED
    assert arrival.committed_centers.default_status is dg.DefaultSensorStatus.STOPPED
