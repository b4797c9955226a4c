"""The two jobs: read one centre, and publish what all of them committed."""

from __future__ import annotations

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(center_tables),
    description="Read one centre's folder into its raw and core tables, and check them.",
    executor_def=dg.in_process_executor,  # a step of its own process would cost more than most centres
)

publish = dg.define_asset_job(
    "publish",
    selection=dg.AssetSelection.assets(catalogue),
    description="Build, check and put in force one snapshot of everything that centres committed.",
    executor_def=dg.in_process_executor,
)

JOBS = [ingest, publish]
