"""How the synthesis network learns: from crops of pairs, steered by the frozen text encoder's view of both prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.data.catalogue import CatalogueImages, training_hashes, united
from model.data.crops import Crops, ImageSource, brain_range, pairs_by_contrast
from model.data.loader import BatchLoader, n_workers
from model.evaluation.metrics import ssim_map
from model.networks.checkpoint import read_model, save_model
from model.networks.device import choose_device
from model.networks.film_unet import FilmUNet, FilmUNetConfig
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.weights import resolve
from model.training.config import SynthesisTraining
from model.training.loop import Fitted, Progress, Report, fit
from model.training.processes import by_first, gather_rows, own_rows
from model.training.trained import Run, Trained, facts_of, new_run
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.volumes import open_store

KIND = "synthesis"
Embed = Callable[[Sequence[PromptRecord]], Tensor]


class SynthesisTask:
    """Learn to turn sources into targets.

    Parameters
    ----------
    config : SynthesisTraining
    training, validation : ImageSource
        The latter gives whole volumes, the same each time.
    embed : callable
        From n records to (n, embedding_width); not trained.
    embedding_width : int
    device : str
    """

    kind = KIND

    def __init__(
        self,
        config: SynthesisTraining,
        training: ImageSource,
        validation: ImageSource,
        embed: Embed,
        embedding_width: int,
        device: str = "cpu",
    ) -> None:
        self.config, self.validation, self.embed, self.device = config, validation, embed, device
        self.architecture = FilmUNetConfig(
            embedding_width, config.widths, config.blocks, config.condition_width, config.n_intensity_bins
        )
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            network = FilmUNet(self.architecture)
        network.condition.standardise(embed([item.record for item in training.items]).cpu())
        self.network: nn.Module = network
        crops = Crops(
            training,
            seed=config.seed,
            batch_size=config.batch_size,
            side=config.crop_voxels,
            field_dropout=config.field_dropout,
            source_dropout=config.source_dropout,
            intensity_jitter=config.intensity_jitter,
        )
        workers = n_workers(config.n_workers, fits_in_memory=training.fits_in_memory, device=device)
        self.loader = BatchLoader(crops, config.n_steps, workers)
        self.validation_pairs = choose_pairs(validation, config.n_validation, config.seed)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch of crops."""
        batch = self.loader.batch(step).to(self.device)
        rows = own_rows(len(batch.source))
        prompts = self.embed(batch.source_records[rows]), self.embed(batch.target_records[rows])
        made = gather_rows(self.network(batch.source[rows], *prompts))
        weights = {"ssim_weight": self.config.ssim_weight, "volume_weight": self.config.volume_weight}
        return synthesis_loss(made, batch.target, batch.mask, (batch.low, batch.span), **weights)

    def validate(self) -> dict[str, float]:
        """Return L1 and PSNR in the brain on the scale of the target's, of whole volumes, averaged over pairs.

        Without a pair to validate on, as in a home of few people, there is nothing to return.
        """
        if not self.validation_pairs:
            return {}
        errors = [self._errors(source, target) for source, target in self.validation_pairs]
        l1, square = np.mean([one[0] for one in errors]), [one[1] for one in errors]
        return {"l1": float(l1), "psnr_db": float(np.mean(-10 * np.log10(np.maximum(square, 1e-10))))}

    def _errors(self, source: int, target: int) -> tuple[float, float]:
        images = self.validation
        one, other = images.volume(source), images.volume(target)
        records = images.items[source].record, images.items[target].record
        volume = torch.from_numpy(one.voxels)[None, None].to(self.device)
        made = self.network(volume, *(self.embed([record]) for record in records))[0, 0].float().cpu().numpy()
        inside = other.mask if other.mask.any() else np.ones_like(other.mask)
        difference = (made - other.voxels)[inside] / brain_range(other)[1]
        return float(np.abs(difference).mean()), float(np.square(difference).mean())


def choose_pairs(images: ImageSource, n_pairs: int, seed: int) -> list[tuple[int, int]]:
    """Return up to so many pairs of different contrasts, one of each pair of contrasts after the other."""
    random = np.random.default_rng(seed)
    groups = [
        [pairs[place] for place in random.permutation(len(pairs))]
        for (source, target), pairs in pairs_by_contrast(images).items()
        if source != target
    ]
    longest = max(map(len, groups), default=0)
    in_turn = [pairs[place] for place in range(longest) for pairs in groups if place < len(pairs)]
    return in_turn[:n_pairs]


def train_synthesis(
    home: Home,
    config: SynthesisTraining,
    report: Report,
    *,
    text_encoder: str | None = None,
    device: str | None = None,
    started: Callable[[Run], None] | None = None,
    progress: Progress = lambda done, total, loss: None,
) -> Trained:
    """Train a network on the pairs of the split train, and keep it with its text encoder as one checkpoint.

    Parameters
    ----------
    home : Home
    config : SynthesisTraining
    report : callable
        As `model.training.loop.fit` has it.
    text_encoder : str, optional
        Identity, alias or path; default: the home's champion.
    device : {"cpu", "cuda"}, optional
    started : callable, optional
        Told what starts, or goes on, before the first step.
    progress : callable, optional
        As `model.training.loop.fit` has it.

    Raises
    ------
    ModelError
        When there is no text encoder, nothing to train on, or the training fails.
    """
    device = choose_device(device)
    training = CatalogueImages.open(home, config.recipe, ["train"])
    named = resolve(home, text_encoder, "text_encoder", recipe=training.recipe_id)
    encoder_config, encoder_tensors = read_model(named)
    encoder = FrozenTextEncoder.from_checkpoint(encoder_config, encoder_tensors).to(device)
    validation = CatalogueImages.open(home, config.recipe, ["val"], snapshot=training.snapshot_id)
    task = SynthesisTask(config, training, validation, encoder.embed, encoder.width, device)
    is_simulated, told = training.is_simulated, {"text_encoder": encoder.model_id}
    run = new_run(home, KIND, config, training, task.network, device, is_simulated=is_simulated, **told)
    if started:
        started(run)
    with task.loader:
        fitted = fit(task, config.fit_settings(device, run.precision), home.training / run.run_id, report, progress)
    facts = _facts(config, training, run, task.architecture, encoder)
    facts["trained_on"] = united(training_hashes(training.items), encoder_config.get("trained_on", {}))
    tensors = {f"network.{name}": tensor for name, tensor in task.network.state_dict().items()}
    tensors |= {f"text_encoder.{name}": tensor for name, tensor in encoder.network.state_dict().items()}
    card = _card(config, training, task, fitted, run)
    model_id, path = by_first(lambda: save_model(home, KIND, tensors, facts, card))
    counts = {"n_parameters": run.n_parameters, "n_steps": fitted.n_steps}
    return Trained(
        model_id, path, run.run_id, KIND, training.data_id, **counts, seconds=fitted.seconds, metrics=fitted.metrics
    )


def _facts(
    config: SynthesisTraining,
    images: CatalogueImages,
    run: Run,
    architecture: FilmUNetConfig,
    encoder: FrozenTextEncoder,
) -> dict[str, Any]:
    """Return what the checkpoint says of itself."""
    return facts_of(config, images, run) | {
        "architecture": asdict(architecture),
        "text_encoder": {"model_id": encoder.model_id, "architecture": encoder.architecture},
        "preparation": _preparation(images),
        "relative_spread": relative_spreads(images),
    }


def _preparation(images: CatalogueImages) -> dict[str, Any]:
    """Return the parameters of the recipe that a scan must be prepared by before the network may see it."""
    recipe = open_store(images.items[0].path).attributes.get("recipe")
    parameters = recipe if isinstance(recipe, dict) else {}
    names = ("percentiles", "n4", "whole_head", "mask_network")
    return {name: parameters[name] for name in names if name in parameters}


def relative_spreads(images: CatalogueImages) -> dict[str, float]:
    """Return, for each contrast, the median over images of the brain's spread as a part of its median signal.

    By these, synthetic network intensities become signals, which are 0 where there is none.
    """
    found: dict[str, list[float]] = {}
    for item in images.items:
        found.setdefault(item.contrast_label, []).append(item.scale.relative_spread)
    return {contrast: float(np.median(values)) for contrast, values in sorted(found.items())}


def _card(
    config: SynthesisTraining, images: CatalogueImages, task: SynthesisTask, fitted: Fitted, run: Run
) -> dict[str, Any]:
    contrasts = sorted({item.contrast_label for item in images.items})
    limits = [
        "What it makes is synthetic: it shows what is likely, not what is there. Not for diagnosis.",
        f"It has seen {', '.join(contrasts)} on a grid of {images.grid_mm:g} mm, and nothing else.",
    ]
    if run.is_simulated:
        limits.insert(0, "Every image that it was trained on is simulated: a demonstration, of no use for real scans.")
    data = {
        "images": len(images.items),
        "pairs": len(images.pairs),
        "people": len({item.person_id for item in images.items}),
        "centres": len({item.center_id for item in images.items}),
        "images left out, since harmonisation flagged them": images.n_flagged,
        "data_id": images.data_id,
        "recipe_id": images.recipe_id,
        "pairs validated on": len(task.validation_pairs),
    }
    return {
        "What it does": "Turns one contrast of a brain MRI into another that a text prompt asks for.",
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


def synthesis_loss(
    made: Tensor,
    target: Tensor,
    mask: Tensor,
    brain: tuple[Tensor, Tensor],
    *,
    ssim_weight: float,
    volume_weight: float,
) -> tuple[Tensor, dict[str, float]]:
    """Return L1 in the brain + a · (1 − SSIM) in the brain + b · L1 everywhere, and the first two by name.

    Parameters
    ----------
    made, target : (batch, 1, i, j, k) Tensor
    mask : (batch, 1, i, j, k) Tensor
        Brain, 0 or 1.
    brain : tuple of two (batch,) Tensors
        Lowest intensity of the target's whole brain, and its range, which become 0 and 1: SSIM depends on both.
    ssim_weight, volume_weight : float
        a and b.
    """
    low, span = (each.reshape(-1, 1, 1, 1, 1) for each in brain)
    made, target, mask = (made.float() - low) / span, (target.float() - low) / span, mask.float()
    n_inside = mask.sum().clamp(min=1)
    error = (made - target).abs()
    inside = (error * mask).sum() / n_inside
    loss, measures = inside + volume_weight * error.mean(), {"l1": float(inside.detach())}
    if ssim_weight:
        similarity = (ssim_map(made, target) * mask).sum() / n_inside
        loss = loss + ssim_weight * (1 - similarity)
        measures["ssim"] = float(similarity.detach())
    return loss, measures
