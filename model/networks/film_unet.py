"""A small 3-D U-Net whose every block is steered by what the source is and what the target is to be.

Residual blocks without normalisation, modulated by FiLM with gates that start at zero (Peebles & Xie 2023, adaLN-Zero;
Perez et al. 2018). Nothing depends on the size or the place of a patch: no statistics of it, no coordinates. So a
volume may be cut into tiles that overlap by the network's reach, and the seams do not show (`model.inference.tiles`).

Contrast is changed first by a map of intensities, then by what the surroundings say. The network therefore gets the
intensity also as a set of hat functions, whose weighted sum is any piecewise linear map; the last layer weighs them and
the features by numbers that come from the prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from warehouse.imaging.brain_scale import USUAL

LEAST_SPREAD = 1e-2  # of a number of an embedding; one that never varies says nothing
FARTHEST = 5.0  # spreads from the mean; a prompt unlike all that were learned is taken as one at the edge of them


@dataclass(frozen=True)
class FilmUNetConfig:
    """The shape of the network.

    Parameters
    ----------
    embedding_width : int
        Numbers of a prompt's embedding.
    widths : tuple of int
        Channels of the levels, the full resolution first; each further level halves the resolution.
    blocks : tuple of int
        Residual blocks of each level; those above the lowest are there twice, on the way down and up.
    condition_width : int
        Numbers into which both embeddings are condensed.
    n_intensity_bins : int
        Hat functions of the intensity.
    """

    embedding_width: int = 128
    widths: tuple[int, ...] = (16, 32, 64)
    blocks: tuple[int, ...] = (1, 2, 2)
    condition_width: int = 64
    n_intensity_bins: int = 12

    @property
    def step(self) -> int:
        """Voxels of the full resolution to one of the lowest; tiles begin and end at multiples of it."""
        return 1 << (len(self.widths) - 1)

    @property
    def reach(self) -> int:
        """Voxels from which a voxel of the result is influenced, in each direction; a multiple of `step`."""
        reach = 1  # of the stem
        for level, n_blocks in enumerate(self.blocks):
            passes = 1 if level + 1 == len(self.blocks) else 2
            reach += 2**level * (2 * n_blocks * passes + 1)  # two convolutions a block; one voxel where levels meet
        return -(-reach // self.step) * self.step


class FilmUNet(nn.Module):
    """Turn a source into the contrast that is asked for.

    Parameters
    ----------
    config : FilmUNetConfig
    """

    def __init__(self, config: FilmUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, blocks, width = config.widths, config.blocks, config.condition_width
        self.condition = Condition(config.embedding_width, width)
        self.intensity_basis = IntensityBasis(config.n_intensity_bins)
        self.stem = nn.Conv3d(1 + config.n_intensity_bins, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Level(channels, n, width) for channels, n in zip(widths, blocks, strict=True))
        self.up = nn.ModuleList(Level(channels, n, width) for channels, n in zip(widths[:-1], blocks[:-1], strict=True))
        pairs = list(pairwise(widths))
        self.coarser = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.finer = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairs)
        self.last = PromptedSum(widths[0] + 1 + config.n_intensity_bins, width, unchanged=widths[0])

    def forward(self, source: Tensor, source_embedding: Tensor, target_embedding: Tensor) -> Tensor:
        """Synthesise on the source's own grid.

        Parameters
        ----------
        source : (batch, 1, i, j, k) Tensor
            Network intensities; any size, padded inside by its outermost voxels to a multiple of `config.step`.
        source_embedding, target_embedding : (batch, embedding_width) Tensor
            Of the prompts of what is there, and of what is wanted.

        Returns
        -------
        (batch, 1, i, j, k) Tensor
            Network intensities.
        """
        condition = self.condition(source_embedding, target_embedding)
        shape = source.shape[2:]
        lifted = self.intensity_basis(pad_to_multiple(source, self.config.step))
        features, skips = self.stem(lifted), []
        for level, coarser in zip(self.down, self.coarser, strict=False):
            features = level(features, condition)
            skips.append(features)
            features = coarser(features)
        features = self.down[-1](features, condition)
        for level, finer, skip in zip(reversed(self.up), reversed(self.finer), reversed(skips), strict=True):
            features = skip + functional.interpolate(finer(features), scale_factor=2.0, mode="nearest")
            features = level(features, condition)
        made = self.last([features, lifted], condition)
        cut: Tensor = made[:, :, : shape[0], : shape[1], : shape[2]]
        return cut


class Condition(nn.Module):
    """What is there and what is wanted, as one vector.

    Embeddings have much in common: without `standardise`, what tells prompts apart is a small part of their numbers,
    and learning it takes several times as many steps.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, embedding_width: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(embedding_width))
        self.register_buffer("spread", torch.ones(embedding_width))
        self.mix = nn.Sequential(nn.Linear(2 * embedding_width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    @torch.no_grad()
    def standardise(self, embeddings: Tensor) -> None:
        """Take mean and spread of each number from (n, embedding_width) embeddings of the prompts to be learned."""
        self.mean.copy_(embeddings.mean(0))
        self.spread.copy_(embeddings.std(0, correction=0).clamp(min=LEAST_SPREAD))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return (batch, width) from two (batch, embedding_width)."""
        bounded = [((one - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST) for one in (source, target)]
        mixed: Tensor = self.mix(torch.cat(bounded, 1))
        return mixed


class IntensityBasis(nn.Module):
    """The intensity itself, and triangular bins of it with peaks evenly spaced over the usual network intensities."""

    peaks: Tensor

    def __init__(self, n_intensity_bins: int) -> None:
        super().__init__()
        self.register_buffer(
            "peaks", torch.linspace(*USUAL, n_intensity_bins).reshape(1, -1, 1, 1, 1), persistent=False
        )
        self.steepness = (n_intensity_bins - 1) / (USUAL[1] - USUAL[0])

    def forward(self, volume: Tensor) -> Tensor:
        """Return (batch, 1 + n_intensity_bins, i, j, k) from (batch, 1, i, j, k)."""
        bins = (1 - (volume.clamp(*USUAL) - self.peaks).abs() * self.steepness).clamp(min=0)
        return torch.cat([volume, bins], 1)


class Level(nn.Module):
    """Residual blocks of one resolution."""

    def __init__(self, channels: int, n_blocks: int, condition_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(PromptedBlock(channels, condition_width) for _ in range(n_blocks))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        for block in self.blocks:
            features = block(features, condition)
        return features


class PromptedBlock(nn.Module):
    """Two convolutions; scale, shift and gate come from the prompts, and the gate is zero in the beginning."""

    def __init__(self, channels: int, condition_width: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        self.film = nn.Linear(condition_width, 3 * channels)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        scale, shift, gate = self.film(condition)[:, :, None, None, None].chunk(3, 1)
        inner = self.first(functional.silu(features)) * (1 + scale) + shift
        added: Tensor = gate * self.second(functional.silu(inner))
        return features + added


class PromptedSum(nn.Module):
    """The last layer: a weighted sum of channels; each weight is a common one and one that comes from the prompts.

    In the beginning it hands one channel on, the unchanged intensity: an image resembles any other contrast of it more
    than it resembles nothing.
    """

    def __init__(self, channels: int, condition_width: int, unchanged: int) -> None:
        super().__init__()
        self.common = nn.Parameter(0.01 * torch.randn(channels + 1))
        with torch.no_grad():
            self.common[unchanged] += 1
        self.prompted = nn.Linear(condition_width, channels + 1)
        nn.init.zeros_(self.prompted.bias)
        nn.init.normal_(self.prompted.weight, std=0.01)

    def forward(self, groups: Sequence[Tensor], condition: Tensor) -> Tensor:
        """Return (batch, 1, i, j, k) from groups of channels, (batch, channels, i, j, k) each; always in float32."""
        shape = groups[0].shape
        with torch.autocast(groups[0].device.type, enabled=False):
            weights: Tensor = self.common + self.prompted(condition.float())
            total, kernels = (
                weights[:, -1:, None],
                torch.split(weights[:, :-1], [group.shape[1] for group in groups], 1),
            )
            for kernel, group in zip(kernels, groups, strict=True):
                total = total + torch.bmm(kernel[:, None], group.float().flatten(2))
        return total.reshape(shape[0], 1, *shape[2:])


def pad_to_multiple(volume: Tensor, step: int) -> Tensor:
    """Repeat the outermost voxels at the far ends of a (batch, channel, i, j, k) Tensor up to a multiple of a step."""
    missing = [-size % step for size in volume.shape[2:]]
    if not any(missing):
        return volume
    return functional.pad(volume, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
