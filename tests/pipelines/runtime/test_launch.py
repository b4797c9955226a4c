"""Runs inside this process keep their state in the home, at any path, and a killed one blocks no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._grpc import utils

from pipelines.runtime import launch, pools
from tests.conftest import ROOT
from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

DEAD = 2**22 + 1  # no process has this number: Linux ends at 2**22


@pytest.mark.slow
def test_all_state_lies_in_the_home(home: Home, tiny: RegisteredCenter) -> None:
    with launch.opened(home) as instance:
        assert launch.run(instance, home, "ingest", partition="tiny").error is None
        assert Path(instance.storage_directory()).is_relative_to(home.dagster)
    assert list(home.dagster.glob("history/runs/*.db"))
    assert not [name for name in ("storage", "history", "schedules", "logs") if (ROOT / name).exists()]


def test_a_run_whose_process_was_killed_is_failed_and_frees_its_pool(home: Home, tiny: RegisteredCenter) -> None:
    with launch.opened(home) as instance:
        tags = {pools.PROCESS: pools.process_name(os.getpid()).replace(str(os.getpid()), str(DEAD), 1)}
        run = instance.create_run_for_job(
            launch.build_defs().resolve_job_def("publish"), status=dg.DagsterRunStatus.STARTED, tags=tags
        )
        instance.event_log_storage.initialize_concurrency_limit_to_default("publish")
        claimed = instance.event_log_storage.claim_concurrency_slot("publish", run.run_id, "catalogue")
        assert claimed.is_claimed
        assert pools.fail_orphaned_runs(instance) == [run.run_id]
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE  # type: ignore[union-attr]
        assert instance.event_log_storage.get_concurrency_info("publish").claimed_slots == []


@pytest.mark.parametrize("status", ["STARTED", "STARTING"])
def test_a_run_whose_server_is_gone_is_failed_once_it_was_taken_up(
    home: Home, tiny: RegisteredCenter, tmp_path: Path, status: str
) -> None:
    """A server of the code executes what the browser and schedules start; Dagster itself does not notice its end.

    The repeat of such a run has its tags, and names the dead server until a living one takes it up.
    """
    with launch.opened(home) as instance:
        server = {"host": "localhost", "socket": str(tmp_path / "gone")}
        job = launch.build_defs().resolve_job_def("publish")
        run = instance.create_run_for_job(job, status=dg.DagsterRunStatus[status])
        instance.add_run_tags(run.run_id, {".dagster/grpc_info": json.dumps(server)})  # as Dagster's launcher does
        assert pools.fail_orphaned_runs(instance) == ([run.run_id] if status == "STARTED" else [])


@pytest.mark.slow
def test_a_run_of_a_living_process_or_of_another_machine_is_left_alone(home: Home, tiny: RegisteredCenter) -> None:
    with launch.opened(home) as instance:
        for tags in ({pools.PROCESS: pools.process_name(os.getpid())}, {pools.PROCESS: "elsewhere:1:1"}, {}):
            job = launch.build_defs().resolve_job_def("publish")
            instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        assert pools.fail_orphaned_runs(instance) == []


def test_a_later_process_with_the_same_number_has_another_name() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        alive = pools.process_name(child.pid)
        assert alive.split(":")[1] == str(child.pid)
        assert alive != pools.process_name(os.getpid())
        child.communicate(b"\n")
    assert pools.process_name(child.pid) == ""


def test_a_pool_admits_one_unless_it_is_given_more(home: Home, tiny: RegisteredCenter) -> None:
    with launch.opened(home) as instance:
        instance.event_log_storage.initialize_concurrency_limit_to_default("publish")
        first, second = (instance.event_log_storage.claim_concurrency_slot("publish", name, "s") for name in "ab")
        assert first.is_claimed
        assert not second.is_claimed


def test_a_missing_dagster_yaml_is_reported(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with pytest.raises(TumsynError, match=r"no dagster\.yaml"):
        launch.environment(home)


def test_the_instance_sends_nothing_and_shows_no_welcome_window() -> None:
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    assert settings["telemetry"] == {"enabled": False}
    assert settings["nux"] == {"enabled": False}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["a?b", "50%"])
def test_only_a_path_that_a_database_cannot_be_given_is_linked(tmp_path: Path, cache: Path, name: str) -> None:
    assert launch.addressable(tmp_path) == tmp_path
    odd = tmp_path / name
    odd.mkdir()
    link = launch.addressable(odd)
    assert link.parent == cache / "tumsyn"
    assert link.resolve() == odd
    assert launch.addressable(odd) == link


def test_a_link_that_leads_elsewhere_is_set_right(tmp_path: Path, cache: Path) -> None:
    odd = tmp_path / "a?b"
    odd.mkdir()
    link = launch.addressable(odd)
    link.unlink()
    link.symlink_to(tmp_path)
    assert launch.addressable(odd).resolve() == odd


def test_where_no_link_can_be_made_the_remedy_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "50%"))
    with pytest.raises(TumsynError, match="XDG_CACHE_HOME"):
        launch.addressable(tmp_path / "a?b")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(TumsynError, match="no link"):
        launch.addressable(tmp_path / "a?b")


def test_a_server_that_is_slow_is_waited_for_and_ends_in_a_minute(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DAGSTER_")]:
        monkeypatch.delenv(name)
    for name, value in launch.environment(home).items():
        monkeypatch.setenv(name, value)
    waits = utils.default_grpc_timeout(), utils.default_schedule_grpc_timeout(), utils.default_sensor_grpc_timeout()
    assert waits == (300, 300, 300)
    assert utils.default_grpc_server_shutdown_grace_period() == 60


def test_a_run_whose_process_starts_late_is_waited_for(home: Home, tiny: RegisteredCenter) -> None:
    with launch.opened(home) as instance:
        assert instance.run_monitoring_start_timeout_seconds == 900
