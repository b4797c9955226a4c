"""The published catalogue: tables derived in SQL, and the snapshot that holds everything."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import re
from collections.abc import Iterator
from graphlib import TopologicalSorter

import dagster as dg

from pipelines.assets.describe import PREVIEW_ROWS, asset_key, asset_spec, final_failures, preview
from pipelines.runtime.resources import HomeResource
from warehouse.catalog import sqlfiles
from warehouse.catalog.publish import Published, publish
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED, PARTITIONED, TABLES, Table

SNAPSHOT = TABLES["meta.snapshot"]
DERIVED = [table for table in TABLES.values() if table.origin == "derived"]


def in_order() -> list[Table]:
    """Return the derived tables, each after those that its SQL names: Dagster wants what is upstream first."""
    keys = {asset_key(table): table for table in DERIVED}
    sorter = TopologicalSorter({key: [name for name in reads(table) if name in keys] for key, table in keys.items()})
    return [keys[key] for key in sorter.static_order()]


def reads(table: Table) -> list[dg.AssetKey]:
    """Return the assets that a derived table's SQL names: lineage cannot differ from the query."""
    query = re.sub(r"--.*", "", sqlfiles.read(f"{table.layer}/{table.short}"))
    names = {f"{layer}.{short}" for layer, short in re.findall(r"\b(raw|core|out|meta)\.(\w+)", query)}
    return [asset_key(TABLES[name]) for name in sorted(names & TABLES.keys()) if name != table.name]


@dg.multi_asset(
    name="catalogue",
    specs=[
        *(asset_spec(table, reads(table), {"sql", "duckdb"}, sqlfiles.spec_version()) for table in DERIVED),
        asset_spec(
            SNAPSHOT, map(asset_key, (*PARTITIONED, *HARMONIZED, *DERIVED)), {"duckdb"}, sqlfiles.spec_version()
        ),
    ],
    pool="publish",
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL),
)
def catalogue(context: dg.AssetExecutionContext, home: HomeResource) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Publish what all centres committed as one immutable, checked snapshot."""
    place = home.open()
    with final_failures():
        published = publish(place, run_id=context.run.run_id)
    context.log.info("snapshot %s: %s", published.snapshot_id, "published" if published.changed else "already in force")
    yield from _results(place, published)


def _results(home: Home, published: Published) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    with Catalogue(home, published.snapshot_id).connect() as connection:
        for table in (*in_order(), SNAPSHOT):
            head = connection.table(table.name).limit(PREVIEW_ROWS).to_arrow_table()
            yield dg.MaterializeResult(
                asset_key=asset_key(table),
                data_version=dg.DataVersion(published.snapshot_id),
                metadata={
                    "dagster/row_count": published.n_rows[table.name],
                    "snapshot_id": published.snapshot_id,
                    "data_id": published.data_id,
                    "changed": published.changed,
                    "path": dg.MetadataValue.path(published.path),
                    "preview": dg.MetadataValue.md(preview(head)),
                },
            )
