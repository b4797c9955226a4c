"""A training that holds out a fold learns from everybody else, and nothing of it is made of the fold's people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data import fine_heads
from model.data.catalogue import CatalogueImages, training_hashes
from model.data.folds import CROSS_VALIDATION, DEALT
from model.networks.checkpoint import read_model, save_model
from model.networks.weights import resolve
from model.simulation.head import make_head
from model.training.config import SynthesisTraining, run_id
from model.training.people import people_of, refuse_known
from model.training.synthesis import train_synthesis
from model.training.trained import Run
from tests.model import tiny_home as homes
from tests.model.evaluation.native_home import rewrite
from tests.model.tiny_models import save_text_encoder
from tests.model.training.test_config import FACTS
from tests.model.training.test_synthesis import TINY, RealLab, healthy_center, ignore, train
from warehouse.centers.registry import register
from warehouse.errors import ModelError
from warehouse.lake.home import Home

SHARES = {"simulated_share": 0.5, "n_heads": 1, "n_real_heads": 99}


def holding_out(number: int, n_folds: int = 2, **more: object) -> SynthesisTraining:
    return SynthesisTraining.model_validate(TINY.model_dump() | {"held_out_fold": number, "n_folds": n_folds} | more)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Sixteen people who count as real, without lesions, with one simulated head that is quickly made."""
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "Lab", RealLab)
        made = homes.make_tiny_home(folder / "home", 16, ("T1w", "T2w"))
    register(made, healthy_center("alpha"), folder)
    return made


@pytest.fixture(autouse=True)
def quick_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_heads, "make_head", lambda subject, voxel_mm: make_head(subject, 6.0))


@pytest.mark.slow
def test_training_takes_the_people_of_all_internal_splits_but_those_of_the_fold(home: Home) -> None:
    internal = CatalogueImages.open(home, "draft", DEALT)
    split_of = {item.person_id: item.split for item in internal.items}
    learned_from: set[str] = set()
    for number in (0, 1):
        training, held_out = people_of(home, holding_out(number))
        people = {item.person_id for item in training.items}
        assert people | {item.person_id for item in held_out.items} == split_of.keys()
        assert not people & {item.person_id for item in held_out.items}
        learned_from |= people
    assert {split_of[person] for person in learned_from} == set(DEALT)


@pytest.mark.slow
def test_without_a_fold_they_are_those_of_the_splits_train_and_val(home: Home) -> None:
    training, validation = people_of(home, TINY)
    assert {item.split for item in training.items} == {"train"}
    assert {item.split for item in validation.items} == {"val"}


@pytest.mark.slow
def test_nothing_that_a_checkpoint_keeps_is_of_people_of_the_fold(home: Home) -> None:
    fold = {"held_out_fold": 1, "n_folds": 2}
    training, held_out = people_of(home, holding_out(1))
    facts = read_model(train(home, n_steps=1, **fold, **SHARES).path)[0]
    known, secret = training_hashes(training.items), training_hashes(held_out.items)
    assert facts["trained_on"] == known
    assert not set(facts["trained_on"]["people"]) & set(secret["people"])
    assert not set(facts["trained_on"]["scans"]) & set(secret["scans"])
    assert set(facts["real_heads"]) == set(known["people"])  # also of validation and test people of the catalogue
    assert (facts["training"]["held_out_fold"], facts["training"]["n_folds"]) == (1, 2)
    spreads = [item.scale.relative_spread for item in training.items if item.contrast_label == "T2w"]
    assert facts["relative_spread"]["T2w"] == pytest.approx(np.median(spreads))


@pytest.mark.slow
def test_scans_of_the_fold_decide_no_weight_and_are_what_the_curve_is_measured_on(home: Home) -> None:
    fold = {"held_out_fold": 0, "n_folds": 2, "seed": 3}
    first = train(home, **fold, **SHARES)
    (home.training / first.run_id).rename(home.training / "first")
    _, held_out = people_of(home, holding_out(0))
    rng = np.random.default_rng(0)
    for index, item in enumerate(held_out.items):
        shape = held_out.volume(index).voxels.shape
        rewrite(item.path, voxels=rng.uniform(0, 1, shape).astype(np.float16))
    second = train(home, **fold, **SHARES)
    assert second.model_id == first.model_id
    assert second.metrics["val_l1"] != first.metrics["val_l1"]
    assert second.metrics["train_loss"] == first.metrics["train_loss"]


def test_a_fold_is_part_of_a_runs_identity_and_no_fold_is_none() -> None:
    plain = TINY.model_dump(mode="json")
    for name in ("held_out_fold", "n_folds"):
        plain.pop(name)
    identities = {run_id("synthesis", holding_out(*fold), FACTS) for fold in ((0, 2), (1, 2), (0, 4))}
    assert len(identities | {run_id("synthesis", TINY, FACTS)}) == 4
    assert run_id("synthesis", TINY.model_copy(update={"n_folds": 9}), FACTS) == run_id("synthesis", TINY, FACTS)


@pytest.mark.parametrize(("number", "n_folds", "said"), [(4, 4, "none of 4 folds"), (0, 1, "n_folds"), (-1, 4, "fold")])
def test_a_fold_that_is_not_there_is_no_configuration(number: int, n_folds: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        holding_out(number, n_folds)


def encoder_that_knows(home: Home, images: CatalogueImages) -> str:
    config, tensors = read_model(resolve(home, save_text_encoder(home), "text_encoder"))
    facts = {"architecture": config["architecture"], "trained_on": training_hashes(images.items)}
    return save_model(home, "text_encoder", tensors, facts, {})[0]


@pytest.mark.slow
def test_a_text_encoder_that_knows_the_folds_people_is_refused_before_anything_is_trained(home: Home) -> None:
    runs = list[Run]()
    config = holding_out(1, 2, seed=8)
    training, held_out = people_of(home, config)
    knowing = encoder_that_knows(home, held_out)
    with pytest.raises(ModelError, match=f"are among those that model {knowing} was trained on") as refusal:
        train_synthesis(home, config, ignore, text_encoder=knowing, device="cpu", started=runs.append)
    assert "simulated_share: 1" in refusal.value.remedy
    assert not runs
    innocent = encoder_that_knows(home, training)
    train_synthesis(home, config, ignore, text_encoder=innocent, device="cpu", started=runs.append)
    assert runs
    train_synthesis(home, TINY, ignore, text_encoder=knowing, device="cpu")  # without folds as before


@pytest.mark.slow
def test_a_model_that_knows_the_folds_people_is_no_beginning(home: Home) -> None:
    knowing = train(home, n_steps=1, held_out_fold=1, n_folds=2)
    train(home, n_steps=1, held_out_fold=1, n_folds=2, init=knowing.model_id)
    with pytest.raises(ModelError, match=f"model {knowing.model_id} was trained on") as refusal:
        train(home, n_steps=1, held_out_fold=0, n_folds=2, init=knowing.model_id)
    assert "leave out init" in refusal.value.remedy


@pytest.mark.slow
def test_a_scan_of_the_fold_under_another_name_in_training_is_refused(home: Home) -> None:
    training, held_out = people_of(home, holding_out(0))
    before = {"model_id": "m"}
    refuse_known(held_out, training, before)
    twin = replace(held_out.items[0], person_id="another name", image_id="copy")
    training.items.append(twin)
    with pytest.raises(ModelError, match=r"0 people and 1 scans .* the new model") as refusal:
        refuse_known(held_out, training, before)
    assert "person_id" in refusal.value.remedy
    assert {item.split for item in held_out.items} == {CROSS_VALIDATION}


def test_external_people_are_in_no_fold(home: Home, tmp_path: Path) -> None:
    for number in (0, 1):
        assert not any(item.center_id == "omega" for images in people_of(home, holding_out(number))
                       for item in images.items)  # fmt: skip
