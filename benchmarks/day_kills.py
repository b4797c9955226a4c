"""Processes that are killed while they work, for `benchmarks.day`."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from safetensors import safe_open

from model.training.state import FILE
from warehouse.lake import atomic
from warehouse.lake.home import Home

LOOK_S = 0.002  # a publication of a small home takes a fraction of a second
SAVED_S = 0.1


@dataclass(frozen=True)
class Training:
    """A process that trains a synthesis model, and the process of the run that waits for it."""

    process: psutil.Process
    run_process: int


def training(home: Home) -> Training | None:
    """Return the process that trains in this home, if there is one."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "pipelines.cli" in words and str(home.root) in words and {"train", "synthesis"} <= {*words}:
                return Training(process, process.ppid())
        except psutil.Error:  # it has just ended
            continue
    return None


class SavedSteps:
    """Watches the state of the training that saves next, and keeps the step of each state that it sees.

    Parameters
    ----------
    home : Home
    """

    def __init__(self, home: Home) -> None:
        self.home, self.since, self.steps = home, time.time(), list[int]()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        path: Path | None = None
        seen_at = self.since
        while True:
            time.sleep(SAVED_S)
            path = path or next((one for one in self.home.training.glob(f"*/{FILE}") if _saved_at(one) > seen_at), None)
            if path and _saved_at(path) > seen_at:
                seen_at = _saved_at(path)
                with safe_open(path, framework="pt") as state:
                    self.steps.append(int(json.loads(state.metadata()["record"])["step"]))


def _saved_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # it is removed when its training has ended
        return 0.0


def kill_publisher(home: Home, spared: Collection[int], limit_s: float) -> Iterator[str]:
    """Kill the first run that publishes, while it writes a snapshot; yield what it left behind.

    Parameters
    ----------
    spared : collection of int
        Processes that may publish undisturbed, such as the server of the code.
    """
    lock, end = home.warehouse / "publish.lock", time.monotonic() + limit_s
    while time.monotonic() < end:
        found = re.match(r"process (\d+)", lock.read_text()) if lock.exists() else None
        if found and (pid := int(found[1])) not in spared and is_run(pid) and (left := half_written(home)):
            os.kill(pid, signal.SIGKILL)
            yield from (path.name for path in left)
            return
        time.sleep(LOOK_S)
    raise AssertionError(f"no run published within {limit_s:g} s")


def half_written(home: Home) -> list[Path]:
    """Return the unfinished files of snapshots."""
    return [path for path in atomic.stale_temporaries(home.warehouse) if ".duckdb" in path.name]


def is_run(pid: int) -> bool:
    """Return whether a process is that of a run, which Dagster's server starts by `multiprocessing`."""
    try:
        return any("multiprocessing" in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
