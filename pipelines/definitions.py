"""Everything that Dagster loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.volumes import center_volumes
from pipelines.checks import catalogue_specification, center_tables_specification, center_volumes_specification
from pipelines.jobs import JOBS
from pipelines.resources import HomeResource, LoggedProgress
from pipelines.sensors import SENSORS

ASSETS: Sequence[dg.AssetsDefinition] = (center_tables, center_volumes, catalogue)
CHECKS: Sequence[dg.AssetChecksDefinition] = (
    center_tables_specification,
    center_volumes_specification,
    catalogue_specification,
)


def build_defs(
    assets: Sequence[dg.AssetsDefinition] = ASSETS,
    checks: Sequence[dg.AssetChecksDefinition] = CHECKS,
    resources: Mapping[str, object] | None = None,
) -> dg.Definitions:
    """Return fresh definitions; a test or the command line replaces any part."""
    defaults = {"home": HomeResource(), "progress": LoggedProgress()}
    return dg.Definitions(
        assets=assets, asset_checks=checks, resources=defaults | dict(resources or {}), jobs=JOBS, sensors=SENSORS
    )


defs = build_defs()
