"""Untrained models of a few thousand parameters, as checkpoints of a home."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from model.networks.checkpoint import save_model
from model.networks.field_tokens import FieldTower, FieldTowerConfig
from model.networks.pair_encoder import PREFIX, FrozenTextEncoder
from model.networks.parts import named
from model.networks.synthesis import build, describe
from model.networks.synthesis.compact import CompactConfig
from warehouse.lake.home import Home

TEXT = FieldTowerConfig(width=16, n_layers=1, n_heads=2, n_frequencies=4)
ARCHITECTURE = {"name": "fields", "text": asdict(TEXT)}
COMPACT = describe(
    "compact",
    CompactConfig(
        embedding_width=16,
        widths=(8, 12),
        blocks=(1, 1),
        condition_width=8,
        n_knots=4,
        full_width=2,
        latent_width=4,
        max_scans=1,
        has_equations=False,
    ),
)
PREPARATION = {"percentiles": [0.01, 99.9], "n4": False, "whole_head": True}


def save_text_encoder(home: Home) -> str:
    """Keep a text encoder; return its identity."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FieldTower(TEXT)
    tensors = {f"{PREFIX}{name}": tensor for name, tensor in network.state_dict().items()}
    return save_model(home, "text_encoder", tensors, {"architecture": ARCHITECTURE}, {})[0]


def save_synthesis(
    home: Home, *, awake: bool = True, max_scans: int = 1, has_equations: bool = False, **changes: Any
) -> str:
    """Keep a synthesis model with its text encoder; awake, prompts change what it makes."""
    architecture = COMPACT | {"max_scans": max_scans, "has_equations": has_equations}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        text, network = FieldTower(TEXT), build(architecture)
        for name, parameter in network.named_parameters():
            if awake and "heights.weight" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    encoder = FrozenTextEncoder("0" * 16, ARCHITECTURE, text.state_dict())
    tensors = named(network.state_dict(), encoder.network.state_dict())
    config = {
        "architecture": architecture,
        "text_encoder": {"model_id": encoder.model_id, "architecture": encoder.architecture},
        "grid_mm": 3.0,
        "preparation": PREPARATION,
        "relative_spread": {"T1w": 0.5, "T2w": 0.8, "FLAIR": 0.4},
    }
    return save_model(home, "synthesis", tensors, config | changes, {})[0]
