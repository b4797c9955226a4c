"""Collect everything that Dagster loads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import dagster as dg

from pipelines import assets
from pipelines.automation.arrival import SENSORS
from pipelines.automation.jobs import JOBS
from pipelines.automation.refresh import every_night
from pipelines.automation.retraining import SCHEDULES
from pipelines.runtime.json_outputs import json_outputs
from pipelines.runtime.resources import HomeResource, logged_progress
from pipelines.runtime.training_process import TrainingProcess
from warehouse.harmonize.tasks import work_tasks

with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)  # links to code are a beta in the pinned Dagster
    ASSETS = dg.with_source_code_references(dg.load_assets_from_package_module(assets))
CHECKS = dg.load_asset_checks_from_package_module(assets)


def build_defs(resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """Return fresh definitions, in which a test or the command line may replace resources."""
    defaults = {
        "home": HomeResource(),
        "io_manager": json_outputs,
        "progress": logged_progress,
        "work": work_tasks,
        "training": TrainingProcess(),
    }
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        resources=defaults | dict(resources or {}),
        jobs=JOBS,
        schedules=[*SCHEDULES, every_night],
        sensors=SENSORS,
        executor=dg.in_process_executor,  # of runs that are started at an asset: one process a step takes longer
    )


defs = build_defs()
