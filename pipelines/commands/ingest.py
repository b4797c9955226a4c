"""`tumsyn ingest`: the same Dagster assets as in the browser, run here with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.centers import chosen
from pipelines.commands.output import note
from pipelines.runtime.progress import ProgressByName, shown_progress
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from warehouse.centers.registry import RegisteredCenter


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
    entries: list[RegisteredCenter],
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
    from pipelines.runtime import launch

    failed = []
    with launch.opened(home) as instance:
        for entry in entries:
            name, start = entry.center.center_id, time.perf_counter()
            with shown_progress() as shown:
                given = {"progress": ProgressByName(shown)} | (resources or {})
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
            f"failed: {', '.join(failed)}; everything else was published",
            "correct what is said above, and run this again",
        )


def _stale(entries: list[RegisteredCenter], home: Home, force: bool) -> list[RegisteredCenter]:
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
    from warehouse.catalog import snapshots
    from warehouse.catalog.publish import identify
    from warehouse.lake import parts

    return snapshots.in_force(home) == identify(parts.in_force(home), parts.event_files(home))


def _counts(home: Home, center_id: str) -> str:
    from warehouse.lake.parts import read_manifest

    manifest = read_manifest(home, center_id)
    n_rows = {part.table: part.n_rows for part in manifest.parts} if manifest else {}
    shown = {"images": "core.image", "participants": "core.participant", "rejections": "core.rejection"}
    return ", ".join(f"{n_rows.get(table, 0):,} {what}" for what, table in shown.items())


def tell_snapshot(home: Home) -> None:
    """Say which snapshot is in force."""
    from warehouse.catalog.query import Catalogue

    with Catalogue(home).connect() as connection:
        row = connection.execute("SELECT snapshot_id, data_id FROM meta.snapshot").fetchone()
    assert row is not None  # every snapshot says what it is
    note(f"published snapshot {row[0]} (data {row[1]})")
