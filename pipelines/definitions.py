"""Everything that Dagster loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.checks import catalogue_specification, center_tables_specification, center_volumes_specification
from pipelines.assets.jobs import JOBS
from pipelines.assets.model_checks import MODEL_CHECKS
from pipelines.assets.models import evaluation, report, synthesis_model, text_encoder, text_encoder_retrieval
from pipelines.assets.volumes import center_volumes
from pipelines.runtime.resources import HomeResource, LoggedProgress
from pipelines.runtime.training_process import TrainingProcess
from pipelines.schedules import SCHEDULES
from pipelines.sensors import SENSORS
from warehouse.harmonize.tasks import work_tasks

ASSETS: Sequence[dg.AssetsDefinition] = (
    center_tables,
    center_volumes,
    catalogue,
    text_encoder,
    text_encoder_retrieval,
    synthesis_model,
    evaluation,
    report,
)
CHECKS: Sequence[dg.AssetChecksDefinition] = (
    center_tables_specification,
    center_volumes_specification,
    catalogue_specification,
    *MODEL_CHECKS,
)


def build_defs(
    assets: Sequence[dg.AssetsDefinition] = ASSETS,
    checks: Sequence[dg.AssetChecksDefinition] = CHECKS,
    resources: Mapping[str, object] | None = None,
) -> dg.Definitions:
    """Return fresh definitions; a test or the command line replaces any part."""
    defaults = {"home": HomeResource(), "progress": LoggedProgress(), "work": work_tasks, "training": TrainingProcess()}
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        resources=defaults | dict(resources or {}),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
    )


defs = build_defs()
