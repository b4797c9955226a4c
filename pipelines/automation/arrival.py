"""Define the sensors that follow the registry of centres, their folders, and what was committed.

`refresh` is the one switch of automation. It is off by default; `changed_centers` waits for it.
"""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus

from pipelines.automation.jobs import ingest
from pipelines.runtime import arrivals
from pipelines.runtime.ingest_requests import State
from pipelines.runtime.operations import load_operations
from pipelines.runtime.pools import UNFINISHED
from pipelines.runtime.resources import CENTERS, HomeResource, partition_changes
from warehouse.centers.readable import readable
from warehouse.errors import TumsynError

TICK_S = 30
SWITCH = "refresh"
WORK_TAG = "tumsyn/work"  # of a requested ingest: a hash of what it is to read
OFF = f"automation is off: switch on the sensor `{SWITCH}`, and new data of the registered centres will be ingested"

refresh = dg.AutomationConditionSensorDefinition(
    SWITCH,
    target=dg.AssetSelection.all(),
    default_status=dg.DefaultSensorStatus.STOPPED,
    minimum_interval_seconds=TICK_S,
    emit_backfills=False,  # a run for each centre, which can be seen and retried on its own
    description="The switch of automation, off by default. While it is on, new and changed data of the registered "
    "centres is ingested, its scans are harmonised once the blocking checks have passed, and the catalogue is "
    "published. A step that fails is not started again until its input changes.",
)


@dg.sensor(
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=TICK_S,
    description="Keeps the partitions equal to the registered centres: `tumsyn centers add` makes one, `tumsyn centers "
    "remove` deletes it. It starts nothing.",
)
def registered_centers(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
    """Add partitions of centres that were registered, and delete those of centres that were removed."""
    try:
        place = home.open()
    except TumsynError as error:
        return dg.SkipReason(str(error))
    added, removed = partition_changes(context.instance, place)
    broken = "\n".join(f"{center_id}: ERROR: {error}" for center_id, error in readable(place).errors.items())
    if broken:
        context.log.error("%s", broken)
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = [
        *([CENTERS.build_add_request(added)] if added else []),
        *([CENTERS.build_delete_request(removed)] if removed else []),
    ]
    if not requests:
        return dg.SkipReason(broken or "the partitions are the registered centres")
    return dg.SensorResult(dynamic_partitions_requests=requests)


@dg.sensor(
    job=ingest,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=TICK_S,
    description="Sees new and changed data of the registered centres by the modification times of their folders, and "
    "requests an ingest of just those centres, once their files stand still. It does nothing while the sensor "
    f"`{SWITCH}` is off. How long a tick may take, and how often every file is listed, is set by `arrival` in "
    "operations.yaml of the home.",
)
def changed_centers(context: dg.SensorEvaluationContext, home: HomeResource) -> dg.SensorResult | dg.SkipReason:
    """Request the ingest of centres whose data changed and stand still."""
    if not is_on(context.instance):
        return dg.SkipReason(OFF)
    place = home.open()
    try:
        settings = load_operations(place).arrival
    except TumsynError as error:
        return dg.SkipReason(f"nothing is looked at: {error}")
    partitions = set(context.instance.get_dynamic_partitions("center"))
    found = arrivals.look(
        place,
        arrivals.from_cursor(context.cursor),
        settings,
        now=time.time(),
        is_busy=lambda center_id: center_id not in partitions or _is_ingested_now(context.instance, center_id),
        state_of=lambda center_id, work: _state_of(context.instance, center_id, work),
    )
    for center_id, text in found.errors.items():
        context.log.error("centre %s: %s", center_id, text)
    cursor = arrivals.to_cursor(found.seen)
    if not found.requests:
        return dg.SensorResult(skip_reason=tick_message(found), cursor=cursor)
    requests = [
        dg.RunRequest(partition_key=name, tags={"tumsyn/reason": "new or changed data", WORK_TAG: found.works[name]})
        for name in found.requests
    ]
    return dg.SensorResult(requests, cursor=cursor)


def is_on(instance: dg.DagsterInstance) -> bool:
    """Return whether automation is switched on in the browser."""
    return any(
        state.name == SWITCH and state.status is not InstigatorStatus.STOPPED
        for state in instance.all_instigator_state()
    )


def tick_message(found: arrivals.Look) -> str:
    """Return the message of a tick: errors first, then each centre with changes, then the number of unchanged ones."""
    lines = [f"{center_id}: ERROR: {error}" for center_id, error in sorted(found.errors.items())]
    lines += [
        f"{center_id}: {text}" for center_id, text in sorted(found.messages.items()) if text != arrivals.UNCHANGED
    ]
    n_unchanged = list(found.messages.values()).count(arrivals.UNCHANGED)
    return "\n".join([*lines, f"{n_unchanged} of {len(found.messages) + len(found.errors)} centres unchanged"])


def _is_ingested_now(instance: dg.DagsterInstance, center_id: str) -> bool:
    wanted = dg.RunsFilter(job_name=ingest.name, statuses=UNFINISHED, tags={"dagster/partition": center_id})
    return bool(instance.get_runs(wanted, limit=1))


def _state_of(instance: dg.DagsterInstance, center_id: str, work: str) -> State:
    """Return what became of the run that was requested; of a run and its repeats the last one counts."""
    tags = {"dagster/partition": center_id, WORK_TAG: work}
    for run in instance.get_runs(dg.RunsFilter(job_name=ingest.name, tags=tags), limit=1):
        return "ended" if run.is_finished else "open"  # only a person cancels a run, and would not want it back
    return "lost"


SENSORS = [refresh, changed_centers, registered_centers]
