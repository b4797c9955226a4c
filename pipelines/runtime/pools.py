"""Monitor Dagster's pools: show which run holds a slot, and free the slots of runs whose process is gone."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.storage.tags import GRPC_INFO_TAG

PROCESS = "tumsyn/process"  # tag of a run that a command executes: its process
SERVER = GRPC_INFO_TAG  # tag of a run that was started in the browser: the server that executes it
UNFINISHED = [dg.DagsterRunStatus[name] for name in ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")]
LAUNCHED = UNFINISHED[1:]  # a run that is queued has no process yet, and may have copied its tags from an older run
CHECK_S = 2.0  # between two checks of the pools while a run goes on
REPEAT_S = 60.0  # between two equal messages about a wait
LONGEST_SLEEP_S = 0.5  # between two requests for a slot, so that a waiting run can be stopped


def sleep_while_waiting() -> None:
    """Make a waiting run sleep until it may ask for its slot again.

    Dagster 1.13 takes the minimum of 0 and the remaining seconds, so that it loops without a pause and keeps a core
    busy. This replaces the method; `tests/pipelines/runtime/test_pools.py` measures the effect.
    """

    def interval(self: InstanceConcurrencyContext) -> float:
        now = time.time()
        soonest = min(self._pending_timeouts.values(), default=now)
        return max(0.0, min(soonest - now, LONGEST_SLEEP_S))

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = interval  # type: ignore[method-assign]


class Monitor:
    """Monitors a run that may wait for a pool.

    Parameters
    ----------
    instance : dagster.DagsterInstance
    run_id : str
        The run that may wait.
    show : callable
        Shows a line to the user.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str, show: Callable[[str], None]) -> None:
        self.instance, self.run_id, self.show = instance, run_id, show
        self.shown: dict[str, float] = {}

    def check(self) -> None:
        """Show which runs the run waits for, and free the slots of runs that have ended."""
        storage = self.instance.event_log_storage
        for pool in storage.get_concurrency_keys():
            info = storage.get_concurrency_info(pool)
            waiting = [
                step for step in info.pending_steps if step.run_id == self.run_id and not step.assigned_timestamp
            ]
            holders = sorted((info.active_run_ids | info.assigned_run_ids) - {self.run_id})
            if not waiting or not holders:
                continue
            fail_orphaned_runs(self.instance)
            holders = [run_id for run_id in holders if not self._free_if_ended(run_id)]
            if holders:
                self._show_wait(pool, waiting[0].enqueued_timestamp, holders)

    def _free_if_ended(self, run_id: str) -> bool:
        run = self.instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            return False
        self.instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        return True

    def _show_wait(self, pool: str, since: datetime, holders: list[str]) -> None:
        text = f"waits for pool {pool}, held by {'; '.join(map(self._describe, holders))}"
        if time.monotonic() - self.shown.get(text, -REPEAT_S) >= REPEAT_S:
            self.shown[text] = time.monotonic()
            self.show(f"{text}; waiting since {_clock(since.replace(tzinfo=since.tzinfo or UTC).timestamp())}")

    def _describe(self, run_id: str) -> str:
        record = self.instance.get_run_record_by_id(run_id)
        if record is None:
            return f"run {run_id[:8]}"
        host, _, rest = record.dagster_run.tags.get(PROCESS, "").partition(":")
        place = f", process {rest.split(':')[0]} on {host}" if rest else ""
        started = f", started {_clock(record.start_time)}" if record.start_time else ""
        return f"run {run_id[:8]} ({record.dagster_run.job_name}{place}{started})"


def fail_orphaned_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs whose process on this machine is gone as failed, free their pools, and return their identifiers.

    A run that executes inside a process cannot report that the process was killed; it would hold its pool for ever.
    """
    orphaned = [run for run in instance.get_runs(dg.RunsFilter(statuses=LAUNCHED)) if _is_orphaned(run)]
    for run in orphaned:
        instance.report_run_failed(run, "the process that ran it is gone")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in orphaned]


def _is_orphaned(run: dg.DagsterRun) -> bool:
    """Return whether a run's process is known to be gone; false where this machine cannot know it."""
    name = run.tags.get(PROCESS, "")
    host, _, rest = name.partition(":")
    if host == socket.gethostname():
        return name != process_name(int(rest.split(":")[0]))
    # A repeat has the server of the run before until its own one takes it up; Dagster fails one that is never taken up.
    is_served = run.status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
    return is_served and SERVER in run.tags and not _answers(json.loads(run.tags[SERVER]))


def _answers(server: dict[str, object]) -> bool:
    """Return whether a run's server accepts connections, or is on another machine."""
    if server.get("host") not in ("localhost", "127.0.0.1"):
        return True
    family, address = (
        (socket.AF_UNIX, str(server["socket"]))
        if server.get("socket")
        else (socket.AF_INET, ("127.0.0.1", int(str(server.get("port") or 0))))
    )
    with socket.socket(family) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # it exists, and is busy
    return True


def process_name(pid: int) -> str:
    """Return host, number and start of a process, which no later process shares; empty where there is none.

    The start is in ticks since boot: psutil adds the time of boot, which moves with the clock of the machine.
    """
    try:
        record = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return f"{socket.gethostname()}:{pid}:{record.rpartition(')')[2].split()[19]}"


def _clock(seconds: float) -> str:
    """Return a time of day in this machine's zone."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


sleep_while_waiting()
