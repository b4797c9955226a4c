"""Processes: all work is done, a death costs one task, nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.warehouse.harmonize import works
from warehouse.harmonize.pace import Pace
from warehouse.harmonize.pool import Lost, alone, spread

ROOT = Path(__file__).parents[3]


def test_a_task_that_kills_its_process_is_lost_and_all_others_are_done() -> None:
    results = dict(spread(works.double, [1, 13, 2, 7, 3], workers=2))
    assert {task: result for task, result in results.items() if not isinstance(result, Lost)} == {1: 2, 2: 4, 3: 6}
    died, raised = results[13], results[7]
    assert isinstance(died, Lost)
    assert "process died" in died.why
    assert isinstance(raised, Lost)
    assert raised.why == "ArithmeticError: seven"


def test_a_process_uses_the_threads_that_it_is_given() -> None:
    assert alone(works.threads, 0, threads=3) == "33"


def test_no_process_outlives_one_that_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"""
from tests.warehouse.harmonize.works import touch_and_sleep
from warehouse.harmonize.pool import spread
if __name__ == "__main__":
    list(spread(touch_and_sleep, [{str(mark)!r}], 1))
"""
    (tmp_path / "run.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(tmp_path / "run.py")], env=environment) as running:
        _wait_for(lambda: mark.exists() and bool(mark.read_text()))
        worker = int(mark.read_text())
        running.send_signal(signal.SIGKILL)
    _wait_for(lambda: not _is_alive(worker))


@pytest.mark.parametrize(
    ("seconds", "done", "said"),
    [
        pytest.param(60, 1, "60 scans/h, 2 min left", id="slow"),
        pytest.param(1, 2, "2.0 scans/s, 0 s left", id="fast"),
        pytest.param(7200, 1, "0 scans/h, 4.0 h left", id="very slow"),
        pytest.param(0, 0, "rate not known yet", id="at once"),
    ],
)
def test_the_pace_says_rate_and_remaining_time(seconds: float, done: int, said: str) -> None:
    now = iter([0.0, float(seconds)])
    total = 2 if done == 2 else 3
    assert Pace(total, clock=lambda: next(now)).at(done) == said


def test_the_pace_forgets_how_fast_finished_work_was_found() -> None:
    now = iter([0.0, *[float(second) for second in range(1, 200)]])
    pace = Pace(1_000_100, clock=lambda: next(now))
    pace.at(1_000_000)
    said = [pace.at(1_000_000 + done) for done in range(1, 100)]
    assert said[-1] == "1.0 scans/s, 1 s left"


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
