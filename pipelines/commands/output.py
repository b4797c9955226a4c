"""Print or write rows: a table for people; CSV, JSON and Parquet for programs."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, TextIO

import typer

from pipelines.runtime.progress import clean
from warehouse.errors import TumsynError
from warehouse.lake import atomic

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 200
PIPE_WIDTH = 400  # characters: no terminal limits the width of a table


class Format(StrEnum):
    """Format of rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="Format of the rows.")]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="File to write; an existing one is not overwritten.")
]


def show(rows: pa.Table, form: Format, output: Path | None = None) -> None:
    """Print rows, or write them into a file.

    Raises
    ------
    TumsynError
        When the file exists, or Parquet would go to a terminal.
    """
    if output is not None:
        _write_file(rows, form, output)
    elif form is Format.TABLE:
        _print_table(rows)
    elif form is Format.PARQUET and sys.stdout.isatty():
        raise TumsynError("Parquet is binary and would garble the terminal", "give a file: --output rows.parquet")
    else:
        sys.stdout.flush()
        WRITERS[form](rows, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def note(text: str) -> None:
    """Print a message on standard error, which keeps it out of the rows; control characters are escaped."""
    typer.echo(clean(text), err=True)


def _write_file(rows: pa.Table, form: Format, output: Path) -> None:
    if output.exists():
        raise TumsynError(f"{output} exists", "remove it, or give another --output")
    if not output.parent.is_dir():
        raise TumsynError(f"{output.parent} is not a folder", "make it, or give another --output")
    temporary = atomic.temporary_beside(output)
    with temporary.open("wb") as file:
        WRITERS[form](rows, file)
    atomic.move(temporary, output)
    note(f"{rows.num_rows:,} rows -> {output}")


def _print_table(rows: pa.Table) -> None:
    _table(rows, sys.stdout, None if sys.stdout.isatty() else PIPE_WIDTH)
    if rows.num_rows > SHOWN_ROWS:
        note(f"the first {SHOWN_ROWS} of {rows.num_rows:,} rows; `--format csv` prints all of them")


def _table(rows: pa.Table, file: TextIO, width: int | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for field in rows.schema:
        right = str(field.type).startswith(("int", "uint", "float", "double", "decimal"))
        table.add_column(Text(clean(field.name)), justify="right" if right else "left", overflow="fold")
    columns = [column.to_pylist() for column in rows.slice(0, SHOWN_ROWS).columns]
    for values in zip(*columns, strict=True):
        table.add_row(*(Text(clean(_text(value))) for value in values))
    Console(file=file, width=width).print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json_text(value).strip('"')


def _json_text(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _csv(rows: pa.Table, file: BinaryIO) -> None:
    import pyarrow as pa
    from pyarrow import csv

    for place, field in enumerate(rows.schema):
        if pa.types.is_nested(field.type):
            values = [None if value is None else _json_text(value) for value in rows[place].to_pylist()]
            rows = rows.set_column(place, field.name, pa.array(values, pa.string()))
    csv.write_csv(rows, file)


def _json(rows: pa.Table, file: BinaryIO) -> None:
    names = rows.column_names
    columns = (column.to_pylist() for column in rows.columns)
    file.write(b"[")
    for number, values in enumerate(zip(*columns, strict=True)):
        file.write((",\n " if number else "").encode() + _json_text(dict(zip(names, values, strict=True))).encode())
    file.write(b"]\n")


def _parquet(rows: pa.Table, file: BinaryIO) -> None:
    import pyarrow.parquet as pq

    pq.write_table(rows, file, compression="zstd")


def _plain(value: object) -> object:
    """Return a value that JSON can hold; a float that is not finite becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _table_text(rows: pa.Table, file: BinaryIO) -> None:
    text = io.StringIO()
    _table(rows, text, PIPE_WIDTH)
    file.write(text.getvalue().encode())


WRITERS: dict[Format, Callable[[pa.Table, BinaryIO], None]] = {
    Format.TABLE: _table_text,
    Format.CSV: _csv,
    Format.JSON: _json,
    Format.PARQUET: _parquet,
}
