"""Processes: all work is done, a death costs one task, no process outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.warehouse.harmonize import works
from warehouse.harmonize.pool import Failed, run_alone, run_tasks

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_task_that_kills_its_process_is_lost_and_all_others_are_done() -> None:
    results = dict(run_tasks(works.double, [1, 13, 2, 7, 3], workers=2))
    assert {task: result for task, result in results.items() if not isinstance(result, Failed)} == {1: 2, 2: 4, 3: 6}
    died, raised = results[13], results[7]
    assert isinstance(died, Failed)
    assert "process died" in died.reason
    assert isinstance(raised, Failed)
    assert raised.reason == "ArithmeticError: seven"


@pytest.mark.slow
def test_a_process_uses_the_threads_that_it_is_given() -> None:
    assert run_alone(works.threads, 0, threads=3) == "33"


@pytest.mark.slow
def test_no_process_outlives_one_that_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"""
from tests.warehouse.harmonize.works import touch_and_sleep
from warehouse.harmonize.pool import run_tasks
if __name__ == "__main__":
    list(run_tasks(touch_and_sleep, [{str(mark)!r}], 1))
"""
    (tmp_path / "run.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(tmp_path / "run.py")], env=environment) as running:
        _wait_for(lambda: mark.exists() and bool(mark.read_text()))
        worker = int(mark.read_text())
        running.send_signal(signal.SIGKILL)
    _wait_for(lambda: not _is_alive(worker))


def _is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _wait_for(true: object) -> None:
    assert callable(true)
    for _ in range(300):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("waited for half a minute")
