"""What Dagster shows of a table: its key, columns and a preview, all from the table specification."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import dagster as dg
import pyarrow as pa

from warehouse.errors import TumsynError
from warehouse.tables import Table

OWNERS = ["team:warehouse"]
PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 7
PREVIEW_WIDTH = 48  # characters of one cell


def asset_key(table: Table) -> dg.AssetKey:
    """Return the key of a table's asset: its layer and its name."""
    return dg.AssetKey([table.layer, table.short])


def asset_spec(
    table: Table, deps: Iterable[dg.AssetKey], kinds: set[str], code: str, group: str | None = None
) -> dg.AssetSpec:
    """Describe a table as an asset; `code` changes when what makes the table does; its group is its layer."""
    return dg.AssetSpec(
        asset_key(table),
        deps=list(deps),
        description=table.grain,
        group_name=group or table.layer,
        kinds=kinds,
        owners=OWNERS,
        code_version=code,
        metadata={"dagster/column_schema": column_schema(table)},
    )


def column_schema(table: Table) -> dg.TableSchema:
    """Return the columns with their types, descriptions and constraints."""
    columns = [
        dg.TableColumn(
            column.name,
            column.kind.sql,
            column.description,
            dg.TableColumnConstraints(nullable=column.nullable, other=[column.rule] if column.rule else []),
        )
        for column in table.columns
    ]
    return dg.TableSchema(columns, dg.TableConstraints(other=list(table.rules.values())))


def preview(rows: pa.Table) -> str:
    """Return the first rows of the first plain columns as a Markdown table.

    Nested columns and JSON are left out: they are too long to read in a cell.
    """
    plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    names = [name for name in plain if name not in ("fields", "entities")][:PREVIEW_COLUMNS]
    head = rows.select(names).slice(0, PREVIEW_ROWS).to_pylist()
    lines = [names, ["---"] * len(names), *([_cell(row[name]) for name in names] for row in head)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def failure(error: TumsynError) -> dg.Failure:
    """Return an error that a user must correct as a failure of the step that is not tried again."""
    return dg.Failure(
        description=str(error), metadata={"what": error.what, "remedy": error.remedy}, allow_retries=False
    )


@contextmanager
def final_failures() -> Iterator[None]:
    """Make failures that are not tried again of errors that a user must remedy, and of a request to stop.

    Dagster's retry policy would repeat a step that was interrupted because a run is terminated.
    """
    try:
        yield
    except TumsynError as error:
        raise failure(error) from error
    except dg.DagsterExecutionInterruptedError as error:
        stopped = TumsynError("the run was stopped", "start it again: it goes on from what was finished")
        raise failure(stopped) from error


def _cell(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.replace("|", "\\|").split())
    return text if len(text) <= PREVIEW_WIDTH else f"{text[: PREVIEW_WIDTH - 1]}…"
