"""A training records that it started, resumed, finished or failed; its curve once; its model and data."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model.networks.checkpoint import save_model
from model.training.trained import Run, Trained
from pipelines.runtime.telemetry import METRIC, RUN, AlreadyTrainedError, Telemetry, is_first_process
from warehouse.catalog import model_registry, snapshots
from warehouse.catalog.publish import publish
from warehouse.errors import ModelError
from warehouse.lake.home import Home


class FakePipes:
    """Records what Dagster would receive."""

    run_id = "a-dagster-run"

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.messages: list[dict[str, str]] = []

    @property
    def log(self) -> FakePipes:
        return self

    def info(self, text: str) -> None:
        self.lines.append(text)

    def report_custom_message(self, payload: dict[str, str]) -> None:
        self.messages.append(payload)


def run_of(home: Home) -> Run:
    return Run(
        run_id="r" * 16,
        kind="synthesis",
        data_id="d" * 16,
        snapshot_id=snapshots.in_force(home) or "s" * 16,
        training_code="0.1.0",
        seed=3,
        device="cpu",
        n_parameters=4,
        is_simulated=True,
        precision="fp32",
    )


def telemetry_of(home: Home, pipes: Any = None) -> Telemetry:
    return Telemetry(home, {"name": "tiny"}, lambda *_: None, pipes)


def trained(home: Home) -> Trained:
    facts = {"text_encoder": {"model_id": "e" * 16}}
    model_id, path = save_model(home, "synthesis", {"w": torch.zeros(4)}, facts, {})
    counts = {"n_parameters": 4, "n_steps": 2}
    return Trained(model_id, path, "r" * 16, "synthesis", "d" * 16, **counts, seconds=1.5, metrics={})


def learn(telemetry: Telemetry) -> None:
    telemetry(0, 2, "val", {"l1": 0.5})
    telemetry(0, 2, "train", {"loss": 1.0})
    telemetry(1, 2, "train", {"loss": 0.5})
    telemetry(2, 2, "val", {"l1": 0.2})


def statuses(home: Home) -> list[str]:
    return [row["status"] for row in model_registry.statements(home, RUN)]


def test_a_training_leaves_its_start_its_curve_its_model_and_its_end(home: Home) -> None:
    telemetry = telemetry_of(home)
    telemetry.started(run_of(home))
    learn(telemetry)
    version = telemetry.finished(trained(home))
    assert statuses(home) == ["started", "finished"]
    end = model_registry.statements(home, RUN, status="finished")[0]
    assert (end["n_steps"], end["seconds"], end["dagster_run_id"]) == (2, 1.5, None)
    curve = {
        (row["step"], row["split"], row["metric"]): row["value"] for row in model_registry.statements(home, METRIC)
    }
    assert curve == {(0, "val", "l1"): 0.5, (0, "train", "loss"): 1.0, (1, "train", "loss"): 0.5, (2, "val", "l1"): 0.2}
    assert version["text_encoder_id"] == "e" * 16
    assert (home.root / version["path"]).is_dir()
    assert model_registry.statements(home, model_registry.VERSION)[0]["model_id"] == version["model_id"]


def test_a_killed_training_is_recorded_as_started_and_the_next_one_as_resumed(home: Home) -> None:
    first = telemetry_of(home)
    first.started(run_of(home))
    first(0, 2, "train", {"loss": 1.0})
    assert statuses(home) == ["started"]
    second = telemetry_of(home)
    second.started(run_of(home))
    learn(second)
    second.finished(trained(home))
    assert statuses(home) == ["started", "resumed", "finished"]


def test_a_failure_is_recorded_with_its_reason_and_its_curve(home: Home) -> None:
    telemetry = telemetry_of(home, pipes := FakePipes())
    telemetry.started(run_of(home))
    telemetry(0, 2, "train", {"loss": 1.0})
    telemetry.failed(ModelError("the loss is nan", "lower the learning rate"))
    [row] = model_registry.statements(home, RUN, status="failed")
    assert "lower the learning rate" in row["detail"]
    assert len(model_registry.statements(home, METRIC)) == 1
    assert pipes.messages == [{"what": "the loss is nan", "remedy": "lower the learning rate"}]


def test_a_failure_before_the_start_is_reported_and_not_recorded(home: Home) -> None:
    telemetry = telemetry_of(home, pipes := FakePipes())
    telemetry.failed(ModelError("there is no text encoder", "train one"))
    assert statuses(home) == []
    assert pipes.messages


def test_a_curve_that_is_reported_again_is_recorded_once(home: Home) -> None:
    for error in (ModelError("once"), None):
        telemetry = telemetry_of(home)
        telemetry.started(run_of(home))
        learn(telemetry)
        if error:
            telemetry.failed(error)
        else:
            telemetry.finished(trained(home))
    assert len(model_registry.statements(home, METRIC)) == 4
    assert statuses(home) == ["started", "failed", "resumed", "finished"]


def test_what_was_trained_before_is_not_trained_again_unless_its_model_is_gone(home: Home) -> None:
    telemetry = telemetry_of(home)
    telemetry.started(run_of(home))
    learn(telemetry)
    version = telemetry.finished(trained(home))
    with pytest.raises(AlreadyTrainedError) as before:
        telemetry_of(home).started(run_of(home))
    assert before.value.version["model_id"] == version["model_id"]
    assert statuses(home) == ["started", "finished"]
    (home.root / version["path"]).rename(home.root / "elsewhere")
    telemetry_of(home).started(run_of(home))


@pytest.mark.slow
def test_the_catalogue_that_a_model_was_trained_on_is_kept_for_it(home: Home) -> None:
    publish(home)
    trained_on = snapshots.in_force(home)
    telemetry = telemetry_of(home)
    telemetry.started(run_of(home))
    version = telemetry.finished(trained(home))
    assert snapshots.pinned(home) == {trained_on: [f"model:{version['model_id']}"]}


@pytest.mark.slow
def test_publications_during_a_training_leave_the_catalogue_that_it_began_with(home: Home) -> None:
    publish(home)
    began_with = snapshots.in_force(home)
    telemetry = telemetry_of(home)
    telemetry.started(run_of(home))
    publish(home, keep=1)
    assert snapshots.in_force(home) != began_with
    assert began_with in snapshots.existing(home)


def test_dagster_logs_every_tenth_and_every_validation(home: Home) -> None:
    telemetry = telemetry_of(home, pipes := FakePipes())
    telemetry.started(run_of(home))
    for step in range(100):
        telemetry(step, 100, "train", {"loss": 1.0 - step / 200})
    telemetry(100, 100, "val", {"l1": 0.1})
    assert len(pipes.lines) == 1 + 10 + 1
    assert pipes.lines[-1] == "step 100 of 100, val: l1 0.1"
    assert model_registry.statements(home, RUN)[0]["dagster_run_id"] == "a-dagster-run"


def test_a_training_whose_run_is_gone_ends(home: Home) -> None:
    telemetry = telemetry_of(home, FakePipes())
    telemetry.started(run_of(home))
    telemetry.parent = -1
    with pytest.raises(SystemExit, match="is gone"):
        telemetry.progress(1, 10, 0.5)


def test_of_several_processes_the_first_alone_records(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a-group")
    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()
    other = Telemetry(home, {"name": "tiny"}, lambda *_: None, is_first=is_first_process())
    other.started(run_of(home))
    learn(other)
    other.failed(ModelError("it broke", "mend it"))
    assert other.finished(trained(home))["run_id"] == "r" * 16
    tables = (RUN, METRIC, model_registry.VERSION)
    assert [model_registry.statements(home, table, run_id="r" * 16) for table in tables] == [[], [], []]
    monkeypatch.setenv("RANK", "0")
    assert is_first_process()


def test_of_several_processes_all_stop_where_the_training_was_finished_before(home: Home) -> None:
    first = telemetry_of(home)
    first.started(run_of(home))
    first.finished(trained(home))
    other = Telemetry(home, {"name": "tiny"}, lambda *_: None, is_first=False)
    with pytest.raises(AlreadyTrainedError):
        other.started(run_of(home))
