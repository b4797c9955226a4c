"""The paper's synthesis network: a residual encoder, one text-steered gate, and an implicit decoder.

Built as published (arXiv 2409.16818, stage 2; 113,595,137 parameters at the published setting) to be compared with.
Its properties, which `compact` does not share:

- The network takes one scan and is conditioned on the wanted prompt alone; that of the scan is not used.
- The prompt asks one query of all voxels of the patch (cross-attention). The answer is one number per channel, which
  multiplies that channel at every voxel, so that the prompt acts alike everywhere, and every voxel is influenced by all
  others of the patch.
- The decoder sees the features at a voxel and the voxel's coordinates in the patch (LIIF: Chen, Liu & Wang 2021). A
  result therefore depends on where the patch lies; volumes are computed in windows (`windows.py`).

It differs from the published code in two places. Attention is over voxels; the published code reshapes keys and values
without moving channels last, so that a token is a run of voxels of one channel (`scrambled`). Beyond the centres of the
outermost voxels the decoder gets their features; the published code fades them towards zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.data.target_voxels import TargetVoxels
from model.networks.synthesis import Scans, SynthesisNetwork, Wanted
from model.networks.synthesis.windows import UNBOUNDED
from warehouse.errors import ModelError

RESIDUAL_SCALE = 0.1
LEAST_NORM = 1e-12
# A hidden map of a window of 60³ voxels takes 2.7 GB. Without gradients, a part of it at a time is enough.
N_PARTS = 4
VOXELS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class ReferenceConfig:
    """Sizes of the network; the defaults are the published ones.

    Parameters
    ----------
    embedding_width : int
        Size of a prompt's embedding.
    channels : int
        Channels of the residual blocks. The other widths are multiples of it.
    n_blocks : int
        Residual blocks.
    n_heads : int
        Heads of the cross-attention; they divide `latent_channels`.
    scrambled : bool
        Whether attention is over the published code's tokens, each a run of voxels of one channel.
    """

    embedding_width: int = 768
    channels: int = 256
    n_blocks: int = 24
    n_heads: int = 8
    scrambled: bool = False

    @property
    def latent_channels(self) -> int:
        """Channels of the latent map."""
        return 3 * self.channels

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Sizes of the decoder's hidden layers."""
        return 12 * self.channels, 12 * self.channels, 3 * self.channels, self.channels


class Reference(SynthesisNetwork):
    """Turn one scan into the one that is wanted, as published.

    Parameters
    ----------
    config : ReferenceConfig

    Raises
    ------
    ModelError
        If the heads do not divide the channels of the latent map.
    """

    step = 1
    reach = UNBOUNDED  # attention pools over all voxels: a tile never equals the whole, whatever its halo
    max_scans = 1

    def __init__(self, config: ReferenceConfig) -> None:
        super().__init__()
        if config.latent_channels % config.n_heads:
            raise ModelError(
                f"{config.n_heads} heads do not divide {config.latent_channels} channels",
                f"choose `channels` so that 3 × channels is a multiple of {config.n_heads}",
            )
        self.config = config
        self.encoder = Encoder(config.channels, config.latent_channels, config.n_blocks)
        self.adapter = TextAdapter(config.embedding_width, config.latent_channels)
        self.fusion = Fusion(config.latent_channels, config.n_heads, config.scrambled)
        self.decoder = Decoder(config.latent_channels, config.decoder_widths)

    def latent(self, scans: Scans, wanted: Wanted) -> Tensor:
        """Return (batch, 3 × channels, i, j, k) on the grid of the scan.

        Raises
        ------
        ModelError
            For more than one scan of a head.
        """
        n_scans = scans.voxels.shape[1]
        if n_scans != self.max_scans:
            raise ModelError(f"the reference takes one scan, not {n_scans}", "give one, or use a compact model")
        fused: Tensor = self.fusion(self.encoder(scans.voxels), self.adapter(wanted.embeddings))
        return fused

    def decode(self, latent: Tensor, wanted: Wanted, at: TargetVoxels | None = None) -> Tensor:
        """Return (batch, 1, i', j', k') network intensities; see `SynthesisNetwork.decode`."""
        places = coordinates(tuple(latent.shape[2:]), at).to(latent.device)
        chunks = torch.split(places.flatten(0, 2), VOXELS_AT_ONCE)
        if at is None:
            features = iter(torch.split(latent.flatten(2), VOXELS_AT_ONCE, 2))
        else:
            features = (interpolated(latent, chunk) for chunk in chunks)
        parts = [self.decoder(found.transpose(1, 2), chunk) for found, chunk in zip(features, chunks, strict=True)]
        return torch.cat(parts, 1).float().reshape(len(latent), 1, *places.shape[:3])


class Encoder(nn.Module):
    """Residual network at full resolution, with a skip around all blocks."""

    def __init__(self, channels: int, latent_channels: int, n_blocks: int) -> None:
        super().__init__()
        self.head = nn.Conv3d(1, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(n_blocks)))
        self.last = nn.Conv3d(channels, channels, 3, padding=1)
        self.tail = nn.Conv3d(channels, latent_channels, 3, padding=1)

    def forward(self, volume: Tensor) -> Tensor:
        """Return (batch, latent_channels, i, j, k) from (batch, 1, i, j, k)."""
        features = self.head(volume)
        encoded: Tensor = self.tail(features + self.last(self.blocks(features)))
        return encoded


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, scaled down and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels, 3, padding=1),
            nn.BatchNorm3d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        added: Tensor = features + RESIDUAL_SCALE * self.inner(features)
        return added


class TextAdapter(nn.Sequential):
    """Two layers from (batch, embedding_width) of a prompt to (batch, channels) of the latent map."""

    def __init__(self, embedding_width: int, channels: int) -> None:
        super().__init__(nn.Linear(embedding_width, channels), nn.ReLU(), nn.Linear(channels, channels))


class Fusion(nn.Module):
    """Multiply each channel by what the prompt has found in the patch, then mix channels of neighbouring voxels."""

    def __init__(self, channels: int, n_heads: int, scrambled: bool) -> None:
        super().__init__()
        self.attention = PromptAttention(channels, n_heads, scrambled)
        self.norm = ChannelNorm(channels)
        self.feed_forward = GatedFeedForward(channels, 4 * channels)
        self.last_norm = ChannelNorm(channels)

    def forward(self, features: Tensor, prompt: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k); the adapted prompt is (batch, channels)."""
        gated = self.norm(features * self.attention(features, prompt)[:, :, None, None, None])
        fused: Tensor = self.last_norm(gated + self.feed_forward(gated))
        return fused


class PromptAttention(nn.Module):
    """Cross-attention with the prompt as the single query, and the voxels as keys and values.

    With one query, the weights of a head are one number per voxel: memory grows with the voxels, not their square.
    """

    def __init__(self, channels: int, n_heads: int, scrambled: bool = False) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.scrambled = scrambled
        self.query = nn.Linear(channels, channels)
        self.keys_values = nn.Conv3d(channels, 2 * channels, 1)
        self.out = nn.Linear(channels, channels)

    def forward(self, features: Tensor, prompt: Tensor) -> Tensor:
        """Return (batch, channels) from features (batch, channels, i, j, k) and a prompt (batch, channels)."""
        query = functional.normalize(self.query(prompt).unflatten(1, (self.n_heads, -1)), dim=2, eps=LEAST_NORM)
        keys, values = self._tokens(self.keys_values(features))
        # Dividing products by the norms of the keys is normalising the keys, without a second copy of them.
        norms = torch.linalg.vector_norm(keys, dim=2).clamp(min=LEAST_NORM)
        weights = (torch.einsum("bhd,bhdn->bhn", query, keys) / norms).softmax(2)
        pooled = torch.einsum("bhn,bhdn->bhd", weights.to(values.dtype), values)
        answer: Tensor = self.out(pooled.flatten(1))
        return answer

    def _tokens(self, mixed: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, (batch, n_heads, d, n) each, from (batch, 2 × channels, i, j, k)."""
        if self.scrambled:
            n_voxels = mixed[0, 0].numel()
            # (batch, n, 2, n_heads, d) without channels having been moved last.
            tokens = mixed.reshape(len(mixed), n_voxels, 2, self.n_heads, -1).permute(2, 0, 3, 4, 1)
        else:
            tokens = mixed.reshape(len(mixed), 2, self.n_heads, -1, mixed[0, 0].numel()).transpose(0, 1)
        return tokens[0], tokens[1]


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation of each voxel over its channels."""

    def forward(self, features: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        return super().forward(features.movedim(1, -1)).movedim(-1, 1)


class GatedFeedForward(nn.Module):
    """Pointwise and depthwise convolutions; half of the hidden channels gate the other half (Zamir et al. 2022)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.widen = nn.Conv3d(channels, hidden, 1, bias=False)
        self.depthwise = nn.Conv3d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.narrow = nn.Conv3d(hidden // 2, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Keep the shape (batch, channels, i, j, k)."""
        total: Tensor | None = None
        halves = (self.widen.weight.chunk(2), self.depthwise.weight.chunk(2))
        parts = zip(
            *(half.tensor_split(N_PARTS) for pair in halves for half in pair),
            self.narrow.weight.tensor_split(N_PARTS, 1),
            strict=True,
        )
        for widen_gate, widen, depthwise_gate, depthwise, narrow in parts:
            gate = functional.gelu(_filtered(features, widen_gate, depthwise_gate))
            mixed = functional.conv3d(gate * _filtered(features, widen, depthwise), narrow)
            total = mixed if total is None else total + mixed
        assert total is not None
        return total


class Decoder(nn.Module):
    """A perceptron from the features and the coordinates of a voxel to its intensity."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels + 3
        for width in widths:
            layers += [nn.Linear(before, width), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, 1))

    def forward(self, features: Tensor, places: Tensor) -> Tensor:
        """Return (batch, n, 1) intensities from (batch, n, channels) features at (n, 3) coordinates."""
        joined = torch.cat([features, places.to(features.dtype).expand(len(features), -1, -1)], 2)
        intensities: Tensor = self.layers(joined)
        return intensities


def coordinates(shape: tuple[int, ...], at: TargetVoxels | None) -> Tensor:
    """Return where voxels lie in a patch: −1 and 1 are its outer faces along i, j, k.

    Parameters
    ----------
    shape : tuple of 3 int
        Voxels of the patch.
    at : TargetVoxels, optional
        Voxels to be located; default: those of the patch.

    Returns
    -------
    (i', j', k', 3) float32 Tensor
    """
    wanted, matrix = (shape, np.eye(4)) if at is None else (at.shape, at.matrix)
    indices = np.moveaxis(np.indices(wanted), 0, -1) @ matrix[:3, :3].T + matrix[:3, 3]
    return torch.from_numpy((2 * indices + 1) / np.asarray(shape) - 1).float()


def interpolated(latent: Tensor, places: Tensor) -> Tensor:
    """Return (batch, c, n) features of a latent map (batch, c, i, j, k) at (n, 3) coordinates, trilinear."""
    grid = places.flip(1)[None, None, None].expand(len(latent), -1, -1, -1, -1)  # grid_sample wants k, j, i
    found = functional.grid_sample(latent.float(), grid, padding_mode="border", align_corners=False)
    return found[:, :, 0, 0]


def _filtered(features: Tensor, pointwise: Tensor, depthwise: Tensor) -> Tensor:
    mixed = functional.conv3d(features, pointwise)
    return functional.conv3d(mixed, depthwise, padding=1, groups=len(depthwise))


def from_sizes(sizes: dict[str, Any]) -> Reference:
    """Return an untrained network from the fields of `ReferenceConfig`.

    Raises
    ------
    TypeError
        For an unknown size.
    ModelError
        For sizes that do not fit together.
    """
    return Reference(ReferenceConfig(**sizes))
