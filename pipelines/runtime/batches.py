"""A centre's harmonisation in batches of sessions, for more than one machine.

The same work as the asset `center_volumes`, as a graph with dynamic outputs: one step per batch, so that whatever
executor Dagster is configured with (processes here; Kubernetes, Celery or Ray in a cluster) spreads them. All machines
see the same home and the same folders of centres.
"""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import time
from dataclasses import dataclass

import dagster as dg

from pipelines.assets.centers import registration
from pipelines.assets.describe import final_failures
from pipelines.assets.partitions import CENTERS
from pipelines.assets.volumes import results, told
from pipelines.runtime.resources import HomeResource, Progress
from warehouse.harmonize.center import finish
from warehouse.harmonize.plan import fingerprint, sessions
from warehouse.harmonize.recipe import Recipe, load_recipe
from warehouse.harmonize.rows import HarmonizedRows
from warehouse.harmonize.tasks import tasks_of, work_tasks

RETRIES = dg.RetryPolicy(max_retries=2, delay=1, backoff=dg.Backoff.EXPONENTIAL)


@dataclass(frozen=True)
class BatchPlan:
    """What all batches of a centre have in common, and what was to be done when they were cut."""

    recipe: Recipe
    wanted: str
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
    """A shipped recipe's name or a file's path, how many sessions a step gets, and how many processes it may use."""

    recipe: str = "standard"
    batch_sessions: int = 20
    workers: int = 1
    force: bool = False


# Dagster reads the outputs from the decorator, and refuses a return type that names several
@dg.op(out={"plan": dg.Out(BatchPlan), "batches": dg.DynamicOut(SessionBatch)})
def plan_batches(context: dg.OpExecutionContext, config: BatchConfig, home: HomeResource):  # type: ignore[no-untyped-def]
    """Cut a centre's sessions into batches."""
    place = home.open()
    with final_failures():
        recipe = load_recipe(config.recipe)
        found = sessions(place, registration(place, context.partition_key))
    yield dg.Output(BatchPlan(recipe, fingerprint(found), sum(map(len, found.values())), time.time()), "plan")
    names, size = list(found), max(1, config.batch_sessions)
    for number, start in enumerate(range(0, len(names), size)):
        batch = SessionBatch(recipe, tuple(names[start : start + size]), config.workers, config.force)
        yield dg.DynamicOutput(batch, mapping_key=f"batch_{number}", output_name="batches")


@dg.op(retry_policy=RETRIES)
def harmonize_batch(
    context: dg.OpExecutionContext, batch: SessionBatch, home: HomeResource, progress: dg.ResourceParam[Progress]
) -> HarmonizedRows:
    """Harmonise the sessions of one batch; nothing is committed yet."""
    place, center_id = home.open(), context.partition_key
    found = sessions(place, registration(place, center_id))
    mine = {name: found[name] for name in batch.session_ids if name in found}
    tasks = tasks_of(place, center_id, mine, batch.recipe, batch.force)
    return work_tasks(tasks, workers=batch.workers, progress=progress.of(center_id, context.log))


@dg.op(retry_policy=RETRIES)
def commit_batches(
    context: dg.OpExecutionContext, plan: BatchPlan, batches: list[HarmonizedRows], home: HomeResource
) -> None:
    """Put the rows of all batches in force at once, and report the tables as materialised."""
    place, center_id, made = home.open(), context.partition_key, HarmonizedRows()
    for batch in batches:
        made.add(batch)
    seconds = time.time() - plan.began
    done = finish(place, center_id, plan.recipe, made, plan.wanted, plan.n_scans, seconds)
    context.log.info("centre %s: %s", center_id, told(done))
    for key, version, metadata in results(place, done):
        tags = {"dagster/data_version": version}
        context.log_event(dg.AssetMaterialization(key, partition=center_id, metadata=metadata, tags=tags))


@dg.job(partitions_def=CENTERS, description="Harmonise one centre in batches that any executor spreads.")
def harmonize_batches() -> None:
    """Map batches of sessions, then collect and commit."""
    plan, batches = plan_batches()
    commit_batches(plan, batches.map(harmonize_batch).collect())
