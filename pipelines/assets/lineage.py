"""Derive from its SQL which columns each column of a derived table is computed from; DuckDB parses the query.

No maintained parser of SQL is among the dependencies. A column is named only where the query leaves no doubt: one of an
unnested list or a correlated subquery has no known origin. What a query filters or joins by does not count.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import dagster as dg

from warehouse.catalog import sqlfiles
from warehouse.tables import TABLES, Table


class Column(NamedTuple):
    """A column of a table of the catalogue."""

    table: str
    name: str


Node = Mapping[str, Any]  # of DuckDB's syntax tree
Origins = dict[str, set[Column]]  # by the columns of a table, common table expression or subquery


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Return the columns of other tables that each column of a derived table is computed from."""
    origins = query_origins(sqlfiles.read(f"{table.layer}/{table.short}"))
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(dg.AssetKey(source.table.split(".")), source.name) for source in sorted(sources)]
            for name, sources in origins.items()
            if sources and name in {column.name for column in table.columns}
        }
    )


def query_origins(query: str) -> Origins:
    """Return the origins of each column that a query returns.

    Parameters
    ----------
    query : str
        One SELECT statement.
    """
    import duckdb  # not above: Dagster keeps this module alive until after DuckDB searches for leaks

    with duckdb.connect() as connection:
        [row] = connection.execute("SELECT json_serialize_sql($1)", [query]).fetchall()
    [statement] = json.loads(row[0])["statements"]
    return _query(statement["node"], {})


def _query(node: Node, known: Mapping[str, Origins]) -> Origins:
    known = dict(known)
    for entry in (node.get("cte_map") or {}).get("map", []):
        value = entry["value"]
        known[entry["key"]] = _query(value.get("query_node") or value["query"]["node"], known)  # DuckDB 2, 1
    if parts := node.get("children") or [part for part in (node.get("left"), node.get("right")) if part]:
        first, *others = (_query(part, known) for part in parts)  # UNION and its kin match columns by position
        for other in others:
            first = {name: first[name] | more for name, more in zip(first, other.values(), strict=False)}
        return first
    sources = dict(_sources(node.get("from_table") or {}, known))
    found: Origins = {}
    for expression in node.get("select_list", []):
        if expression["class"] == "STAR":
            shown = expression.get("relation_name")
            for alias, columns in sources.items():
                found |= columns if shown in ("", None, alias) else {}
        else:
            name = expression["alias"] or (expression.get("column_names") or [""])[-1]
            found[name] = set().union(*(_resolved(names, sources) for names in _references(expression)))
    return found


def _sources(node: Node, known: Mapping[str, Origins]) -> Iterator[tuple[str, Origins]]:
    """Yield the alias and the columns of each table in a FROM clause."""
    kind, alias = node.get("type"), node.get("alias") or ""
    if kind == "JOIN":
        yield from _sources(node["left"], known)
        yield from _sources(node["right"], known)
    elif kind == "SUBQUERY":
        yield alias, _query(node["subquery"]["node"], known)
    elif kind == "BASE_TABLE":
        name = node["table_name"]
        full = ".".join(filter(None, (node.get("schema_name"), name)))
        if full in TABLES:
            columns: Origins = {column.name: {Column(full, column.name)} for column in TABLES[full].columns}
        else:
            columns = known.get(name, {})
        yield alias or name, columns


def _references(node: object) -> Iterator[list[str]]:
    """Yield the names of each column in an expression; subqueries have columns of their own and are left out."""
    if isinstance(node, list):
        for child in node:
            yield from _references(child)
    elif isinstance(node, Mapping):
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"]
        elif node.get("class") != "SUBQUERY":
            for child in node.values():
                yield from _references(child)


def _resolved(names: list[str], sources: Mapping[str, Origins]) -> set[Column]:
    """Return the origins of a column: of the table that it names, else of the only one that has it."""
    first, *rest = names
    if rest and rest[0] in sources.get(first, {}):
        return sources[first][rest[0]]
    holders = [columns for columns in sources.values() if first in columns]  # further names are fields of a struct
    return holders[0][first] if len(holders) == 1 else set()
