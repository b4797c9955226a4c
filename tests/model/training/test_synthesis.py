"""A synthesis model is trained on the split train, keeps its text encoder, and can be stopped at any time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from model.data import fine_heads
from model.data.catalogue import CatalogueImages, Source
from model.data.patches import Patch, PatchBatch, Patches
from model.inference.synthesize import load_synthesizer
from model.networks.checkpoint import CARD, read_model
from model.networks.synthesis.compact import CompactConfig
from model.networks.synthesis.reference import ReferenceConfig
from model.simulation.head import make_head
from model.training.config import SynthesisTraining
from model.training.examples import FOLDER, MOST, newest
from model.training.losses import synthesis_loss
from model.training.synthesis import (
    LEAST_DENSITY,
    SynthesisTask,
    _square,
    choose_pairs,
    has_equations,
    train_synthesis,
)
from model.training.trained import Run, Trained
from tests.model import tiny_home as homes
from tests.model.data.native_scans import Few, few, placed
from tests.model.data.small_fine_heads import SmallFineHeads
from tests.model.tiny_home import make_tiny_home
from tests.model.tiny_models import save_text_encoder
from tests.warehouse.conftest import Lab
from warehouse.centers.registry import Center, Layout, register
from warehouse.errors import ModelError
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

TINY = SynthesisTraining(
    name="tiny",
    recipe="draft",
    n_steps=6,
    batch_size=2,
    learning_rate=0.005,
    warm_up=2,
    save_every=2,
    validate_every=3,
    compact=CompactConfig(
        widths=(4, 6), blocks=(1, 1), condition_width=8, n_knots=6, full_width=2, latent_width=4, max_scans=2
    ),
    patch_voxels=12,
    n_validation=2,
)


def ignore(*_: object) -> None:
    """Report to nobody."""


def embed(records: Any) -> torch.Tensor:
    """Embed the contrast alone."""
    known = [None, "T1w", "T2w", "FLAIR"]
    return torch.nn.functional.one_hot(torch.tensor([known.index(one.contrast) for one in records]), 4).float()


def task(scans: Few | None = None, **changes: object) -> SynthesisTask:
    training, validation = scans or few(), few(n_sessions=2)
    config = TINY.model_copy(update=changes)
    return SynthesisTask(config, (training, training.pairs), (validation, validation.pairs), embed, 4, 3.0)


@pytest.fixture(scope="module")
def home_with_people(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home of sixteen people, of whom one with two contrasts falls into the split val."""
    return make_tiny_home(tmp_path_factory.mktemp("sixteen") / "home", 16, ("T1w", "T2w"))


def encoder_of(home: Home) -> str:
    """Return the identity of the text encoder of these tests; the same one is kept once, however often it is saved."""
    return save_text_encoder(home)


def train(home: Home, report: Any = ignore, made: Any = ignore, **changes: object) -> Trained:
    config, encoder = TINY.model_copy(update=changes), encoder_of(home)
    return train_synthesis(home, config, report, text_encoder=encoder, device="cpu", made=made)


@pytest.mark.slow
def test_one_batch_can_be_overfitted() -> None:
    learner = task(patch_voxels=8, gamma=0.0, field_dropout=0.0, source_dropout=0.0)
    optimizer = torch.optim.AdamW(learner.network.parameters(), lr=0.02)
    first = None
    for _ in range(50):
        loss, measures = learner.loss(0)
        first = first or measures["l1"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert measures["l1"] < 0.2 * first


def test_the_loss_of_a_step_is_the_same_each_time() -> None:
    one, other = task(), task()
    other.loss(5)
    assert torch.equal(one.loss(3)[0], other.loss(3)[0])


def test_validation_is_on_the_same_patches_each_time_and_on_pairs_of_two_contrasts() -> None:
    learner = task(n_validation=100, noise=1.0, field_dropout=0.5, several_share=1.0)
    with torch.no_grad():
        measures, again = learner.validate(), learner.validate()
    assert measures.keys() == {"l1", "ssim", "psnr_db"}
    assert measures == again
    assert learner.validation is not None
    items = learner.validation.scans.items
    assert all(items[one].contrast_label != items[other].contrast_label for one, other in learner.validation_pairs)
    patch = learner.validation.patch(np.random.default_rng(0))
    assert patch.record in [item.record for item in items]  # nothing is hidden
    assert len(patch.given) == 1


def test_measures_are_on_the_scale_of_the_brain_and_inside_it() -> None:
    patch = few_patch()
    worse = torch.from_numpy(patch.target)[None, None] + 0.1 * patch.span
    worse[0, 0][torch.from_numpy(~patch.mask)] += 5
    assert _square(worse, patch) == pytest.approx(0.01, rel=1e-3)
    _, l1, _ = synthesis_loss(worse, patch, ssim_weight=0.0, volume_weight=0.0)
    assert float(l1) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("is_stripped", [True, False])
def test_there_is_nothing_to_learn_around_a_stripped_brain(is_stripped: bool) -> None:
    patch = replace(few_patch(), is_stripped=is_stripped)
    right = torch.from_numpy(patch.target)[None, None]
    wrong = right.clone()
    wrong[0, 0][torch.from_numpy(~patch.mask)] += 5
    losses = [synthesis_loss(made, patch, ssim_weight=1.0, volume_weight=1.0)[0] for made in (right, wrong)]
    assert float(losses[0]) == pytest.approx(0, abs=1e-4)
    assert (float(losses[1] - losses[0]) > 0.1) is not is_stripped


def few_patch() -> Patch:
    scans = few()
    made = Patches(scans, scans.pairs, seed=0, batch_size=1, side=8, voxel_mm=3.0)
    return made.patch_of([0], 1, np.random.default_rng(0))


def all_made(learner: SynthesisTask, batch: PatchBatch, rows: slice) -> list[tuple[torch.Tensor, Patch]]:
    latent, wanted = learner._latent(batch, rows)
    patches = enumerate(batch.patches[rows])
    return [(learner.network.decode(latent[n : n + 1], wanted.of(n), patch.at), patch) for n, patch in patches]


def test_every_patch_counts_alike_and_is_decoded_on_its_own_grid() -> None:
    scans = few()
    scans.grids = {index: placed(np.eye(3), (3.0, 3.0, 9.0), (12, 14, 6)) for index in range(1, len(scans.items), 2)}
    learner = task(scans, batch_size=6, several_share=1.0)
    batch = learner.loader.batch(0)
    assert len({patch.target.shape for patch in batch.patches}) > 1
    assert {len(patch.given) for patch in batch.patches} == {1, 2}
    with torch.no_grad():
        made = all_made(learner, batch, slice(0, 6))
        assert all(one.shape[2:] == patch.target.shape for one, patch in made)
        losses = [synthesis_loss(one, patch, ssim_weight=0.3, volume_weight=0.1)[0] for one, patch in made]
        alone = [all_made(learner, batch, slice(row, row + 1))[0][0] for row in range(6)]
    torch.testing.assert_close(learner.loss(0)[0], torch.stack(losses).mean())
    for (one, _), other in zip(made, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("architecture", ["compact", "reference"])
def test_each_architecture_learns_from_patches(architecture: str) -> None:
    reference = ReferenceConfig(channels=8, n_blocks=1, n_heads=2)
    learner = task(architecture=architecture, reference=reference, patch_voxels=8, several_share=1.0)
    loss, measures = learner.loss(0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert np.isfinite(float(loss.detach()))
    assert measures.keys() == {"l1", "ssim"}
    assert learner.architecture["name"] == architecture


def test_validation_takes_every_pair_of_contrasts_in_turn() -> None:
    scans = few(n_sessions=5)
    labels = [
        (scans.items[one].contrast_label, scans.items[other].contrast_label)
        for one, other in choose_pairs(scans, scans.pairs, 6, seed=0)
    ]
    assert len(set(labels)) == 6


@pytest.mark.slow
def test_a_picture_shows_a_validation_patch_of_each_pair_of_contrasts() -> None:
    learner = task(n_validation=100)
    with torch.no_grad():
        picture, again = learner.draw_examples(300), learner.draw_examples(300)
    assert picture == again
    assert picture is not None
    size = Image.open(BytesIO(picture)).size
    assert size[1] > MOST * 200  # T1w, T2w and FLAIR make six pairs
    alone = few(contrasts=("T1w",))
    blind = SynthesisTask(TINY, (few(), few().pairs), (alone, alone.pairs), embed, 4, 3.0)
    assert blind.draw_examples(300) is None


@pytest.mark.slow
def test_examples_lie_beside_the_state_and_decide_nothing_of_the_run(home_with_people: Home) -> None:
    without = train(home_with_people, n_steps=4, examples_every=0)
    folder = home_with_people.training / without.run_id
    assert newest(folder) is None
    folder.rename(home_with_people.training / "without")
    trained = train(home_with_people, n_steps=4, examples_every=3)
    assert trained.run_id == without.run_id
    found = [path.name for path in sorted((folder / FOLDER).iterdir())]
    assert found == ["step_000000.png", "step_000003.png", "step_000004.png"]
    first, last = (read_model(one.path)[1] for one in (without, trained))
    assert all(torch.equal(tensor, last[name]) for name, tensor in first.items())


@pytest.mark.slow
def test_without_pairs_to_validate_on_nothing_is_measured(tiny_home: Home) -> None:
    alone = few(contrasts=("T1w",))
    assert choose_pairs(alone, alone.pairs, 3, seed=0) == []
    trained = train(tiny_home, n_steps=1)
    assert "train_l1" in trained.metrics
    assert not any("val" in name for name in trained.metrics)
    assert "| pairs validated on | 0 |" in (trained.path / CARD).read_text()


@pytest.mark.slow
def test_a_checkpoint_works_alone_and_says_what_it_is(home_with_people: Home) -> None:
    home, runs = home_with_people, list[Run]()
    trained = train_synthesis(home, TINY, ignore, text_encoder=encoder_of(home), device="cpu", started=runs.append)
    config, tensors = read_model(trained.path)
    assert {name.split(".")[0] for name in tensors} == {"network", "text_encoder"}
    assert config["text_encoder"]["model_id"] == encoder_of(home)
    assert (config["grid_mm"], config["seed"], config["run_id"]) == (3.0, 0, trained.run_id)
    assert {"data_id", "snapshot_id", "recipe_id", "training_code"} <= config.keys()
    assert "simulated" in (trained.path / CARD).read_text()
    [run] = runs
    assert (run.run_id, run.is_simulated) == (trained.run_id, True)
    images = CatalogueImages.open(home, "draft", ["train"])
    sample, record = images.volume(0), images.items[0].record
    loaded = load_synthesizer(home, trained.model_id, "cpu")
    made = loaded.volume([Source(sample.voxels, sample.mask, record)], PromptRecord(contrast="T2w"))
    assert made.shape == sample.voxels.shape
    assert np.isfinite(made).all()
    spreads = [item.scale.relative_spread for item in images.items if item.contrast_label == "T2w"]
    assert loaded.relative_spread["T2w"] == pytest.approx(np.median(spreads))


@pytest.mark.slow
def test_a_training_that_was_interrupted_makes_the_same_model(home_with_people: Home) -> None:
    def stop(step: int, *_: object) -> None:
        if step == 5:
            raise KeyboardInterrupt

    straight = train(home_with_people, seed=1)
    (home_with_people.training / straight.run_id).rename(home_with_people.training / "aside")
    with pytest.raises(KeyboardInterrupt):
        train(home_with_people, stop, seed=1)
    resumed = train(home_with_people, seed=1)
    assert resumed.model_id == straight.model_id
    assert resumed.metrics == straight.metrics


@pytest.mark.slow
def test_what_is_measured_before_and_after_is_told(home_with_people: Home) -> None:
    told: list[tuple[int, int, str, dict[str, float]]] = []
    trained = train(home_with_people, lambda *one: told.append(one), seed=2)
    assert [(step, split) for step, _, split, _ in told if split == "val"] == [(0, "val"), (3, "val"), (6, "val")]
    assert {"initial_val_l1", "val_l1", "val_ssim", "val_psnr_db", "train_loss", "train_l1"} <= trained.metrics.keys()
    assert trained.n_steps == 6
    assert trained.n_parameters > 1000


def test_without_a_text_encoder_it_is_said_how_to_train_one(tiny_home: Home) -> None:
    with pytest.raises(ModelError, match="no champion of kind text_encoder") as refusal:
        train_synthesis(tiny_home, TINY, ignore, device="cpu")
    assert "tumsyn train text-encoder" in refusal.value.remedy


def any_embedding(records: Any) -> torch.Tensor:
    return torch.tensor([[float(one.contrast == label) for label in ("T1w", "T2w", "FLAIR", None)] for one in records])


def with_heads(share: float = 1.0, **changes: object) -> SynthesisTask:
    """A task on simulated heads of 4 mm beside few scans."""
    training = few()
    config = TINY.model_copy(update={"simulated_share": share, **changes})
    return SynthesisTask(
        config, (training, training.pairs), (training, training.pairs), any_embedding, 4, 4.0, heads=SmallFineHeads()
    )


def test_simulated_patches_teach_the_tissue_parameters() -> None:
    learner, blind = with_heads(map_weight=10.0), with_heads(map_weight=0.0)
    assert learner.network.has_maps
    loss, without = (float(one.loss(0)[0].detach()) for one in (learner, blind))
    assert loss > without + 0.1
    learner.loss(0)[0].backward()  # type: ignore[no-untyped-call]
    head = learner.network.get_submodule("map_head.to_parameters")
    assert all(one.grad is not None and one.grad.any() for one in head.parameters())


def test_maps_of_air_teach_nothing() -> None:
    learner = with_heads()
    patch = learner.loader.batch(0).patches[0]
    assert patch.maps is not None
    latent = torch.randn(1, 5, *patch.maps.shape[1:])
    changed = patch.maps.copy()
    changed[1:, patch.maps[0] <= LEAST_DENSITY] = 1e6
    air = replace(patch, maps=np.zeros_like(patch.maps))
    with torch.no_grad():
        apart = [float(learner._maps_apart(latent, replace(patch, maps=maps))) for maps in (patch.maps, changed)]
        assert apart[0] == apart[1] > 0
        assert float(learner._maps_apart(latent, air)) == 0
        assert float(learner._maps_apart(latent, replace(patch, maps=None))) == 0


def test_a_network_that_sees_no_known_sequence_is_built_without_equations() -> None:
    scans = few()
    assert task(scans).network.has_maps == has_equations([item.record for item in scans.items])
    bare = few()
    bare.items = [replace(item, record=PromptRecord(contrast=item.record.contrast)) for item in bare.items]
    learner = task(bare)
    assert not learner.network.has_maps
    assert learner.architecture["has_equations"] is False
    assert with_heads(share=0.5).network.has_maps


class RealLab(Lab):
    """A lake whose centres are real ones."""

    def center(self, center_id: str, role: str = "internal", **more: object) -> None:
        """Add a centre."""
        super().center(center_id, role, **more | {"is_simulated": False})


def healthy_center(center_id: str) -> Center:
    return Center(center_id=center_id, title=center_id, lesions="none", layout=Layout(kind="bids"))


@pytest.mark.slow
def test_simulated_heads_are_kept_in_the_home(home_with_people: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_heads, "make_head", lambda subject, voxel_mm: make_head(subject, 6.0))
    told: list[tuple[int, int]] = []
    trained = train(
        home_with_people, made=lambda *counts: told.append(counts), simulated_share=0.5, n_heads=1, n_steps=1
    )
    assert told[-1] == (1, 1)
    assert len(list(home_with_people.heads.rglob("*.npy"))) >= 1
    assert read_model(trained.path)[0]["architecture"]["has_equations"] is True
    assert read_model(trained.path)[0]["real_heads"] == []


@pytest.mark.slow
def test_brains_of_training_people_are_told_and_kept_in_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_heads, "make_head", lambda subject, voxel_mm: make_head(subject, 6.0))
    monkeypatch.setattr(homes, "Lab", RealLab)
    home = homes.make_tiny_home(tmp_path / "home", 12, ("T1w", "T2w"))
    register(home, healthy_center("alpha"), tmp_path)
    told: list[tuple[int, int]] = []
    shares = {"simulated_share": 0.5, "n_heads": 1, "n_real_heads": 3}
    trained = train(home, made=lambda *counts: told.append(counts), n_steps=1, **shares)
    assert [told[0], told[-1]] == [(0, 4), (4, 4)]
    assert len(list((home.heads / "real").glob("head-*-brain.npy"))) == 3
    facts = read_model(trained.path)[0]
    people = {item.person_id for item in CatalogueImages.open(home, "draft", ["train"]).items}
    hashes = {hashlib.sha256(person.encode()).hexdigest() for person in people}
    assert len(facts["real_heads"]) == 3
    assert set(facts["real_heads"]) <= hashes == set(facts["trained_on"]["people"])
