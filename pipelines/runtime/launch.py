"""Running the jobs inside the process that asks, with the home's own history."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg

from pipelines.assets.partitions import sync_centers
from pipelines.definitions import build_defs
from pipelines.runtime import pools, stopping
from pipelines.runtime.addresses import addressable
from pipelines.runtime.progress import shown_waits
from pipelines.runtime.resources import HomeResource
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

# A run of a command is repeated by whoever types it again, never by Dagster's daemon.
NO_RETRY = {"dagster/max_retries": "0"}


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its identifier, and why it failed where it did."""

    run_id: str
    error: str | None


def environment(home: Home) -> dict[str, str]:
    """Return what Dagster must find in the environment to keep its state in a home.

    Raises
    ------
    TumsynError
        When `dagster.yaml` is found neither beside the package nor in `DAGSTER_HOME`.
    """
    given = os.environ.get("DAGSTER_HOME")
    folder = Path(given) if given else Path(__file__).resolve().parents[2]
    if not (folder / "dagster.yaml").is_file():
        raise TumsynError(f"no dagster.yaml in {folder}", "set DAGSTER_HOME to the root of the checkout")
    return {
        "DAGSTER_HOME": str(folder),
        "TUMSYN_DAGSTER_STATE": str(addressable(home.dagster)),
        "TUMSYN_HOME": str(home.root),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


@contextmanager
def opened(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open a home's instance: its partitions are the registered centres, and no dead run holds a pool."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(home))
    with dg.DagsterInstance.get() as instance:
        sync_centers(instance, home)
        pools.bury_dead_runs(instance)
        yield instance


def run(
    instance: dg.DagsterInstance,
    home: Home,
    job: str,
    *,
    partition: str | None = None,
    config: Mapping[str, object] | None = None,
    resources: Mapping[str, object] | None = None,
) -> Outcome:
    """Run one job in this process and wait for it.

    Parameters
    ----------
    config : mapping, optional
        Configuration of the job's ops, by their names.
    resources : mapping, optional
        Those that take the place of the definitions' own, by their names.
    """
    given = {"home": HomeResource(root=str(home.root))} | dict(resources or {})
    run_config: dict[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if config:
        run_config["ops"] = {name: {"config": values} for name, values in config.items()}
    definition, run_id = build_defs(resources=given).resolve_job_def(job), str(uuid4())

    def execute() -> dg.ExecuteInProcessResult:
        return definition.execute_in_process(
            instance=instance,
            partition_key=partition,
            run_config=run_config,
            run_id=run_id,
            tags={pools.PROCESS: pools.process_name(os.getpid())} | NO_RETRY,
            raise_on_error=False,
        )

    with shown_waits() as say:
        result = stopping.call(execute, pools.Waiting(instance, run_id, say).look, pools.LOOK_S)
    return Outcome(run_id, None if result.success else _reason(result))


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """Return why a run failed, in the words of the step that failed first."""
    checks = [check for check in result.get_asset_check_evaluations() if check.blocking and not check.passed]
    broken = [check for check in checks if check.severity == dg.AssetCheckSeverity.ERROR]
    if broken:
        return "\n".join(f"{'.'.join(check.asset_key.path)}: {check.description}" for check in broken)
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            error = data.error.cause if data.error and data.error.cause else data.error
            return error.message.strip() if error else "a step failed without saying why"
    return "the run failed before any step"
