"""The parts of a checkpoint of kind synthesis: its network, and the text encoder that steers it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from model.networks.checkpoint import read_model
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.synthesis import SynthesisNetwork, build
from warehouse.errors import ModelError

NETWORK, ENCODER = "network.", "text_encoder."  # prefixes of the names of weights


def named(network: Mapping[str, Tensor], encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of both parts by the names that a checkpoint gives them."""
    own = {f"{NETWORK}{name}": tensor for name, tensor in network.items()}
    return own | {f"{ENCODER}{name}": tensor for name, tensor in encoder.items()}


def read_parts(path: Path) -> tuple[dict[str, Any], SynthesisNetwork, FrozenTextEncoder]:
    """Read a checkpoint of kind synthesis.

    Parameters
    ----------
    path : Path
        Folder of the checkpoint.

    Returns
    -------
    config : dict
        As `model.networks.checkpoint.read_model` gives it.
    network : Module
        In float32, whatever the file's type of numbers, on the CPU.
    encoder : FrozenTextEncoder

    Raises
    ------
    ModelError
        When it is absent or damaged, or weights and configuration do not match.
    """
    config, tensors = read_model(path)
    try:
        network = build(config["architecture"])
        network.load_state_dict(_part(tensors, NETWORK), strict=True)
        encoder = FrozenTextEncoder.from_parts(config["text_encoder"], _part(tensors, ENCODER))
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        remedy = "use the version of this project that wrote it, or train the model again"
        raise ModelError(f"{path}: weights and configuration do not match: {error}", remedy) from error
    return config, network, encoder


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
