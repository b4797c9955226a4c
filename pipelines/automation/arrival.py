"""Define the sensors that follow the registry of centres, their folders, and what was committed."""

from __future__ import annotations

import hashlib

import dagster as dg

from pipelines.automation.jobs import ingest, publish
from pipelines.runtime.resources import CENTERS, HomeResource, partition_changes
from warehouse.centers.registry import registered
from warehouse.ingest import is_current
from warehouse.lake.parts import in_force

MINUTE = 60


@dg.sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=MINUTE // 2)
def registered_centers(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
    """Add partitions of centres that were registered, and delete those of centres that were removed."""
    added, removed = partition_changes(context.instance, home.open())
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = [
        *([CENTERS.build_add_request(added)] if added else []),
        *([CENTERS.build_delete_request(removed)] if removed else []),
    ]
    if not requests:
        return dg.SkipReason("the partitions are the registered centres")
    return dg.SensorResult(dynamic_partitions_requests=requests)


@dg.sensor(job=ingest, default_status=dg.DefaultSensorStatus.STOPPED, minimum_interval_seconds=60 * MINUTE)
def changed_centers(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
    """Ingest, every hour, the centres whose folders changed. Off by default: it walks large trees."""
    place = home.open()
    known = set(context.instance.get_dynamic_partitions("center"))
    stale = [name for name, entry in registered(place).items() if name in known and not is_current(place, entry)]
    if not stale:
        return dg.SkipReason("no centre's folder changed since its ingest")
    return dg.SensorResult([dg.RunRequest(partition_key=center_id) for center_id in stale])


@dg.sensor(job=publish, default_status=dg.DefaultSensorStatus.STOPPED, minimum_interval_seconds=MINUTE)
def committed_centers(home: HomeResource) -> dg.RunRequest | dg.SkipReason:
    """Publish what centres committed. Off by default: `tumsyn ingest` publishes too."""
    committed = "".join(manifest.sha256 for manifest in in_force(home.open()))
    if not committed:
        return dg.SkipReason("no centre has been ingested")
    return dg.RunRequest(run_key=hashlib.sha256(committed.encode()).hexdigest())


SENSORS = [registered_centers, changed_centers, committed_centers]
