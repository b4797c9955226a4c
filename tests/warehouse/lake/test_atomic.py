"""Locks: who waits is told for whom, and is let in once the holder is gone, however it went."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from warehouse.lake import atomic

HOLD = """
import sys, time
from pathlib import Path
from warehouse.lake import atomic
with atomic.lock(Path(sys.argv[1]), exclusive=True):
    print("held", flush=True)
    time.sleep(60)
"""


def holding(path: Path) -> subprocess.Popen[str]:
    """Return a process that holds a lock."""
    words = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_waits_is_told_for_whom_and_since_when_and_need_not_wait_for_the_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(atomic, "PATIENCE_S", 0.0)
    with holding(tmp_path / "lock") as process, caplog.at_level(logging.WARNING):

        class Killing(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                process.kill()

        handler = Killing()
        atomic.LOG.addHandler(handler)
        cpu = time.process_time()
        with atomic.lock(tmp_path / "lock", exclusive=True) as held:
            assert held
        atomic.LOG.removeHandler(handler)
        assert time.process_time() - cpu < 0.5
    [said] = caplog.messages
    assert f"waits for {tmp_path / 'lock'}, held by process {process.pid} on " in said
    assert " since " in said


def test_who_does_not_wait_is_told_that_it_is_held(tmp_path: Path) -> None:
    with holding(tmp_path / "lock") as process:
        with atomic.lock(tmp_path / "lock", exclusive=False, wait=False) as held:
            assert not held
        process.kill()


def test_a_lock_is_shared_by_those_that_agree(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with atomic.lock(path, exclusive=False), atomic.lock(path, exclusive=False, wait=False) as held:
        assert held
        assert atomic.holder(path) == "held by processes that share it"
