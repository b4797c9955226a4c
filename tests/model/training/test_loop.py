"""The loop learns, forgets nothing when it is killed, and stops rather than learn nonsense."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from model.training.examples import FOLDER
from model.training.loop import Examples, FitSettings, Report, fit, rate_of
from model.training.state import FILE
from tests.conftest import ROOT
from tests.model.training.toy import SETTINGS, Toy, train
from warehouse.errors import ModelError
from warehouse.lake import atomic


def ignore(*_: object) -> None:
    """Report to nobody."""


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_a_network_learns(tmp_path: Path) -> None:
    metrics = train(tmp_path, ignore, replace(SETTINGS, n_steps=120))[0].metrics
    assert metrics["val_error"] < 0.5 * metrics["initial_val_error"]


@pytest.mark.slow
def test_a_killed_training_that_goes_on_makes_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.model.training.toy", str(tmp_path / "killed"), "17"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "killed" / FILE).exists()
    straight, weights = train(tmp_path / "straight", ignore)
    resumed, others = train(tmp_path / "killed", ignore)
    assert equal(weights, others)
    assert straight.metrics == resumed.metrics


def test_a_second_kill_changes_nothing_either(tmp_path: Path) -> None:
    for last in (9, 25):

        def stop(step: int, *_: object, last: int = last) -> None:
            if step == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "stopped", stop)
    assert equal(train(tmp_path / "stopped", ignore)[1], train(tmp_path / "straight", ignore)[1])
    assert atomic.stale_temporaries(tmp_path) == []


def test_a_finished_training_is_not_made_again_but_told_again(tmp_path: Path) -> None:
    first: list[tuple[object, ...]] = []
    again: list[tuple[object, ...]] = []
    weights = train(tmp_path, lambda *told: first.append(told))[1]
    others = train(tmp_path, lambda *told: again.append(told))[1]
    assert equal(weights, others)
    assert first == again


def weights_of(task: Toy) -> bytes:
    """Return what the network holds when a picture is drawn, in place of a picture."""
    torch.rand(3)
    return b"".join(one.numpy().tobytes() for one in task.network.state_dict().values())


def drawn(folder: Path, report: Report = ignore, every: int = 8) -> dict[str, bytes]:
    """Train with examples; return their files."""
    task = Toy()

    def draw(step: int) -> bytes:
        assert not torch.is_grad_enabled()
        assert not task.network.training
        return weights_of(task)

    fit(task, SETTINGS, folder, report, examples=Examples(every, draw))
    return {file.name: file.read_bytes() for file in (folder / FOLDER).iterdir()}


def test_examples_are_drawn_at_first_at_every_n_steps_and_at_last_from_averaged_weights(tmp_path: Path) -> None:
    found = drawn(tmp_path)
    assert sorted(found) == [f"step_{step:06d}.png" for step in (0, 8, 16, 24, 30)]
    assert len(set(found.values())) == 5
    task = Toy()
    assert found["step_000000.png"] == weights_of(task)
    fit(task, SETTINGS, tmp_path, ignore)
    assert found["step_000030.png"] == weights_of(task)


def test_examples_change_no_weight(tmp_path: Path) -> None:
    drawn(tmp_path / "drawn")
    assert equal(train(tmp_path / "drawn", ignore)[1], train(tmp_path / "straight", ignore)[1])


def test_a_training_that_was_stopped_draws_every_example_once_and_the_same(tmp_path: Path) -> None:
    def stop(step: int, *_: object) -> None:
        if step == 17:  # the state is of step 14, and the example of step 16 is drawn
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(tmp_path / "stopped", stop)
    assert (tmp_path / "stopped" / FOLDER / "step_000016.png").exists()
    assert drawn(tmp_path / "stopped") == drawn(tmp_path / "straight")
    assert atomic.stale_temporaries(tmp_path) == []


def test_a_training_goes_on_with_examples_at_other_steps_or_without(tmp_path: Path) -> None:
    drawn(tmp_path)
    assert len(drawn(tmp_path, every=3)) == 5  # it was finished
    fit(Toy(), SETTINGS, tmp_path, ignore)


def test_where_there_is_nothing_to_draw_there_is_no_file(tmp_path: Path) -> None:
    fit(Toy(), SETTINGS, tmp_path, ignore, examples=Examples(5, lambda step: None))
    assert {file.name for file in tmp_path.iterdir()} == {FILE, ".lock"}


def test_another_seed_makes_other_weights(tmp_path: Path) -> None:
    weights = train(tmp_path / "one", ignore)[1]
    assert not equal(weights, train(tmp_path / "other", ignore, replace(SETTINGS, seed=4))[1])


def test_the_generators_of_others_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(tmp_path, ignore)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = [rate_of(SETTINGS, step) for step in range(SETTINGS.n_steps)]
    assert SETTINGS.warm_up - 1 == rates.index(max(rates))
    assert rates[SETTINGS.warm_up :] == sorted(rates[SETTINGS.warm_up :], reverse=True)
    assert max(rates) == pytest.approx(1)
    assert rates[0] == pytest.approx(1 / SETTINGS.warm_up)
    assert rate_of(SETTINGS, SETTINGS.n_steps) == pytest.approx(1 / 100)


def test_averages_are_what_is_kept_and_lag_behind(tmp_path: Path) -> None:
    averaged = train(tmp_path / "one", ignore)[1]
    plain = train(tmp_path / "other", ignore, replace(SETTINGS, average_decay=0))[1]
    assert not equal(averaged, plain)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_precisions_keep_weights_in_float32(tmp_path: Path, precision: str) -> None:
    weights = train(tmp_path, ignore, replace(SETTINGS, precision=precision))[1]  # type: ignore[arg-type]
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "loss", lambda self, step: (self.network(torch.full((1, 4), torch.inf)).sum(), {}))
    with pytest.raises(ModelError, match="stopped at step 0: the loss is") as stopped:
        train(tmp_path, ignore)
    assert "learning rate" in stopped.value.remedy
    assert not (tmp_path / FILE).exists()


def test_a_training_with_other_settings_does_not_go_on_from_this_state(tmp_path: Path) -> None:
    train(tmp_path, ignore)
    with pytest.raises(ModelError, match="other settings"):
        train(tmp_path, ignore, replace(SETTINGS, n_steps=31))


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}      "], ids=["empty", "without a record"])
def test_a_damaged_state_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ModelError, match="damaged") as refusal:
        train(tmp_path, ignore)
    assert str(tmp_path) in refusal.value.remedy


def test_two_processes_do_not_train_the_same(tmp_path: Path) -> None:
    with atomic.lock(tmp_path / ".lock", exclusive=True), pytest.raises(ModelError, match="another process"):
        train(tmp_path, ignore)


def test_the_state_is_no_pickle(tmp_path: Path) -> None:
    train(tmp_path, ignore)
    assert {file.name for file in tmp_path.iterdir()} == {FILE, ".lock"}
    assert not (tmp_path / FILE).read_bytes().startswith((b"\x80", b"PK"))


class Normalised(Toy):
    """The toy with batch normalisation in it."""

    def __init__(self) -> None:
        super().__init__()
        self.network.insert(1, nn.BatchNorm1d(8))  # type: ignore[operator]


def test_the_statistics_of_batch_normalisation_are_averaged_with_the_weights(tmp_path: Path) -> None:
    followed: list[Tensor] = []
    task = Normalised()
    task.network[1].register_forward_hook(lambda layer, *_: followed.append(layer.running_mean.clone()))  # type: ignore[index]
    fit(task, replace(SETTINGS, validate_every=100, n_steps=12), tmp_path, ignore)
    # The first and the last are of validations, with averages: what the last steps left is no part of them.
    expected = torch.zeros(8)
    for step, mean in enumerate(followed[1:-1]):
        expected.lerp_(mean, 1 - min(SETTINGS.average_decay, (1 + step) / (10 + step)))
    torch.testing.assert_close(followed[-1], expected)
    torch.testing.assert_close(task.network.state_dict()["1.running_mean"], expected)


class Convolved(Toy):
    """The toy with a convolution before it, whose kernel Muon learns."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.network = nn.Sequential(
                nn.Unflatten(1, (1, 4, 1, 1)), nn.Conv3d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(8, 1)
            )


BOTH = replace(SETTINGS, kernel_rate=0.01)


def test_kernels_are_learned_by_muon_and_everything_else_by_adamw(tmp_path: Path) -> None:
    task = Convolved()
    first = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    fit(task, replace(BOTH, n_steps=1, warm_up=1, average_decay=0, weight_decay=0.0), tmp_path, ignore)
    moved = {name: tensor - first[name] for name, tensor in task.network.state_dict().items()}
    singular = torch.linalg.svdvals(moved["1.weight"].flatten(1)) / BOTH.kernel_rate
    assert ((singular > 0.6) & (singular < 1.3)).all()
    assert moved["3.weight"].abs().max() <= SETTINGS.learning_rate * 1.01
    with safe_open(tmp_path / FILE, framework="pt") as state:
        kept = {name for name in state.keys() if not name.startswith(("network", "average"))}  # noqa: SIM118
    assert {"momentum.1.weight", "exp_avg.1.bias", "exp_avg.3.weight"} <= kept
    assert not {"exp_avg.1.weight", "momentum.3.weight"} & kept


@pytest.mark.parametrize(
    ("task", "settings"), [(Normalised, SETTINGS), (Convolved, BOTH)], ids=["batch normalisation", "Muon"]
)
def test_a_training_that_keeps_more_than_adamw_does_resumes_exactly(
    tmp_path: Path, task: type[Toy], settings: FitSettings
) -> None:
    def stop(step: int, *_: object) -> None:
        if step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(task(), settings, tmp_path / "stopped", stop)
    resumed, straight = task(), task()
    fit(resumed, settings, tmp_path / "stopped", ignore)
    fit(straight, settings, tmp_path / "straight", ignore)
    assert equal(resumed.network.state_dict(), straight.network.state_dict())
