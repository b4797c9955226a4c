"""`tumsyn harmonize`: the same Dagster assets as in the browser, run here with a progress bar."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.centers import chosen
from pipelines.commands.ingest import is_published, run_and_publish
from pipelines.commands.output import note
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from warehouse.centers.registry import RegisteredCenter
    from warehouse.harmonize.recipe import Recipe

RecipeOption = Annotated[
    str, typer.Option("--recipe", metavar="NAME|FILE", help="standard, draft, or a YAML file of your own.")
]


def harmonize(
    ctx: typer.Context,
    centers: Annotated[
        list[str] | None, typer.Argument(metavar="[CENTER]...", help="Registered centres; all of them by default.")
    ] = None,
    recipe: RecipeOption = "standard",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per CPU, as far as memory allows.")
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(min=0.5, help="Gigabytes that they may take together; default: most of what is free."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do every scan again, finished or not.")] = False,
) -> None:
    """Harmonise the eligible scans of ingested centres, and publish a catalogue that knows them.

    What was finished before is found again, so a run that was interrupted is simply started again. A scan that cannot
    be harmonised is in core.volume_rejection with the reason; a centre that fails does not stop the others, and the
    exit status is then 1.
    """
    config = {"recipe": recipe, "workers": workers, "memory_gb": memory, "force": force}
    harmonize_centers(ctx.obj, centers or [], {key: value for key, value in config.items() if value is not None})


def harmonize_centers(home: Home, names: list[str], config: dict[str, Any]) -> None:
    """Harmonise the named centres, or all, and publish.

    Raises
    ------
    TumsynError
        When a centre failed, after the others were published.
    """
    from warehouse.harmonize.recipe import load_recipe
    from warehouse.harmonize.tasks import session_queue

    recipe = load_recipe(str(config["recipe"]))
    if (file := Path(str(config["recipe"]))).is_file():
        config = config | {"recipe": str(file.resolve())}
    stale = _stale(chosen(home, names), home, recipe, bool(config.get("force")))
    if not stale and is_published(home):
        note("the volumes are up to date")
        return

    wanted = {"center_volumes": config}
    limits: dict[str, Any] = {key: config[key] for key in ("workers", "memory_gb", "force") if key in config}
    with session_queue(home, stale, recipe, **limits) as work:
        counted = partial(_counts, home, recipe=recipe)
        run_and_publish(home, stale, "harmonize", wanted, counted, {"work": work})


def _stale(entries: list[RegisteredCenter], home: Home, recipe: Recipe, force: bool) -> list[RegisteredCenter]:
    from warehouse.harmonize.plan import is_current

    stale = []
    for entry in entries:
        if not force and is_current(home, entry, recipe):
            note(f"{entry.center.center_id}: unchanged")
        else:
            stale.append(entry)
    return stale


def _counts(home: Home, center_id: str, recipe: Recipe) -> str:
    """Return how many images of a centre there are by a recipe, and where to read of them."""
    from warehouse.harmonize.plan import count_images

    n_harmonized, n_rejected = count_images(home, center_id, recipe)
    why = " (core.volume_rejection says why)" if n_rejected else ""
    return f"{n_harmonized:,} scans harmonised, {n_rejected:,} rejected{why}"
