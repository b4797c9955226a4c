"""Define the jobs."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.models import GROUP
from pipelines.assets.volumes import center_volumes, harmonize_batches


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
