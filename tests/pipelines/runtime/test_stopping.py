"""A signal ends a command and its children in time, and shows how to continue."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.runtime import stopping

LIMIT_S = 5.0
# What a command may be doing when the signal comes.
WORK = {
    "waiting": "time.sleep(60)",
    "with a clean-up that fails": "\ntry:\n    time.sleep(60)\nfinally:\n    {}[1]",
    "deaf": "\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass",
    "in a thread": "stopping.call(lambda: time.sleep(60))",
    "in a thread that computes": "stopping.call(busy)",
    "with a child": "subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])",
    "with a deaf child": "subprocess.run(['sh', '-c', 'trap \"\" INT TERM; sleep 60; sleep 60'])",
    "with a deaf orphan": "subprocess.run(['sh', '-c', 'trap \"\" INT TERM; (sleep 60 &); sleep 60'])",
}
SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from pipelines.runtime import stopping

stopping.UNWIND_S, stopping.CHILDREN_S = 1.5, 0.8  # for the sake of the test's time

def busy():
    try:
        Path({mark!r}).write_text("begun")
        while True:
            sum(range(1000))
    finally:
        Path({mark!r}).write_text("unwound")

with stopping.stoppable():
    Path({ready!r}).touch()
    {work}
"""


def begun(folder: Path, work: str, **more: object) -> subprocess.Popen[str]:
    """Return a process that is at its work."""
    ready = folder / "ready"
    script = SCRIPT.format(mark=str(folder / "mark"), ready=str(ready), work=work.replace("\n", "\n    "))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload]
    wait_for(ready.exists)
    return process  # type: ignore[no-any-return]


def wait_for(true: object, seconds: float = 30.0) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.02)
    pytest.fail(f"waited for {seconds} s")


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("work", [pytest.param(work, id=name) for name, work in WORK.items()])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_and_its_children_and_shows_how_to_continue(
    tmp_path: Path, work: str, signum: signal.Signals
) -> None:
    process = begun(tmp_path, work)
    if "subprocess" in work:
        wait_for(lambda: psutil.Process(process.pid).children())
    children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    began = time.monotonic()
    process.send_signal(signum)
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < LIMIT_S
    assert process.returncode == 128 + signum
    assert f"stopped by {signum.name}; run the same command again" in stderr
    assert "Traceback" not in stderr
    wait_for(lambda: not any(map(is_alive, children)), 1.0)


def test_the_time_to_unwind_leaves_a_reserve_within_five_seconds() -> None:
    assert stopping.CHILDREN_S < stopping.UNWIND_S <= LIMIT_S - 1


def test_a_thread_unwinds_when_its_command_is_stopped(tmp_path: Path) -> None:
    process = begun(tmp_path, "stopping.UNWIND_S = 3.0\n" + WORK["in a thread that computes"])
    wait_for((tmp_path / "mark").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert (tmp_path / "mark").read_text() == "unwound"


def test_a_signal_that_a_shell_lets_background_jobs_ignore_ends_a_command_too(tmp_path: Path) -> None:
    process = begun(tmp_path, WORK["waiting"], preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def test_a_hangup_is_ignored_where_nohup_says_so(tmp_path: Path) -> None:
    process = begun(tmp_path, "time.sleep(0.5)", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_child_ends_when_its_parent_is_killed_and_is_silent(tmp_path: Path) -> None:
    child = SCRIPT.format(mark="", ready=str(tmp_path / "ready"), work="time.sleep(60)")
    code = "import os, subprocess, sys; from pipelines.runtime import stopping; "
    code += f"subprocess.run([sys.executable, '-c', {child!r}], env=os.environ | stopping.child_environment())"
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    wait_for((tmp_path / "ready").exists)
    [process] = psutil.Process(parent.pid).children()
    parent.kill()
    wait_for(lambda: not is_alive(process.pid), LIMIT_S)
    assert parent.communicate()[1] == ""


def test_what_a_call_raises_or_returns_comes_back() -> None:
    assert stopping.call(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        stopping.call(lambda: 1 // 0)


def test_a_call_lets_its_caller_look_on_meanwhile() -> None:
    looks: list[float] = []
    stopping.call(lambda: time.sleep(0.2), lambda: looks.append(time.monotonic()), 0.05)
    assert looks


def test_a_signal_that_comes_when_the_work_is_done_does_not_spoil_it(tmp_path: Path) -> None:
    late = f"import atexit; atexit.register(lambda: (Path({str(tmp_path / 'end')!r}).touch(), time.sleep(0.4)))"
    process = begun(tmp_path, late)
    wait_for((tmp_path / "end").exists)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("status", "stopped"), [(130, True), (143, True), (-15, True), (-2, True), (-9, False), (1, False), (0, False)]
)
def test_a_process_that_was_stopped_is_distinguished_from_one_that_died(status: int, stopped: bool) -> None:
    assert stopping.is_stop(status) is stopped


def test_an_error_while_python_ends_is_shown_and_no_leak_is_reported(tmp_path: Path) -> None:
    code = "import atexit, sys, duckdb, pipelines.cli; atexit.register(lambda: 1 // 0); "
    code += "sys.argv = ['tumsyn', '--version']; pipelines.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
    assert "nanobind" not in done.stderr


@pytest.mark.slow
def test_a_process_that_loaded_everything_ends_without_reporting_leaks() -> None:
    # Dagster and torch keep modules with annotated functions alive: one that holds DuckDB's types keeps its bindings.
    names = ("definitions", "runtime.launch", "runtime.evaluation")
    code = f"import {', '.join(f'pipelines.{name}' for name in names)}, model.training.synthesis, torch, duckdb"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_module_that_cannot_be_imported_is_reported() -> None:
    code = "import sys; sys.modules['duckdb'] = None; sys.argv = ['tumsyn', 'catalog', 'pin', 'x']; "
    code += "import pipelines.cli; import duckdb"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
