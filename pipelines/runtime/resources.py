"""Define what the steps of a run share: the home, its centres as partitions, progress reports, and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines.runtime.progress import Report, clean
from warehouse.centers.readable import readable
from warehouse.errors import TumsynError
from warehouse.lake.home import Home
from warehouse.lake.migration import migrate

CENTERS = dg.DynamicPartitionsDefinition(name="center")  # subjects are rows, never partitions
ONE_RUN_EACH = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)  # a failed centre is retried without the others
RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL)

Progress = Callable[[str, dg.DagsterLogManager], Report]  # takes the name of the work and the log of the run


class HomeResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # its parameter is for IO managers
    """The folder that holds an installation."""

    root: str = Field(default="", description="Path of the home. Default: the home that this page shows.")

    def open(self) -> Home:
        """Return the home."""
        home = Home(Path(self.root).resolve()) if self.root else Home.default()
        migrate(home)
        return home


def logged_progress(name: str, log: dg.DagsterLogManager) -> Report:
    """Return a report that writes into the log of a run at every tenth of the work."""
    tenths = -1

    def report(done: int, total: int, item: str) -> None:
        nonlocal tenths
        if total and done * 10 // total > tenths:
            tenths = done * 10 // total
            log.info("%s: %s, %d of %d", name, clean(item), done, total)

    return report


def partition_changes(instance: dg.DagsterInstance, home: Home) -> tuple[list[str], list[str]]:
    """Return the centres that lack a partition, and the partitions whose centre is no longer registered.

    A centre whose registration is broken keeps the partition that it has.
    """
    known, found = set(instance.get_dynamic_partitions("center")), readable(home)
    return sorted(found.centers.keys() - known), sorted(known - found.centers.keys() - found.errors.keys())


def sync_partitions(instance: dg.DagsterInstance, home: Home) -> None:
    """Give each registered centre a partition, and delete all others."""
    added, removed = partition_changes(instance, home)
    instance.add_dynamic_partitions("center", added)
    for center_id in removed:
        instance.delete_dynamic_partition("center", center_id)


def failure(error: TumsynError, step: str = "") -> dg.Failure:
    """Return the failure of a step that only a user can correct, which is therefore not retried.

    Parameters
    ----------
    step : str
        What was being done, and of what, where the error may not name it.
    """
    text = f"{step}: {error}" if step else str(error)
    metadata = {"step": step, "what": error.what, "remedy": error.remedy}
    shown = {name: clean(value) for name, value in metadata.items() if value}
    return dg.Failure(description=clean(text), metadata=shown, allow_retries=False)


@contextmanager
def no_retries(step: str = "") -> Iterator[None]:
    """Turn errors that a user must correct, and the termination of a run, into failures that are not retried.

    Dagster's retry policy would repeat a step that was interrupted because its run is terminated.

    Parameters
    ----------
    step : str
        What is being done, and of what; the message of a failure begins with it.
    """
    try:
        yield
    except TumsynError as error:
        raise failure(error, step) from error
    except dg.DagsterExecutionInterruptedError as error:
        stopped = TumsynError("the run was stopped", "start it again: it continues from what was finished")
        raise failure(stopped, step) from error
