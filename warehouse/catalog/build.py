"""Build one snapshot: load the parts of the lake, derive the tables of `out` and check every rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from warehouse.catalog import sqlfiles
from warehouse.errors import PublishError
from warehouse.lake.parts import Manifest
from warehouse.tables import TABLES, Table

if TYPE_CHECKING:
    import duckdb

LAYERS = ("raw", "core", "out", "meta")
SHOWN = 5  # offending rows in a message


def build(
    connection: duckdb.DuckDBPyConnection,
    lake: Path,
    manifests: Sequence[Manifest],
    events: Mapping[str, list[Path]],
    facts: Mapping[str, object],
) -> None:
    """Fill an empty database from the lake.

    Parameters
    ----------
    manifests : sequence of Manifest
        Ordered so that the ingest of a centre precedes its harmonisation.
    facts : mapping
        Row of meta.snapshot without data_id, which is computed here.

    Raises
    ------
    PublishError
        When a row breaks a rule.
    """
    connection.execute("SET preserve_insertion_order = false")  # lets large parts be loaded in bounded memory
    connection.execute(_ddl())
    _load_parts(connection, lake, manifests)
    _load_events(connection, events)
    _insert_rows(connection, TABLES["meta.build"], _parts(lake, manifests, events))
    check(connection, [table for table in TABLES.values() if table.origin in ("partition", "event")])
    _check_across(connection, before_derivation=True)
    for table in TABLES.values():
        if table.origin == "derived":
            _insert(connection, table, sqlfiles.read(f"out/{table.short}"), [])
    [(data_id,)] = connection.execute(sqlfiles.read("data_id")).fetchall()
    _insert_rows(connection, TABLES["meta.snapshot"], [{**facts, "data_id": data_id}])
    check(connection, [table for table in TABLES.values() if table.origin in ("derived", "build")])
    _check_across(connection, before_derivation=False)


def _ddl() -> str:
    """Return all definitions as one transaction, so that the file is synchronised only once."""
    schemas = [f"CREATE SCHEMA {layer};" for layer in LAYERS]
    tables = [table.ddl() for table in TABLES.values()]
    return "\n".join(["BEGIN;", *schemas, sqlfiles.prompt_macros(), *tables, "COMMIT;"])


def check(connection: duckdb.DuckDBPyConnection, tables: list[Table]) -> None:
    """Run every rule of every table over its rows.

    Raises
    ------
    PublishError
        When a row breaks a rule; the message names table, rule and offending rows.
    """
    for table in tables:
        _refuse(connection, table.name, table.offenders())


def _check_across(connection: duckdb.DuckDBPyConnection, before_derivation: bool) -> None:
    """Run the checks over several tables; those of loaded tables come before the derivation, which relies on them."""
    queries = sqlfiles.checks()
    chosen = {name: query for name, query in queries.items() if ("out." not in query) == before_derivation}
    _refuse(connection, "warehouse/catalog/sql/checks", chosen)


def _refuse(connection: duckdb.DuckDBPyConnection, place: str, rules: Mapping[str, str]) -> None:
    """Count the offenders of all rules in one query; raise with rows of the first broken rule."""
    counts = [f"SELECT {i} AS i, count(*) AS n FROM (\n{query}\n)" for i, query in enumerate(rules.values())]
    found = connection.execute("\nUNION ALL\n".join(counts)).fetchall()
    broken = sorted(i for i, n in found if n)
    if broken:
        rule = list(rules)[broken[0]]
        offenders = connection.sql(rules[rule]).limit(SHOWN + 1).to_arrow_table().to_pylist()
        shown = "\n".join(f"    {_brief(row)}" for row in offenders[:SHOWN])
        more = "\n    …" if len(offenders) > SHOWN else ""
        raise PublishError(
            f"{place}: rule '{rule}' is broken by\n{shown}{more}\nNothing was published.",
            "correct the centre's data or its definition and ingest it again",
        )


def _brief(row: dict[str, object]) -> str:
    return ", ".join(f"{key}={value!r:.60}" for key, value in row.items() if value is not None)


def _load_parts(connection: duckdb.DuckDBPyConnection, lake: Path, manifests: Sequence[Manifest]) -> None:
    """Load all parts of a table at once; if that fails, load them one by one to name the faulty part."""
    import duckdb

    parts: dict[str, list[tuple[str, Path]]] = {}
    for manifest in manifests:
        for part in manifest.parts:
            if part.table not in TABLES:
                raise _other_version(manifest.center_id, f"there is no table {part.table}")
            if part.n_rows:
                parts.setdefault(part.table, []).append((manifest.center_id, lake / part.path))
    for name, files in sorted(parts.items(), key=lambda item: TABLES[item[0]].stage != "ingest"):
        try:
            _insert(connection, TABLES[name], _parts_query(TABLES[name]), [str(path) for _, path in files])
        except duckdb.Error:
            for center_id, path in files:
                _load_part(connection, TABLES[name], path, center_id)


def _parts_query(table: Table) -> str:
    """Return the query that reads parts; rows of a harmonisation are read only for images in core.image."""
    return sqlfiles.read("part" if table.stage == "ingest" else "part_of_images")


def _load_part(connection: duckdb.DuckDBPyConnection, table: Table, path: Path, center_id: str) -> None:
    import duckdb

    try:
        _insert(connection, table, _parts_query(table), [str(path)])
    except duckdb.ConstraintException as error:
        _explain(connection, table, path)
        raise PublishError(f"centre {center_id}: {table.name}: {error}", "ingest the centre again") from error
    except (duckdb.BinderException, duckdb.ConversionException) as error:
        raise _other_version(center_id, f"{table.name}: {error}") from error
    except duckdb.Error as error:
        raise PublishError(
            f"centre {center_id}: part {path} of {table.name} cannot be loaded: {error}", "ingest the centre with force"
        ) from error


def _other_version(center_id: str, what: str) -> PublishError:
    return PublishError(
        f"centre {center_id}: its parts were written to another version of the tables: {what}",
        "ingest the centre again; a centre that is no longer wanted can be dropped",
    )


def _explain(connection: duckdb.DuckDBPyConnection, table: Table, path: Path) -> None:
    """Raise with the rows of a part that violate a CHECK; the error of DuckDB does not show them."""
    files = connection.read_parquet(str(path), hive_partitioning=False)
    files.create_view("refused_part")
    _refuse(connection, table.name, table.offenders("refused_part"))


def _load_events(connection: duckdb.DuckDBPyConnection, events: Mapping[str, list[Path]]) -> None:
    for name, files in events.items():
        if files:
            _insert(connection, TABLES[name], sqlfiles.read("events"), [str(path) for path in files])


def _insert(connection: duckdb.DuckDBPyConnection, table: Table, query: str, files: list[str]) -> None:
    parameters = {"files": files} if files else None
    connection.execute(f"INSERT INTO {table.name} BY NAME\n{query}", parameters)


def _insert_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Iterator[dict[str, object]] | list[dict[str, object]]
) -> None:
    arrow: pa.Table = table.rows(rows)
    connection.register("rows_to_insert", arrow)
    _insert(connection, table, "SELECT * FROM rows_to_insert", [])
    connection.unregister("rows_to_insert")


def _parts(lake: Path, manifests: Sequence[Manifest], events: Mapping[str, list[Path]]) -> Iterator[dict[str, object]]:
    from pyarrow import parquet

    for manifest in manifests:
        for part in manifest.parts:
            fields = {"table_name": part.table, "part": part.path, "sha256": part.sha256, "n_rows": part.n_rows}
            yield {"center_id": manifest.center_id, **fields}
    for table, files in events.items():
        for path in files:
            n_rows = parquet.read_metadata(path).num_rows
            relative = path.relative_to(lake).as_posix()
            digest = path.stem.rsplit("-", 1)[1]
            yield {"center_id": None, "table_name": table, "part": relative, "sha256": digest, "n_rows": n_rows}
