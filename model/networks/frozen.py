"""A trained text encoder in use: records in, embeddings out; it learns no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.data.prompt_fields import encode_records
from model.networks.text_encoder import TextEncoder, TextEncoderConfig
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

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
