"""Define the jobs `refresh_catalog` and `nightly`, which bring every centre and the catalogue up to date in one run.

Each centre that changed has runs of its own, as if a person had started `ingest` and `harmonize` for it. One that fails
is retried alone, and keeps none of the others from being published.
"""
# No postponed annotations here: Dagster reads the type of `context` as an object.

from collections.abc import Callable, Mapping

import dagster as dg
from pydantic import Field

from pipelines.assets.centers import registered_center
from pipelines.assets.volumes import RECIPE, chosen_recipe
from pipelines.runtime.champions import evaluable_champions
from pipelines.runtime.operations import load_operations
from pipelines.runtime.resources import HomeResource, no_retries, sync_partitions
from warehouse.catalog import model_registry
from warehouse.centers.readable import Registrations, readable
from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import TumsynError
from warehouse.harmonize import plan
from warehouse.harmonize.recipe import Recipe
from warehouse.ingest import is_current
from warehouse.lake.home import Home

STARTED_BY = "tumsyn/started_by"  # tag of a run that another one started: the identity of that
CENTER_FAULTS = (ValueError, OSError, LookupError)  # a disk or a file of one centre; TumsynError is a ValueError


class RefreshConfig(dg.Config):
    """Settings of a refresh: the centres, and the harmonisation of their scans."""

    centers: list[str] = Field(default=[], description="Registered centres, e.g. [ixi, camcan]. Default: all of them.")
    harmonize: bool = Field(default=True, description="Whether scans are harmonised; otherwise only tables are read.")
    recipe: str | None = RECIPE


@dg.op(pool="refresh", out=dg.Out(dg.Nothing))  # one at a time: a second one would find the same centres to do
def refresh_centers(context: dg.OpExecutionContext, config: RefreshConfig, home: HomeResource) -> None:
    """Ingest and harmonise the centres that changed, each in runs of its own, and publish what all have committed."""
    with no_retries():
        _raise(_refresh(context, config, home.open()))


@dg.op(pool="refresh", out=dg.Out(dg.Nothing))
def refresh_and_evaluate(context: dg.OpExecutionContext, config: RefreshConfig, home: HomeResource) -> None:
    """Refresh the centres and publish, then evaluate the champions, also where a centre failed."""
    place = home.open()
    with no_retries():
        failed = _refresh(context, config, place)
        if "publish" not in failed and (error := _evaluate(context, place)):
            failed["evaluate_champion"] = error
        _raise(failed)


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
    refresh_and_evaluate()


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


def _refresh(context: dg.OpExecutionContext, config: RefreshConfig, home: Home) -> dict[str, str]:
    """Bring centres and catalogue up to date; return what failed and why, by centre, and `publish`."""
    chosen, recipe = _chosen(home, config.centers), chosen_recipe(home, config.recipe)
    sync_partitions(context.instance, home)  # a centre that was registered a moment ago
    failed = {f"centre {name}": f"registration: {error}" for name, error in chosen.errors.items()}
    for name, entry in chosen.centers.items():
        if error := _brought_up_to_date(context, home, entry, config, recipe):
            failed[f"centre {name}"] = error
    if error := started(context, home, "publish"):
        failed["publish"] = f"{error}\n  -> the previous catalogue stays in force; see the run of `publish`"
    for name, reason in failed.items():
        context.log.error("%s: %s", name, reason)
    context.add_output_metadata(
        {"n_centers": len(chosen.centers) + len(chosen.errors), "n_failed": len(failed), "failed": failed}
    )
    return failed


def _brought_up_to_date(
    context: dg.OpExecutionContext, home: Home, entry: RegisteredCenter, config: RefreshConfig, recipe: Recipe
) -> str | None:
    """Ingest and harmonise a centre as far as it is needed; return the step that failed, why, and what to do.

    An ingest may bring new scans, so harmonisation is checked only after it.
    """
    name = entry.center.center_id
    steps: list[tuple[str, Callable[[], bool], Mapping[str, object] | None]] = [
        ("ingest", lambda: entry.root.is_dir() and is_current(home, entry), None)
    ]
    if config.harmonize:
        volumes = {"center_volumes": {"recipe": config.recipe}}
        steps.append(("harmonize", lambda: plan.is_current(home, entry, recipe), volumes))
    for job, is_done, values in steps:
        try:
            if is_done():
                continue
            context.log.info("centre %s: %s", name, job)
            error = started(context, home, job, name, values)
        except (*CENTER_FAULTS, dg.DagsterError) as caught:
            error = str(caught)
        if error:
            remedy = "" if "->" in error else f"\n  -> look at its run of `{job}`, and start that again"
            return f"{job}: {error}{remedy}"
    return None


def _evaluate(context: dg.OpExecutionContext, home: Home) -> str | None:
    """Evaluate the champions on the catalogue in force, if there are any; return why that failed.

    What was evaluated is not repeated. A champion of another recipe than that of the home's protocol is left out.
    """
    if not model_registry.champions(home, "synthesis"):
        context.log.info("no model is champion: nothing is evaluated")
        return None
    try:
        settings = load_operations(home).retraining
        champions, skipped = evaluable_champions(home, settings.protocol)
    except TumsynError as error:
        return str(error)
    for model_id, why in skipped.items():
        context.log.warning("champion %s is not evaluated: %s", model_id, why)
    if not champions:
        return None
    values = {"protocol": settings.protocol, "device": settings.device}
    failure = started(context, home, "evaluate_champion", config={"champion_evaluation": values})
    return f"{failure}\n  -> see the run of `evaluate_champion`" if failure else None


def _raise(failed: Mapping[str, str]) -> None:
    """Raise an error that names everything that failed, if anything did."""
    if failed:
        rest = "nothing was published" if "publish" in failed else "everything else was published"
        reasons = "\n".join(f"{name}: {reason}" for name, reason in failed.items())
        remedy = "correct these, and start this job again: it takes up only what is not done"
        raise TumsynError(f"{len(failed)} failed, {rest}\n{reasons}", remedy)


def _chosen(home: Home, names: list[str]) -> Registrations:
    """Return the centres of these names, or all.

    Raises
    ------
    CenterError
        When a name is unknown.
    """
    found = readable(home)
    if not names:
        return found
    errors = {name: error for name, error in found.errors.items() if name in names}
    return Registrations({name: registered_center(home, name) for name in names if name not in errors}, errors)


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
