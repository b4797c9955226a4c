"""Harmonised volumes, their transforms and quality: one partition per centre."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.assets.centers import registration
from pipelines.assets.describe import asset_key, asset_spec, final_failures, preview
from pipelines.assets.partitions import CENTERS
from pipelines.runtime.resources import HomeResource, Progress
from warehouse.harmonize.center import Harmonized, harmonize_center
from warehouse.harmonize.recipe import load_recipe, steps_hash
from warehouse.harmonize.tasks import Work
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.quality.mosaics import slug, slug_of
from warehouse.tables import HARMONIZED, TABLES

READ = [asset_key(TABLES[name]) for name in ("core.center", "core.image", "raw.file")]
SHOWN_MOSAICS = 6
MOSAIC_WIDTH_PX = 640


class HarmonizeConfig(dg.Config):
    """How a centre is harmonised: a shipped recipe's name or a file's path, and what it may take."""

    recipe: str = "standard"
    workers: int | None = None
    memory_gb: float | None = None
    force: bool = False


@dg.multi_asset(
    name="center_volumes",
    specs=[asset_spec(table, READ, {"python", "parquet"}, steps_hash()) for table in HARMONIZED],
    partitions_def=CENTERS,
    pool="harmonize",  # one centre at a time on one machine: its workers share the memory
    retry_policy=dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL),
)
def center_volumes(
    context: dg.AssetExecutionContext,
    config: HarmonizeConfig,
    home: HomeResource,
    progress: dg.ResourceParam[Progress],
    work: dg.ResourceParam[Work],
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Harmonise a centre's eligible scans; what was finished before is found again."""
    place, center_id = home.open(), context.partition_key
    with final_failures():
        done = harmonize_center(
            place,
            registration(place, center_id),
            load_recipe(config.recipe),
            workers=config.workers,
            memory_gb=config.memory_gb,
            progress=progress.of(center_id, context.log),
            force=config.force,
            work=work,
        )
    context.log.info("centre %s: %s", center_id, told(done))
    for key, version, metadata in results(place, done):
        yield dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(version), metadata=metadata)


def told(done: Harmonized) -> str:
    """Return what a harmonisation did, in one line."""
    if not done.changed:
        return "unchanged, nothing was opened"
    rate = f", {3600 * done.n_done / done.seconds:,.0f} scans/h" if done.n_done else ""
    counts = f"{done.n_done:,} harmonised, {done.n_reused:,} found finished, {done.n_rejected:,} rejected"
    return f"{done.n_scans:,} scans: {counts}, {done.seconds:,.0f} s{rate}"


def results(home: Home, done: Harmonized) -> Iterator[tuple[dg.AssetKey, str, dict[str, Any]]]:
    """Yield key, data version and metadata of each table."""
    parts = {part.table: part for part in done.manifest.parts}
    for table in HARMONIZED:
        rows = read_table(home, done.center_id, table.name)
        metadata: dict[str, Any] = {
            "dagster/row_count": parts[table.name].n_rows,
            "changed": done.changed,
            "seconds": round(done.seconds, 3),
            "part": parts[table.name].path,
            "preview": dg.MetadataValue.md(preview(rows) if rows is not None else ""),
        }
        if table.name == "core.volume":
            metadata |= _summary(home, done)
        yield asset_key(table), parts[table.name].sha256, metadata


def _summary(home: Home, done: Harmonized) -> dict[str, Any]:
    counts = {name: getattr(done, name) for name in ("n_scans", "n_done", "n_reused", "n_rejected")}
    said: dict[str, Any] = counts | {"summary": told(done)}
    if done.n_done:
        said["scans_per_hour"] = round(3600 * done.n_done / done.seconds, 1)
    if done.page is not None:
        said["quality_page"] = dg.MetadataValue.path(done.page)
    if done.pictures:
        said["mosaics"] = dg.MetadataValue.md(_gallery(home, done))
    return said


def _gallery(home: Home, done: Harmonized) -> str:
    """Return the first mosaics as Markdown, those of suspicious scans before all others."""
    rows = read_table(home, done.center_id, "core.volume", ["session_id", "verdict"])
    volumes = [] if rows is None else rows.to_pylist()
    flagged = {slug(row["session_id"]) for row in volumes if row["verdict"] == "flag"}
    ordered = sorted(done.pictures, key=lambda path: (slug_of(path) not in flagged, path.name))
    shown = [f"![{path.stem}](data:image/jpeg;base64,{_thumbnail(path)})" for path in ordered[:SHOWN_MOSAICS]]
    rest = len(ordered) - len(shown)
    return "\n\n".join([*shown, f"and {rest} more beside the quality page"] if rest else shown)


def _thumbnail(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((MOSAIC_WIDTH_PX, 4 * MOSAIC_WIDTH_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=70)
    return base64.b64encode(buffer.getvalue()).decode()
