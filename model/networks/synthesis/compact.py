"""The default synthesis network: several resolutions from 2 mm up, a light path at full resolution, several scans.

Each scan enters by itself, 2 × 2 × 2 voxels as channels (`fold`), and is merged with the others voxel by voxel by
weights that the network finds; a scan says nothing where it has no field of view. The merged features go through
residual blocks of falling and rising resolution (a U-Net). Every block is modulated by the embeddings of source and
target, by projections that start at zero (Perez et al. 2018; Peebles & Xie 2023). Features are normalised by their root
mean square over the channels of one voxel, never over voxels: nothing depends on the size or the place of a patch, so
that a volume may be cut into tiles that overlap by the network's reach, and the seams do not show
(`model.inference.tiles`).

Contrast is changed first by a map of intensities, piecewise linear, whose knots come from the embeddings; in the
beginning it is the identity. Where the sequence of the wanted scan, its TR and its TE are known, the signal equation
takes its place, with tissue parameters that the network finds (`model.networks.synthesis.physics`). In both cases the
network adds what the surroundings say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.data.target_voxels import TargetVoxels
from model.networks.device import without_autocast
from model.networks.synthesis import Scans, SynthesisNetwork, Wanted
from model.networks.synthesis.intensities import hardened
from model.networks.synthesis.physics import MapHead, Maps, network_intensities, signal
from model.networks.synthesis.voxels import sample
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import USUAL, USUAL_SPREAD

LEAST_SPREAD = 1e-2  # of a number of an embedding; one that never varies says nothing
SIGNALS = (-1.0, 2.0)  # parts of the brain's median, from it: from no signal to three times its own
FARTHEST = 5.0  # spreads from the mean; a prompt unlike all that were learned is taken as one at the edge of them
GEOMETRY = 6  # numbers that say where a voxel lies, as `sample` returns them
INITIAL_GAIN = 0.3  # of what a block adds


@dataclass(frozen=True)
class CompactConfig:
    """Sizes of the network.

    Parameters
    ----------
    embedding_width : int
        Numbers of a prompt's embedding.
    fold : int
        Voxels of the grid to one of the first level, along each axis, which become its channels: 2 on a grid of 1 mm; 1
        on a coarse one, whose voxels differ too much to be joined.
    widths : tuple of int
        Channels of the levels; voxels of each further one are twice as large.
    blocks : tuple of int
        Residual blocks of each level; those above the lowest are there twice, on the way down and up.
    condition_width : int
        Numbers into which both embeddings are condensed.
    n_knots : int
        Of the map of intensities.
    full_width : int
        Channels that the first level hands to the full resolution.
    latent_width : int
        Channels of the latent map, beside the mapped intensity.
    max_scans : int
        Most scans of one head.
    has_equations : bool
        Whether signal equations are used where they can be.
    """

    embedding_width: int = 128
    fold: int = 2
    widths: tuple[int, ...] = (32, 64, 96)
    blocks: tuple[int, ...] = (1, 2, 3)
    condition_width: int = 96
    n_knots: int = 16
    full_width: int = 8
    latent_width: int = 16
    max_scans: int = 4
    has_equations: bool = True

    @property
    def step(self) -> int:
        """Voxels of the full resolution to one of the lowest."""
        return self.fold << (len(self.widths) - 1)

    @property
    def reach(self) -> int:
        """Voxels from which a voxel of the result is influenced, in each direction; a multiple of `step`."""
        reach = 1 + 3 * self.fold  # at full resolution; of the stem and the block before the merge
        for level, n_blocks in enumerate(self.blocks):
            passes = 1 if level + 1 == len(self.blocks) else 2
            reach += self.fold * 2**level * 2 * n_blocks * passes  # two convolutions a block
        reach += self.step - 1  # a voxel of the lowest level has the whole step in it
        return -(-reach // self.step) * self.step


class Compact(SynthesisNetwork):
    """Turn one or more scans into the one that is wanted.

    Parameters
    ----------
    config : CompactConfig
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.step, self.reach, self.max_scans = config.step, config.reach, config.max_scans
        widths, blocks, width = config.widths, config.blocks, config.condition_width
        self.condition = Condition(config.embedding_width, width)
        self.intensities = IntensityMap(config.n_knots, width, USUAL)
        self.signals = IntensityMap(config.n_knots, width, SIGNALS, is_zero=True)
        n_folded = config.fold**3
        self.stem = nn.Conv3d(4 * n_folded, widths[0], 3, padding=1)
        self.entry = Block(widths[0], width)
        self.merge = Merge(widths[0])
        self.down = nn.ModuleList(Level(channels, n, width) for channels, n in zip(widths, blocks, strict=True))
        self.up = nn.ModuleList(Level(channels, n, width) for channels, n in zip(widths[:-1], blocks[:-1], strict=True))
        pairs = list(pairwise(widths))
        self.coarser = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.finer = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairs)
        self.detail = nn.Conv3d(widths[0], n_folded * config.full_width, 1)
        self.full = nn.Conv3d(config.full_width + 2, config.latent_width, 3, padding=1)
        self.full_film = Film(width, config.latent_width, 2)
        self.geometry = nn.Conv3d(GEOMETRY, config.latent_width, 1, bias=False)
        self.decoder = nn.Conv3d(config.latent_width, config.latent_width, 1)
        self.last = nn.Conv3d(config.latent_width, 1, 1)
        self.map_head = MapHead(config.latent_width) if config.has_equations else None
        self.geometry.weight = nn.Parameter(torch.zeros_like(self.geometry.weight))
        nn.init.normal_(self.last.weight, std=0.02)
        self.last.bias = nn.Parameter(torch.zeros(1))

    def standardise(self, embeddings: Tensor) -> None:
        """Take mean and spread of each number from (n, embedding_width) embeddings of the prompts to be learned."""
        self.condition.standardise(embeddings)

    def latent(self, scans: Scans, wanted: Wanted) -> Tensor:
        """Return (batch, latent_width + 1, i, j, k): features, and the mapped intensity as the last channel."""
        n_scans, shape = scans.voxels.shape[1], scans.shape
        if n_scans > self.max_scans:
            what = f"{n_scans} scans are given, and this network takes {self.max_scans}"
            raise ModelError(what, "give fewer scans, or name a model that takes more")
        scans = scans.padded(self.step)
        conditions = self.condition(scans, wanted)  # (batch, n, width)
        present = scans.present.to(conditions.dtype)[..., None]
        condition = (conditions * present).sum(1) / present.sum(1).clamp(min=1)
        voxels, seen = scans.voxels, scans.seen
        mapped, signals = self.mapped(scans, conditions)
        entered = torch.stack([voxels, mapped, signals, seen], 2).flatten(0, 1)
        features, weights = self.merge(self._entered(entered, scans.present, conditions.flatten(0, 1)), seen)
        features = self._trunk(features, condition)
        fused = _fused(torch.stack([voxels, mapped], 2), weights, seen)
        lifted = out_of_channels(self.detail(rms(features)), self.config.fold)
        scale, shift = self.full_film(condition)
        i, j, k = shape
        full = functional.silu(self.full(torch.cat([lifted, fused], 1)) * (1 + scale) + shift)
        latent: Tensor = torch.cat([full, fused[:, 1:]], 1)[:, :, :i, :j, :k]
        return latent

    def mapped(self, scans: Scans, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, n, i, j, k) mapped intensities and signals of scans, given (batch, n, width) conditions."""
        signals = signals_of(scans.voxels, scans.relative_spreads)
        return self.intensities(scans.voxels, conditions) + self.signals(signals, conditions), signals

    @property
    def has_maps(self) -> bool:
        """Whether `maps` returns any."""
        return self.map_head is not None

    def maps(self, latent: Tensor) -> Maps | None:
        """Return the tissue parameters that a latent map stands for; None where no equations are used."""
        return None if self.map_head is None else self.map_head(latent[:, :-1])

    def decode(self, latent: Tensor, wanted: Wanted, at: TargetVoxels | None = None) -> Tensor:
        """Return (batch, 1, i', j', k') network intensities at voxels of the latent map's grid or another."""
        settings = wanted.settings
        is_on = None if settings is None or self.map_head is None else settings.is_on.reshape(-1, 1, 1, 1, 1)
        if is_on is not None and is_on.any():
            assert settings is not None
            assert self.map_head is not None
            # Voxels add their signed signals; the scanner shows the magnitude of the sum.
            rendered = signal(self.map_head(latent[:, :-1]), settings, signed=True)
            latent = torch.cat([latent[:, :-1], torch.where(is_on, rendered, latent[:, -1:].float())], 1)
        geometry: Tensor | float = 0.0
        if at is not None:
            latent, places = sample(latent, at)
            geometry = self.geometry(places[None].to(latent.dtype))
        features, base = latent[:, :-1], latent[:, -1:].float()
        if is_on is not None and is_on.any() and settings is not None:
            base = torch.where(is_on, network_intensities(base.abs(), settings), base)
        added = self.last(functional.silu(self.decoder(features) + geometry))
        made: Tensor = base + added.float()
        return made

    def _entered(self, entered: Tensor, present: Tensor, conditions: Tensor) -> Tensor:
        """Return features of scans at the first level, (batch × n, c, …); those of absent ones cost nothing."""
        folded = into_channels(entered, self.config.fold)
        if folded.device.type == "meta" or bool(present.all()):
            features: Tensor = self.entry(self.stem(folded), conditions)
            return features
        rows = present.flatten().nonzero()[:, 0]
        features = self.entry(self.stem(folded[rows]), conditions[rows])
        return features.new_zeros(len(folded), *features.shape[1:]).index_copy(0, rows, features)

    def _trunk(self, features: Tensor, condition: Tensor) -> Tensor:
        skips = []
        for level, coarser in zip(self.down, self.coarser, strict=False):
            features = level(features, condition)
            skips.append(features)
            features = coarser(features)
        features = self.down[-1](features, condition)
        for level, finer, skip in zip(reversed(self.up), reversed(self.finer), reversed(skips), strict=True):
            features = skip + functional.interpolate(finer(features), scale_factor=2.0, mode="nearest")
            features = level(features, condition)
        return features


class Condition(nn.Module):
    """One conditioning vector for each scan, from the prompts and voxel sizes of the scan and of the wanted one.

    Embeddings of different prompts are nearly the same vector. Without `standardise`, what tells prompts apart is a
    small part of their variance, and learning it takes several times as many steps.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, embedding_width: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding_width))
        self.register_buffer("spread", torch.ones(embedding_width))
        self.mix = nn.Sequential(
            nn.Linear(2 * embedding_width + 7, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    @torch.no_grad()
    def standardise(self, embeddings: Tensor) -> None:
        """Take mean and spread of each number from (n, embedding_width) embeddings of the prompts to be learned."""
        wide = embeddings.double()  # in float32 the sums of many prompts would depend on the number of threads
        self.mean.copy_(wide.mean(0))
        self.spread.copy_(wide.std(0, correction=0).clamp(min=LEAST_SPREAD))

    def forward(self, scans: Scans, wanted: Wanted) -> Tensor:
        """Return (batch, n, width) of n scans each."""
        source, source_mm = self._bounded(scans.embeddings), scans.sizes_mm.log()
        target, target_mm = self._bounded(wanted.embeddings), wanted.sizes_mm.log()
        n = source.shape[1]
        repeated = [one[:, None].expand(-1, n, -1) for one in (target, target_mm)]
        spreads = (scans.relative_spreads / USUAL_SPREAD).log().clamp(-1, 1)[..., None]
        mixed: Tensor = self.mix(torch.cat([source, source_mm, spreads, *repeated], 2))
        return mixed

    def _bounded(self, embeddings: Tensor) -> Tensor:
        return ((embeddings - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST)


class Film(nn.Module):
    """Feature-wise linear modulation (FiLM, Perez et al. 2018): numbers for each channel, all zero at first."""

    def __init__(self, condition_width: int, channels: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.project = nn.Linear(condition_width, n * channels)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, condition: Tensor) -> tuple[Tensor, ...]:
        """Return n tensors (batch, channels, 1, 1, 1)."""
        numbers: Tensor = self.project(condition)
        return numbers[:, :, None, None, None].chunk(self.n, 1)


def signals_of(voxels: Tensor, relative_spreads: Tensor) -> Tensor:
    """Return signals less that of the brain's median, as parts of it: −1 is no signal, whatever the contrast.

    Fluid in a T1w has a third of the median's signal in every brain, but in one of little contrast it lies as many
    spreads below the median as air does in others.

    Parameters
    ----------
    voxels : (batch, n, i, j, k) Tensor
        Network intensities.
    relative_spreads : (batch, n) Tensor
    """
    return (relative_spreads[..., None, None, None] * hardened(voxels)).clamp(*SIGNALS)


class IntensityMap(nn.Module):
    """A piecewise linear map of intensities, with knots evenly spaced over a range; the identity or zero at first."""

    def __init__(
        self, n_knots: int, condition_width: int, usual: tuple[float, float], *, is_zero: bool = False
    ) -> None:
        super().__init__()
        self.usual = low, high = usual
        self.knots = [low + (high - low) * knot / (n_knots - 1) for knot in range(n_knots)]
        self.steepness = (n_knots - 1) / (high - low)
        self.heights = nn.Linear(condition_width, n_knots)
        nn.init.normal_(self.heights.weight, std=0.01)
        self.heights.bias = nn.Parameter(torch.zeros(n_knots) if is_zero else torch.tensor(self.knots))

    def forward(self, voxels: Tensor, conditions: Tensor) -> Tensor:
        """Return (batch, n, i, j, k) from voxels of that shape and (batch, n, width); always in float32."""
        with without_autocast(voxels.device):
            heights = self.heights(conditions.float())[..., None, None, None]
            bounded = voxels.float().clamp(*self.usual)
            mapped = torch.zeros_like(bounded)
            for knot, peak in enumerate(self.knots):  # one at a time: n_knots volumes would fill the memory
                mapped = mapped + heights[:, :, knot] * (1 - (bounded - peak).abs() * self.steepness).clamp(min=0)
            return mapped


class Merge(nn.Module):
    """One map of features of several scans: a weighted mean at each voxel, of the scans that see it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv3d(channels, 1, 1, bias=False)
        nn.init.zeros_(self.weigh.weight)

    def forward(self, features: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Merge n scans of each head.

        Parameters
        ----------
        features : (batch × n, c, i/fold, j/fold, k/fold) Tensor
        seen : (batch, n, i, j, k) Tensor

        Returns
        -------
        (batch, c, i/fold, j/fold, k/fold) Tensor
            Features.
        (batch, n, i/fold, j/fold, k/fold) Tensor
            Weights, which sum to 1 where any scan sees a part of the voxel, and to 0 elsewhere.
        """
        batch, n = seen.shape[:2]
        visible = functional.avg_pool3d(seen, seen.shape[2] // features.shape[2])
        logits = self.weigh(rms(features)).float().reshape(visible.shape)
        # A scan that does not see the voxel has no say, whatever its logit: it must not push others below rounding.
        logits = logits.masked_fill(visible == 0, torch.finfo(logits.dtype).min)
        weights = _shares(visible * torch.softmax(logits, 1))
        if n == 1:
            return features * weights.to(features.dtype), weights
        each = features.reshape(batch, n, *features.shape[1:])
        return (each * weights[:, :, None].to(each.dtype)).sum(1), weights


class Level(nn.Module):
    """Residual blocks of one resolution."""

    def __init__(self, channels: int, n_blocks: int, condition_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, condition_width) for _ in range(n_blocks))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        for block in self.blocks:
            features = block(features, condition)
        return features


class Block(nn.Module):
    """Two convolutions; the prompts scale and shift what is between them, and weigh what is added."""

    def __init__(self, channels: int, condition_width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        self.film = Film(condition_width, channels, 3)
        self.gain = nn.Parameter(torch.full((channels,), INITIAL_GAIN))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        scale, shift, gain = self.film(condition)
        inner = functional.silu(rms(self.first(rms(features))) * (1 + scale) + shift)
        added: Tensor = (self.gain[:, None, None, None] + gain) * self.second(inner)
        return features + added


def rms(features: Tensor) -> Tensor:
    """Return features divided by their root mean square over the channels of each voxel."""
    return features * torch.rsqrt(features.square().mean(1, keepdim=True) + 1e-6)


def into_channels(volume: Tensor, fold: int) -> Tensor:
    """Return cubes of voxels as channels: (batch, fold³ c, i/fold, j/fold, k/fold) from (batch, c, i, j, k)."""
    batch, channels, i, j, k = volume.shape
    split = volume.reshape(batch, channels, i // fold, fold, j // fold, fold, k // fold, fold)
    return split.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, channels * fold**3, i // fold, j // fold, k // fold)


def out_of_channels(features: Tensor, fold: int) -> Tensor:
    """Return channels as cubes of voxels: the inverse of `into_channels`."""
    batch, channels, i, j, k = features.shape
    split = features.reshape(batch, channels // fold**3, fold, fold, fold, i, j, k)
    return split.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels // fold**3, fold * i, fold * j, fold * k)


def _fused(volumes: Tensor, weights: Tensor, seen: Tensor) -> Tensor:
    """Return the weighted mean of the scans that see a voxel, 0 where none does.

    Parameters
    ----------
    volumes : (batch, n, c, i, j, k) Tensor
    weights : (batch, n, i/fold, j/fold, k/fold) Tensor
    seen : (batch, n, i, j, k) Tensor

    Returns
    -------
    (batch, c, i, j, k) Tensor
    """
    if volumes.shape[1] == 1:
        return volumes[:, 0] * seen
    fine = _shares(functional.interpolate(weights, size=seen.shape[2:], mode="nearest") * seen)
    return (volumes * fine[:, :, None]).sum(1)


def _shares(weights: Tensor) -> Tensor:
    """Return weights of n scans that sum to 1, or to 0 where all are 0, (batch, n, …)."""
    return weights / weights.sum(1, keepdim=True).clamp(min=1e-6)


def from_sizes(sizes: Mapping[str, Any]) -> Compact:
    """Return an untrained network of sizes as a checkpoint keeps them."""
    return Compact(CompactConfig(**sizes))
