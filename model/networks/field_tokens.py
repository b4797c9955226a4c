"""The text tower of fields: each field of a prompt becomes a token, a small transformer reads them.

A number enters by sines and cosines of its logarithm, with learned frequencies, and by the logarithm itself: values
that were never seen lie between those that were, and TE 90 ms and 100 ms are told apart (periodic embeddings:
Gorishniy et al., NeurIPS 2022). What is missing has a vector of its own, which is not that of any value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.data.prompt_fields import N_PIECES, NUMBERS, VOCABULARY, FieldBatch, encode_records
from model.networks.pair_encoder import TextTower
from warehouse.prompts.record import PromptRecord


@dataclass(frozen=True)
class FieldTowerConfig:
    """Size of the text tower.

    Parameters
    ----------
    width : int
        Numbers of a token and of the embedding.
    n_layers, n_heads : int
        Of the transformer.
    n_frequencies : int
        Sines and cosines of each number.
    """

    width: int = 128
    n_layers: int = 2
    n_heads: int = 4
    n_frequencies: int = 16


class FieldTower(TextTower):
    """Turn prompts into vectors.

    Parameters
    ----------
    config : FieldTowerConfig
    """

    def __init__(self, config: FieldTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        n_tokens = 2 + len(NUMBERS) + len(VOCABULARY)
        self.numbers = NumberTokens(config.width, config.n_frequencies)
        self.words = nn.ModuleList(nn.Embedding(1 + len(known), config.width) for known in VOCABULARY.values())
        self.pieces = WordToken(config.width)
        self.fields = nn.Parameter(
            0.5 * torch.randn(n_tokens, config.width)
        )  # what a token speaks of; the first sums up
        self.blocks = nn.ModuleList(TransformerBlock(config.width, config.n_heads) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width)

    def encode(self, records: Sequence[PromptRecord]) -> FieldBatch:
        """Return records as tensors on the CPU."""
        return encode_records(records)

    def forward(self, prompts: FieldBatch) -> Tensor:
        """Return one vector for each prompt.

        Parameters
        ----------
        prompts : FieldBatch

        Returns
        -------
        (batch, width) float32 tensor
            Each of mean 0 and variance 1 before the learned scale of the last norm.
        """
        tokens = self.tokens(prompts)
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens[:, 0]).float()
        return found

    def tokens(self, prompts: FieldBatch) -> Tensor:
        """Return (n, n_tokens, width) tokens: one that sums up, the numbers, the words, and what is left over."""
        words = torch.stack([table(prompts.categories[:, place]) for place, table in enumerate(self.words)], dim=1)
        summary = words.new_zeros(len(prompts), 1, self.config.width)
        left_over = self.pieces(prompts.pieces)[:, None]
        tokens: Tensor = torch.cat([summary, self.numbers(prompts.numbers), words, left_over], dim=1) + self.fields
        return tokens


class NumberTokens(nn.Module):
    """Turn numbers into tokens: periodic functions of the logarithm beside the logarithm itself.

    Parameters
    ----------
    width, n_frequencies : int
    """

    low: Tensor
    high: Tensor
    offset: Tensor

    def __init__(self, width: int, n_frequencies: int) -> None:
        super().__init__()
        offset = torch.tensor([field.offset for field in NUMBERS])
        self.register_buffer("offset", offset)
        self.register_buffer("low", torch.log(torch.tensor([field.low for field in NUMBERS]) + offset))
        self.register_buffer("high", torch.log(torch.tensor([field.high for field in NUMBERS]) + offset))
        # From a quarter of a period over the usual range to eight periods.
        frequencies = torch.logspace(math.log10(0.125), math.log10(4.0), n_frequencies)
        self.frequencies = nn.Parameter(frequencies.repeat(len(NUMBERS), 1))
        n_features = 2 * n_frequencies + 1
        self.weight = nn.Parameter(torch.randn(len(NUMBERS), n_features, width) / math.sqrt(n_features))
        self.bias = nn.Parameter(torch.zeros(len(NUMBERS), width))
        self.missing = nn.Parameter(torch.randn(len(NUMBERS), width))

    def normalise(self, numbers: Tensor) -> Tensor:
        """Return logarithms, −1 to 1 over the usual range of each; what is missing stays not a number.

        Parameters
        ----------
        numbers : (batch, n_numbers) tensor
            In the units of `NUMBERS`.
        """
        logs = torch.log(numbers.float() + self.offset)
        return 2 * (logs - self.low) / (self.high - self.low) - 1

    def forward(self, numbers: Tensor) -> Tensor:
        """Return (batch, n_numbers, width) tokens of (batch, n_numbers) numbers."""
        values = self.normalise(numbers)
        is_missing = torch.isnan(values)
        values = values.masked_fill(is_missing, 0.0)[..., None]  # the gradient of a NaN is a NaN
        angles = 2 * math.pi * self.frequencies * values
        features = torch.cat([angles.sin(), angles.cos(), values], dim=-1)
        tokens = torch.einsum("bnf,nfw->bnw", features, self.weight) + self.bias
        return torch.where(is_missing[..., None], self.missing.to(tokens.dtype), tokens)


class WordToken(nn.Module):
    """Turn the words that no field holds into one token: the mean of their pieces, through a small network.

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pieces = nn.Embedding(1 + N_PIECES, width, padding_idx=0)
        self.mix = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.nothing = nn.Parameter(torch.zeros(width))

    def forward(self, pieces: Tensor) -> Tensor:
        """Return (batch, width) tokens of (batch, n_pieces) pieces; a vector of its own where there are none."""
        is_piece = (pieces > 0)[..., None]
        count = is_piece.sum(1)
        mean = (self.pieces(pieces) * is_piece).sum(1) / count.clamp(min=1)
        return torch.where(count > 0, self.mix(mean), self.nothing)


class TransformerBlock(nn.Module):
    """Self-attention over all tokens, then a perceptron on each token; both are residual, with the norm before.

    Parameters
    ----------
    width, n_heads : int
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same (batch, n_tokens, width) shape."""
        batch, n_tokens, width = tokens.shape
        projected = self.project(self.first_norm(tokens))
        # (batch, n_tokens, 3 · width) → 3 × (batch, n_heads, n_tokens, width of a head)
        shape = (batch, n_tokens, 3, self.n_heads, width // self.n_heads)
        query, key, value = projected.reshape(shape).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.merge(attended.transpose(1, 2).reshape(batch, n_tokens, width))
        changed: Tensor = tokens + self.contract(F.gelu(self.expand(self.second_norm(tokens))))
        return changed
