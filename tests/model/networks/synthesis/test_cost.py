"""Costs are those that one counts by hand, and those of the published network are known."""

from __future__ import annotations

from math import prod

import pytest
from torch import nn

from model.networks.synthesis import describe
from model.networks.synthesis.cost import SynthesisCost, cost_of
from model.networks.synthesis.reference import Reference, ReferenceConfig
from warehouse.errors import ModelError

TINY = ReferenceConfig(embedding_width=12, channels=16, n_blocks=2)
PATCH = (6, 7, 8)


def cost(config: ReferenceConfig, patch_voxels: tuple[int, int, int] = PATCH) -> SynthesisCost:
    return cost_of(describe("reference", config), patch_voxels)


@pytest.mark.slow
def test_operations_are_two_for_each_weight_and_voxel_and_those_of_the_attention() -> None:
    network = Reference(TINY)
    once = {network.fusion.attention.query, network.fusion.attention.out, *network.adapter}
    of_voxel = of_patch = 0
    for layer in network.modules():
        if isinstance(layer, (nn.Conv3d, nn.Linear)) and layer not in once:
            of_voxel += 2 * layer.weight.numel()
        elif isinstance(layer, nn.Linear):
            of_patch += 2 * layer.weight.numel()
    of_voxel += 4 * TINY.latent_channels  # products with the query, and the weighted sum
    assert cost(TINY).voxel_flops == of_voxel + of_patch // prod(PATCH)
    assert cost(TINY).volume_flops == 252 * (60**3 * of_voxel + of_patch)


@pytest.mark.slow
def test_published_reference_costs_the_known_operations() -> None:
    found = cost(ReferenceConfig(), (20, 20, 20))
    assert found.n_parameters == 113_595_137
    assert found.voxel_flops == pytest.approx(222e6, rel=0.03)
    assert found.volume_flops == pytest.approx(12.1e15, rel=0.03)
    assert found.weight_bytes == 4 * 113_595_137


@pytest.mark.slow
def test_memory_of_a_training_grows_with_the_patch() -> None:
    small, large = cost(TINY), cost(TINY, (12, 14, 16))
    assert small.training_bytes == 5 * small.weight_bytes == large.training_bytes
    assert large.patch_bytes == pytest.approx(8 * small.patch_bytes, rel=0.1)


@pytest.mark.slow
def test_cost_is_described_in_words() -> None:
    parameters, operations, memory = cost(ReferenceConfig(), (20, 20, 20)).lines()
    assert parameters == "parameters: 113,595,137"
    assert "222 MFLOP a voxel, 12.1 PFLOP a volume of 182 × 218 × 182 voxels, computed in 252 windows" in operations
    assert "weights 454 MB; training 2.27 GB" in memory


def test_more_scans_than_the_network_takes_are_refused() -> None:
    with pytest.raises(ModelError, match="one scan, not 2"):
        cost_of(describe("reference", TINY), PATCH, n_scans=2)
