"""Specification of columns and tables, from which schema, DDL, checks, comments and dictionary are derived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

Layer = Literal["raw", "core", "out", "meta"]
Origin = Literal["partition", "derived", "event", "build"]
Stage = Literal["ingest", "harmonize"]


@dataclass(frozen=True)
class Kind:
    """A type, in DuckDB and in Arrow."""

    sql: str
    arrow: pa.DataType


TEXT = Kind("VARCHAR", pa.string())
JSON = Kind("JSON", pa.string())
INTEGER = Kind("INTEGER", pa.int32())
BIGINT = Kind("BIGINT", pa.int64())
DOUBLE = Kind("DOUBLE", pa.float64())
BOOLEAN = Kind("BOOLEAN", pa.bool_())
TIMESTAMP = Kind("TIMESTAMPTZ", pa.timestamp("us", tz="UTC"))
TEXTS = Kind("VARCHAR[]", pa.list_(pa.string()))
INTEGERS = Kind("INTEGER[]", pa.list_(pa.int32()))
DOUBLES = Kind("DOUBLE[]", pa.list_(pa.float64()))


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
        Name, from BIDS where it has one; ends in the unit.
    kind : Kind
        Type in DuckDB and Arrow.
    description : str
        One sentence, used for the SQL comment, the data dictionary and Dagster.
    nullable : bool
        Whether the value may be missing.
    rule : str
        SQL condition on the row that must not be false; NULL passes. Empty for no rule.
    """

    name: str
    kind: Kind
    description: str
    nullable: bool = False
    rule: str = ""


@dataclass(frozen=True)
class Table:
    """One table of the catalogue.

    Parameters
    ----------
    name : str
        ``layer.table``, e.g. ``core.image``.
    grain : str
        Meaning of one row.
    columns : tuple of Column
        Columns in order.
    key : tuple of str
        Columns whose values together are unique.
    origin : {"partition", "derived", "event", "build"}
        Written to the lake per centre, derived in SQL by the publisher, appended as events, or written by the publisher.
    rules : dict of str to str
        Further SQL conditions on one row, by name.
    stage : {"ingest", "harmonize"}
        Step that writes the rows of a partition.
    """

    name: str
    grain: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    origin: Origin = "partition"
    rules: dict[str, str] = field(default_factory=dict)
    stage: Stage = "ingest"

    @property
    def layer(self) -> str:
        """Part of the name before the dot."""
        return self.name.split(".")[0]

    @property
    def short(self) -> str:
        """Part of the name after the dot."""
        return self.name.split(".")[1]

    def schema(self) -> pa.Schema:
        """Return the Arrow schema."""
        return pa.schema([pa.field(c.name, c.kind.arrow, c.nullable) for c in self.columns])

    def ddl(self) -> str:
        """Return CREATE TABLE with NOT NULL and CHECK constraints, followed by the comments."""
        lines = [
            f"{_quoted(c.name)} {c.kind.sql}{'' if c.nullable else ' NOT NULL'}"
            + (f" CHECK ({c.rule})" if c.rule else "")
            for c in self.columns
        ] + [f"CHECK ({rule})" for rule in self.rules.values()]
        comments = [f"COMMENT ON TABLE {self.name} IS {_literal(self.grain)};"] + [
            f"COMMENT ON COLUMN {self.name}.{_quoted(c.name)} IS {_literal(c.description)};" for c in self.columns
        ]
        body = ",\n    ".join(lines)
        return f"CREATE TABLE {self.name} (\n    {body}\n);\n" + "\n".join(comments)

    def offenders(self, relation: str | None = None) -> dict[str, str]:
        """Return one query per rule, which selects the rows that break it.

        Parameters
        ----------
        relation : str, optional
            Relation to check; the table itself by default.
        """
        place = relation or self.name
        queries = {c.name: f"SELECT * FROM {place} WHERE NOT ({c.rule})" for c in self.columns if c.rule}
        queries |= {
            f"{c.name} is null": f"SELECT * FROM {place} WHERE {_quoted(c.name)} IS NULL"
            for c in self.columns
            if not c.nullable
        }
        queries |= {name: f"SELECT * FROM {place} WHERE NOT ({rule})" for name, rule in self.rules.items()}
        if self.key:
            key = ", ".join(map(_quoted, self.key))
            queries["key is unique"] = f"SELECT {key}, count(*) AS n FROM {place} GROUP BY {key} HAVING count(*) > 1"
        return queries

    def rows(self, records: Iterable[dict[str, object]]) -> pa.Table:
        """Return records as an Arrow table of this schema; absent keys become null."""
        names = [c.name for c in self.columns]
        columns: dict[str, list[object]] = {name: [] for name in names}
        for record in records:
            for name in names:
                columns[name].append(record.get(name))
        return pa.table(columns, schema=self.schema())


def inside(column: str) -> str:
    """Return the rule that a path is relative and does not lead out of the folder that it is relative to."""
    return f"NOT starts_with({column}, '/') AND NOT list_contains(string_split({column}, '/'), '..')"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
