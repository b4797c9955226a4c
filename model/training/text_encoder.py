"""What the text encoder trains on: whole, coarse volumes beside their prompts, of which some fields are hidden."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages, training_hashes
from model.data.crops import change_contrast
from model.data.prompt_fields import FIELDS, NUMBERS, FieldBatch, encode_records
from model.networks.checkpoint import save_model
from model.networks.contrastive import Contrastive, ContrastiveConfig
from model.networks.device import choose_device
from model.networks.image_tower import ImageTowerConfig
from model.networks.text_encoder import TextEncoderConfig
from model.training.config import TextEncoderTraining, run_id
from model.training.loop import Fitted, Progress, Report, fit
from model.training.state import precision_of_training
from model.training.trained import Run, Trained, training_code
from warehouse.errors import ModelError
from warehouse.lake.home import Home
from warehouse.provenance import release

KIND = "text_encoder"
# One of these is made wrong in a copy of each prompt, so that a contrast alone does not tell which prompt is true.
CHANGED = ("age_years", "repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg")
SHIFT_VOXELS = 2  # largest displacement of a volume in its box
GAMMA = 0.1  # largest change of the exponent of intensities


class TextEncoderTask:
    """Learn which prompts are true of which images.

    Parameters
    ----------
    config : TextEncoderTraining
    training, validation : BoxedImages
    device : str
    """

    kind = KIND

    def __init__(
        self, config: TextEncoderTraining, training: BoxedImages, validation: BoxedImages, device: str = "cpu"
    ) -> None:
        self.config, self.training, self.validation, self.device = config, training, validation, device
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.network: nn.Module = Contrastive(architecture_of(config))
        self.truth = encode_records([item.record for item in training.images.items])
        labels = np.array([item.contrast_label for item in training.images.items])
        self.by_contrast = [np.flatnonzero(labels == label) for label in np.unique(labels)]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, a function of seed and step: every contrast is drawn as often as any other."""
        random = np.random.default_rng((self.config.seed, step))
        contrasts = random.integers(len(self.by_contrast), size=self.config.batch_size)
        rows = np.array([random.choice(self.by_contrast[contrast]) for contrast in contrasts])
        volumes = np.stack([self._varied(row, random) for row in rows])
        truth = self.truth[torch.from_numpy(rows)]
        hidden = torch.from_numpy(self._hidden(random))
        true, false = truth.hide(hidden), change_one(truth, random).hide(hidden)
        prompts = FieldBatch(torch.cat([true.numbers, false.numbers]), torch.cat([true.categories, false.categories]))
        return self._measure(volumes, prompts, truth)

    def _varied(self, row: int, random: np.random.Generator) -> NDArray[np.float32]:
        spread = self.training.images.items[row].scale.relative_spread
        return vary(self.training.volume(row), spread, random)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the loss and its parts with complete prompts and volumes as they are."""
        images = self.validation.images
        places = np.unique(np.linspace(0, len(images) - 1, min(self.config.n_validation, len(images))).astype(int))
        found: list[tuple[int, dict[str, float]]] = []
        for rows in np.array_split(places, -(-len(places) // self.config.batch_size)):
            truth = encode_records([images.items[row].record for row in rows])
            loss, measures = self._measure(np.stack([self.validation.volume(row) for row in rows]), truth, truth)
            found.append((len(rows), {"loss": float(loss), **measures}))
        total = sum(count for count, _ in found)
        return {name: sum(count * one[name] for count, one in found) / total for name in found[0][1]}

    def _measure(
        self, volumes: NDArray[np.float32], prompts: FieldBatch, truth: FieldBatch
    ) -> tuple[Tensor, dict[str, float]]:
        batch = torch.from_numpy(volumes)[:, None].to(self.device)
        matched, recovered = self.network(batch, prompts.to(self.device), truth.to(self.device))
        measures = {"matching": float(matched.detach())}
        measures |= {f"recovery_from_{name}": float(error.detach()) for name, error in recovered.items()}
        loss = self.config.match_weight * matched + self.config.recover_weight * sum(recovered.values())
        return loss, measures

    def _hidden(self, random: np.random.Generator) -> NDArray[np.bool_]:
        """Return which fields of each prompt are hidden."""
        shape = self.config.batch_size, len(FIELDS)
        hidden = random.random(shape) < self.config.field_dropout
        bare = random.random(self.config.batch_size) < self.config.bare_prompts
        hidden[bare] = [name != "contrast" for name in FIELDS]
        return hidden


def vary(volume: NDArray[np.float32], relative_spread: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a volume displaced, perhaps mirrored left to right, with slightly other intensities."""
    shift = random.integers(-SHIFT_VOXELS, SHIFT_VOXELS + 1, size=3)
    exponent = 1 + random.uniform(-GAMMA, GAMMA)
    moved = np.pad(volume, SHIFT_VOXELS, mode="edge")
    start = SHIFT_VOXELS + shift
    moved = moved[tuple(slice(first, first + length) for first, length in zip(start, volume.shape, strict=True))]
    return change_contrast(moved[::-1] if random.random() < 0.5 else moved, relative_spread, exponent)


def change_one(truth: FieldBatch, random: np.random.Generator) -> FieldBatch:
    """Return records of which one number each is false by 10 to 100 %; where it is missing, nothing is."""
    columns = [place for place, field in enumerate(NUMBERS) if field.name in CHANGED]
    rows, numbers = np.arange(len(truth)), truth.numbers.clone()
    chosen = random.choice(columns, size=len(truth))
    factors = np.exp(random.choice([-1, 1], len(truth)) * random.uniform(np.log(1.1), np.log(2), len(truth)))
    numbers[rows, chosen] *= torch.from_numpy(factors.astype(np.float32))
    return FieldBatch(numbers, truth.categories)


def architecture_of(config: TextEncoderTraining) -> ContrastiveConfig:
    """Return the networks that a configuration asks for."""
    text = TextEncoderConfig(config.width, config.n_layers, config.n_heads, config.n_frequencies)
    image = ImageTowerConfig(
        config.width, config.patch_voxels, config.tower_intensity_bins, config.tower_channels, config.tower_levels
    )
    return ContrastiveConfig(text, image)


def train_text_encoder(
    home: Home,
    config: TextEncoderTraining,
    report: Report,
    *,
    device: str | None = None,
    started: Callable[[Run], None] | None = None,
    progress: Progress = lambda done, total, loss: None,
) -> Trained:
    """Train both encoders on the images of the split train, and keep them as one checkpoint.

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

    Raises
    ------
    ModelError
        When there is nothing to train or to validate on, or the training fails.
    """
    device = choose_device(device)
    training, validation = _images(home, config)
    task = TextEncoderTask(config, training, validation, device)
    run = _run(home, config, training.images, device, task.network)
    if started:
        started(run)
    fitted = fit(task, config.fit_settings(device, run.precision), home.training / run.run_id, report, progress)
    facts = _facts(config, training.images, run)
    card = _card(config, training.images, fitted, run)
    model_id, path = save_model(home, KIND, task.network.state_dict(), facts, card)
    counts = {"n_parameters": run.n_parameters, "n_steps": fitted.n_steps}
    return Trained(
        model_id, path, run.run_id, KIND, run.data_id, **counts, seconds=fitted.seconds, metrics=fitted.metrics
    )


def _images(home: Home, config: TextEncoderTraining) -> tuple[BoxedImages, BoxedImages]:
    """Return the images that are learned from and those that are measured, of one snapshot."""
    box = Box(config.box_voxels, config.box_mm)
    training = CatalogueImages.open(home, config.recipe, ["train"], cache_bytes=0)
    validation = CatalogueImages.open(home, config.recipe, ["val"], cache_bytes=0, snapshot=training.snapshot_id)
    for images, split in ((training, "train"), (validation, "val")):
        if not images.items:
            what = f"the split {split} has no image that recipe {config.recipe!r} has harmonised"
            raise ModelError(what, "ingest and harmonise more people: about a tenth of them falls into val")
    return BoxedImages(training, box), BoxedImages(validation, box)


def _run(home: Home, config: TextEncoderTraining, images: CatalogueImages, device: str, network: nn.Module) -> Run:
    decisive = {"data_id": images.data_id, "recipe_id": images.recipe_id, "training_code": training_code(KIND)}
    identity = run_id(KIND, config, decisive)
    return Run(
        run_id=identity,
        kind=KIND,
        data_id=images.data_id,
        snapshot_id=images.snapshot_id,
        training_code=training_code(KIND),
        seed=config.seed,
        device=device,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        is_resumed=(home.training / identity).exists(),
        is_simulated=images.is_simulated,
        precision=precision_of_training(config.precision, device, home.training / identity),
    )


def _facts(config: TextEncoderTraining, images: CatalogueImages, run: Run) -> dict[str, Any]:
    """Return what the checkpoint says of itself."""
    return {
        "architecture": asdict(architecture_of(config)),
        "box": {"shape": list(config.box_voxels), "voxel_mm": config.box_mm},
        "training": config.model_dump(mode="json"),
        "data_id": images.data_id,
        "snapshot_id": images.snapshot_id,
        "recipe_id": images.recipe_id,
        "grid_mm": images.grid_mm,
        "training_code": run.training_code,
        "release": release(),
        "seed": config.seed,
        "run_id": run.run_id,
        "is_simulated": run.is_simulated,
        "trained_on": training_hashes(images.items),
        "precision": run.precision,
    }


def _card(config: TextEncoderTraining, images: CatalogueImages, fitted: Fitted, run: Run) -> dict[str, Any]:
    limits = ["It knows the contrasts and the ranges of parameters that it was trained on, and no others."]
    if run.is_simulated:
        limits.insert(0, "Every image that it was trained on is simulated: a demonstration, of no use for real scans.")
    data = {
        "images": len(images.items),
        "contrasts": ", ".join(sorted({item.contrast_label for item in images.items})),
        "people": len({item.person_id for item in images.items}),
        "centres": len({item.center_id for item in images.items}),
        "images left out, since harmonisation flagged them": images.n_flagged,
        "data_id": images.data_id,
        "recipe_id": images.recipe_id,
    }
    return {
        "What it does": "Turns a prompt about a brain MRI into a vector that lies near those of scans it is true of.",
        "Limits": limits,
        "Trained on": data,
        "Training": {
            "configuration": config.name,
            "run": run.run_id,
            "steps": fitted.n_steps,
            "seed": run.seed,
            "precision": run.precision,
        },
        "Figures of the training, not of an evaluation": fitted.metrics,
    }
