"""Define the schedule of trainings."""

from __future__ import annotations

import dagster as dg

from pipelines.automation.jobs import train_and_report
from pipelines.runtime.evaluation import data_in_force
from pipelines.runtime.resources import HomeResource
from warehouse.catalog import model_registry, snapshots

SUNDAY_NIGHT = "0 3 * * 0"


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
