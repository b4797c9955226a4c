"""Define `tumsyn ingest`, which runs the Dagster assets of an ingest here, with a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.centers import chosen
from pipelines.commands.output import note
from pipelines.runtime.progress import shown_progress
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from warehouse.centers.registry import RegisteredCenter

CentersArgument = Annotated[
    list[str] | None, typer.Argument(metavar="CENTER", help="Registered centres; all of them by default.")
]


def ingest(
    ctx: typer.Context,
    centers: CentersArgument = None,
    force: Annotated[bool, typer.Option("--force", help="Read everything again, changed or not.")] = False,
) -> None:
    """Read what is new, changed or gone in the centres' folders, and publish a catalogue.

    A centre whose folder did not change is skipped. A centre that fails keeps the tables that it had, the others are
    published, and the exit status is 1.
    """
    ingest_centers(ctx.obj, centers or [], force)


def ingest_centers(home: Home, names: list[str], force: bool = False) -> None:
    """Ingest the named centres, or all, and publish.

    Raises
    ------
    TumsynError
        When a centre failed, after the others were published.
    """
    from warehouse.ingest import is_current
    from warehouse.lake.parts import read_manifest

    def counts(center_id: str) -> str:
        manifest = read_manifest(home, center_id)
        n_rows = {part.table: part.n_rows for part in manifest.parts} if manifest else {}
        nouns = {"images": "core.image", "participants": "core.participant", "rejections": "core.rejection"}
        return ", ".join(f"{n_rows.get(table, 0):,} {noun}" for noun, table in nouns.items())

    entries = chosen(home, names)
    stale = without_current(entries, lambda entry: not force and entry.root.is_dir() and is_current(home, entry))
    if not stale and is_published(home):
        note("the catalogue is up to date")
        return
    run_and_publish(home, stale, "ingest", {"center_tables": {"force": force}}, counts)


def run_and_publish(
    home: Home,
    entries: Iterable[RegisteredCenter],
    job: str,
    config: dict[str, Any],
    counts: Callable[[str], str],
    resources: dict[str, object] | None = None,
) -> None:
    """Run a job for each centre with a progress bar, show the result, and publish once.

    Parameters
    ----------
    job : str
        Name of a job that is partitioned by centre.
    config : dict
        Configuration of its asset, by the asset's name.
    counts : callable
        Returns a summary of a centre after its run.
    resources : dict, optional
        Resources of the job, by their names.

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
                given = {"progress": lambda name, log, shown=shown: shown(name)} | (resources or {})
                outcome = launch.run(instance, home, job, partition=name, config=config, resources=given)
            if outcome.error:
                failed.append(name)
                note(f"{name}: failed\n  {outcome.error}")
            else:
                note(f"{name}: {counts(name)}, {time.perf_counter() - start:.1f} s")
        outcome = launch.run(instance, home, "publish")
    if outcome.error:
        note("publish: failed; the previous catalogue stays in force")
        raise TumsynError(f"publish: {outcome.error}", "correct what it names, and run this again")
    show_snapshot(home)
    if failed:
        raise TumsynError(
            f"failed: {', '.join(failed)}; everything else was published",
            "correct the errors above, and run this again",
        )


def without_current(
    entries: Iterable[RegisteredCenter], is_current: Callable[[RegisteredCenter], bool]
) -> list[RegisteredCenter]:
    """Return the centres that have work to do, and note the others as unchanged."""
    stale = []
    for entry in entries:
        if is_current(entry):
            note(f"{entry.center.center_id}: unchanged")
        else:
            stale.append(entry)
    return stale


def is_published(home: Home) -> bool:
    """Return whether the catalogue in force is made from what the centres committed last."""
    from warehouse.catalog import snapshots
    from warehouse.catalog.publish import identify
    from warehouse.lake import parts

    return snapshots.in_force(home) == identify(parts.in_force(home), parts.event_files(home))


def show_snapshot(home: Home) -> None:
    """Show which snapshot is in force."""
    from pipelines.runtime.evaluation import data_in_force
    from warehouse.catalog import snapshots

    note(f"published snapshot {snapshots.in_force(home)} (data {data_in_force(home)})")
