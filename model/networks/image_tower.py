"""The image tower: a small residual network that turns a whole, coarse volume into one vector.

What tells contrasts and protocols apart is how bright tissues are beside each other, and where. So the first layer is
given the histogram of each small cube beside its voxels, which a displacement hardly changes, and learned queries look
for places of one kind, ventricles or scalp, and average what is there. Positions are normalised one by one, never over
the volume, which would take away how bright the brain is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from warehouse.imaging.brain_scale import USUAL


@dataclass(frozen=True)
class ImageTowerConfig:
    """Size of the image tower.

    Parameters
    ----------
    width : int
        Numbers of the embedding.
    patch_voxels : int
        Side of the cubes that the first layer makes one position of.
    n_intensity_bins : int
        Bins of the histogram of each cube.
    channels : int
        Of the first level; each further level has twice as many, at half the resolution.
    n_levels : int
    n_queries : int
        Kinds of places that are averaged, at the first level.
    """

    width: int = 128
    patch_voxels: int = 4
    n_intensity_bins: int = 24
    channels: int = 48
    n_levels: int = 3
    n_queries: int = 16


class ImageTower(nn.Module):
    """Turn volumes into vectors.

    Parameters
    ----------
    config : ImageTowerConfig
    """

    def __init__(self, config: ImageTowerConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.channels * 2**level for level in range(config.n_levels)]
        self.voxels = nn.Conv3d(1, channels[0], config.patch_voxels, stride=config.patch_voxels)
        self.histogram = LocalHistogram(config.n_intensity_bins, config.patch_voxels)
        self.mix = nn.Linear(config.n_intensity_bins, channels[0])
        self.first = PositionBlock(channels[0])
        self.places = PlacePool(channels[0], config.n_intensity_bins, config.n_queries)
        pairs = list(pairwise(channels))
        self.down = nn.ModuleList(nn.Conv3d(above, below, kernel_size=2, stride=2) for above, below in pairs)
        self.blocks = nn.ModuleList(NeighbourBlock(below) for _, below in pairs)
        n_pooled = 2 * channels[-1] + self.places.n_features
        self.pooled_norm = nn.LayerNorm(n_pooled)
        hidden = 4 * config.width
        self.head = nn.Sequential(nn.Linear(n_pooled, hidden), nn.GELU(), nn.Linear(hidden, config.width))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, volume: Tensor) -> Tensor:
        """Return one vector for each volume.

        Parameters
        ----------
        volume : (batch, 1, i, j, k) tensor
            Network intensities; every side has at least patch_voxels · 2^(n_levels − 1) voxels.

        Returns
        -------
        (batch, width) float32 tensor
        """
        histogram = self.histogram(volume).movedim(1, -1)
        features = self.first(self.voxels(volume).movedim(1, -1) + self.mix(histogram))
        places = self.places(features, histogram)
        features = features.movedim(-1, 1)
        for down, block in zip(self.down, self.blocks, strict=True):
            features = block(down(features))
        pooled = torch.cat([features.mean((2, 3, 4)), features.amax((2, 3, 4)), places], dim=1)
        found: Tensor = self.norm(self.head(self.pooled_norm(pooled))).float()
        return found


class PlacePool(nn.Module):
    """Attention pooling: each learned query weighs all positions, and takes the mean of histogram and features.

    Parameters
    ----------
    channels, n_intensity_bins, n_queries : int
    """

    def __init__(self, channels: int, n_intensity_bins: int, n_queries: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, n_queries)
        self.value = nn.Linear(channels, channels // 2)
        self.n_features = n_queries * (n_intensity_bins + channels // 2)

    def forward(self, features: Tensor, histogram: Tensor) -> Tensor:
        """Return (batch, n_features) of features and histograms, (batch, i, j, k, channels or bins) each."""
        weights = self.query(self.norm(features)).flatten(1, 3).softmax(dim=1)
        values = torch.cat([self.value(features), histogram], dim=-1).flatten(1, 3)
        found: Tensor = (weights.transpose(1, 2) @ values).flatten(1)
        return found


class PositionBlock(nn.Module):
    """A residual perceptron on each position by itself.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.expand, self.contract = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same (batch, i, j, k, channels) shape."""
        changed: Tensor = features + self.contract(F.gelu(self.expand(self.norm(features))))
        return changed


class NeighbourBlock(nn.Module):
    """A residual block: a convolution over neighbours, then one over channels.

    Parameters
    ----------
    channels : int
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.neighbours = nn.Conv3d(channels, channels, kernel_size=3, padding=1)
        self.contract = nn.Conv3d(channels, channels, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same (batch, channels, i, j, k) shape."""
        normalised = self.norm(features.movedim(1, -1)).movedim(-1, 1)
        changed: Tensor = features + self.contract(F.gelu(self.neighbours(normalised)))
        return changed


class LocalHistogram(nn.Module):
    """Share of each cube's voxels that have each intensity: triangular bins, which overlap and sum to n_intensity_bins.

    Parameters
    ----------
    n_intensity_bins : int
        Bins, their centres evenly spaced over the usual network intensities.
    patch_voxels : int
        Side of the cubes.
    """

    def __init__(self, n_intensity_bins: int, patch_voxels: int) -> None:
        super().__init__()
        self.n_intensity_bins, self.patch_voxels = n_intensity_bins, patch_voxels

    def forward(self, volume: Tensor) -> Tensor:
        """Return (batch, bins, i / patch, j / patch, k / patch) of (batch, 1, i, j, k) network intensities.

        A triangle is the second difference of max(v, knot) in the knot. That is linear, so it is taken after the mean
        over the cube: one pass over the voxels for each bin.
        """
        lowest, highest = USUAL
        step = (highest - lowest) / (self.n_intensity_bins - 1)
        above = [
            F.avg_pool3d(volume.clamp_min(lowest + step * knot), self.patch_voxels)
            for knot in range(-1, self.n_intensity_bins + 1)
        ]
        means = torch.cat(above, dim=1)
        return (means[:, :-2] - 2 * means[:, 1:-1] + means[:, 2:]) * (self.n_intensity_bins / step)
