"""Of several trainings one runs and the others wait, and none of them keeps data from arriving."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from pipelines.definitions import build_defs
from pipelines.runtime import launch
from warehouse.lake.home import Home


def origin(job: str) -> RemoteJobOrigin:
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="pipelines.definitions"))
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job)


def queue(instance: DagsterInstance, job: str, n_runs: int) -> None:
    definition = build_defs().resolve_job_def(job)
    for _ in range(n_runs):
        instance.create_run_for_job(
            definition, status=DagsterRunStatus.QUEUED, tags=definition.run_tags, remote_job_origin=origin(job)
        )


def started_first(instance: DagsterInstance) -> Counter[str]:
    """Return the jobs of the runs that Dagster's queue would start now."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), fixed_iteration_time=time.time())
    return Counter(run.job_name for run in runs)


@pytest.mark.slow
def test_trainings_that_were_asked_for_before_leave_five_runs_to_data_that_arrive(home: Home) -> None:
    with launch.opened(home) as instance:
        queue(instance, "train_all", 4)
        queue(instance, "evaluate_champion", 2)
        queue(instance, "ingest", 8)
        assert started_first(instance) == {"train_all": 1, "ingest": 5}
