"""Training that begins with a model: what is taken over of it, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from model.data.catalogue import CatalogueImages
from model.networks.checkpoint import read_model, save_model
from model.training.synthesis import train_synthesis
from model.training.trained import Trained
from tests.model.tiny_home import make_tiny_home
from tests.model.tiny_models import save_text_encoder
from tests.model.training.test_synthesis import TINY, ignore
from warehouse.errors import ModelError
from warehouse.lake.home import Home

STILL = {"learning_rate": 1e-9, "kernel_rate": 0.0, "weight_decay": 0.0, "average_decay": 0.0, "n_steps": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_tiny_home(tmp_path_factory.mktemp("begun") / "home", 16, ("T1w", "T2w"))


def train(home: Home, text_encoder: str | None = None, **changes: object) -> Trained:
    config = TINY.model_copy(update=changes)
    return train_synthesis(home, config, ignore, text_encoder=text_encoder, device="cpu")


@pytest.fixture(scope="module")
def before(home: Home) -> Trained:
    return train(home, save_text_encoder(home))


def facts(trained: Trained) -> dict[str, Any]:
    return read_model(trained.path)[0]


def unnamed(trained: Trained) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Return a checkpoint without its identity, to be saved under another one."""
    config, tensors = read_model(trained.path)
    return {key: value for key, value in config.items() if key != "model_id"}, tensors


@pytest.mark.slow
def test_weights_sizes_and_text_encoder_are_those_of_the_model(home: Home, before: Trained) -> None:
    begun = train(home, init=before.model_id, compact=type(TINY.compact)(), **STILL)
    old, new = read_model(before.path)[1], read_model(begun.path)[1]
    assert old.keys() == new.keys()
    for name in old:
        torch.testing.assert_close(new[name], old[name], atol=1e-6, rtol=0)
    assert facts(begun)["architecture"] == facts(before)["architecture"]
    assert facts(begun)["text_encoder"] == facts(before)["text_encoder"]
    assert facts(begun)["init"] == before.model_id


@pytest.mark.slow
def test_a_begun_training_changes_the_weights(home: Home, before: Trained) -> None:
    begun = train(home, init=before.model_id, seed=1)
    old, new = read_model(before.path)[1], read_model(begun.path)[1]
    assert any((old[name] != new[name]).any() for name in old if name.startswith("network."))


@pytest.mark.slow
def test_the_model_is_a_part_of_the_identity_of_the_run_and_its_name_is_not(home: Home, before: Trained) -> None:
    by_name = train(home, init=before.model_id, **STILL)
    by_path = train(home, init=str(before.path), **STILL)
    fresh = train(home, save_text_encoder(home), **STILL)
    assert by_name.run_id == by_path.run_id != fresh.run_id


@pytest.mark.slow
def test_people_scales_and_ranges_of_the_model_are_remembered(home: Home, before: Trained) -> None:
    config, tensors = unnamed(before)
    config["trained_on"] = {"people": ["f" * 64], "scans": []}
    config["relative_spread"] = {"FLAIR": 0.5}
    config["trained_ranges"] = {"contrasts": {"FLAIR": {"echo_time_s": [0.1, 0.2]}}, "all": {"age_years": [3.0, 4.0]}}
    other, _ = save_model(home, "synthesis", tensors, config, {})
    found = facts(train(home, init=other, **STILL))
    assert "f" * 64 in found["trained_on"]["people"]
    assert len(found["trained_on"]["people"]) > 1
    assert set(found["relative_spread"]) == {"FLAIR", "T1w", "T2w"}
    assert found["trained_ranges"]["contrasts"]["FLAIR"] == {"echo_time_s": [0.1, 0.2]}
    assert found["trained_ranges"]["all"]["age_years"][0] == 3.0


def test_another_text_encoder_than_the_models_is_refused(home: Home, before: Trained) -> None:
    other, _ = save_model(home, "text_encoder", read_model(home.models / save_text_encoder(home))[1], {}, {})
    with pytest.raises(ModelError, match="has learned the embeddings"):
        train(home, other, init=before.model_id)


def test_its_own_text_encoder_may_be_named_also_by_a_folder_of_another_name(
    home: Home, before: Trained, tmp_path: Path
) -> None:
    copy = shutil.copytree(home.models / save_text_encoder(home), tmp_path / "copy")
    assert facts(train(home, str(copy), init=before.model_id, **STILL))["init"] == before.model_id


def test_a_model_for_voxels_of_another_size_is_refused(home: Home, before: Trained) -> None:
    config, tensors = unnamed(before)
    other, _ = save_model(home, "synthesis", tensors, config | {"grid_mm": 1.0}, {})
    with pytest.raises(ModelError, match="is for volumes of 1 mm, and those of the recipe have 3 mm"):
        train(home, init=other)


def test_patches_that_do_not_fit_the_model_are_refused(home: Home, before: Trained) -> None:
    with pytest.raises(ModelError, match="does not suit") as refusal:
        train(home, init=before.model_id, patch_voxels=11)
    assert "patch_voxels" in refusal.value.remedy


def test_a_model_that_is_not_there_is_refused(home: Home) -> None:
    with pytest.raises(ModelError, match="there is no model"):
        train(home, init="0123456789abcdef")


def test_people_of_the_centres_that_are_named_alone_are_learned_from(home: Home) -> None:
    splits = ["train", "test_external"]
    everybody = CatalogueImages.open(home, "draft", splits)
    some = CatalogueImages.open(home, "draft", splits, centers=["omega"])
    assert {item.center_id for item in everybody.items} == {"alpha", "omega"}
    assert {item.center_id for item in some.items} == {"omega"}
    assert 0 < len(some.pairs) < len(everybody.pairs)
    with pytest.raises(ModelError, match="no centre of the catalogue is called nowhere"):
        CatalogueImages.open(home, "draft", ["train"], centers=["nowhere"])
