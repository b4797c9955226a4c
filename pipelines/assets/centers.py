"""Define the assets that an ingest makes: the raw and core tables of a centre, and their checks."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from pipelines.assets.metadata import preview
from pipelines.assets.tables import asset_key, asset_spec, center_checks
from pipelines.runtime.resources import CENTERS, ONE_RUN_EACH, RETRIES, HomeResource, Progress, no_retries
from warehouse.centers.readable import readable
from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import CenterError
from warehouse.ingest import ingest_center
from warehouse.ingest.center import ingest_code
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.tables import PARTITIONED

RAW_KEYS = [asset_key(table) for table in PARTITIONED if table.layer == "raw"]


class IngestConfig(dg.Config):
    """Settings of an ingest."""

    force: bool = Field(
        default=False, description="Read every file again. Otherwise an unchanged centre is left as it is, in seconds."
    )


def registered_center(home: Home, center_id: str) -> RegisteredCenter:
    """Return a registered centre.

    Raises
    ------
    CenterError
        When it is not registered or its registration is broken. Broken registrations of other centres are ignored.
    """
    found = readable(home)
    centers = found.centers
    if center_id in found.errors:
        raise found.errors[center_id]
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
    backfill_policy=ONE_RUN_EACH,
    retry_policy=RETRIES,
)
def center_tables(
    context: dg.AssetExecutionContext, config: IngestConfig, home: HomeResource, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Read one centre's folder into raw and core tables; leave an unchanged centre as it is."""
    place, center_id = home.open(), context.partition_key
    with no_retries(f"ingest of centre {center_id}"):
        report = progress(center_id, context.log)
        ingested = ingest_center(place, registered_center(place, center_id), progress=report, force=config.force)
    context.log.info("centre %s: %s", center_id, "ingested" if ingested.changed else "unchanged, nothing was read")
    parts = {part.table: part for part in ingested.manifest.parts}
    for table in PARTITIONED:  # raw before core: Dagster requires upstream assets first
        part = parts[table.name]
        yield dg.MaterializeResult(
            asset_key=asset_key(table),
            data_version=dg.DataVersion(part.sha256),
            metadata={
                "dagster/row_count": part.n_rows,
                "changed": ingested.changed,
                "seconds": round(ingested.seconds, 3),
                "part": part.path,
                "preview": dg.MetadataValue.md(preview(read_table(place, center_id, table.name))),
            },
        )


center_tables_specification = center_checks("center_tables_specification", PARTITIONED)
