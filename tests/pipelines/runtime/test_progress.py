"""Progress is shown as lines where there is no terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.runtime.progress import TERMINAL, Report, progress_on, report_to, shown_progress


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines(name: str, stream: io.StringIO, clock: Clock, seconds: float = 5) -> Report:
    return report_to(progress_on(stream, clock), name, seconds)


def test_a_line_has_name_done_total_rate_and_remaining_time(clock: Clock) -> None:
    stream = io.StringIO()
    report = lines("synthesis", stream, clock)
    report(1, 100, "loss 0.9")
    clock.now += 10
    report(21, 100, "loss 0.5")
    assert stream.getvalue() == "synthesis: 21 of 100, loss 0.5, 2/s, 40 s left\n"


def test_the_first_item_gives_a_rate(clock: Clock) -> None:
    stream = io.StringIO()
    report = lines("ixi", stream, clock)
    report(0, 4, "")
    clock.now += 10
    report(1, 4, "")
    assert stream.getvalue() == "ixi: 1 of 4, 0.1/s, 30 s left\n"


def test_lines_are_at_least_some_seconds_apart(clock: Clock) -> None:
    stream = io.StringIO()
    report = lines("synthesis", stream, clock)
    for step in range(20):
        report(step, 20, "loss 1")
        clock.now += 1
    assert 3 <= len(stream.getvalue().splitlines()) <= 4


def test_the_rate_of_a_resumed_training_counts_its_own_steps_only(clock: Clock) -> None:
    stream = io.StringIO()
    report = lines("synthesis", stream, clock)
    report(900, 1000, "")
    clock.now += 10
    report(910, 1000, "")
    assert stream.getvalue() == "synthesis: 910 of 1000, 1/s, 90 s left\n"


def test_names_from_a_dataset_cannot_steer_the_terminal(clock: Clock) -> None:
    stream = io.StringIO()
    report = lines("ixi", stream, clock, seconds=0)
    report(1, 2, "sub-\x1b[2J")
    assert "\x1b" not in stream.getvalue()


def test_a_process_that_is_started_shows_lines_where_its_parent_said(tmp_path: Path) -> None:
    target = tmp_path / "shown"
    target.write_text("")
    code = (
        "import pipelines.runtime.progress as p\n"
        "from functools import partial\np.report_to = partial(p.report_to, seconds=0.0)\n"
        "with p.shown_progress() as shown:\n    shown('training')(1, 2, 'loss 1')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {TERMINAL: str(target)}, capture_output=True, check=True
    )
    assert target.read_text().startswith("training: 1 of 2")
    assert done.stderr == b""


def test_without_a_terminal_the_display_writes_no_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "shown"
    target.touch()
    monkeypatch.setenv(TERMINAL, str(target))
    with shown_progress() as shown:
        shown("work")(1, 2, "half")
    assert target.read_text() == ""
