"""`tumsyn sql`: one question to the catalogue."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipelines.commands.output import Format, FormatOption, OutputOption, show
from warehouse.lake.home import Home


def sql(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="One SELECT statement; - reads it from standard input.")],
    snapshot: Annotated[str | None, typer.Option(help="Ask this snapshot instead of the one in force.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, help="Give up after this many seconds.")] = 30.0,
    memory: Annotated[str, typer.Option(help="Memory that the query may take, e.g. 500MB.")] = "1GB",
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Ask the published catalogue one question; it can only be read.

    Tables are listed by `tumsyn catalog tables`, and their columns by `tumsyn catalog describe TABLE`.
    """
    from warehouse.catalog.query import Catalogue

    home: Home = ctx.obj
    text = sys.stdin.read() if query == "-" else query
    show(Catalogue(home, snapshot).query(text, timeout_s=timeout, memory_limit=memory), form, output)
