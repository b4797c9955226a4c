"""A run that waits for a pool shows its holder, uses no processor meanwhile, and does not wait for dead processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.runtime import launch, pools
from warehouse.centers.registry import RegisteredCenter
from warehouse.lake.home import Home

Hold = Callable[[dict[str, str]], str]


@pytest.fixture
def instance(home: Home, tiny: RegisteredCenter) -> Iterator[dg.DagsterInstance]:
    with launch.opened(home) as instance:
        yield instance


@pytest.fixture
def hold(instance: dg.DagsterInstance) -> Hold:
    """Return a run that holds the pool of publishing, and has these tags."""

    def held(tags: dict[str, str]) -> str:
        job = launch.build_defs().resolve_job_def("publish")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.event_log_storage.initialize_concurrency_limit_to_default("publish")
        assert instance.event_log_storage.claim_concurrency_slot("publish", run.run_id, "catalogue").is_claimed
        return run.run_id

    return held


def alive() -> dict[str, str]:
    return {pools.PROCESS: pools.process_name(os.getpid())}


def dead() -> dict[str, str]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        name = pools.process_name(process.pid)
        process.communicate(b"\n")
    return {pools.PROCESS: name}


@pytest.mark.slow
def test_a_command_that_waits_shows_the_holder_and_uses_no_processor(
    home: Home, instance: dg.DagsterInstance, hold: Hold, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = hold(alive())

    def release() -> None:
        time.sleep(4.5)
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)

    threading.Thread(target=release, daemon=True).start()
    began, cpu = time.monotonic(), time.process_time()
    assert launch.run(instance, home, "publish").error is None
    waited, used = time.monotonic() - began, time.process_time() - cpu
    stderr = capfd.readouterr().err
    assert re.search(
        rf"waits for pool publish, held by run {run_id[:8]} \(publish, process {os.getpid()} on .*\); "
        r"waiting since \d\d:\d\d:\d\d",
        stderr,
    )
    assert waited > 4.5
    assert used < waited - 3.0  # a loop without a pause uses all of it


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a command's", "one that is over", "the browser's"])
def test_a_holder_that_dies_while_it_is_waited_for_gives_its_place(
    instance: dg.DagsterInstance, hold: Hold, how: str, tmp_path: Path
) -> None:
    if how == "a command's":
        hold(dead())
    elif how == "one that is over":
        instance.report_run_failed(instance.get_run_by_id(hold(alive())))  # type: ignore[arg-type]
    else:
        hold({pools.SERVER: f'{{"host": "localhost", "socket": "{tmp_path}/gone"}}'})
    assert not claims(instance, "waiting")
    lines: list[str] = []
    pools.Monitor(instance, "waiting", lines.append).check()
    assert lines == []
    assert claims(instance, "waiting")


@pytest.mark.slow
def test_a_holder_that_lives_is_named_once_a_minute(instance: dg.DagsterInstance, hold: Hold) -> None:
    run_id = hold(alive())
    assert not claims(instance, "waiting")
    lines: list[str] = []
    waiting = pools.Monitor(instance, "waiting", lines.append)
    waiting.check()
    waiting.check()
    [line] = lines
    assert f"waits for pool publish, held by run {run_id[:8]} (publish, process {os.getpid()} on " in line
    assert not claims(instance, "waiting")


def claims(instance: dg.DagsterInstance, run_id: str) -> bool:
    return bool(instance.event_log_storage.claim_concurrency_slot("publish", run_id, "catalogue").is_claimed)


@pytest.mark.slow
def test_a_run_of_a_server_that_answers_or_is_elsewhere_is_alive(
    instance: dg.DagsterInstance, hold: Hold, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "here"))
        server.listen()
        hold({pools.SERVER: f'{{"host": "localhost", "socket": "{tmp_path}/here"}}'})
        assert pools.fail_orphaned_runs(instance) == []


def test_dagster_still_loops_without_a_pause_of_its_own() -> None:
    # Once this fails, Dagster has corrected it, and `sleep_while_waiting` can go.
    from importlib import metadata

    import dagster._core.execution.plan.instance_concurrency_context as context

    assert metadata.version("dagster").startswith("1.13.")
    assert "return min([0, *[ready_at - now" in Path(context.__file__).read_text()
