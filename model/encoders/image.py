"""The image tower: a small residual network that turns a whole, coarse volume into one vector.

Belongs here: the network. Does not belong here: how volumes come to its box (`model.data.boxes`).

What tells contrasts and protocols apart is how bright tissues are beside each other, which shows in coarse volumes; the
mean and the maximum over the volume are kept side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses


@dataclass(frozen=True)
class ImageTowerConfig:
    """Size of the image tower.

    Parameters
    ----------
    width : int
        Numbers of the embedding.
    patch_voxels : int
        Side of the cubes that the first layer makes one position of.
    channels : int
        Of the first level; each further level has twice as many, at half the resolution.
    n_levels : int
    """

    width: int = 128
    patch_voxels: int = 4
    channels: int = 32
    n_levels: int = 3


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
        self.stem = nn.Conv3d(1, channels[0], kernel_size=config.patch_voxels, stride=config.patch_voxels)
        self.levels = nn.ModuleList(
            Level(below, above) for below, above in zip([channels[0], *channels[:-1]], channels, strict=True)
        )
        self.head = nn.Linear(2 * channels[-1], config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, volume: Tensor) -> Tensor:
        """Return one vector for each volume.

        Parameters
        ----------
        volume : (batch, 1, i, j, k) tensor
            Intensities in [0, 1]; every side has at least patch_voxels · 2^(n_levels − 1) voxels.

        Returns
        -------
        (batch, width) float32 tensor
        """
        features = self.stem(2 * volume - 1)
        for number, level in enumerate(self.levels):
            features = level(F.avg_pool3d(features, 2) if number else features)
        pooled = torch.cat([features.mean((2, 3, 4)), features.amax((2, 3, 4))], dim=1)
        found: Tensor = self.norm(self.head(F.gelu(pooled))).float()
        return found


class Level(nn.Module):
    """Two convolutions beside a shortcut.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    """

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(n_in, n_out, kernel_size=3, padding=1)
        self.second = nn.Conv3d(n_out, n_out, kernel_size=3, padding=1)
        self.first_norm, self.second_norm = _norm(n_out), _norm(n_out)
        self.shortcut = nn.Conv3d(n_in, n_out, kernel_size=1) if n_in != n_out else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return (batch, n_out, i, j, k) of (batch, n_in, i, j, k)."""
        changed = F.gelu(self.first_norm(self.first(features)))
        changed = self.second_norm(self.second(changed))
        summed: Tensor = F.gelu(changed + self.shortcut(features))
        return summed


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(8, channels), channels)
