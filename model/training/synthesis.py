"""How a synthesis network learns: from patches of pairs, steered by the frozen text encoder's view of both prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.data.catalogue import CatalogueImages, training_hashes, united
from model.data.fine_heads import Heads
from model.data.head_bank import Told
from model.data.loader import BatchLoader, BatchSource, n_workers
from model.data.mixed_patches import MixedPatches
from model.data.natives import NativeScans
from model.data.patches import Patch, PatchBatch, Patches, ScanSource, joined, pairs_by_contrast
from model.data.simulated_patches import SimulatedPatches
from model.data.trained_ranges import trained_ranges, widened
from model.networks.checkpoint import read_model, save_model
from model.networks.device import choose_device
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.parts import named
from model.networks.synthesis import Scans, SynthesisNetwork, Wanted, build
from model.networks.synthesis.physics import Settings
from model.networks.weights import resolve
from model.training.config import SynthesisTraining
from model.training.examples import chosen, compared, draw
from model.training.heads import heads_of
from model.training.loop import Examples, Fitted, Progress, Report, fit
from model.training.losses import synthesis_loss
from model.training.people import people_of, refuse_known
from model.training.processes import by_first, gather_rows, own_rows
from model.training.start import Start
from model.training.trained import Run, Trained, facts_of, new_run
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.volumes import open_store

KIND = "synthesis"
LEAST_DENSITY = 0.05  # proton density, as a share of fluid's, below which a voxel has no tissue to speak of
Embed = Callable[[Sequence[PromptRecord]], Tensor]
Pairs = Sequence[tuple[int, int]]


class SynthesisTask:
    """Learn to turn scans into others of the same head.

    Parameters
    ----------
    config : SynthesisTraining
    training, validation : tuple of ScanSource and pairs
        The latter gives patches, the same each time.
    embed : callable
        From n records to (n, embedding_width); not trained.
    embedding_width : int
    voxel_mm : float
        Of the working grid.
    device : str
    heads : Heads, optional
        Simulated heads, needed where the configuration has a share of simulated patches.
    fits_in_memory : bool
        Whether all scans do.
    begun : Module, optional
        Network of the configuration's sizes that learns on; default: a new one.
    """

    kind = KIND

    def __init__(
        self,
        config: SynthesisTraining,
        training: tuple[ScanSource, Pairs],
        validation: tuple[ScanSource, Pairs],
        embed: Embed,
        embedding_width: int,
        voxel_mm: float,
        device: str = "cpu",
        *,
        heads: Heads | None = None,
        fits_in_memory: bool = True,
        begun: SynthesisNetwork | None = None,
    ) -> None:
        self.config, self.embed, self.voxel_mm, self.device = config, embed, voxel_mm, device
        scans, pairs = training
        records = [item.record for item in scans.items]
        self.architecture = config.sizes(embedding_width)
        if begun is None:
            if self.architecture["name"] == "compact" and heads is None and not has_equations(records):
                self.architecture["has_equations"] = False  # untrained, it would be used for complete prompts
            with torch.random.fork_rng():
                torch.manual_seed(config.seed)
                begun = build(self.architecture)
            begun.standardise(embed(records).cpu())
        network = self.network = begun
        drawn = partial(
            Patches, seed=config.seed, side=config.patch_voxels, voxel_mm=voxel_mm, max_scans=network.max_scans
        )
        real = drawn(scans, pairs, batch_size=config.batch_size, changes=config.changes)
        patches: BatchSource[PatchBatch] = real
        if heads is not None:
            simulated = SimulatedPatches(
                heads,
                side=config.patch_voxels,
                voxel_mm=voxel_mm,
                max_scans=network.max_scans,
                changes=config.changes,
            )
            patches = MixedPatches(
                real,
                simulated,
                seed=config.seed,
                batch_size=config.batch_size,
                simulated_share=config.simulated_share,
            )
        workers = n_workers(config.n_workers, fits_in_memory=fits_in_memory, device=device)
        self.loader = BatchLoader(patches, config.n_steps, workers)
        self.validation_pairs = choose_pairs(*validation, config.n_validation, config.seed)
        self.validation: Patches | None = None
        if self.validation_pairs:
            self.validation = drawn(*validation, batch_size=1, changes=config.unchanged)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch of patches: the mean of theirs."""
        batch = self.loader.batch(step)
        rows = own_rows(len(batch.patches))
        names = ("ssim_weight", "volume_weight", "signal_weight")
        weights = {name: getattr(self.config, name) for name in names}
        latent, wanted = self._latent(batch, rows)
        losses = []
        for n, patch in enumerate(batch.patches[rows]):
            made = self.network.decode(latent[n : n + 1], wanted.of(n), patch.at)
            loss, l1, ssim = synthesis_loss(made, patch, **weights)
            apart = self._maps_apart(latent[n : n + 1], patch)
            losses.append(torch.stack([loss + self.config.map_weight * apart, l1, ssim]))
        loss, l1, ssim = gather_rows(torch.stack(losses)).mean(0)
        return loss, {"l1": float(l1.detach()), "ssim": float(ssim.detach())}

    def _maps_apart(self, latent: Tensor, patch: Patch) -> Tensor:
        """Return how far predicted tissue parameters are from true ones: the mean difference of their logarithms."""
        if patch.maps is None or not self.network.has_maps:
            return latent.new_zeros(())
        true = torch.from_numpy(patch.maps).to(latent.device)
        is_tissue = true[0] > LEAST_DENSITY
        if not is_tissue.any():
            return latent.new_zeros(())
        found = self.network.maps(latent)
        assert found is not None
        predicted = torch.stack([found.pd[0], found.t1_s[0], found.t2_s[0], found.t2star_s[0]])
        return (predicted[:, is_tissue].log() - true[:, is_tissue].log()).abs().mean()

    def validate(self) -> dict[str, float]:
        """Return measures in the brain on the scale of the target's, averaged over patches, one of each chosen pair.

        Without a pair to validate on, as in a home of few people, there is nothing to return.
        """
        if self.validation is None:
            return {}
        rows = [_measured(*self._made(number)) for number in range(len(self.validation_pairs))]
        l1, ssim, psnr_db = np.mean(rows, axis=0)
        return {"l1": float(l1), "ssim": float(ssim), "psnr_db": float(psnr_db)}

    def draw_examples(self, step: int) -> bytes | None:
        """Return a picture of validation patches, one of each pair of contrasts; None where there is none."""
        if self.validation is None:
            return None
        items = self.validation.scans.items
        pairs = [(items[source], items[target]) for source, target in self.validation_pairs]
        rows = []
        for number in chosen([(one.contrast_label, other.contrast_label) for one, other in pairs]):
            (source, target), (made, patch) = pairs[number], self._made(number)
            _, ssim, psnr_db = _measured(made, patch)
            caption = f"{source.contrast_label} → {target.contrast_label}    {psnr_db:.1f} dB, SSIM {ssim:.2f}"
            rows.append(compared(patch, made[0, 0].float().cpu().numpy(), self.voxel_mm, caption))
        whose = "simulated heads, " if any(target.is_simulated for _, target in pairs) else ""
        return draw(rows, f"{whose}step {step:,}")

    def _made(self, number: int) -> tuple[Tensor, Patch]:
        """Return what is made of the patch of a validation pair, (1, 1, i, j, k), and that patch."""
        assert self.validation is not None
        source, target = self.validation_pairs[number]
        patch = self.validation.patch_of([source], target, np.random.default_rng((self.config.seed, number)))
        latent, wanted = self._latent(joined([patch]), slice(0, 1))
        return self.network.decode(latent, wanted, patch.at), patch

    def _latent(self, batch: PatchBatch, rows: slice) -> tuple[Tensor, Wanted]:
        """Return the latent maps of some rows of a batch, and what is wanted of them."""
        patches, n_scans = batch.patches[rows], batch.voxels.shape[1]
        told = [record for records in batch.records[rows] for record in records]
        sources = self.embed(told).reshape(len(patches), n_scans, -1)
        # A scan that sees nothing of a patch is there all the same, as it is in a tile of a whole volume.
        there = torch.tensor([[place < len(patch.given) for place in range(n_scans)] for patch in patches])
        given = (batch.voxels[rows], batch.seen[rows], batch.sizes_mm[rows])
        scans = Scans(*given, sources.cpu(), there, batch.spreads[rows]).to(self.device)
        sizes_mm = torch.tensor([patch.size_mm for patch in patches])
        records = [patch.record for patch in patches]
        settings = Settings.of(records, [patch.scale for patch in patches])
        wanted = Wanted(self.embed(records), sizes_mm, settings).to(self.device)
        return self.network.latent(scans, wanted), wanted


def has_equations(records: Sequence[PromptRecord]) -> bool:
    """Return whether the signal equation of any of these scans is known."""
    return bool((Settings.of(records, [None] * len(records)).family >= 0).any())


def _measured(made: Tensor, patch: Patch) -> tuple[float, float, float]:
    """Return the mean absolute error and SSIM in the brain, and PSNR in dB, on the scale of the target's."""
    _, l1, ssim = (float(part) for part in synthesis_loss(made, patch, ssim_weight=1.0, volume_weight=0.0))
    return l1, ssim, float(-10 * np.log10(max(_square(made, patch), 1e-10)))


def _square(made: Tensor, patch: Patch) -> float:
    """Return the mean squared error in the brain, on the scale of the target's."""
    inside = torch.from_numpy(patch.mask if patch.mask.any() else np.ones_like(patch.mask))
    difference = (made[0, 0].float().cpu() - torch.from_numpy(patch.target))[inside] / patch.span
    return float(difference.square().mean())


def choose_pairs(scans: ScanSource, pairs: Pairs, n_pairs: int, seed: int) -> list[tuple[int, int]]:
    """Return up to so many pairs of different contrasts, one of each pair of contrasts after the other."""
    random = np.random.default_rng(seed)
    groups = [
        [found[place] for place in random.permutation(len(found))]
        for (source, target), found in pairs_by_contrast(scans.items, pairs).items()
        if source != target
    ]
    longest = max(map(len, groups), default=0)
    in_turn = [found[place] for place in range(longest) for found in groups if place < len(found)]
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
    made: Told = lambda done, total: None,
) -> Trained:
    """Train a network on pairs of training people, and keep it with its text encoder as one checkpoint.

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
    made : callable, optional
        Called with heads that are there and in all, while they are made.

    Raises
    ------
    ModelError
        When there is no text encoder, nothing to train on, the training fails, or people of a fold are known before.
    """
    device = choose_device(device)
    training, validation = people_of(home, config)
    start = Start.read(home, config.init, training, text_encoder) if config.init else None
    if start:
        config, encoder, before = start.sized(config), start.encoder, start.config
    else:
        before, tensors = read_model(resolve(home, text_encoder, "text_encoder", recipe=training.recipe_id))
        encoder = FrozenTextEncoder.from_checkpoint(before, tensors)
    encoder.to(device)
    if config.fold:
        refuse_known(validation, training, before)
    is_native = config.form == "native"
    heads, segmented = heads_of(home, config, training, made)
    task = SynthesisTask(
        config,
        (NativeScans(training.items, is_native), training.pairs),
        (NativeScans(validation.items, is_native), validation.pairs),
        encoder.embed,
        encoder.width,
        training.grid_mm,
        device,
        heads=heads,
        fits_in_memory=training.fits_in_memory,
        begun=start.network if start else None,
    )
    people = training_hashes(segmented)["people"]
    is_simulated, told = training.is_simulated, {"text_encoder": encoder.model_id, "real_heads": ",".join(people)}
    told |= {"init": start.model_id} if start else {}
    run = new_run(home, KIND, config, training, task.network, device, is_simulated=is_simulated, **told)
    if started:
        started(run)
    examples = Examples(config.examples_every, task.draw_examples) if config.examples_every else None
    folder, settings = home.training / run.run_id, config.fit_settings(device, run.precision)
    with task.loader:
        fitted = fit(task, settings, folder, report, progress, examples)
    facts = facts_of(config, training, run) | {
        "architecture": task.architecture,
        "text_encoder": {"model_id": encoder.model_id, "architecture": encoder.architecture},
        "preparation": _preparation(training),
        "relative_spread": relative_spreads(training),
        "real_heads": people,
        "trained_ranges": trained_ranges(item.record for item in training.items),
        "trained_on": united(training_hashes(training.items), before.get("trained_on", {})),
    }
    if start:
        facts["init"] = start.model_id
        facts["relative_spread"] = {**before["relative_spread"], **facts["relative_spread"]}
        facts["trained_ranges"] = widened(before.get("trained_ranges", {}), facts["trained_ranges"])
    tensors = named(task.network.state_dict(), encoder.network.state_dict())
    card = _card(config, training, task, fitted, run, len(segmented))
    model_id, path = by_first(lambda: save_model(home, KIND, tensors, facts, card))
    counts = {"n_parameters": run.n_parameters, "n_steps": fitted.n_steps}
    return Trained(
        model_id, path, run.run_id, KIND, training.data_id, **counts, seconds=fitted.seconds, metrics=fitted.metrics
    )


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
    config: SynthesisTraining, images: CatalogueImages, task: SynthesisTask, fitted: Fitted, run: Run, n_segmented: int
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
        "people whose anatomy the simulator used": n_segmented,
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
