"""`tumsyn cross-validate` tests everybody once, goes on where it stopped, and promotes no model."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.evaluation import gates
from model.training import synthesis
from pipelines.commands import cross_validate
from pipelines.runtime.telemetry import RUN
from tests.model.tiny_home import make_tiny_home
from tests.model.tiny_models import save_text_encoder
from tests.pipelines.conftest import Command, command_in
from tests.pipelines.runtime.test_training_process import NETWORK, PROTOCOL
from warehouse.catalog import model_registry
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

TASKS = PROTOCOL["tasks"]
SMALL = {"n_steps": 2, "batch_size": 1, "n_workers": 0, "examples_every": 0}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """Configuration and protocol that take seconds."""
    network = NETWORK | SMALL
    protocol = PROTOCOL | {"splits": ["cross_validation"], "forms": ["session"], "max_behaviour_pairs": 0}
    for name, content in {"network": network, "protocol": protocol | {"max_pairs_per_task": 50}}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return ["--config", str(tmp_path / "network.yaml"), "--protocol", str(tmp_path / "protocol.yaml"),
            "--device", "cpu", "--folds", "3", "--format", "csv"]  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Twelve people; one has a T1w alone, and one lacks the T2w."""
    return make_tiny_home(tmp_path_factory.mktemp("template") / "tiny", 12)


@pytest.fixture
def small(template: Home, tmp_path: Path) -> Home:
    """A copy of the home of twelve people."""
    shutil.copytree(template.root, tmp_path / "tiny", symlinks=True)
    return Home(tmp_path / "tiny")


def ask(home: Home, query: str) -> list[Any]:
    with Catalogue(home).connect() as connection:
        return connection.execute(query).fetchall()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def run(home: Home, words: list[str], *more: str) -> Any:
    command: Command = command_in(home)
    return command("cross-validate", *words, "--text-encoder", save_text_encoder(home), *more)


@pytest.mark.slow
def test_every_person_is_tested_once_and_nothing_is_done_twice(
    small: Home, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "judge", lambda *_: [
        {"gate": "better_than_identity", "verdict": "passed", "passed": True, "value": 1.0, "threshold": 0.0,
         "detail": "set by a test"}])  # fmt: skip
    done = run(small, words)
    assert done.exit_code == 0, done.output
    lines = table(done.stdout)
    people = Counter(line["who"] for line in lines if line["task"] == "T1w_to_FLAIR" and line["fold"])
    assert len(people) == 11  # one has a T1w alone
    assert set(people.values()) == {1}
    means = {line["task"]: line for line in lines if line["who"].startswith("mean of")}
    assert means.keys() == {"all tasks", *TASKS}
    assert means["T1w_to_FLAIR"]["who"] == "mean of 11 simulated people"
    assert "missing" not in done.stderr
    asked = ("psnr_db", "fitted_map_db", "pooled_map_db", "source_db", "ssim")
    each = [line for line in lines if line["task"] == "T1w_to_FLAIR" and line["fold"]]
    for name in asked:
        mean = sum(float(line[name]) for line in each) / len(each)
        assert float(means["T1w_to_FLAIR"][name]) == pytest.approx(mean, abs=0.011)
    [low] = [line for line in lines if line["task"] == "T1w_to_FLAIR" and line["who"].endswith("from")]
    assert float(low["psnr_db"]) < float(means["T1w_to_FLAIR"]["psnr_db"])
    statuses = Counter(row["status"] for row in model_registry.statements(small, RUN))
    assert statuses == {"started": 3, "finished": 3}
    assert model_registry.champion(small, "synthesis") is None  # although every gate passes
    scores = ask(small, "SELECT count(*), count(DISTINCT evaluation_id), any_value(split) FROM core.evaluation_score")
    assert scores[0][1:] == (3, "cross_validation")

    again = run(small, words)
    assert table(again.stdout) == lines
    assert Counter(row["status"] for row in model_registry.statements(small, RUN)) == statuses
    assert ask(small, "SELECT count(*) FROM core.evaluation_score")[0][0] == scores[0][0]


@pytest.mark.slow
def test_one_fold_alone_shows_its_people_and_says_which_folds_are_missing(small: Home, words: list[str]) -> None:
    first = run(small, words, "--only-fold", "1")
    assert first.exit_code == 0, first.output
    assert {line["fold"] for line in table(first.stdout)} == {"1", ""}
    assert "without folds 0, 2" in first.stdout
    assert "fold 0 is missing" in first.stderr
    assert "fold 2 is missing" in first.stderr
    second = run(small, words, "--only-fold", "2")
    assert {line["fold"] for line in table(second.stdout)} == {"1", "2", ""}
    assert "fold 0 is missing" in second.stderr
    assert "fold 1 is missing" not in second.stderr


@pytest.mark.slow
def test_an_interrupted_run_goes_on_with_the_fold_that_it_stopped_in(
    small: Home, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = cross_validate.train_model

    def stop(*given: Any, **more: Any) -> Any:
        if more["changes"]["held_out_fold"] == 1:
            raise KeyboardInterrupt
        return trained(*given, **more)

    monkeypatch.setattr(cross_validate, "train_model", stop)
    assert run(small, words).exit_code != 0
    monkeypatch.undo()
    done = run(small, words)
    assert done.exit_code == 0, done.output
    runs = Counter(row["run_id"] for row in model_registry.statements(small, RUN, status="started"))
    assert len(runs) == 3
    assert set(runs.values()) == {1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only-fold", "3"], "no fold 3 of 3"),
        (["--protocol", "standard"], "protocol standard tests no people of a fold"),
        (["--protocol", "cross_validation"], "recipe 'standard'.*'draft'"),
        (["--folds", "1"], "greater than or equal to 2"),
        (["--folds", "99"], "12 people cannot be dealt to 99 folds"),
    ],
)
def test_what_cannot_be_cross_validated_is_refused_before_anything_is_trained(
    small: Home, words: list[str], more: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthesis, "fit", lambda *_: pytest.fail("it trains"))
    done = run(small, words, *more)
    assert done.exit_code != 0
    assert re.search(said, done.stderr), done.stderr
    assert not model_registry.statements(small, RUN)
