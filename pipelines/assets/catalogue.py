"""Define the assets that a publication makes: the tables derived in SQL, the snapshot, and their checks."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import re
import warnings
from collections.abc import Iterable, Iterator
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.assets.conditions import all_centers
from pipelines.assets.freshness import AGES, overdue_after
from pipelines.assets.lineage import column_lineage
from pipelines.assets.metadata import PREVIEW_ROWS, picture_of_counts, preview
from pipelines.assets.tables import asset_key, asset_spec, check_specs, check_table
from pipelines.runtime.resources import RETRIES, HomeResource, failure, no_retries
from warehouse.catalog import sqlfiles
from warehouse.catalog.publish import Published, publish
from warehouse.catalog.query import Catalogue
from warehouse.errors import TumsynError
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED, PARTITIONED, TABLES, Table

if TYPE_CHECKING:
    import duckdb

SNAPSHOT = TABLES["meta.snapshot"]
CATALOG = TABLES["out.image_catalog"]
DERIVED = [table for table in TABLES.values() if table.origin == "derived"]
INGESTED = [asset_key(table) for table in PARTITIONED]
COMMITTED = [*INGESTED, *map(asset_key, HARMONIZED)]
PUBLISHED = all_centers(COMMITTED, waits_for=INGESTED)  # a harmonisation takes hours, and is not waited for


def upstream_first() -> list[Table]:
    """Return the derived tables, each after those that its SQL names, as Dagster requires."""
    keys = {asset_key(table): table for table in DERIVED}
    sorter = TopologicalSorter({key: [name for name in reads(table) if name in keys] for key, table in keys.items()})
    return [keys[key] for key in sorter.static_order()]


def query_reference(table: Table) -> dg.CodeReferencesMetadataValue:
    """Return the link to the SQL file of a derived table."""
    path = str(sqlfiles.SQL / table.layer / f"{table.short}.sql")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # links to code are a beta in the pinned Dagster
        query = dg.LocalFileCodeReference(file_path=path, label=f"query of {table.name}")
        return dg.CodeReferencesMetadataValue(code_references=[query])


def reads(table: Table) -> list[dg.AssetKey]:
    """Return the assets that a derived table's SQL names, so that the lineage follows the query."""
    query = re.sub(r"--.*", "", sqlfiles.read(f"{table.layer}/{table.short}"))
    names = {f"{layer}.{short}" for layer, short in re.findall(r"\b(raw|core|out|meta)\.(\w+)", query)}
    return [asset_key(TABLES[name]) for name in sorted(names & TABLES.keys()) if name != table.name]


@dg.multi_asset(
    name="catalogue",
    specs=[
        *(
            asset_spec(
                table,
                reads(table),
                {"sql", "duckdb"},
                sqlfiles.spec_version(),
                freshness_policy=overdue_after(AGES.catalogue_days) if table is CATALOG else None,
            ).merge_attributes(metadata={"dagster/code_references": query_reference(table)})
            for table in DERIVED
        ),
        asset_spec(
            SNAPSHOT,
            map(asset_key, (*PARTITIONED, *HARMONIZED, *DERIVED)),
            {"duckdb"},
            sqlfiles.spec_version(),
            freshness_policy=overdue_after(AGES.catalogue_days),
            automation_condition=PUBLISHED,  # the step makes all of them together: one decision is enough
        ),
    ],
    pool="publish",
    retry_policy=RETRIES,
)
def catalogue(context: dg.AssetExecutionContext, home: HomeResource) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Publish what all centres committed as one immutable, checked snapshot."""
    place = home.open()
    with no_retries("publication of the catalogue"):
        published = publish(place, run_id=context.run.run_id)
    context.log.info("snapshot %s: %s", published.snapshot_id, "published" if published.changed else "already in force")
    yield from published_tables(place, published, (*upstream_first(), SNAPSHOT))


def published_tables(home: Home, published: Published, tables: Iterable[Table]) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Yield the materialisation of each of these tables by a publication."""
    with Catalogue(home, published.snapshot_id).connect() as connection:
        for table in tables:
            rows = connection.table(table.name)
            columns = [name for name in rows.columns if name != "event_id"]
            if "occurred_at" in columns:
                rows = rows.order("occurred_at DESC")
            yield dg.MaterializeResult(
                asset_key=asset_key(table),
                data_version=dg.DataVersion(published.snapshot_id),
                metadata={
                    "dagster/row_count": published.n_rows[table.name],
                    "snapshot_id": published.snapshot_id,
                    "data_id": published.data_id,
                    "changed": published.changed,
                    "path": dg.MetadataValue.path(published.path),
                    "preview": dg.MetadataValue.md(preview(rows.limit(PREVIEW_ROWS).to_arrow_table().select(columns))),
                    **({"dagster/column_lineage": column_lineage(table)} if table in DERIVED else {}),
                    **({"images": dg.MetadataValue.md(_images(connection))} if table is CATALOG else {}),
                },
            )


def _images(connection: "duckdb.DuckDBPyConnection") -> str:
    """Return a picture of the images of each centre, by contrast."""
    query = f"SELECT center_id, coalesce(contrast_label, suffix), count(*) FROM {CATALOG.name} GROUP BY ALL"
    counts: dict[str, dict[str, int]] = {}
    for center_id, contrast, n_images in connection.execute(query).fetchall():
        counts.setdefault(center_id, {})[contrast] = n_images
    return picture_of_counts(counts)


@dg.multi_asset_check(name="catalogue_specification", specs=check_specs(DERIVED, partitioned=False))
def catalogue_specification(home: HomeResource) -> Iterator[dg.AssetCheckResult]:
    """Check the published tables against the table specification."""
    try:
        connection = Catalogue(home.open()).connect()
    except TumsynError as error:
        raise failure(error) from error
    with connection:
        for table in DERIVED:
            yield check_table(connection, table, table.name)
