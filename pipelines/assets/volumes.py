"""Define the assets that a harmonisation makes: volumes, transforms and quality of a centre, and their checks.

The job `harmonize_batches` does the same work as the asset `center_volumes`, for more than one machine: a graph with
dynamic outputs has one step per batch of sessions, which the configured executor distributes (processes here;
Kubernetes, Celery or Ray in a cluster). All machines must see the same home and the same folders of centres.
"""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import Field

from pipelines.assets.centers import registered_center
from pipelines.assets.conditions import same_center
from pipelines.assets.metadata import inline_image, preview
from pipelines.assets.tables import asset_key, asset_spec, center_checks
from pipelines.runtime.operations import load_operations
from pipelines.runtime.resources import CENTERS, ONE_RUN_EACH, RETRIES, HomeResource, Progress, no_retries
from warehouse.harmonize.center import Harmonized, finish, harmonize_center
from warehouse.harmonize.plan import fingerprint, sessions
from warehouse.harmonize.recipe import Recipe, load_recipe, steps_hash
from warehouse.harmonize.rows import HarmonizedRows
from warehouse.harmonize.tasks import Work, tasks_of, work_tasks
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.quality.mosaics import slug, slug_of
from warehouse.tables import HARMONIZED, TABLES

UPSTREAM = [asset_key(TABLES[name]) for name in ("core.center", "core.image", "raw.file")]
SHOWN_MOSAICS = 6
MOSAIC_WIDTH_PX = 640


RECIPE = Field(
    default=None,
    description="Name of a shipped recipe (standard: 1 mm; draft: 3 mm, for a first look), or path of a YAML file. "
    "Default: `arrival.recipe` of operations.yaml in the home, else standard.",
)
FORCE = Field(default=False, description="Harmonise every scan again, even where nothing has changed.")


class HarmonizeConfig(dg.Config):
    """Settings of a harmonisation; the defaults fit this machine."""

    recipe: str | None = RECIPE
    workers: int | None = Field(
        default=None, description="Processes. Default: as many as the CPUs and the memory of this machine allow."
    )
    memory_gb: float | None = Field(
        default=None, description="Memory that all processes may take together, GB. Default: what is available."
    )
    force: bool = FORCE


@dg.multi_asset(
    name="center_volumes",
    specs=[
        asset_spec(
            table,
            UPSTREAM,
            {"python", "parquet"},
            steps_hash(),
            automation_condition=same_center(UPSTREAM) if table is HARMONIZED[0] else None,
        )
        for table in HARMONIZED
    ],
    partitions_def=CENTERS,
    backfill_policy=ONE_RUN_EACH,
    pool="harmonize",  # one centre at a time on one machine: its workers share the memory
    retry_policy=RETRIES,
)
def center_volumes(
    context: dg.AssetExecutionContext,
    config: HarmonizeConfig,
    home: HomeResource,
    progress: dg.ResourceParam[Progress],
    work: dg.ResourceParam[Work],
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Harmonise a centre's eligible scans; scans that were finished before are reused."""
    place, center_id = home.open(), context.partition_key
    with no_retries(f"harmonisation of centre {center_id}"):
        harmonized = harmonize_center(
            place,
            registered_center(place, center_id),
            chosen_recipe(place, config.recipe),
            workers=config.workers,
            memory_gb=config.memory_gb,
            progress=progress(center_id, context.log),
            force=config.force,
            work=work,
        )
    context.log.info("centre %s: %s", center_id, summary(harmonized))
    for key, version, metadata in materializations(place, harmonized):
        yield dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(version), metadata=metadata)


center_volumes_specification = center_checks("center_volumes_specification", HARMONIZED)


@dataclass(frozen=True)
class BatchPlan:
    """Recipe of all batches of a centre, and the scans that were to be harmonised when the batches were planned."""

    recipe: Recipe
    fingerprint: str
    n_scans: int
    began: float  # seconds since 1970: steps run on several machines


@dataclass(frozen=True)
class SessionBatch:
    """Sessions that one step harmonises."""

    recipe: Recipe
    session_ids: tuple[str, ...]
    workers: int
    force: bool


class BatchConfig(dg.Config):
    """Size of the batches into which a centre's sessions are divided, and settings of their harmonisation."""

    recipe: str | None = RECIPE
    batch_sessions: int = Field(default=20, ge=1, description="Sessions of one batch, which one step harmonises.")
    workers: int = Field(default=1, ge=1, description="Processes of one step.")
    force: bool = FORCE


def chosen_recipe(home: Home, name: str | None) -> Recipe:
    """Return the recipe of this name, or the one that the home's settings name.

    Raises
    ------
    TumsynError
        When there is no such recipe, or the settings are wrong.
    """
    return load_recipe(name or load_operations(home).arrival.recipe)


# Dagster reads the outputs from the decorator, and refuses a return type that names several.
@dg.op(out={"plan": dg.Out(BatchPlan), "batches": dg.DynamicOut(SessionBatch)})
def plan_batches(context: dg.OpExecutionContext, config: BatchConfig, home: HomeResource):  # type: ignore[no-untyped-def]
    """Divide a centre's sessions into batches."""
    place = home.open()
    with no_retries(f"harmonisation of centre {context.partition_key}"):
        recipe = chosen_recipe(place, config.recipe)
        found = sessions(place, registered_center(place, context.partition_key))
    yield dg.Output(BatchPlan(recipe, fingerprint(found), sum(map(len, found.values())), time.time()), "plan")
    names, size = list(found), max(1, config.batch_sessions)
    for number, start in enumerate(range(0, len(names), size)):
        batch = SessionBatch(recipe, tuple(names[start : start + size]), config.workers, config.force)
        yield dg.DynamicOutput(batch, mapping_key=f"batch_{number}", output_name="batches")


@dg.op(retry_policy=RETRIES)
def harmonize_batch(
    context: dg.OpExecutionContext, batch: SessionBatch, home: HomeResource, progress: dg.ResourceParam[Progress]
) -> HarmonizedRows:
    """Harmonise the sessions of one batch without committing them."""
    place, center_id = home.open(), context.partition_key
    found = sessions(place, registered_center(place, center_id))
    wanted = {name: found[name] for name in batch.session_ids if name in found}
    tasks = tasks_of(place, center_id, wanted, batch.recipe, batch.force)
    return work_tasks(tasks, workers=batch.workers, progress=progress(center_id, context.log))


@dg.op(retry_policy=RETRIES)
def commit_batches(
    context: dg.OpExecutionContext, plan: BatchPlan, batches: list[HarmonizedRows], home: HomeResource
) -> None:
    """Commit the rows of all batches at once, and report the tables as materialised."""
    place, center_id, rows = home.open(), context.partition_key, HarmonizedRows()
    for batch in batches:
        rows.add(batch)
    seconds = time.time() - plan.began
    harmonized = finish(place, center_id, plan.recipe, rows, plan.fingerprint, plan.n_scans, seconds)
    context.log.info("centre %s: %s", center_id, summary(harmonized))
    for key, version, metadata in materializations(place, harmonized):
        tags = {"dagster/data_version": version}
        context.log_event(dg.AssetMaterialization(key, partition=center_id, metadata=metadata, tags=tags))


@dg.job(
    partitions_def=CENTERS,
    executor_def=dg.multi_or_in_process_executor,
    description="Harmonise one centre's scans in batches of sessions, which the executor distributes over processes or "
    "machines, and commit them together. On one machine, `harmonize` does the same with less overhead.",
)
def harmonize_batches() -> None:
    """Map batches of sessions, then collect and commit them."""
    plan, batches = plan_batches()
    commit_batches(plan, batches.map(harmonize_batch).collect())


def summary(harmonized: Harmonized) -> str:
    """Return counts, duration and rate of a harmonisation in one line."""
    if not harmonized.changed:
        return "unchanged, nothing was opened"
    n_done, seconds = harmonized.n_done, harmonized.seconds
    rate = f", {3600 * n_done / seconds:,.0f} scans/h" if n_done else ""
    counts = f"{n_done:,} harmonised, {harmonized.n_reused:,} found finished, {harmonized.n_rejected:,} rejected"
    return f"{harmonized.n_scans:,} scans: {counts}, {seconds:,.0f} s{rate}"


def materializations(home: Home, harmonized: Harmonized) -> Iterator[tuple[dg.AssetKey, str, dict[str, Any]]]:
    """Yield key, data version and metadata of each table."""
    parts = {part.table: part for part in harmonized.manifest.parts}
    for table in HARMONIZED:
        metadata: dict[str, Any] = {
            "dagster/row_count": parts[table.name].n_rows,
            "changed": harmonized.changed,
            "seconds": round(harmonized.seconds, 3),
            "part": parts[table.name].path,
            "preview": dg.MetadataValue.md(preview(read_table(home, harmonized.center_id, table.name))),
        }
        if table.name == "core.volume":
            metadata |= _counts_and_pictures(home, harmonized)
        yield asset_key(table), parts[table.name].sha256, metadata


def _counts_and_pictures(home: Home, harmonized: Harmonized) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        name: getattr(harmonized, name) for name in ("n_scans", "n_done", "n_reused", "n_rejected")
    }
    metadata["summary"] = summary(harmonized)
    if harmonized.n_done:
        metadata["scans_per_hour"] = round(3600 * harmonized.n_done / harmonized.seconds, 1)
    if harmonized.page is not None:
        metadata["quality_page"] = dg.MetadataValue.path(harmonized.page)
    if harmonized.pictures:
        metadata["mosaics"] = dg.MetadataValue.md(_gallery(home, harmonized))
    return metadata


def _gallery(home: Home, harmonized: Harmonized) -> str:
    """Return the first mosaics as Markdown, with those of suspicious scans before all others."""
    rows = read_table(home, harmonized.center_id, "core.volume", ["session_id", "verdict"])
    volumes = [] if rows is None else rows.to_pylist()
    flagged = {slug(row["session_id"]) for row in volumes if row["verdict"] == "flag"}
    ordered = sorted(harmonized.pictures, key=lambda path: (slug_of(path) not in flagged, path.name))
    shown = [inline_image(path, MOSAIC_WIDTH_PX) for path in ordered[:SHOWN_MOSAICS]]
    rest = len(ordered) - len(shown)
    return "\n\n".join([*shown, f"and {rest} more beside the quality page"] if rest else shown)
