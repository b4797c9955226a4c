"""`tumsyn ingest`: the same Dagster assets as in the browser, run here with a progress bar."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.centers import chosen
from pipelines.commands.output import clean, note
from warehouse.errors import TumsynError
from warehouse.home import Home

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from warehouse.registry import Registration

TERMINAL = "TUMSYN_TERMINAL"  # where a run's own processes show how far they are


def ingest(
    ctx: typer.Context,
    centers: Annotated[
        list[str] | None, typer.Argument(metavar="[CENTER]...", help="Registered centres; all of them by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Read everything again, changed or not.")] = False,
) -> None:
    """Read what is new, changed or gone in the centres' folders, and publish a catalogue.

    A centre whose folder is as it was is left alone. A centre that fails leaves what it had before in force, and the
    others are published; the exit status is then 1.
    """
    ingest_centers(ctx.obj, centers or [], force)


def ingest_centers(home: Home, names: list[str], force: bool = False) -> None:
    """Ingest the named centres, or all, and publish.

    Raises
    ------
    TumsynError
        When a centre failed, after the others were published.
    """
    stale = _stale(chosen(home, names), home, force)
    if not stale and is_published(home):
        note("the catalogue is up to date")
        return

    config = {"center_tables": {"force": force}}
    run_and_publish(home, stale, "ingest", config, lambda center_id: _counts(home, center_id))


def run_and_publish(
    home: Home,
    entries: list[Registration],
    job: str,
    config: dict[str, Any],
    counted: Callable[[str], str],
    resources: dict[str, object] | None = None,
) -> None:
    """Run a job for each centre with a progress bar, say what came of it, and publish once.

    Parameters
    ----------
    job : str
        Name of a job that is partitioned by centre.
    config : dict
        Configuration of its asset, by the asset's name.
    counted : callable
        Says what a centre has now.
    resources : dict, optional
        Of the job, by their names.

    Raises
    ------
    TumsynError
        When a centre failed, after the others were published.
    """
    from pipelines import launch

    failed = []
    with launch.opened(home) as instance:
        for entry in entries:
            name, start = entry.center.center_id, time.perf_counter()
            with shown_bar() as bar:
                given = {"progress": Shown(bar)} | (resources or {})
                outcome = launch.run(instance, home, job, partition=name, config=config, resources=given)
            if outcome.error:
                failed.append(name)
                note(f"{name}: failed\n  {outcome.error}")
            else:
                note(f"{name}: {counted(name)}, {time.perf_counter() - start:.1f} s")
        outcome = launch.run(instance, home, "publish")
    if outcome.error:
        note("publish: failed; the catalogue before stays in force")
        raise TumsynError(outcome.error)
    tell_snapshot(home)
    if failed:
        raise TumsynError(
            f"failed: {', '.join(failed)}; everything else was published", "mend what is said above, and run this again"
        )


def _stale(entries: list[Registration], home: Home, force: bool) -> list[Registration]:
    from warehouse.ingest import is_current

    stale = []
    for entry in entries:
        if not force and entry.root.is_dir() and is_current(home, entry):
            note(f"{entry.center.center_id}: unchanged")
        else:
            stale.append(entry)
    return stale


def is_published(home: Home) -> bool:
    """Return whether the catalogue in force is made of what the centres committed last."""
    from warehouse import lake, snapshots
    from warehouse.publish import identify

    return snapshots.in_force(home) == identify(lake.in_force(home), lake.event_files(home))


def _counts(home: Home, center_id: str) -> str:
    from warehouse.lake import read_manifest

    manifest = read_manifest(home, center_id)
    n_rows = {part.table: part.n_rows for part in manifest.parts} if manifest else {}
    shown = {"images": "core.image", "participants": "core.participant", "rejections": "core.rejection"}
    return ", ".join(f"{n_rows.get(table, 0):,} {what}" for what, table in shown.items())


def tell_snapshot(home: Home) -> None:
    """Say which snapshot is in force."""
    from warehouse.catalog import Catalogue

    with Catalogue(home).connect() as connection:
        row = connection.execute("SELECT snapshot_id, data_id FROM meta.snapshot").fetchone()
    assert row is not None  # every snapshot says what it is
    note(f"published snapshot {row[0]} (data {row[1]})")


@contextmanager
def shown_bar() -> Iterator[Bar | None]:
    """Show a bar on a terminal; elsewhere nothing, so that logs stay readable.

    It writes to a copy of standard error: Dagster puts the original into the run's log while a job runs. A process
    that such a run starts finds the terminal by its name in TUMSYN_TERMINAL.
    """
    handle = _terminal()
    if handle is None:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with os.fdopen(handle, "w") as terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(file=terminal), transient=True) as bar:
            yield bar


def _terminal() -> int | None:
    if sys.stderr.isatty():
        return os.dup(sys.stderr.fileno())
    try:
        return os.open(os.environ[TERMINAL], os.O_WRONLY | os.O_NOCTTY)
    except (KeyError, OSError):
        return None


class Shown:
    """Where work says how far it is: the bar."""

    def __init__(self, bar: Bar | None) -> None:
        self.bar = bar

    def of(self, name: str, log: object) -> Callable[[int, int, str], None]:
        """Return what the work on a centre, or whatever has this name, calls."""
        bar = self.bar
        if bar is None:
            return lambda done, total, what: None
        task = bar.add_task(name, total=None)
        return lambda done, total, what: bar.update(
            task, completed=done, total=total, description=f"{name}: {clean(what)}"
        )
