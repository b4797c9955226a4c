"""The text encoder: a prompt's fields become tokens, a small transformer reads them.

A number enters by sines and cosines of its logarithm, with learned frequencies, and by the logarithm itself: values
that were never seen lie between those that were, and TE 90 ms and 100 ms are told apart (periodic embeddings:
Gorishniy et al., NeurIPS 2022). What is missing has a vector of its own, which is not that of any value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.data.prompt_fields import NUMBERS, VOCABULARY, FieldBatch, encode_records
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord


@dataclass(frozen=True)
class TextEncoderConfig:
    """Size of the text encoder.

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


class TextEncoder(nn.Module):
    """Turn prompts into vectors.

    Parameters
    ----------
    config : TextEncoderConfig
    """

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        n_tokens = 1 + len(NUMBERS) + len(VOCABULARY)
        self.numbers = NumberTokens(config.width, config.n_frequencies)
        self.words = nn.ModuleList(nn.Embedding(1 + len(known), config.width) for known in VOCABULARY.values())
        self.fields = nn.Parameter(
            0.5 * torch.randn(n_tokens, config.width)
        )  # what a token speaks of; the first sums up
        self.blocks = nn.ModuleList(TransformerBlock(config.width, config.n_heads) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, batch: FieldBatch) -> Tensor:
        """Return one vector for each prompt.

        Parameters
        ----------
        batch : FieldBatch

        Returns
        -------
        (batch, width) float32 tensor
            Each of mean 0 and variance 1 before the learned scale of the last norm.
        """
        words = torch.stack([table(batch.categories[:, place]) for place, table in enumerate(self.words)], dim=1)
        summary = words.new_zeros(len(batch), 1, self.config.width)
        tokens = torch.cat([summary, self.numbers(batch.numbers), words], dim=1) + self.fields
        for block in self.blocks:
            tokens = block(tokens)
        found: Tensor = self.norm(tokens[:, 0]).float()
        return found


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


class TransformerBlock(nn.Module):
    """Attention over all tokens, then a network on each; both added to what was there.

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


PREFIX = "text."  # of its weights in a checkpoint of text encoder and image tower


class FrozenTextEncoder:
    """A text encoder that is not trained.

    Parameters
    ----------
    model_id : str
        Checkpoint that it is from.
    config : TextEncoderConfig
    network : TextEncoder

    Attributes
    ----------
    architecture : dict
        The configuration as JSON holds it.
    """

    def __init__(self, model_id: str, architecture: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.model_id, self.architecture = model_id, dict(architecture)
        try:
            self.network = TextEncoder(TextEncoderConfig(**architecture))
            self.network.load_state_dict(dict(tensors), strict=True)
        except (RuntimeError, TypeError) as error:
            what = f"text encoder {model_id}: weights and configuration do not fit: {error}"
            raise ModelError(what, "use the version of this project that wrote it, or train it again") from error
        self.network.eval().requires_grad_(False)

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FrozenTextEncoder:
        """Make it of a checkpoint of kind text_encoder, as `model.networks.checkpoint.read_model` gives it."""
        own = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
        return cls(str(config["model_id"]), config["architecture"]["text"], own)

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FrozenTextEncoder:
        """Make it of what a synthesis model says of it, and of its weights."""
        return cls(str(facts["model_id"]), facts["architecture"], tensors)

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return int(self.network.config.width)

    def to(self, device: str) -> FrozenTextEncoder:
        """Move it to a device."""
        self.network.to(device)
        return self

    def embed(self, records: Sequence[PromptRecord]) -> Tensor:
        """Return (n, width) embeddings of n records, in float32."""
        device = next(self.network.parameters()).device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            embedded: Tensor = self.network(encode_records(records).to(device))
            return embedded.float()
