"""Define the jobs, the sensors that react to changes, and the schedule of trainings."""

from __future__ import annotations

import hashlib
from typing import Any

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.models import GROUP
from pipelines.assets.volumes import center_volumes, harmonize_batches
from pipelines.runtime.evaluation import data_in_force
from pipelines.runtime.resources import CENTERS, HomeResource, partition_changes
from warehouse.catalog import model_registry, snapshots
from warehouse.centers.registry import registered
from warehouse.ingest import is_current
from warehouse.lake.parts import in_force

MINUTE = 60
SUNDAY_NIGHT = "0 3 * * 0"


def _job(name: str, description: str, selection: Any) -> Any:
    """Return a job in one process: to start one per step takes longer than most centres take."""
    return dg.define_asset_job(name, selection, description=description, executor_def=dg.in_process_executor)


ingest = _job("ingest", "Read one centre's folder into its raw and core tables, and check them.", [center_tables])
harmonize = _job("harmonize", "Harmonise one centre's scans on this machine, and check the rows.", [center_volumes])
publish = _job("publish", "Build, check and put in force one snapshot of all that centres committed.", [catalogue])
train_and_report = _job(
    "train_and_report",
    "Train both networks on the published catalogue, evaluate them, publish the scores, and report.",
    dg.AssetSelection.groups(GROUP),
)
JOBS = [ingest, harmonize, harmonize_batches, publish, train_and_report]


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


@dg.schedule(
    job=train_and_report,
    cron_schedule=SUNDAY_NIGHT,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
def retrain_weekly(home: HomeResource) -> dg.RunRequest | dg.SkipReason:
    """Train, evaluate and report every Sunday at 03:00 UTC if the data changed. Off by default."""
    place = home.open()
    if snapshots.in_force(place) is None:
        return dg.SkipReason("nothing is published")
    data_id = data_in_force(place)
    if data_id in model_registry.trained_on(place, "synthesis"):
        return dg.SkipReason(f"the last model was trained on the same data: {data_id}")
    return dg.RunRequest(tags={"tumsyn/data_id": data_id})


SCHEDULES = [retrain_weekly]
