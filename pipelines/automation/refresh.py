"""Define the jobs `refresh_catalog` and `nightly`, which bring every centre and the catalogue up to date in one run.

Each centre that changed has runs of its own, as if a person had started `ingest` and `harmonize` for it. One that fails
is retried alone, and keeps none of the others from being published.
"""
# No postponed annotations here: Dagster reads the type of `context` as an object.

from collections.abc import Iterator, Mapping

import dagster as dg
from pydantic import Field

from pipelines.assets.centers import registered_center
from pipelines.assets.volumes import RECIPE, chosen_recipe
from pipelines.runtime.resources import HomeResource, no_retries
from warehouse.catalog import model_registry
from warehouse.centers.registry import RegisteredCenter, registered
from warehouse.errors import TumsynError
from warehouse.harmonize import plan
from warehouse.harmonize.recipe import Recipe
from warehouse.ingest import is_current
from warehouse.lake.home import Home

STARTED_BY = "tumsyn/started_by"  # tag of a run that another one started: the identity of that


class RefreshConfig(dg.Config):
    """Which centres are brought up to date, and how their scans are harmonised."""

    centers: list[str] = Field(default=[], description="Registered centres, e.g. [ixi, camcan]. Default: all of them.")
    harmonize: bool = Field(default=True, description="Whether scans are harmonised; otherwise only tables are read.")
    recipe: str | None = RECIPE


@dg.op(pool="refresh", out=dg.Out(dg.Nothing))  # one at a time: a second one would find the same centres to do
def refresh_centers(context: dg.OpExecutionContext, config: RefreshConfig, home: HomeResource) -> None:
    """Ingest and harmonise the centres that changed, each in runs of its own, and publish what all have committed."""
    place = home.open()
    with no_retries():
        chosen, recipe = _chosen(place, config.centers), chosen_recipe(place, config.recipe)
        failed: dict[str, str] = {}
        for entry in chosen:
            name = entry.center.center_id
            for job in _stale(place, entry, config, recipe):
                context.log.info("centre %s: %s", name, job)
                values = {"center_volumes": {"recipe": config.recipe}} if job == "harmonize" else None
                if error := started(context, place, job, name, values):
                    context.log.error("centre %s: %s failed: %s", name, job, error)
                    failed[name] = f"{job}: {error}"
                    break
        if error := started(context, place, "publish"):
            raise TumsynError(f"publish: {error}", "the previous catalogue stays in force; see the run of `publish`")
        context.add_output_metadata({"n_centers": len(chosen), "n_failed": len(failed), "failed": failed})
        if failed:
            reasons = "\n".join(f"{name}: {reason}" for name, reason in failed.items())
            what = f"{len(failed)} of {len(chosen)} centres failed; everything else was published\n{reasons}"
            raise TumsynError(what, "correct these, and start this job again: it takes up only what is not done")


@dg.op(ins={"refreshed": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def evaluate_champions(context: dg.OpExecutionContext, home: HomeResource) -> None:
    """Evaluate the champions on the catalogue in force, if there are any; what was evaluated is not repeated."""
    place = home.open()
    if not model_registry.champions(place, "synthesis"):
        context.log.info("no model is champion: nothing is evaluated")
        return
    with no_retries():
        if error := started(context, place, "evaluate_champion"):
            raise TumsynError(f"evaluate_champion: {error}", "see the run of `evaluate_champion`")


@dg.job(
    executor_def=dg.in_process_executor,
    description="Bring the catalogue up to date: ingest the centres whose folders changed, harmonise their new scans, "
    "and publish. Every centre by default; the launchpad takes a list of some.",
)
def refresh_catalog() -> None:
    """Refresh all centres, and publish."""
    refresh_centers()


@dg.job(
    executor_def=dg.in_process_executor,
    description="What a night is for: refresh_catalog for all centres, then evaluate_champion on the new catalogue. "
    "The schedule `nightly` starts it.",
)
def nightly() -> None:
    """Refresh all centres, and evaluate the champions."""
    evaluate_champions(refresh_centers())


@dg.schedule(
    name="nightly",
    job=nightly,
    cron_schedule="0 1 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Start the job `nightly` at 01:00 UTC. Off by default; of use where automation by the sensor `refresh` "
    "is not wanted during the day.",
)
def every_night() -> dg.RunRequest:
    """Request one run a night."""
    return dg.RunRequest()


def _chosen(home: Home, names: list[str]) -> list[RegisteredCenter]:
    return [registered_center(home, name) for name in names] or list(registered(home).values())


def _stale(home: Home, entry: RegisteredCenter, config: RefreshConfig, recipe: Recipe) -> Iterator[str]:
    """Yield the jobs that a centre needs; the second is decided when the first is done."""
    if not entry.root.is_dir() or not is_current(home, entry):
        yield "ingest"
    if config.harmonize and not plan.is_current(home, entry, recipe):
        yield "harmonize"


def started(
    context: dg.OpExecutionContext,
    home: Home,
    job: str,
    partition: str | None = None,
    config: Mapping[str, object] | None = None,
) -> str | None:
    """Run a job as a run of its own and wait for it; return why it failed."""
    from pipelines.runtime import launch  # not above: it loads the definitions, of which this is a part

    tags = {STARTED_BY: context.run_id}
    return launch.run(context.instance, home, job, partition=partition, config=config, tags=tags).error
