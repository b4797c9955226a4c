"""Several processes learn what one learns from the joined batch, and one of them alone saves and reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from model.training import processes
from model.training.examples import FOLDER
from model.training.state import FILE
from tests.conftest import ROOT
from tests.model.training import two_synthesis
from tests.model.training.two_processes import train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have trained."""
    return by_two("tests.model.training.two_processes", tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have trained a synthesis network."""
    return by_two("tests.model.training.two_synthesis", tmp_path_factory.mktemp("synthesis"))


def by_two(module: str, folder: Path) -> Path:
    """Run a module in two processes, as torchrun does, and return the folder that it was given."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", module, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5, msg=lambda text, at=name: f"{at}: {text}")


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_joined_batch(made: Path, tmp_path: Path) -> None:
    expected = train(tmp_path)
    assert "image.1.running_var" in expected
    assert_close(load_file(made / "straight_0.safetensors"), expected)


@pytest.mark.slow
def test_both_processes_end_with_the_same_weights(made: Path) -> None:
    one, other = (load_file(made / f"straight_{place}.safetensors") for place in (0, 1))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_two_processes_resume_where_they_stopped(made: Path) -> None:
    straight, resumed = (load_file(made / f"{name}_0.safetensors") for name in ("straight", "resumed"))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in straight.items())


@pytest.mark.slow
def test_one_process_goes_on_with_what_two_began(made: Path) -> None:
    assert_close(train(made / "stopped"), load_file(made / "straight_0.safetensors"))


@pytest.mark.slow
def test_the_first_process_alone_saves_and_reports(made: Path, tmp_path: Path) -> None:
    train(tmp_path)
    names = {file.name for file in (made / "straight").iterdir()}
    assert names == {FILE, ".lock", "told_by_0.txt"}
    assert (made / "straight" / "told_by_0.txt").read_text() == (tmp_path / "told_by_one.txt").read_text()


@pytest.mark.slow
def test_processes_with_other_settings_do_not_train_together(made: Path) -> None:
    for place in (0, 1):
        assert "processes differ in what they train" in (made / f"refused_{place}.txt").read_text()


@pytest.mark.slow
def test_two_processes_learn_synthesis_as_one_does(synthesis: Path, tmp_path: Path) -> None:
    expected = two_synthesis.train(tmp_path)
    assert_close(load_file(synthesis / "weights_0.safetensors"), expected)
    assert (synthesis / "state" / "told_by_0.txt").read_text() == (tmp_path / "told_by_one.txt").read_text()


@pytest.mark.slow
def test_both_processes_end_with_the_same_synthesis_network(synthesis: Path) -> None:
    one, other = (load_file(synthesis / f"weights_{place}.safetensors") for place in (0, 1))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.slow
def test_the_first_process_alone_draws_examples(synthesis: Path) -> None:
    assert {file.name for file in (synthesis / "state").iterdir()} == {FILE, ".lock", "told_by_0.txt", FOLDER}
    names = sorted(file.name for file in (synthesis / "state" / FOLDER).iterdir())
    assert names == ["step_000000.png", "step_000003.png", "step_000006.png"]


def test_a_batch_is_shared_whose_rows_need_different_parameters() -> None:
    learner, differ = two_synthesis.task(), []
    for step in range(two_synthesis.CONFIG.n_steps):
        patches = learner.loader.batch(step).patches
        first, second = patches[:1], patches[1:]
        differ.append(any(one.maps is not None for one in first) != any(one.maps is not None for one in second))
    assert any(differ)  # else the tests of two processes would not see what happens to the maps' parameters


def test_without_torchrun_there_is_one_process_and_nothing_is_exchanged() -> None:
    with processes.joined("cpu"):
        assert processes.count() == 1
        assert processes.is_first()
    rows, parameter = torch.randn(3, 2), nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    assert processes.own_rows(3) == slice(0, 3)
    assert processes.gather_rows(rows) is rows
    processes.average_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, 2.0]
    assert processes.by_first(lambda: 7) == 7


def test_a_batch_smaller_than_the_group_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 4)
    with pytest.raises(processes.ModelError, match="cannot share a batch of 3") as refusal:
        processes.own_rows(3)
    assert "batch_size" in refusal.value.remedy


@pytest.mark.parametrize("n", [5, 8, 17])
def test_the_shares_of_all_processes_are_the_batch(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "count", lambda: 3)
    rows: list[list[int]] = []
    for place in range(3):
        monkeypatch.setattr(processes.dist, "get_rank", lambda place=place: place)
        rows.append(list(range(n))[processes.own_rows(n)])
    assert [row for share in rows for row in share] == list(range(n))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1
