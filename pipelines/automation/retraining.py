"""Define the schedule that decides whether to train a model, launches the training, and shows the reasons."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.assets.models import REPORT, SYNTHESIS, TEXT_ENCODER, evaluation
from pipelines.assets.retraining import report_decision
from pipelines.automation.jobs import train_all
from pipelines.runtime import pools
from pipelines.runtime.handover import hand_out, tags_of
from pipelines.runtime.operations import Operations, OperationsError, load_operations, operations_at_load
from pipelines.runtime.resources import HomeResource
from pipelines.runtime.retraining import Decision, publish_records
from warehouse.errors import TumsynError

TRAINING_JOB = train_all
MODELS = {TEXT_ENCODER, SYNTHESIS}


def retraining_schedule(operations: Operations) -> dg.ScheduleDefinition:
    """Return the schedule at the times of these settings."""

    @dg.schedule(
        name="retraining",
        job=TRAINING_JOB,
        cron_schedule=operations.retraining.cron,
        execution_timezone=operations.retraining.time_zone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=(
            "Train, evaluate and report if there is reason to: new people, drift, or an old model. Every decision is"
            " shown here, in core/retraining_decision and in SQL. Times and limits: operations.yaml of the home; after"
            " a change of the times, reload the code location. Off by default."
        ),
    )
    def retraining(context: dg.ScheduleEvaluationContext, home: HomeResource) -> dg.RunRequest | dg.SkipReason:
        place = home.open()
        try:
            current = load_operations(place)
        except OperationsError as error:
            return dg.SkipReason(f"nothing was decided: {error}")
        pools.fail_orphaned_runs(context.instance)  # a training whose process was killed keeps no other from starting
        decision_id, decision = hand_out(
            place,
            current,
            context.instance,
            "schedule",
            under_way=lambda: trainings_under_way(context.instance),
            claim=f"schedule retraining at {context.scheduled_execution_time.isoformat()}",
        )
        report_decision(context.instance, decision)
        try:
            publish_records(place)
        except TumsynError as error:  # a centre's rows; they must not keep models from being trained
            context.log.warning("the decision is recorded, and not published: %s", error)
        if not decision.train:
            return dg.SkipReason(decision.detail)
        return dg.RunRequest(
            run_config={"ops": run_config(decision, current)},
            asset_selection=assets_to_make(decision),
            tags=tags_of(decision_id, decision),
        )

    return retraining


def run_config(decision: Decision, operations: Operations) -> dict[str, dict[str, Any]]:
    """Return the configuration of the ops of a training that was decided."""
    settings = operations.retraining
    network = {"config": settings.synthesis_config, "init": decision.init, "text_encoder": decision.text_encoder}
    ops: dict[str, dict[str, Any]] = {
        "synthesis_model": network,
        "evaluation": {"protocol": settings.protocol},
        "report": {},
    }
    if decision.trains_text_encoder:
        ops["text_encoder"] = {"config": settings.text_encoder_config}
        ops["text_encoder_retrieval"] = {"protocol": settings.protocol}
    given = {name: {**values, "device": settings.device} for name, values in ops.items()}
    return {
        name: {"config": {key: value for key, value in values.items() if value is not None}}
        for name, values in given.items()
    }


def assets_to_make(decision: Decision) -> list[dg.AssetKey] | None:
    """Return the assets of a training that keeps its text encoder; None for all, where it trains one."""
    return None if decision.trains_text_encoder else sorted({SYNTHESIS, *evaluation.keys, REPORT})


def trainings_under_way(instance: dg.DagsterInstance) -> list[str]:
    """Return the runs that train a model or will, in words, whatever job they are of."""
    runs = [run for run in instance.get_runs(dg.RunsFilter(statuses=pools.UNFINISHED)) if _trains(instance, run)]
    return [f"run {run.run_id[:8]} ({run.job_name}) is {run.status.value.lower().replace('_', ' ')}" for run in runs]


def _trains(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if run.asset_selection:
        return bool(MODELS & run.asset_selection)
    known = run.job_snapshot_id is not None and instance.has_job_snapshot(run.job_snapshot_id)
    steps = instance.get_job_snapshot(str(run.job_snapshot_id)).node_names if known else []
    return bool({key.path[-1] for key in MODELS} & set(steps))


SCHEDULES = [retraining_schedule(operations_at_load())]
