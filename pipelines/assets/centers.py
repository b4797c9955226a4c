"""The tables that each centre fills: raw and core, one partition per centre."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

from collections.abc import Iterator

import dagster as dg

from pipelines.assets.describe import asset_key, asset_spec, final_failures, preview
from pipelines.assets.partitions import CENTERS
from pipelines.runtime.resources import HomeResource, Progress
from warehouse.catalog.tables import PARTITIONED
from warehouse.centers.registry import RegisteredCenter, registered
from warehouse.errors import CenterError
from warehouse.ingest import Ingested, ingest_center
from warehouse.ingest.center import ingest_code
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table

RAW_KEYS = [asset_key(table) for table in PARTITIONED if table.layer == "raw"]


class IngestConfig(dg.Config):
    """How a centre is ingested."""

    force: bool = False


def registration(home: Home, center_id: str) -> RegisteredCenter:
    """Return a registered centre.

    Raises
    ------
    CenterError
        When the home does not have it.
    """
    centers = registered(home)
    if center_id not in centers:
        known = ", ".join(centers) or "none"
        raise CenterError(f"centre {center_id!r} is not registered in {home.root}; registered are: {known}",
                          f"tumsyn centers add {center_id} --root DIR")  # fmt: skip
    return centers[center_id]


@dg.multi_asset(
    name="center_tables",
    specs=[
        asset_spec(table, RAW_KEYS if table.layer == "core" else [], {"python", "parquet"}, ingest_code())
        for table in PARTITIONED
    ],
    partitions_def=CENTERS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL),
)
def center_tables(
    context: dg.AssetExecutionContext, config: IngestConfig, home: HomeResource, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Read one centre's folder into raw and core tables; an unchanged one is left as it is."""
    place, center_id = home.open(), context.partition_key
    with final_failures():
        report = progress.of(center_id, context.log)
        ingested = ingest_center(place, registration(place, center_id), progress=report, force=config.force)
    context.log.info("centre %s: %s", center_id, "ingested" if ingested.changed else "unchanged, nothing was read")
    yield from _results(place, ingested)


def _results(home: Home, ingested: Ingested) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    parts = {part.table: part for part in ingested.manifest.parts}
    for table in PARTITIONED:  # raw before core: Dagster wants what is upstream first
        part = parts[table.name]
        rows = read_table(home, ingested.center_id, table.name)
        yield dg.MaterializeResult(
            asset_key=asset_key(table),
            data_version=dg.DataVersion(part.sha256),
            metadata={
                "dagster/row_count": part.n_rows,
                "changed": ingested.changed,
                "seconds": round(ingested.seconds, 3),
                "part": part.path,
                "preview": dg.MetadataValue.md(preview(rows) if rows is not None else ""),
            },
        )
