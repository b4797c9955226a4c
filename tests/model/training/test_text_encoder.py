"""A text encoder is trained on the split train, keeps what it is, and can be stopped at any time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages
from model.data.prompt_fields import FIELDS, NUMBERS, encode_records
from model.networks.checkpoint import CARD, read_model
from model.networks.text_encoder import FrozenTextEncoder
from model.training.config import TextEncoderTraining
from model.training.text_encoder import TextEncoderTask, change_one, train_text_encoder, vary
from model.training.trained import Run, Trained
from tests.model.tiny_home import make_tiny_home
from warehouse.errors import ModelError
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

TINY = TextEncoderTraining(
    name="tiny",
    recipe="draft",
    n_steps=6,
    batch_size=4,
    learning_rate=0.003,
    warm_up=2,
    save_every=2,
    validate_every=3,
    width=16,
    n_layers=1,
    n_heads=2,
    n_frequencies=4,
    box_voxels=(12, 14, 12),
    box_mm=6.0,
    patch_voxels=2,
    tower_channels=4,
    tower_levels=2,
    n_validation=4,
)


def ignore(*_: object) -> None:
    """Report to nobody."""


def task(home: Home, **changes: Any) -> TextEncoderTask:
    config = TINY.model_copy(update=changes)
    box = Box(config.box_voxels, config.box_mm)
    boxed = [BoxedImages(CatalogueImages.open(home, "draft", [split]), box) for split in ("train", "test_external")]
    return TextEncoderTask(config, boxed[0], boxed[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Trained, list[Run], list[tuple[int, str]]]:
    """A home of sixteen people, of whom some fall into the split val, and the text encoder that it made."""
    home = make_tiny_home(tmp_path_factory.mktemp("sixteen") / "home", 16, ("T1w", "T2w"))
    runs: list[Run] = []
    told: list[tuple[int, str]] = []
    made = train_text_encoder(
        home, TINY, lambda step, n, split, measures: told.append((step, split)), device="cpu", started=runs.append
    )
    return home, made, runs, told


def test_a_training_makes_a_checkpoint_that_a_frozen_encoder_is_made_of(trained: Any) -> None:
    _, made, _, _ = trained
    config, tensors = read_model(made.path)
    encoder = FrozenTextEncoder.from_checkpoint(config, tensors)
    assert encoder.width == 16
    assert encoder.embed([PromptRecord("T1w"), PromptRecord("T2w")]).shape == (2, 16)
    assert {"text", "image"} <= config["architecture"].keys()
    assert config["box"] == {"shape": [12, 14, 12], "voxel_mm": 6.0}
    assert (config["kind"], config["recipe_id"], config["grid_mm"]) == ("text_encoder", "0123456789abcdef", 3.0)
    assert "simulated" in (made.path / CARD).read_text(encoding="utf-8")


def test_a_training_says_what_it_is_and_how_it_went(trained: Any) -> None:
    _, made, [run], told = trained
    assert (run.run_id, run.kind, run.data_id, run.is_resumed) == (made.run_id, "text_encoder", made.data_id, False)
    assert made.n_parameters == run.n_parameters > 0
    assert [step for step, split in told if split == "val"] == [0, 3, 6]
    assert np.isfinite(list(made.metrics.values())).all()
    assert {"val_loss", "initial_val_loss", "train_loss", "val_matching"} <= made.metrics.keys()


def test_the_same_training_is_the_same_model_and_another_seed_another(trained: Any, tmp_path: Any) -> None:
    home, made, _, _ = trained
    elsewhere = Home(tmp_path / "home")
    for name in ("lake", "warehouse", "volumes"):
        (elsewhere.root / name).parent.mkdir(exist_ok=True)
        (elsewhere.root / name).symlink_to(home.root / name)
    assert train_text_encoder(elsewhere, TINY, ignore, device="cpu").model_id == made.model_id
    other = train_text_encoder(elsewhere, TINY.model_copy(update={"seed": 1}), ignore, device="cpu")
    assert other.run_id != made.run_id
    assert other.model_id != made.model_id


def test_a_training_that_is_interrupted_goes_on_to_the_same_model(trained: Any, tmp_path: Any) -> None:
    home, made, _, _ = trained
    elsewhere = Home(tmp_path / "home")
    elsewhere.root.mkdir()
    for name in ("lake", "warehouse", "volumes"):
        (elsewhere.root / name).symlink_to(home.root / name)

    def killed(step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        if (step, split) == (3, "val"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_text_encoder(elsewhere, TINY, killed, device="cpu")
    runs: list[Run] = []
    assert train_text_encoder(elsewhere, TINY, ignore, device="cpu", started=runs.append).model_id == made.model_id
    assert runs[0].is_resumed


def test_a_batch_is_a_function_of_seed_and_step(tiny_home: Home) -> None:
    first, second, other = task(tiny_home), task(tiny_home), task(tiny_home, seed=5)
    second.loss(0)  # what was drawn before makes no difference
    assert float(first.loss(3)[0].detach()) == float(second.loss(3)[0].detach())
    assert float(first.loss(3)[0].detach()) != float(first.loss(4)[0].detach())
    assert float(first.loss(3)[0].detach()) != float(other.loss(3)[0].detach())


def test_the_loss_falls_when_a_network_learns(tiny_home: Home) -> None:
    learning = task(tiny_home, batch_size=8)
    before = learning.validate()["loss"]
    optimizer = torch.optim.Adam(learning.network.parameters(), lr=3e-3)
    for step in range(40):
        loss, _ = learning.loss(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert learning.validate()["loss"] < 0.6 * before


def test_fields_are_hidden_as_often_as_the_configuration_says(tiny_home: Home) -> None:
    hiding = task(tiny_home, batch_size=2000, field_dropout=0.3, bare_prompts=0.25)
    hidden = hiding._hidden(np.random.default_rng(0))
    places = list(FIELDS)
    bare = hidden.sum(1) >= len(FIELDS) - 1
    assert 0.2 < bare.mean() < 0.3
    assert not hidden[bare, places.index("contrast")].all()
    assert abs(hidden[~bare].mean() - 0.3) < 0.02


def test_a_false_copy_differs_in_one_number_by_ten_to_a_hundred_percent() -> None:
    record = PromptRecord("T1w", False, "GE", None, 3.0, 50.0, "F", (1.0, 1.0, 1.0), 2.0, 0.003, 0.9, 8.0)
    truth = encode_records([record] * 200)
    false = change_one(truth, np.random.default_rng(0))
    ratio = false.numbers / truth.numbers
    assert ((ratio - 1).abs() > 1e-6).sum(1).tolist() == [1] * 200
    changed = ratio[(ratio - 1).abs() > 1e-6].log().abs().numpy()
    assert np.log(1.1) - 1e-3 < changed.min() < changed.max() < np.log(2) + 1e-3
    columns = {NUMBERS[place].name for place in ((ratio - 1).abs() > 1e-6).nonzero()[:, 1].tolist()}
    assert columns == {"age_years", "repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg"}


def test_a_volume_is_varied_within_its_range_and_shape() -> None:
    volume = np.random.default_rng(0).random((12, 13, 14)).astype(np.float32)
    varied = [vary(volume, 0.5, np.random.default_rng(seed)) for seed in range(8)]
    assert all(one.shape == volume.shape and one.dtype == np.float32 for one in varied)
    assert all(-0.2 <= one.min() <= one.max() <= 1.2 for one in varied)
    assert not any(np.array_equal(varied[0], one) for one in varied[1:])


def test_people_to_validate_on_are_asked_for(tmp_path: Any) -> None:
    home = make_tiny_home(tmp_path / "home", 1)
    with pytest.raises(ModelError, match=r"the split (train|val) has no image"):
        train_text_encoder(home, TINY, ignore, device="cpu")
