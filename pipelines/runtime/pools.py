"""Dagster's pools: who holds a slot, which run waits for it, and runs whose process was killed."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

PROCESS = "tumsyn/process"  # tag of a run that a command executes: its process
SERVER = "dagster/grpc_info"  # tag of a run that was started in the browser: the server that executes it
ALIVE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
LOOK_S = 2.0  # between two looks at the pools while a run goes on
REPEAT_S = 60.0  # between two notes that the same run is waited for
LONGEST_SLEEP_S = 0.5  # between two checks of a waiting run, so that it can be stopped meanwhile


def sleep_while_waiting() -> None:
    """Let Dagster sleep until a waiting run asks for its slot again.

    Dagster 1.13 takes the minimum of 0 and the seconds that are left, so that it loops without a pause and keeps a core
    busy. This replaces the one method that is wrong; `tests/pipelines/runtime/test_pools.py` measures the effect.
    """

    def interval(self: InstanceConcurrencyContext) -> float:
        now = time.time()
        soonest = min(self._pending_timeouts.values(), default=now)
        return max(0.0, min(soonest - now, LONGEST_SLEEP_S))

    InstanceConcurrencyContext.interval_to_next_pending_claim_check = interval  # type: ignore[method-assign]


class Waiting:
    """Looks after a run that may wait for a pool: says for whom, and frees slots of processes that died.

    Parameters
    ----------
    instance : dagster.DagsterInstance
    run_id : str
        The run that may wait.
    say : callable
        Shows a line to the person who waits.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str, say: Callable[[str], None]) -> None:
        self.instance, self.run_id, self.say = instance, run_id, say
        self.said: dict[str, float] = {}

    def look(self) -> None:
        """Say for whom the run waits if it does, and free what dead processes hold."""
        storage = self.instance.event_log_storage
        for pool in storage.get_concurrency_keys():
            info = storage.get_concurrency_info(pool)
            mine = [step for step in info.pending_steps if step.run_id == self.run_id and not step.assigned_timestamp]
            holders = sorted((info.active_run_ids | info.assigned_run_ids) - {self.run_id})
            if not mine or not holders:
                continue
            bury_dead_runs(self.instance)
            holders = [run_id for run_id in holders if not self._free_if_ended(run_id)]
            if holders:
                self._tell(pool, mine[0].enqueued_timestamp, holders)

    def _free_if_ended(self, run_id: str) -> bool:
        """Free the slots of a run that is over, and return whether it is."""
        run = self.instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            return False
        self.instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        return True

    def _tell(self, pool: str, since: datetime, holders: list[str]) -> None:
        words = f"waits for pool {pool}, held by {'; '.join(map(self._describe, holders))}"
        if time.monotonic() - self.said.get(words, -REPEAT_S) >= REPEAT_S:
            self.said[words] = time.monotonic()
            self.say(f"{words}; waiting since {_clock(since.replace(tzinfo=since.tzinfo or UTC).timestamp())}")

    def _describe(self, run_id: str) -> str:
        record = self.instance.get_run_record_by_id(run_id)
        if record is None:
            return f"run {run_id[:8]}"
        host, _, rest = record.dagster_run.tags.get(PROCESS, "").partition(":")
        place = f", process {rest.split(':')[0]} on {host}" if rest else ""
        started = f", started {_clock(record.start_time)}" if record.start_time else ""
        return f"run {run_id[:8]} ({record.dagster_run.job_name}{place}{started})"


def bury_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark runs as failed whose process on this machine is gone, and free the pools that they hold.

    A run that executes inside a process cannot report that the process was killed; without this it would seem to go
    on for ever, and the next one would wait for its pool.
    """
    dead = []
    for run in instance.get_runs(dg.RunsFilter(statuses=ALIVE)):
        if _is_dead(run):
            instance.report_run_failed(run, "the process that ran it is gone")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            dead.append(run.run_id)
    return dead


def _is_dead(run: dg.DagsterRun) -> bool:
    """Return whether a run's process is known to be gone; false where that cannot be known from here."""
    name = run.tags.get(PROCESS, "")
    host, _, rest = name.partition(":")
    if host == socket.gethostname():
        return name != process_name(int(rest.split(":")[0]))
    if SERVER in run.tags:
        return not _answers(json.loads(run.tags[SERVER]))
    return False


def _answers(server: dict[str, object]) -> bool:
    """Return whether anybody listens where a run's server was, or that is on another machine."""
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
            return True  # busy: it is there
    return True


def process_name(pid: int) -> str:
    """Return a name for a process that no later one with the same number shares; empty where there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass  # somebody else's: it is there
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def _started(pid: int) -> str:
    """Return when a process started, in ticks since boot; empty where the system does not say."""
    try:
        record = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return record.rpartition(")")[2].split()[19]


def _clock(seconds: float) -> str:
    """Return a time of day, of this machine's zone."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


sleep_while_waiting()
