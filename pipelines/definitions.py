"""Collect everything that Dagster loads."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from pipelines.assets.catalogue import catalogue, catalogue_specification
from pipelines.assets.centers import center_tables, center_tables_specification
from pipelines.assets.models import (
    MODEL_CHECKS,
    evaluation,
    report,
    synthesis_model,
    text_encoder,
    text_encoder_retrieval,
)
from pipelines.assets.volumes import center_volumes, center_volumes_specification
from pipelines.automation import JOBS, SCHEDULES, SENSORS
from pipelines.runtime.resources import HomeResource, logged_progress
from pipelines.runtime.training_process import TrainingProcess
from warehouse.harmonize.tasks import work_tasks

ASSETS = [
    *(center_tables, center_volumes, catalogue),
    *(text_encoder, text_encoder_retrieval, synthesis_model, evaluation, report),
]
CHECKS = [center_tables_specification, center_volumes_specification, catalogue_specification, *MODEL_CHECKS]


def build_defs(resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """Return fresh definitions, in which a test or the command line may replace resources."""
    defaults = {"home": HomeResource(), "progress": logged_progress, "work": work_tasks, "training": TrainingProcess()}
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        resources=defaults | dict(resources or {}),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
    )


defs = build_defs()
