"""Define `tumsyn sql`, which queries the catalogue, and `tumsyn catalog`, which lists tables and snapshots."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from warehouse.errors import CatalogueError
from warehouse.lake.home import Home

app = typer.Typer(help="What is published: tables, columns, snapshots.", no_args_is_help=True)

SnapshotOption = Annotated[str | None, typer.Option(help="Snapshot to query instead of the one in force.")]
SnapshotArgument = Annotated[
    str, typer.Argument(metavar="SNAPSHOT", help="Identity, as `tumsyn catalog snapshots` shows it.")
]
ReferrerOption = Annotated[str, typer.Option("--for", help="Who needs it: a name or a note.")]


def sql(
    ctx: typer.Context,
    statement: Annotated[
        str | None, typer.Argument(metavar="SELECT", help="One SELECT statement; - reads it from standard input.")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", metavar="NAME", help="Run a query that ships, see --list-queries.")
    ] = None,
    list_queries: Annotated[
        bool, typer.Option("--list-queries", help="List the queries that ship, with their questions.")
    ] = False,
    snapshot: SnapshotOption = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Longest time that the query may take, seconds.")] = 30.0,
    memory: Annotated[str, typer.Option(help="Memory that the query may take, e.g. 500MB.")] = "1GB",
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Query the published catalogue, read-only.

    `tumsyn catalog tables` lists the tables, and `tumsyn catalog describe TABLE` their columns.
    """
    if sum((statement is not None, query is not None, list_queries)) != 1:
        raise typer.BadParameter("give one of a SELECT statement, --query and --list-queries")
    if list_queries:
        _list_queries(form, output)
        return
    from warehouse.catalog.query import Catalogue

    home: Home = ctx.obj
    text = _shipped_query(query) if query is not None else sys.stdin.read() if statement == "-" else statement
    show(Catalogue(home, snapshot).query(text or "", timeout_s=timeout, memory_limit=memory), form, output)


def _list_queries(form: Format, output: OutputOption) -> None:
    import pyarrow as pa

    from warehouse.catalog.sqlfiles import useful_queries

    questions = {
        name: text.splitlines()[0].removeprefix("-- Question:").strip() for name, text in useful_queries().items()
    }
    show(pa.table({"query": list(questions), "question": list(questions.values())}), form, output)


def _shipped_query(name: str) -> str:
    from warehouse.catalog.sqlfiles import useful_queries

    queries = useful_queries()
    if name not in queries:
        raise CatalogueError(f"no query {name!r} ships; there are {', '.join(queries)}", "tumsyn sql --list-queries")
    return queries[name]


@app.command()
def tables(
    ctx: typer.Context,
    snapshot: SnapshotOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List the tables with their rows and meaning."""
    from warehouse.catalog import query as catalog

    show(catalog.tables(catalog.Catalogue(ctx.obj, snapshot)), form, output)


@app.command()
def describe(
    ctx: typer.Context,
    table: Annotated[str, typer.Argument(help="Table with its layer, e.g. out.image_catalog.")],
    snapshot: SnapshotOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """List a table's columns with types and meaning."""
    from warehouse.catalog import query as catalog

    show(catalog.describe(catalog.Catalogue(ctx.obj, snapshot), table), form, output)


@app.command("snapshots")
def list_snapshots(ctx: typer.Context, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the snapshots that are kept, the newest first."""
    from warehouse.catalog import query as catalog

    show(catalog.snapshots(ctx.obj), form, output)


@app.command()
def pin(ctx: typer.Context, snapshot: SnapshotArgument, referrer: ReferrerOption = "a person") -> None:
    """Keep a snapshot until it is unpinned."""
    from warehouse.catalog import snapshots

    snapshots.pin(ctx.obj, snapshot, referrer)
    note(f"snapshot {snapshot} is kept for {referrer!r}")


@app.command()
def unpin(ctx: typer.Context, snapshot: SnapshotArgument, referrer: ReferrerOption = "a person") -> None:
    """Remove a pin, so that the retention rule applies to the snapshot again."""
    from warehouse.catalog import snapshots

    snapshots.unpin(ctx.obj, snapshot, referrer)
    note(f"snapshot {snapshot} is no longer kept for {referrer!r}")
