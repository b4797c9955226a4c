"""`tumsyn train` as Dagster starts it resumes after a kill, reports errors, and is the command that a person types."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from model.evaluation import retrieval
from pipelines.assets.models import text_encoder
from pipelines.definitions import build_defs
from pipelines.runtime.reports import current_report, headline
from pipelines.runtime.resources import HomeResource, no_retries
from pipelines.runtime.telemetry import RUN
from pipelines.runtime.training_process import TrainingProcess, command, training_failure
from tests.model.tiny_home import make_tiny_home
from warehouse.catalog import model_registry
from warehouse.lake.home import Home
from warehouse.provenance import release

# Two trainings are compared bit by bit; `auto` measures speeds, and may choose another precision for each.
SHORT = {"recipe": "draft", "n_steps": 40, "batch_size": 4, "learning_rate": 0.004, "warm_up": 2, "save_every": 2,
         "precision": "fp32"}  # fmt: skip
ENCODER = SHORT | {
    "name": "tiny-encoder",
    "box_voxels": [16, 16, 16],
    "box_mm": 5.0,
    "simulated_share": 0,
    "n_candidates": 8,
    "n_workers": 0,
    "fields": {
        "text": {"width": 16, "n_layers": 1, "n_heads": 2},
        "image": {"width": 16, "channels": 4, "n_levels": 2, "n_queries": 2},
    },
}
NETWORK = SHORT | {
    "name": "tiny-network",
    "compact": {"widths": [6, 8], "blocks": [1, 1], "condition_width": 16, "full_width": 2, "latent_width": 4},
    "patch_voxels": 16,
    "n_validation": 2,
}
PROTOCOL = {"name": "tiny", "recipe": "draft", "tasks": ["T1w_to_T2w", "T1w_to_FLAIR"], "max_pairs_per_task": 2,
            "n_resamples": 100, "fidelity": {"n_people": 0},
            "gates": {"better_than_identity_db": 0.0, "steering_mae": 1e-6}}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Enough tiny people for every split."""
    return make_tiny_home(tmp_path / "tiny", 40)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Configurations that take seconds."""
    found = {}
    for name, content in {"encoder": ENCODER, "network": NETWORK, "protocol": PROTOCOL}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        found[name] = str(tmp_path / f"{name}.yaml")
    return found


@pytest.fixture(autouse=True)
def one_version(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Code is part of a run's identity: a commit that is made meanwhile would be another."""
    monkeypatch.setenv("GIT_COMMIT", "0" * 40)
    release.cache_clear()
    yield
    release.cache_clear()


def encode(home: Home, instance: dg.DagsterInstance, config: str) -> dg.ExecuteInProcessResult:
    resources = {"home": HomeResource(root=str(home.root)), "training": TrainingProcess()}
    run_config = {"ops": {"text_encoder": {"config": {"config": config, "device": "cpu"}}}}
    return dg.materialize(
        [text_encoder], instance=instance, resources=resources, run_config=run_config, raise_on_error=False
    )


def weights(home: Home, model_id: str) -> bytes:
    return (home.models / model_id / "model.safetensors").read_bytes()


def kill_once_it_learns(home: Home) -> threading.Thread:
    """Kill the training process as soon as it has saved a state."""

    def hunt() -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if any(home.training.glob("*/state.safetensors")):
                for pid in children_that_train():
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.005)

    thread = threading.Thread(target=hunt, daemon=True)
    thread.start()
    return thread


def children_that_train() -> list[int]:
    text = Path(f"/proc/self/task/{threading.main_thread().native_id}/children").read_text()
    return [int(pid) for pid in text.split() if b"train" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
def test_the_command_is_the_one_that_a_person_types(home: Home) -> None:
    words = command(home, ["synthesis", "--config", "demo"])
    assert words[1:] == ["-m", "pipelines.cli", "--home", str(home.root), "train", "synthesis", "--config", "demo"]


@pytest.mark.parametrize("status", [143, 130, -15])
def test_a_training_that_was_stopped_is_not_tried_again(status: int) -> None:
    error = training_failure(status, [])
    assert isinstance(error, dg.Failure)
    assert not error.allow_retries
    assert "run the same again" in str(error.description)


def test_a_training_that_died_without_a_word_is_tried_again() -> None:
    assert not isinstance(training_failure(-9, []), dg.Failure)


def test_a_step_of_a_run_that_is_terminated_is_not_tried_again() -> None:
    calls = []

    @dg.op(retry_policy=dg.RetryPolicy(max_retries=2))
    def step() -> None:
        calls.append(1)
        with no_retries():
            raise dg.DagsterExecutionInterruptedError

    @dg.job
    def terminated() -> None:
        step()

    assert not terminated.execute_in_process(raise_on_error=False).success
    assert calls == [1]


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_in_the_same_run_and_makes_the_same_weights(
    home: Home, instance: dg.DagsterInstance, files: dict[str, str], tmp_path: Path
) -> None:
    hunter = kill_once_it_learns(home)
    result = encode(home, instance, files["encoder"])
    hunter.join()
    assert result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == ["text_encoder"]
    assert [row["status"] for row in model_registry.statements(home, RUN)] == ["started", "resumed", "finished"]
    [version] = model_registry.statements(home, model_registry.VERSION)
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["model_id"].value == version["model_id"]
    steps = [
        row["step"] for row in model_registry.statements(home, "core.training_metric", split="train", metric="loss")
    ]
    assert len(steps) == len(set(steps)) > 1

    undisturbed = make_tiny_home(tmp_path / "undisturbed", 40)
    # In a process of its own as well: bits are the same for the same number of threads, and this one has its own.
    words = command(undisturbed, ["text-encoder", "--config", files["encoder"], "--device", "cpu"])
    subprocess.run(words, check=True, capture_output=True)
    [other] = model_registry.statements(undisturbed, model_registry.VERSION)
    assert weights(undisturbed, other["model_id"]) == weights(home, version["model_id"])


@pytest.mark.slow
def test_an_error_that_a_person_must_correct_is_shown_and_not_retried(home: Home, instance: dg.DagsterInstance) -> None:
    result = encode(home, instance, "no such configuration")
    assert not result.success
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    failure = result.failure_data_for_node("text_encoder")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "no configuration 'no such configuration'" in str(failure.user_failure_data.description)
    assert failure.user_failure_data.metadata["remedy"].value


@pytest.mark.slow
def test_tiny_networks_go_the_whole_way_from_prompts_to_a_report_and_then_nothing_is_done_twice(
    home: Home, instance: dg.DagsterInstance, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # forty steps need not be enough to distinguish contrasts; that gate has tests of its own
    held = {"gate": retrieval.CONTRAST_GATE, "passed": True, "verdict": "passed", "value": 1.0, "threshold": 0.5}
    held |= {"detail": "set by a test"}
    monkeypatch.setattr(retrieval, "contrast_verdict", lambda *_: held)
    ops: dict[str, dict[str, Any]] = {
        "text_encoder": {"config": files["encoder"]},
        "text_encoder_retrieval": {"protocol": "quick"},
        "synthesis_model": {"config": files["network"]},
        "evaluation": {"protocol": files["protocol"]},
    }
    resources = {"home": HomeResource(root=str(home.root))}
    job = build_defs(resources=resources).resolve_job_def("train_all")
    run_config = {"ops": {name: {"config": values} for name, values in ops.items()}}
    first, second = (
        job.execute_in_process(instance=instance, run_config=run_config, raise_on_error=False) for _ in range(2)
    )
    open_ = [check for check in first.get_asset_check_evaluations() if not check.passed]
    # The tiny home has stores alone: without files nothing ships, and the gates have nobody.
    assert all("nobody" in str(check.description) for check in open_)
    assert [check.severity for check in open_] == [dg.AssetCheckSeverity.WARN]
    assert first.success
    assert second.success
    assert [row["status"] for row in model_registry.statements(home, RUN)] == ["started", "finished"] * 2
    assert len(list(home.models.glob("[!.]*"))) == 2
    assert model_registry.champion(home, "synthesis") is None  # gates without enough people promote no model
    page = current_report(home, files["encoder"], files["network"], files["protocol"])
    assert page in list(home.reports.glob("*/report.html"))
    assert page is not None
    assert "SIMULATED" in headline(home, page, files["protocol"])
