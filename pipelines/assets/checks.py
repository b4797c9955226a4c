"""Blocking checks, made from the table specification: one per table, which holds every rule of the table."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.assets.describe import asset_key, failure, preview
from pipelines.assets.partitions import CENTERS
from pipelines.runtime.resources import HomeResource
from warehouse.catalog.query import Catalogue
from warehouse.errors import TumsynError
from warehouse.lake.parts import read_table
from warehouse.tables import HARMONIZED, PARTITIONED, TABLES, Table

if TYPE_CHECKING:
    import duckdb

NAME = "specification"
PUBLISHED = [table for table in TABLES.values() if table.origin == "derived"]


def check_specs(tables: Iterable[Table], partitioned: bool) -> list[dg.AssetCheckSpec]:
    """Describe one blocking check per table."""
    with warnings.catch_warnings():
        # partitions of checks are a preview in the pinned Dagster; without them a check knows only the last centre
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                NAME,
                asset=asset_key(table),
                blocking=True,
                description=f"Every row of {table.name} keeps the {len(table.offenders())} rules of its specification.",
                partitions_def=CENTERS if partitioned else None,
            )
            for table in tables
        ]


def verdict(connection: "duckdb.DuckDBPyConnection", table: Table, relation: str) -> dg.AssetCheckResult:
    """Look for rows that break a rule of their table.

    Parameters
    ----------
    relation : str
        Name under which the connection knows the rows.
    """
    queries = table.offenders(relation)
    broken = {}
    for rule, query in queries.items():
        offenders = connection.sql(query).to_arrow_table()
        if offenders.num_rows:
            broken[rule] = offenders
    metadata: dict[str, dg.MetadataValue] = {}
    for rule, offenders in broken.items():
        text = f"{offenders.num_rows} rows, the first are\n\n{preview(offenders)}"
        metadata[f"broken: {rule}"] = dg.MetadataValue.md(text)
    return dg.AssetCheckResult(
        passed=not broken,
        asset_key=asset_key(table),
        check_name=NAME,
        description=f"broken: {', '.join(broken)}" if broken else "no rule is broken",
        metadata=metadata,
    )


@dg.multi_asset_check(name="center_tables_specification", specs=check_specs(PARTITIONED, partitioned=True))
def center_tables_specification(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> Iterator[dg.AssetCheckResult]:
    """Hold one centre's rows against the table specification."""
    yield from _center_verdicts(context.partition_key, home, PARTITIONED)


@dg.multi_asset_check(name="center_volumes_specification", specs=check_specs(HARMONIZED, partitioned=True))
def center_volumes_specification(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> Iterator[dg.AssetCheckResult]:
    """Hold the rows of one centre's volumes against the table specification."""
    yield from _center_verdicts(context.partition_key, home, HARMONIZED)


def _center_verdicts(center_id: str, home: HomeResource, tables: Iterable[Table]) -> Iterator[dg.AssetCheckResult]:
    import duckdb  # not above: Dagster and torch keep this module alive until after DuckDB's bindings look for leaks

    with duckdb.connect() as connection:
        for table in tables:
            rows = read_table(home.open(), center_id, table.name)
            connection.register("partition_rows", table.schema().empty_table() if rows is None else rows)
            yield verdict(connection, table, "partition_rows")
            connection.unregister("partition_rows")


@dg.multi_asset_check(name="catalogue_specification", specs=check_specs(PUBLISHED, partitioned=False))
def catalogue_specification(home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Hold the published tables against the table specification."""
    try:
        connection = Catalogue(home.open()).connect()
    except TumsynError as error:
        raise failure(error) from error
    with connection:
        for table in PUBLISHED:
            yield verdict(connection, table, table.name)
