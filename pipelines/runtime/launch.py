"""Run jobs inside this process, with the run history of the home."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg

from pipelines.definitions import build_defs
from pipelines.runtime import pools, stopping
from pipelines.runtime.progress import shown_waits
from pipelines.runtime.resources import HomeResource, sync_partitions
from warehouse.errors import TumsynError
from warehouse.lake import atomic
from warehouse.lake.home import Home

# Dagster's daemon must not retry a run of a command: the person who typed the command decides whether to repeat it.
NO_RETRY = {"dagster/max_retries": "0"}
SPECIAL = frozenset("?%")  # have a meaning in the addresses of databases


@dataclass(frozen=True)
class Outcome:
    """A run's identifier, and the reason of its failure if it failed."""

    run_id: str
    error: str | None


def environment(home: Home) -> dict[str, str]:
    """Return the environment variables by which Dagster keeps its state in a home.

    Raises
    ------
    TumsynError
        When `DAGSTER_HOME` names a folder without `dagster.yaml`.
    """
    given = os.environ.get("DAGSTER_HOME")
    folder = Path(given) if given else own_settings()
    if not (folder / "dagster.yaml").is_file():
        raise TumsynError(f"no dagster.yaml in {folder}", "unset DAGSTER_HOME: the package has that file")
    return {
        "DAGSTER_HOME": str(folder),
        "TUMSYN_DAGSTER_STATE": str(addressable(home.dagster)),
        "TUMSYN_HOME": str(home.root),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # On a busy machine the start of a run, or a tick that compares distributions, takes longer than Dagster's
        # minute; the run would be marked as failed and started twice. The servers still end as fast as before.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": os.environ.get("DAGSTER_GRPC_TIMEOUT_SECONDS", "300"),
        "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD": os.environ.get("DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD", "60"),
    }


def own_settings() -> Path:
    """Return the folder of the `dagster.yaml` that comes with the project: the package of a wheel, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    return package if (package / "dagster.yaml").is_file() else package.parent


def addressable(folder: Path) -> Path:
    """Return a path of a folder that an address of a database can hold: its own, or a link in the user's cache.

    Dagster writes the path of its SQLite files into an address as it is, where ``?`` and ``%`` have a meaning; SQLite
    would open other files, or none.

    Raises
    ------
    TumsynError
        When a link is needed and cannot be made.
    """
    if not SPECIAL & set(str(folder)):
        return folder
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tumsyn"
    remedy = "set XDG_CACHE_HOME to a writable folder that has neither ? nor % in its path, or move the home"
    if SPECIAL & set(str(cache)):
        raise TumsynError(f"no database can be opened in {folder}, nor through a link in {cache}", remedy)
    link = cache / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    try:
        temporary = atomic.temporary_beside(link)
        temporary.symlink_to(folder, target_is_directory=True)
        os.replace(temporary, link)
    except OSError as error:
        raise TumsynError(f"no link to {folder} can be made for its databases: {error}", remedy) from error
    return link


@contextmanager
def opened(home: Home) -> Iterator[dg.DagsterInstance]:
    """Open a home's instance, after its partitions are updated and its orphaned runs are marked as failed."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(home))
    with dg.DagsterInstance.get() as instance:
        sync_partitions(instance, home)
        pools.fail_orphaned_runs(instance)
        yield instance


def run(
    instance: dg.DagsterInstance,
    home: Home,
    job: str,
    *,
    partition: str | None = None,
    config: Mapping[str, object] | None = None,
    resources: Mapping[str, object] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Run one job in this process and wait for it.

    Parameters
    ----------
    config : mapping, optional
        Configuration of the job's ops, by their names.
    resources : mapping, optional
        Replacements of the definitions' resources, by their names.
    assets : sequence of dagster.AssetKey, optional
        Of the job; default: all of them.
    tags : mapping of str to str, optional
        Of the run.
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
            tags={pools.PROCESS: pools.process_name(os.getpid())} | NO_RETRY | dict(tags or {}),
            asset_selection=assets,
            raise_on_error=False,
        )

    with shown_waits() as show:
        result = stopping.call(execute, pools.Monitor(instance, run_id, show).check, pools.CHECK_S)
    return Outcome(run_id, None if result.success else _reason(result))


def _reason(result: dg.ExecuteInProcessResult) -> str:
    """Return why a run failed: the blocking checks that did not pass, or the error of the step that failed first."""
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
            return error.message.strip() if error else "a step failed without a message"
    return "the run failed before any step"
