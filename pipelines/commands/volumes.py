"""Define `tumsyn export` and `tumsyn volumes`, which export, list and clean up harmonised volumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from warehouse.errors import VolumeError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from warehouse.volumes import Volume

app = typer.Typer(help="Harmonised volumes: list them, and remove those that are not needed.", no_args_is_help=True)


Form = Literal["session", "native"]  # grid of a volume


def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder of a BIDS derivative dataset; it is made where absent.")],
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE_ID", help="Images, as in core.image.")] = None,
    center: Annotated[str | None, typer.Option(help="Every volume of this centre instead.")] = None,
    form: Annotated[Form, typer.Option(help="Grid: that of the session, or the scan's own.")] = "session",
    recipe: Annotated[str, typer.Option(help="Name or identity of the recipe.")] = "standard",
    source_units: Annotated[
        bool, typer.Option("--source-units", help="Intensities in the units of the source, instead of [0, 1].")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write volumes as NIfTI with their brain masks and provenance, as BIDS derivatives."""
    from warehouse import volumes as stores

    if bool(images) == bool(center):
        raise typer.BadParameter("give either images or --center")
    home: Home = ctx.obj
    if center:
        volumes = _of_center(home, center, recipe, form)
    else:
        volumes = [stores.open(image_id, recipe, form, home=home) for image_id in dict.fromkeys(images or [])]
    for volume, run in zip(volumes, stores.runs(volumes), strict=True):
        typer.echo(stores.export(volume, out, source_units=source_units, force=force, run=run).image)
    note(f"{len(volumes):,} volumes -> {out}")


@app.command("list")
def list_volumes(ctx: typer.Context, output_format: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the volumes by centre and recipe, with their size on disk."""
    from warehouse.catalog import sqlfiles
    from warehouse.catalog.query import Catalogue

    show(Catalogue(ctx.obj).query(sqlfiles.read("catalog/volumes")), output_format, output)


@app.command()
def gc(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are listed.")] = False,
) -> None:
    """List, or remove, stores that no snapshot and no centre refers to, and files of interrupted runs.

    Stores that changed within the last hour are kept: another process may be writing them.
    """
    from warehouse.volumes import collection
    from warehouse.volumes.store import size_bytes

    home: Home = ctx.obj
    found = collection.orphans(home, collection.referenced(home))
    for path in found:
        typer.echo(path.relative_to(home.root))
    if not found:
        note("every store is needed")
    elif yes:
        note(f"removed {len(found):,} stores, {collection.remove(found) / 1e6:,.1f} MB")
    else:
        size = sum(size_bytes(path) for path in found)
        note(f"{len(found):,} stores, {size / 1e6:,.1f} MB, are not needed; `tumsyn volumes gc --yes` removes them")


def _of_center(home: Home, center: str, recipe: str, form: Form) -> list[Volume]:
    import duckdb

    from warehouse.catalog import sqlfiles
    from warehouse.catalog.query import Catalogue
    from warehouse.volumes import open_store

    query, values = sqlfiles.read("catalog/volumes_of_center"), {"center_id": center, "form": form}
    with Catalogue(home).connect() as connection:
        try:
            rows = connection.execute(query, values).fetchall()
        except duckdb.CatalogException:
            rows = []  # an old snapshot, without volumes
    fit = [(recipe_id, path) for _, name, recipe_id, path in rows if recipe in (name, recipe_id)]
    if not fit:
        known = ", ".join(sorted({f"{name} ({recipe_id})" for _, name, recipe_id, _ in rows})) or "none"
        raise VolumeError(
            f"centre {center} has no {form} volumes by recipe {recipe!r}; recipes that it has: {known}",
            f"tumsyn harmonize {center} --recipe {recipe}",
        )
    if len(identities := sorted({recipe_id for recipe_id, _ in fit})) > 1:
        raise VolumeError(f"recipe {recipe!r} has several identities: {', '.join(identities)}", "give one of them")
    return [open_store(home.root / path) for _, path in fit]
