"""What the text encoder trains on: whole, coarse volumes beside their prompts, of which some fields are hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from model.data.boxes import BoxedImages
from model.data.catalogue import CatalogueImages, Item, training_hashes
from model.data.head_bank import TRAINING_PEOPLE, VALIDATION_PEOPLE, HeadBank, Told
from model.data.loader import BatchLoader
from model.data.matching import MatchingBatch, MatchingSource
from model.data.simulated_scans import SimulatedScans
from model.networks.checkpoint import save_model
from model.networks.device import choose_device, in_fast_layout
from model.networks.pair_encoder import PairEncoder, build
from model.training.config import TextEncoderTraining
from model.training.loop import Fitted, Progress, Report, fit
from model.training.processes import by_first, gather_rows, own_rows
from model.training.trained import Run, Trained, facts_of, new_run
from warehouse.errors import ModelError
from warehouse.lake.home import Home

KIND = "text_encoder"
N_VALIDATION_HEADS = 16
SCAN_SEED = 0  # of simulated scans; batches differ by the training's own seed


class Batches(Protocol):
    """What makes batches, as `MatchingSource` does."""

    def batch(self, step: int) -> MatchingBatch:
        """Return the batch of a step."""
        ...


class TextEncoderTask:
    """Learn which prompts are true of which images.

    Parameters
    ----------
    config : TextEncoderTraining
    training : Batches
    validation : list of MatchingBatch
        Measured as they are.
    device : str
    """

    kind = KIND

    def __init__(
        self, config: TextEncoderTraining, training: Batches, validation: list[MatchingBatch], device: str = "cpu"
    ) -> None:
        self.config, self.validation, self.device = config, validation, device
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.encoder: PairEncoder = build(config.sizes)
        self.network: nn.Module = self.encoder
        self.loader = BatchLoader(training, config.n_steps, config.n_workers)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the batch of a step; several processes share its images."""
        batch = self.loader.batch(step)
        own = batch.volumes[own_rows(len(batch.truth))].to(self.device)
        return self._measured(gather_rows(self.encoder.image_features(own)), batch)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the loss and its parts, averaged over batches of the same images each time."""
        found: list[dict[str, float]] = []
        for batch in self.validation:
            loss, measures = self._measured(self.encoder.image_features(batch.volumes.to(self.device)), batch)
            found.append({"loss": float(loss), **measures})
        return {name: sum(one[name] for one in found) / len(found) for name in found[0]} if found else {}

    def _measured(self, features: Tensor, batch: MatchingBatch) -> tuple[Tensor, dict[str, float]]:
        loss, parts = self.encoder.loss(features, batch)
        return loss, {name: float(part.detach()) for name, part in parts.items()}


def train_text_encoder(
    home: Home,
    config: TextEncoderTraining,
    report: Report,
    *,
    device: str | None = None,
    started: Callable[[Run], None] | None = None,
    progress: Progress = lambda done, total, loss: None,
    made: Told = lambda done, total: None,
) -> Trained:
    """Train both towers on images of the split train and on simulated scans, and keep them as one checkpoint.

    Parameters
    ----------
    home : Home
    config : TextEncoderTraining
    report : callable
        As `model.training.loop.fit` has it.
    device : {"cpu", "cuda"}, optional
    started : callable, optional
        Told what starts, or goes on, before the first step.
    progress : callable, optional
        As `model.training.loop.fit` has it.
    made : callable, optional
        Called with simulated heads that are made, and in all, before the first step.

    Raises
    ------
    ModelError
        When there is nothing to train or to validate on, or the training fails.
    """
    device = choose_device(device)
    images = _images(home, config, "train")
    task = TextEncoderTask(config, *_sources(home, config, images, made), device)
    in_fast_layout(task.network)
    is_simulated = config.simulated_share == 1 or images.is_simulated
    run = new_run(home, KIND, config, images, task.network, device, is_simulated=is_simulated)
    if started:
        started(run)
    with task.loader:
        fitted = fit(task, config.fit_settings(device, run.precision), home.training / run.run_id, report, progress)
    facts, card = _facts(config, images, run), _card(config, images, fitted, run)
    model_id, path = by_first(lambda: save_model(home, KIND, task.network.state_dict(), facts, card))
    counts = {"n_parameters": run.n_parameters, "n_steps": fitted.n_steps}
    return Trained(
        model_id, path, run.run_id, KIND, run.data_id, **counts, seconds=fitted.seconds, metrics=fitted.metrics
    )


def _images(home: Home, config: TextEncoderTraining, split: str, snapshot: str | None = None) -> CatalogueImages:
    images = CatalogueImages.open(home, config.recipe, [split], cache_bytes=0, snapshot=snapshot)
    if not images.items and config.simulated_share < 1:
        what = f"the split {split} has no image that recipe {config.recipe!r} has harmonised"
        raise ModelError(what, "ingest and harmonise more people: about a tenth of them falls into val")
    return images


def _sources(
    home: Home, config: TextEncoderTraining, training: CatalogueImages, made: Told
) -> tuple[MatchingSource, list[MatchingBatch]]:
    """Return what makes batches, and the batches that are measured: of other people, with complete prompts."""
    draws, held_out = config.draws, None
    boxed = validation = None
    if config.simulated_share < 1:
        boxed = BoxedImages(training, config.box)
        validation = BoxedImages(_images(home, config, "val", training.snapshot_id), config.box)
    else:
        bank = heads(home, config, VALIDATION_PEOPLE, min(config.n_heads, N_VALIDATION_HEADS), made)
        held_out = SimulatedScans(bank, SCAN_SEED, config.wide_share)
    bank = HeadBank(home.heads, TRAINING_PEOPLE, config.n_heads, config.box)
    if config.simulated_share > 0:
        bank = heads(home, config, TRAINING_PEOPLE, config.n_heads, made)
    scans = SimulatedScans(bank, SCAN_SEED, config.wide_share, config.faults)
    complete = MatchingSource(draws.complete(), validation, held_out)
    n_batches = max(1, config.n_validation // config.batch_size)
    return MatchingSource(draws, boxed, scans), [complete.batch(number) for number in range(n_batches)]


def heads(home: Home, config: TextEncoderTraining, people: int, n_heads: int, made: Told) -> HeadBank:
    """Return simulated heads of the home, made where they are absent."""
    bank = HeadBank(home.heads, people, n_heads, config.box)
    by_first(lambda: bank.fill(told=made))
    return bank


def _facts(config: TextEncoderTraining, images: CatalogueImages, run: Run) -> dict[str, Any]:
    """Return what the checkpoint says of itself."""
    return facts_of(config, images, run) | {
        "architecture": config.sizes,
        "box": {"shape": list(config.box_voxels), "voxel_mm": config.box_mm},
        "trained_on": training_hashes(_seen(config, images)),
    }


def _seen(config: TextEncoderTraining, images: CatalogueImages) -> list[Item]:
    """Return the catalogue's images that are learned from."""
    return images.items if config.simulated_share < 1 else []


def _card(config: TextEncoderTraining, images: CatalogueImages, fitted: Fitted, run: Run) -> dict[str, Any]:
    limits = ["It knows the contrasts and the ranges of parameters that it was trained on, and no others."]
    if run.is_simulated:
        limits.insert(0, "Every image that it was trained on is simulated.")
    seen = _seen(config, images)
    data = {
        "images": len(seen),
        "contrasts": ", ".join(sorted({item.contrast_label for item in seen})),
        "people": len({item.person_id for item in seen}),
        "centres": len({item.center_id for item in seen}),
        "images left out, since harmonisation flagged them": images.n_flagged,
        "simulated heads": config.n_heads if config.simulated_share else 0,
        "share of simulated images": config.simulated_share,
        "data_id": images.data_id,
        "recipe_id": images.recipe_id,
    }
    return {
        "What it does": "Turns a prompt about a brain MRI into a vector that lies near those of scans it is true of.",
        "Limits": limits,
        "Trained on": data,
        "Training": {
            "configuration": config.name,
            "architecture": config.architecture,
            "run": run.run_id,
            "steps": fitted.n_steps,
            "seed": run.seed,
            "precision": run.precision,
        },
        "Figures of the training, not of an evaluation": fitted.metrics,
    }
