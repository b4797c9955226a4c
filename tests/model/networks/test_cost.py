"""Costs are those that one counts by hand, and the published size is counted without memory for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from model.networks.cost import COMPLETE, EncoderCost, cost_of
from model.networks.pair_encoder import describe
from model.networks.reference import PUBLISHED, ReferenceConfig, ReferenceEncoder
from warehouse.errors import ModelError

TINY = ReferenceConfig(
    embed_width=12, text_width=16, text_layers=3, text_heads=2, image_width=4, image_blocks=(1, 2, 1, 1)
)


def cost(config: ReferenceConfig) -> EncoderCost:
    return cost_of(describe("reference", config), config.box_voxels)


def test_operations_of_a_prompt_are_those_of_its_matrix_products() -> None:
    n_tokens = ReferenceEncoder(TINY).encode([COMPLETE]).ids.shape[1]
    products = 2 * n_tokens * 12 * TINY.text_width**2 + 4 * n_tokens**2 * TINY.text_width
    assert cost(TINY).prompt_flops == TINY.text_layers * products + 2 * TINY.text_width * TINY.embed_width


def test_operations_of_a_volume_are_those_of_its_convolutions_and_its_pool() -> None:
    encoder, found = ReferenceEncoder(TINY), []

    def count(layer: nn.Module, _: Any, output: torch.Tensor) -> None:
        weight: Any = layer.weight
        found.append(2 * output[0].numel() * weight[0].numel())

    for layer in encoder.image.modules():
        if isinstance(layer, (nn.Conv3d, nn.Linear)):
            layer.register_forward_hook(count)
    encoder.image_features(torch.randn(2, 1, *TINY.box_voxels))
    attention = 4 * 2 * 32 * TINY.image_width  # one query, two keys
    assert cost(TINY).volume_flops == sum(found) + attention


def test_memory_is_that_of_the_parameters_and_grows_with_the_box() -> None:
    small, large = cost(TINY), cost(replace(TINY, box_voxels=(96, 112, 96)))
    assert small.weight_bytes == 4 * small.n_parameters
    assert small.training_bytes == 5 * small.weight_bytes
    assert small.n_parameters == small.n_text + small.n_image + 1
    assert large.volume_bytes > 6 * small.volume_bytes
    assert large.prompt_bytes == small.prompt_bytes


@pytest.mark.slow
def test_the_published_size_is_described_in_words() -> None:
    parameters, operations, memory = cost(PUBLISHED).lines()
    assert parameters == "parameters: 997,652,609 (text tower 50,956,288, image tower 946,696,320)"
    assert "4.5 GFLOP a prompt, 2.02 TFLOP a volume" in operations
    assert "weights 3.99 GB; training 20 GB" in memory


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ModelError, match="no text encoder 'other'"):
        cost_of({"name": "other"}, (48, 56, 48))
