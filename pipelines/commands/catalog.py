"""`tumsyn catalog`: what is published, and which snapshots are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.output import Format, FormatOption, OutputOption, note, show

app = typer.Typer(help="What is published: tables, columns, snapshots.", no_args_is_help=True)

SnapshotOption = Annotated[str | None, typer.Option(help="Look at this snapshot instead of the one in force.")]
SnapshotArgument = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="Identity, as `tumsyn catalog snapshots` shows it.")
]
ReferrerOption = Annotated[str, typer.Option("--for", help="Who needs it: a name or a note.")]


@app.command()
def tables(
    ctx: typer.Context,
    snapshot: SnapshotOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List the tables with their rows and meaning."""
    from warehouse.catalog import query

    show(query.tables(query.Catalogue(ctx.obj, snapshot)), form, output)


@app.command()
def describe(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(help="Table with its layer, e.g. out.image_catalog.")],
    snapshot: SnapshotOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List a table's columns with types and meaning."""
    from warehouse.catalog import query

    show(query.describe(query.Catalogue(ctx.obj, snapshot), table), form, output)


@app.command("snapshots")
def list_snapshots(ctx: typer.Context, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the snapshots that can be asked, the newest first."""
    from warehouse.catalog import query

    show(query.snapshots(ctx.obj), form, output)


@app.command()
def pin(ctx: typer.Context, snapshot: SnapshotArgument, referrer: ReferrerOption = "a person") -> None:
    """Keep a snapshot for as long as somebody needs it."""
    from warehouse.catalog import snapshots

    snapshots.pin(ctx.obj, snapshot, referrer)
    note(f"snapshot {snapshot} is kept for {referrer!r}")


@app.command()
def unpin(ctx: typer.Context, snapshot: SnapshotArgument, referrer: ReferrerOption = "a person") -> None:
    """Take back a pin; the retention rule then holds for the snapshot again."""
    from warehouse.catalog import snapshots

    snapshots.unpin(ctx.obj, snapshot, referrer)
    note(f"snapshot {snapshot} is no longer kept for {referrer!r}")
