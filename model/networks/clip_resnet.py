"""The image tower of the paper's encoder: CLIP's modified ResNet (Radford et al. 2021, section 2.4), in 3-D.

It differs from a ResNet in three ways: the stem has three convolutions, strides are average pools before a convolution,
and the last pool is attention whose query is the mean position.
"""

from __future__ import annotations

from collections import OrderedDict
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

EXPANSION = 4  # channels that leave a bottleneck, of those inside it
HEAD_WIDTH = 64  # channels of one head of the attention pool


class ClipResNet3d(nn.Module):
    """Turn volumes into vectors.

    Parameters
    ----------
    width : int
        Channels after the stem; 32 times as many enter the attention pool.
    blocks : tuple of 4 int
        Bottlenecks of each level.
    embed_width : int
        Numbers of a vector.
    box_voxels : tuple of 3 int
        Shape of the volumes.
    stem_stride : {1, 2}
        Of the first convolution. The published one is 2.
    """

    def __init__(
        self,
        width: int,
        blocks: tuple[int, int, int, int],
        embed_width: int,
        box_voxels: tuple[int, int, int],
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            *(*_convolution(1, half, 3, stem_stride), nn.ReLU(inplace=True)),
            *(*_convolution(half, half, 3), nn.ReLU(inplace=True)),
            *(*_convolution(half, width, 3), nn.ReLU(inplace=True)),
            nn.AvgPool3d(2),
        )
        levels, channels = [], width
        for level, n_blocks in enumerate(blocks):
            inner = width * 2**level
            levels.append(_level(channels, inner, n_blocks, stride=1 if level == 0 else 2))
            channels = inner * EXPANSION
        self.levels = nn.Sequential(*levels)
        positions = prod(grid_of(box_voxels, stem_stride))
        self.pool = AttentionPool3d(positions, channels, channels // HEAD_WIDTH, embed_width)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.last_norm.weight)  # so that a block changes nothing in the beginning

    def forward(self, volumes: Tensor) -> Tensor:
        """Return (batch, embed_width) float32 vectors of (batch, 1, i, j, k) network intensities."""
        vectors: Tensor = self.pool(self.levels(self.stem(volumes))).float()
        return vectors


def grid_of(box_voxels: tuple[int, int, int], stem_stride: int) -> tuple[int, ...]:
    """Return the shape of the grid of positions that the attention pool is given.

    Examples
    --------
    >>> grid_of((120, 120, 120), 2), grid_of((48, 56, 48), 2)
    ((3, 3, 3), (1, 1, 1))
    """
    after_stem = ((side - 1) // stem_stride + 1 for side in box_voxels)
    return tuple(side // 16 for side in after_stem)  # four average pools, each of which leaves out an odd voxel


class Bottleneck(nn.Module):
    """A residual block of three convolutions.

    Parameters
    ----------
    channels, inner : int
        Channels that enter, and channels inside; 4 · inner leave.
    stride : {1, 2}
        2 halves the resolution by an average pool.
    """

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        outer = inner * EXPANSION
        self.first = nn.Sequential(*_convolution(channels, inner, 1), nn.ReLU(inplace=True))
        self.second = nn.Sequential(*_convolution(inner, inner, 3), nn.ReLU(inplace=True))
        self.shrink = nn.AvgPool3d(stride) if stride > 1 else nn.Identity()
        self.last, self.last_norm = _convolution(inner, outer, 1)
        same = stride == 1 and channels == outer
        pool = [("pool", nn.AvgPool3d(stride))] if stride > 1 else []
        convolution, norm = _convolution(channels, outer, 1)
        named: list[tuple[str, nn.Module]] = [*pool, ("convolution", convolution), ("norm", norm)]
        self.shortcut = nn.Identity() if same else nn.Sequential(OrderedDict(named))

    def forward(self, features: Tensor) -> Tensor:
        """Return (batch, 4 · inner, i / stride, j / stride, k / stride) features of (batch, channels, i, j, k)."""
        changed = self.last_norm(self.last(self.shrink(self.second(self.first(features)))))
        return F.relu(changed + self.shortcut(features))


class AttentionPool3d(nn.Module):
    """Weigh positions by attention whose query is their mean.

    Parameters
    ----------
    n_positions : int
        Of the grid; the mean is one more.
    channels, n_heads : int
    embed_width : int
        Numbers of a vector.
    """

    def __init__(self, n_positions: int, channels: int, n_heads: int, embed_width: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.positions = nn.Parameter(torch.randn(1 + n_positions, channels) / channels**0.5)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        self.project = nn.Linear(channels, embed_width)
        for layer in (self.query, self.key, self.value, self.project):
            nn.init.normal_(layer.weight, std=channels**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Return (batch, embed_width) vectors of (batch, channels, i, j, k) features."""
        tokens = features.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], dim=1) + self.positions
        query, key, value = self.query(tokens[:, :1]), self.key(tokens), self.value(tokens)
        pooled = F.scaled_dot_product_attention(self._by_head(query), self._by_head(key), self._by_head(value))
        vectors: Tensor = self.project(pooled.flatten(1))
        return vectors

    def _by_head(self, tokens: Tensor) -> Tensor:
        """Return (batch, n_heads, n_tokens, width of a head) of (batch, n_tokens, channels)."""
        batch, n_tokens, channels = tokens.shape
        return tokens.reshape(batch, n_tokens, self.n_heads, channels // self.n_heads).transpose(1, 2)


def _level(channels: int, inner: int, n_blocks: int, stride: int) -> nn.Sequential:
    others = (Bottleneck(inner * EXPANSION, inner, 1) for _ in range(n_blocks - 1))
    return nn.Sequential(Bottleneck(channels, inner, stride), *others)


def _convolution(channels: int, outer: int, side: int, stride: int = 1) -> tuple[nn.Conv3d, nn.BatchNorm3d]:
    """Return a convolution that keeps the shape at stride 1, and its normalisation, which has the bias."""
    convolution = nn.Conv3d(channels, outer, side, stride=stride, padding=side // 2, bias=False)
    return convolution, nn.BatchNorm3d(outer)
