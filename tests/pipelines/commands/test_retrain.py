"""`tumsyn retrain` shows a decision, writes nothing unless it is asked to, and trains only for a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.evaluation.drift import DriftScore
from pipelines.commands.retrain import show_decision
from pipelines.runtime import launch
from pipelines.runtime.drift import Comparison
from pipelines.runtime.operations import path_of
from pipelines.runtime.retraining import Decision
from tests.model.tiny_home import make_tiny_home
from tests.pipelines.conftest import Command, command_in
from tests.pipelines.trained_home import MODEL, copy_of, record_model, training_people
from warehouse.catalog import model_registry
from warehouse.lake.home import Home

DECISION = "core.retraining_decision"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home", 6)


@pytest.fixture
def place(template: Home, tmp_path: Path) -> Home:
    home = copy_of(template, tmp_path / "copy")
    document = {"retraining": {"synthesis_config": "demo", "text_encoder_config": "demo", "start": "warm"}}
    path_of(home).write_text(yaml.safe_dump(document), encoding="utf-8")
    return home


@pytest.fixture
def retrain(place: Home) -> Command:
    return command_in(place)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is launched instead of a training."""
    calls: list[dict[str, Any]] = []

    def run(instance: object, home: Home, job: str, **options: Any) -> launch.Outcome:
        calls.append({"job": job, **options})
        return launch.Outcome("run", None)

    monkeypatch.setattr(launch, "run", run)
    return calls


@pytest.mark.slow
def test_without_yes_the_figures_are_shown_and_nothing_is_recorded(
    place: Home, retrain: Command, launched: list[dict[str, Any]]
) -> None:
    result = retrain("retrain")
    assert result.exit_code == 0, result.output
    assert "train: training, because of first_training" in result.output
    assert "n_new_people" in result.output
    assert model_registry.statements(place, DECISION) == []
    assert launched == []


@pytest.mark.slow
def test_with_yes_it_trains_by_the_configuration_and_records_why(
    place: Home, retrain: Command, launched: list[dict[str, Any]]
) -> None:
    people = training_people(place)
    record_model(place, people, datetime.now(UTC) - timedelta(days=365))
    result = retrain("retrain", "--yes")
    assert result.exit_code == 0, result.output
    [row] = model_registry.statements(place, DECISION)
    assert (row["decision"], row["decided_by"], row["reasons"]) == ("train", "command", ["age"])
    [call] = launched
    assert call["config"]["synthesis_model"] == {"config": "demo", "init": MODEL}
    expected = {"tumsyn/decision": row["event_id"], "tumsyn/data_id": row["data_id"], "tumsyn/reasons": "age"}
    assert call["tags"] == expected


@pytest.mark.slow
def test_with_yes_and_no_reason_it_records_and_trains_nothing_unless_it_is_forced(
    place: Home, retrain: Command, launched: list[dict[str, Any]]
) -> None:
    record_model(place, training_people(place), datetime.now(UTC) - timedelta(days=1))
    assert "skip: there is no reason to train" in retrain("retrain", "--yes").output
    assert launched == []
    assert retrain("retrain", "--yes", "--force").exit_code == 0
    assert len(launched) == 1
    decisions = [row["decision"] for row in model_registry.statements(place, DECISION)]
    assert decisions == ["skip", "train"]


@pytest.mark.slow
def test_a_failed_training_ends_the_command_with_its_message(retrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "run", lambda *_, **__: launch.Outcome("run", "the disk is full"))
    result = retrain("retrain", "--yes")
    assert result.exit_code == 1
    assert "the disk is full" in result.output


def test_what_a_dataset_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;evil\x07\x1b[2J"
    score = DriftScore("sex", evil, "value", "ks_2samp", 1.0, 0.0, 0.0, 1.0, 9, 9, evil, evil, "drifted")
    comparison = Comparison("d", evil, "data", [score])
    show_decision(Decision(True, ("drift",), evil, 1, 2.0, "fresh", champion_id=evil, comparison=comparison))
    shown = capsys.readouterr().out
    assert [shown.count(sign) for sign in ("\x1b", "\x07", r"\x1b[2J")] == [0, 0, 5]


@pytest.mark.slow
def test_wrong_settings_are_refused_by_file_and_key(place: Home, retrain: Command) -> None:
    path_of(place).write_text("retraining: {chron: 3}\n", encoding="utf-8")
    result = retrain("retrain")
    assert result.exit_code == 1
    assert "retraining.chron" in result.output
