"""Define the jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from pipelines.assets.catalogue import catalogue
from pipelines.assets.centers import center_tables
from pipelines.assets.models import GROUP, champion_evaluation
from pipelines.assets.volumes import center_volumes, harmonize_batches
from pipelines.automation.refresh import nightly, refresh_catalog

DEVICE = {"tumsyn/device": "gpu"}  # tag of runs of which the queue starts one at a time, by dagster.yaml


def _job(
    name: str,
    description: str,
    selection: dg.AssetSelection | Sequence[dg.AssetsDefinition],
    tags: Mapping[str, str] | None = None,
) -> Any:
    """Return a job in one process: to start one per step takes longer than most centres take."""
    return dg.define_asset_job(name, selection, description=description, executor_def=dg.in_process_executor, tags=tags)


ingest = _job(
    "ingest",
    "Read one centre's folder into its raw and core tables, and check them. An unchanged centre takes a second. To do "
    "all centres, select all partitions: each gets a run of its own, and a failed one is retried alone.",
    [center_tables],
)
harmonize = _job(
    "harmonize",
    "Harmonise one centre's scans on this machine, and check the rows. Scans that were finished before are reused.",
    [center_volumes],
)
publish = _job(
    "publish",
    "Build one snapshot of all that the centres committed, check it, and put it in force. Readers are not disturbed.",
    [catalogue],
)
train_all = _job(
    "train_all",
    "Train both networks on the published catalogue, evaluate them, publish the scores, and report. A training that "
    "was stopped is resumed.",
    dg.AssetSelection.groups(GROUP) - dg.AssetSelection.assets(champion_evaluation),
    DEVICE,
)
evaluate_champion = _job(
    "evaluate_champion",
    "Evaluate the champions on the catalogue in force, publish the scores, and check the gates. Nothing is trained; "
    "what was evaluated before is not repeated.",
    dg.AssetSelection.assets(champion_evaluation),
    DEVICE,
)
JOBS = [
    *(refresh_catalog, nightly, train_all, evaluate_champion),
    *(ingest, harmonize, harmonize_batches, publish),
]
