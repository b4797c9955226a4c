"""Describe a table as a Dagster asset: its key, columns and blocking check, all from the table specification."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines.assets.metadata import preview
from pipelines.runtime.resources import CENTERS, HomeResource
from warehouse.lake.parts import read_table
from warehouse.tables import Table

if TYPE_CHECKING:
    import duckdb

OWNERS = ["team:warehouse"]
CHECK = "specification"


def asset_key(table: Table) -> dg.AssetKey:
    """Return the key of a table's asset: its layer and its name."""
    return dg.AssetKey([table.layer, table.short])


def asset_spec(
    table: Table, deps: Iterable[dg.AssetKey], kinds: set[str], code: str, group: str | None = None, **more: Any
) -> dg.AssetSpec:
    """Return a table's asset, whose group is its layer by default.

    Parameters
    ----------
    code : str
        Version of the code that makes it.
    **more
        Further attributes of the asset, such as its automation condition.
    """
    return dg.AssetSpec(
        asset_key(table),
        deps=list(deps),
        description=table.grain,
        group_name=group or table.layer,
        kinds=kinds,
        owners=OWNERS,
        code_version=code,
        metadata={"dagster/column_schema": column_schema(table)},
        **more,
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


def check_specs(tables: Iterable[Table], partitioned: bool) -> list[dg.AssetCheckSpec]:
    """Return one blocking check per table."""
    with warnings.catch_warnings():
        # Partitions of checks are a preview in the pinned Dagster; without them a check knows only the last centre.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                CHECK,
                asset=asset_key(table),
                blocking=True,
                description=f"Every row of {table.name} obeys the {len(table.offenders())} rules of its specification.",
                partitions_def=CENTERS if partitioned else None,
            )
            for table in tables
        ]


def check_table(connection: "duckdb.DuckDBPyConnection", table: Table, relation: str) -> dg.AssetCheckResult:
    """Return whether every row of `relation`, a name that the connection knows, obeys the rules of a table."""
    metadata = {}
    broken = []
    for rule, query in table.offenders(relation).items():
        offenders = connection.sql(query).to_arrow_table()
        if offenders.num_rows:
            broken.append(rule)
            text = f"{offenders.num_rows} rows, the first are\n\n{preview(offenders)}"
            metadata[f"broken: {rule}"] = dg.MetadataValue.md(text)
    return dg.AssetCheckResult(
        passed=not broken,
        asset_key=asset_key(table),
        check_name=CHECK,
        description=f"broken: {', '.join(broken)}" if broken else "no rule is broken",
        metadata=metadata,
    )


def center_checks(name: str, tables: Iterable[Table]) -> dg.AssetChecksDefinition:
    """Return the step that checks one centre's committed rows of these tables."""

    @dg.multi_asset_check(name=name, specs=check_specs(tables, partitioned=True))
    def checks(context: dg.AssetCheckExecutionContext, home: HomeResource) -> Iterator[dg.AssetCheckResult]:
        """Check one centre's rows against the table specification."""
        import duckdb  # not above: Dagster and torch keep this module alive until after DuckDB searches for leaks

        with duckdb.connect() as connection:
            for table in tables:
                rows = read_table(home.open(), context.partition_key, table.name)
                connection.register("partition_rows", table.schema().empty_table() if rows is None else rows)
                yield check_table(connection, table, "partition_rows")
                connection.unregister("partition_rows")

    return checks
