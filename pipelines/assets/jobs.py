"""The jobs: read one centre, harmonise it in one run or in batches, publish, and train, judge and report models."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.models import evaluation, report, synthesis_model, text_encoder, text_encoder_retrieval
from pipelines.assets.volumes import center_volumes
from pipelines.runtime.batches import harmonize_batches

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(center_tables),
    description="Read one centre's folder into its raw and core tables, and check them.",
    executor_def=dg.in_process_executor,  # a step of its own process would cost more than most centres
)

harmonize = dg.define_asset_job(
    "harmonize",
    selection=dg.AssetSelection.assets(center_volumes),
    description="Harmonise one centre's eligible scans, spread over this machine's processes, and check the rows.",
    executor_def=dg.in_process_executor,  # the processes are the work's own
)

publish = dg.define_asset_job(
    "publish",
    selection=dg.AssetSelection.assets(catalogue),
    description="Build, check and put in force one snapshot of everything that centres committed.",
    executor_def=dg.in_process_executor,
)

train_and_report = dg.define_asset_job(
    "train_and_report",
    selection=dg.AssetSelection.assets(text_encoder, text_encoder_retrieval, synthesis_model, evaluation, report),
    description="Train both networks on the published catalogue, judge them, publish what was found, and report.",
    executor_def=dg.in_process_executor,  # each training is a process of its own
)

JOBS: list[Any] = [  # the two kinds share no public type
    ingest,
    harmonize,
    harmonize_batches,
    publish,
    train_and_report,
]
