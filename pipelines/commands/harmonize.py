"""Define `tumsyn harmonize`, which runs the Dagster assets of a harmonisation here, with a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.commands.centers import chosen
from pipelines.commands.ingest import CentersArgument, is_published, run_and_publish, without_current
from pipelines.commands.output import note
from warehouse.lake.home import Home


def harmonize(
    ctx: typer.Context,
    centers: CentersArgument = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME|FILE", help="standard, draft, or a YAML file of your own.")
    ] = "standard",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per CPU, as far as memory allows.")
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(min=0.5, help="Gigabytes that they may take together; default: most of what is free."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Harmonise every scan again, finished or not.")] = False,
) -> None:
    """Harmonise the eligible scans of ingested centres, and publish a catalogue that lists them.

    Scans that were finished before are reused, so a run that was interrupted is simply started again. A scan that
    cannot be harmonised is in core.volume_rejection with the reason. A centre that fails does not stop the others, and
    the exit status is then 1.
    """
    config = {"recipe": recipe, "workers": workers, "memory_gb": memory, "force": force}
    harmonize_centers(ctx.obj, centers or [], {key: value for key, value in config.items() if value is not None})


def harmonize_centers(home: Home, names: list[str], config: dict[str, Any]) -> None:
    """Harmonise the named centres, or all, and publish.

    Parameters
    ----------
    config : dict
        Configuration of the asset `center_volumes`.

    Raises
    ------
    TumsynError
        When a centre failed, after the others were published.
    """
    from warehouse.harmonize.plan import count_images, is_current
    from warehouse.harmonize.recipe import load_recipe
    from warehouse.harmonize.tasks import session_queue

    recipe = load_recipe(str(config["recipe"]))

    def counts(center_id: str) -> str:
        n_harmonized, n_rejected = count_images(home, center_id, recipe)
        where = " (core.volume_rejection has the reasons)" if n_rejected else ""
        return f"{n_harmonized:,} scans harmonised, {n_rejected:,} rejected{where}"

    if (file := Path(str(config["recipe"]))).is_file():
        config = config | {"recipe": str(file.resolve())}
    entries = chosen(home, names)
    stale = without_current(entries, lambda entry: not config.get("force") and is_current(home, entry, recipe))
    if not stale and is_published(home):
        note("the volumes are up to date")
        return
    limits: dict[str, Any] = {key: config[key] for key in ("workers", "memory_gb", "force") if key in config}
    with session_queue(home, stale, recipe, **limits) as work:
        run_and_publish(home, stale, "harmonize", {"center_volumes": config}, counts, {"work": work})
