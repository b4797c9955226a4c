"""How results are printed: a table for people; CSV, JSON and Parquet for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from warehouse.errors import TumsynError

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 200
WIDTH_OF_A_PIPE = 400  # characters; a table that no terminal limits is not folded


class Format(StrEnum):
    """What is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How the rows are written.")]
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
    """Say something on standard error, so that what is printed stays clean."""
    typer.echo(text, err=True)


def clean(text: str) -> str:
    """Return text without characters that steer a terminal: names in a dataset may hold any."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _write_file(rows: pa.Table, form: Format, output: Path) -> None:
    if output.exists():
        raise TumsynError(f"{output} exists", "remove it, or give another --output")
    if not output.parent.is_dir():
        raise TumsynError(f"{output.parent} is not a folder", "make it, or give another --output")
    from warehouse.lake import atomic

    temporary = atomic.temporary_beside(output)
    with temporary.open("wb") as file:
        WRITERS[form](rows, file)
    atomic.move(temporary, output)
    note(f"{rows.num_rows:,} rows -> {output}")


def _print_table(rows: pa.Table) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE).print(_rich(rows))
    if rows.num_rows > SHOWN_ROWS:
        note(f"the first {SHOWN_ROWS} of {rows.num_rows:,} rows; `--format csv` prints all of them")


def _rich(rows: pa.Table) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for field in rows.schema:
        right = str(field.type).startswith(("int", "uint", "float", "double", "decimal"))
        table.add_column(Text(clean(field.name)), justify="right" if right else "left", overflow="fold")
    columns = [column.to_pylist() for column in rows.slice(0, SHOWN_ROWS).columns]
    for values in zip(*columns, strict=True):
        table.add_row(*(Text(clean(_text(value))) for value in values))
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False).strip('"')


def _csv(rows: pa.Table, file: BinaryIO) -> None:
    import pyarrow as pa
    from pyarrow import csv

    flat = [_as_json(column) if pa.types.is_nested(column.type) else column for column in rows.columns]
    csv.write_csv(pa.Table.from_arrays(flat, rows.column_names), file)


def _as_json(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    values = (None if value is None else json.dumps(_plain(value), ensure_ascii=False) for value in column.to_pylist())
    return pa.array(values, pa.string())


def _json(rows: pa.Table, file: BinaryIO) -> None:
    names = rows.column_names
    columns = (column.to_pylist() for column in rows.columns)
    file.write(b"[")
    for number, values in enumerate(zip(*columns, strict=True)):
        record = {name: _plain(value) for name, value in zip(names, values, strict=True)}
        file.write((",\n " if number else "").encode() + json.dumps(record, ensure_ascii=False).encode())
    file.write(b"]\n")


def _parquet(rows: pa.Table, file: BinaryIO) -> None:
    import pyarrow.parquet as pq

    pq.write_table(rows, file, compression="zstd")


def _plain(value: object) -> object:
    """Return a value as JSON can hold it; what is not a number becomes null."""
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
    import io

    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=WIDTH_OF_A_PIPE).print(_rich(rows))
    file.write(text.getvalue().encode())


WRITERS: dict[Format, Callable[[pa.Table, BinaryIO], None]] = {
    Format.TABLE: _table_text,
    Format.CSV: _csv,
    Format.JSON: _json,
    Format.PARQUET: _parquet,
}
