"""A text encoder is trained on the split train, keeps what it is, and can be stopped at any time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model.data.boxes import BoxedImages
from model.data.catalogue import CatalogueImages
from model.data.matching import MatchingSource
from model.networks.checkpoint import CARD, read_model
from model.networks.field_tokens import FieldTowerConfig
from model.networks.fields import FieldsConfig
from model.networks.image_tower import ImageTowerConfig
from model.networks.pair_encoder import FrozenTextEncoder, Matcher
from model.networks.reference import ReferenceConfig
from model.training import text_encoder
from model.training.config import TextEncoderTraining
from model.training.text_encoder import TextEncoderTask, train_text_encoder
from model.training.trained import Run, Trained
from tests.model.data.small_bank import SmallBank
from tests.model.tiny_home import make_tiny_home
from warehouse.errors import ModelError
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

pytestmark = pytest.mark.slow  # its fixtures take seconds

TINY = TextEncoderTraining(
    name="tiny",
    recipe="draft",
    n_steps=6,
    batch_size=4,
    learning_rate=0.003,
    warm_up=2,
    save_every=2,
    validate_every=3,
    fields=FieldsConfig(
        FieldTowerConfig(width=16, n_layers=1, n_heads=2, n_frequencies=4),
        ImageTowerConfig(width=16, patch_voxels=2, n_intensity_bins=6, channels=4, n_levels=2, n_queries=2),
    ),
    box_voxels=(12, 14, 12),
    box_mm=6.0,
    simulated_share=0.0,
    n_candidates=4,
    n_workers=0,
    n_validation=4,
)


def ignore(*_: object) -> None:
    """Report to nobody."""


def task(home: Home, **changes: Any) -> TextEncoderTask:
    config = TINY.model_copy(update=changes)
    images = [CatalogueImages.open(home, "draft", [split]) for split in ("train", "test_external")]
    training, validation = (BoxedImages(one, config.box) for one in images)
    measured = [MatchingSource(config.draws.complete(), validation, None).batch(0)]
    return TextEncoderTask(config, MatchingSource(config.draws, training, None), measured)


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
    assert config["architecture"]["name"] == "fields"
    assert Matcher(config, tensors).embed_records([PromptRecord("T1w")]).shape == (1, 16)
    assert config["box"] == {"shape": [12, 14, 12], "voxel_mm": 6.0}
    assert (config["kind"], config["recipe_id"], config["grid_mm"]) == ("text_encoder", "0123456789abcdef", 3.0)
    assert "simulated" in (made.path / CARD).read_text(encoding="utf-8")


def test_a_training_says_what_it_is_and_how_it_went(trained: Any) -> None:
    _, made, [run], told = trained
    assert (run.run_id, run.kind, run.data_id) == (made.run_id, "text_encoder", made.data_id)
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
    steps: list[int] = []
    again = train_text_encoder(
        elsewhere, TINY, ignore, device="cpu", progress=lambda done, total, loss: steps.append(done)
    )
    assert again.model_id == made.model_id
    assert steps == [3, 4, 5, 6]  # a state is saved every second step


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
    assert learning.validate()["loss"] < 0.7 * before


def test_the_papers_encoder_is_trained_and_used_in_the_same_way(trained: Any) -> None:
    home, _, _, _ = trained
    sizes = ReferenceConfig(embed_width=16, text_width=16, text_layers=1, text_heads=2, image_width=2, stem_stride=1)
    changes = {"architecture": "reference", "reference": sizes, "box_voxels": (16, 18, 16), "n_steps": 2}
    made = train_text_encoder(home, TINY.model_copy(update=changes), ignore, device="cpu")
    config, tensors = read_model(made.path)
    assert config["architecture"]["name"] == "reference"
    assert config["architecture"]["box_voxels"] == [16, 18, 16]  # that of the training
    records = [PromptRecord("T1w"), PromptRecord("T2w", echo_time_s=0.09)]
    assert FrozenTextEncoder.from_checkpoint(config, tensors).embed(records).shape == (2, 16)
    assert Matcher(config, tensors).embed_volumes([np.zeros((16, 18, 16), np.float32)]).shape == (1, 16)


def test_simulated_scans_alone_need_no_image_and_nobody_is_trained_on(
    trained: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, made, _, _ = trained
    monkeypatch.setattr(text_encoder, "HeadBank", lambda folder, seed, n_heads, box: small_bank(seed, n_heads, box))
    config = TINY.model_copy(update={"simulated_share": 1.0, "n_heads": 2, "scans_per_head": 2})
    alone = train_text_encoder(home, config, ignore, device="cpu")
    assert alone.model_id != made.model_id
    facts, _ = read_model(alone.path)
    assert facts["trained_on"] == {"people": [], "scans": []}
    assert facts["is_simulated"]


def small_bank(seed: int, n_heads: int, box: Any) -> Any:
    bank = SmallBank(seed, n_heads, box)
    object.__setattr__(bank, "fill", lambda told: told(n_heads, n_heads))
    return bank


def test_people_to_validate_on_are_asked_for(tmp_path: Any) -> None:
    home = make_tiny_home(tmp_path / "home", 1)
    with pytest.raises(ModelError, match=r"the split (train|val) has no image"):
        train_text_encoder(home, TINY, ignore, device="cpu")
