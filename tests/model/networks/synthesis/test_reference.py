"""The reference has the published parts and sizes; its attention is over voxels, and its decoder knows the patch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.data.target_voxels import TargetVoxels
from model.networks.synthesis import Scans, Wanted, build, describe, reference
from model.networks.synthesis.reference import (
    GatedFeedForward,
    PromptAttention,
    Reference,
    ReferenceConfig,
    coordinates,
    interpolated,
)
from warehouse.errors import ModelError

TINY = ReferenceConfig(embedding_width=12, channels=16, n_blocks=2)
SHAPE = (6, 7, 8)


def scans(shape: tuple[int, int, int] = SHAPE, batch: int = 2, n: int = 1) -> Scans:
    voxels = torch.randn(batch, n, *shape)
    return Scans(voxels, torch.ones_like(voxels), torch.ones(batch, n, 3), torch.randn(batch, n, 12))


def wanted(batch: int = 2) -> Wanted:
    return Wanted(torch.randn(batch, 12), torch.ones(batch, 3))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def network() -> Reference:
    return Reference(TINY)


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_published_size_has_the_published_parameters_part_by_part() -> None:
    with torch.device("meta"):
        network = Reference(ReferenceConfig())
    assert count(network.encoder) == 92_057_600
    assert count(network.adapter) == 1_181_184
    assert count(network.fusion.attention) == 2_362_368
    assert count(network.adapter, network.fusion) == 7_168_512
    assert count(network.decoder) == 14_369_025
    assert count(network) == 113_595_137


def test_result_has_the_shape_of_the_scan_in_float32(network: Reference) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        made = network(scans(), wanted())
    assert made.shape == (2, 1, *SHAPE)
    assert made.dtype == torch.float32


def test_network_is_built_from_its_description() -> None:
    made = build(describe("reference", replace(TINY, scrambled=True)))
    assert isinstance(made, Reference)
    assert made.config == replace(TINY, scrambled=True)


def test_heads_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(ModelError, match="5 heads do not divide 48 channels"):
        Reference(replace(TINY, n_heads=5))


def test_more_than_one_scan_is_refused(network: Reference) -> None:
    with pytest.raises(ModelError, match="one scan, not 2"):
        network(scans(n=2), wanted())


def test_attention_is_that_of_normalised_queries_and_keys() -> None:
    attention, features, prompt = PromptAttention(48, 8), torch.randn(2, 48, *SHAPE), torch.randn(2, 48)
    query = nn.functional.normalize(attention.query(prompt).reshape(2, 8, 1, 6), dim=-1)
    mixed = attention.keys_values(features).flatten(2).transpose(1, 2)  # (batch, n, 2 × channels)
    keys, values = mixed.reshape(2, -1, 2, 8, 6).permute(2, 0, 3, 1, 4)
    pooled = nn.functional.scaled_dot_product_attention(query, nn.functional.normalize(keys, dim=-1), values, scale=1.0)
    torch.testing.assert_close(attention(features, prompt), attention.out(pooled.flatten(1)))


@pytest.mark.parametrize("scrambled", [False, True])
def test_only_scrambled_attention_changes_when_voxels_are_permuted(scrambled: bool) -> None:
    attention = PromptAttention(48, 8, scrambled)
    features, prompt = torch.randn(1, 48, *SHAPE), torch.randn(1, 48)
    permuted = features.flatten(2)[:, :, torch.randperm(6 * 7 * 8)].reshape(features.shape)
    change = (attention(permuted, prompt) - attention(features, prompt)).abs().max()
    assert (change > 1e-3) == scrambled


def test_scrambled_tokens_are_runs_of_voxels_of_one_channel() -> None:
    attention = PromptAttention(16, 2, scrambled=True)
    mixed = torch.arange(32.0)[None, :, None, None, None].expand(1, 32, 4, 4, 4)  # each voxel tells its channel
    for part in attention._tokens(mixed):
        first, last = part.amin((1, 2)), part.amax((1, 2))  # over heads and numbers of a token
        torch.testing.assert_close(first, last)
        assert first.unique().numel() == 32


def test_parts_of_the_feed_forward_layer_are_the_whole() -> None:
    layer, features = GatedFeedForward(6, 24), torch.randn(2, 6, *SHAPE)
    gate, mixed = layer.depthwise(layer.widen(features)).chunk(2, 1)
    torch.testing.assert_close(layer(features), layer.narrow(nn.functional.gelu(gate) * mixed))


def test_coordinates_reach_from_face_to_face() -> None:
    places = coordinates((4, 5, 6), None)
    torch.testing.assert_close(places[:, 0, 0, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    torch.testing.assert_close(places[1, 4, 0], torch.tensor([-0.25, 0.8, -5 / 6]))


def test_features_are_interpolated_along_the_right_axes() -> None:
    ramp = torch.stack(torch.meshgrid(*(torch.arange(float(size)) for size in SHAPE), indexing="ij"))[None]
    matrix = np.array([[0.5, 0, 0, 1.25], [0, 0, 1.0, 2.0], [0, 0.75, 0, 0.5], [0, 0, 0, 1]])
    places = coordinates(SHAPE, TargetVoxels((3, 4, 5), matrix)).flatten(0, 2)
    expected = matrix[:3, :3] @ np.indices((3, 4, 5)).reshape(3, -1) + matrix[:3, 3:]
    torch.testing.assert_close(interpolated(ramp, places)[0], torch.tensor(expected).float())


def test_own_voxels_are_those_of_the_identity_matrix(network: Reference) -> None:
    network.eval()
    asked = wanted()
    latent = network.latent(scans(), asked)
    own, same = network.decode(latent, asked), network.decode(latent, asked, TargetVoxels(SHAPE, np.eye(4)))
    torch.testing.assert_close(own, same)


def test_decoding_in_chunks_is_decoding_at_once(network: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    network.eval()
    given, asked, at = scans(), wanted(), TargetVoxels((9, 5, 4), np.diag([0.5, 1.2, 1.7, 1.0]))
    whole, elsewhere = network(given, asked), network(given, asked, at)
    monkeypatch.setattr(reference, "VOXELS_AT_ONCE", 50)
    torch.testing.assert_close(network(given, asked), whole)
    torch.testing.assert_close(network(given, asked, at), elsewhere)


def test_evaluation_repeats_itself_and_treats_heads_apart(network: Reference) -> None:
    network.eval()
    given, asked = scans(), wanted()
    made = network(given, asked)
    torch.testing.assert_close(network(given, asked), made, rtol=0, atol=0)
    alone = network(
        Scans(given.voxels[:1], given.seen[:1], given.sizes_mm[:1], given.embeddings[:1]),
        Wanted(asked.embeddings[:1], asked.sizes_mm[:1]),
    )
    torch.testing.assert_close(alone, made[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "matters"),
    [
        (lambda given, asked: (given, replace(asked, embeddings=-asked.embeddings)), True),
        (lambda given, asked: (replace(given, embeddings=-given.embeddings), asked), False),
    ],
    ids=["wanted prompt", "prompt of the scan"],
)
def test_only_the_wanted_prompt_steers(
    network: Reference, change: Callable[[Scans, Wanted], tuple[Scans, Wanted]], matters: bool
) -> None:
    network.eval()
    given, asked = scans(), wanted()
    difference = (network(*change(given, asked)) - network(given, asked)).abs().max()
    assert (difference > 1e-4) == matters


@pytest.mark.parametrize("scrambled", [False, True])
def test_gradient_reaches_every_parameter(scrambled: bool) -> None:
    # In evaluation: in training, batch normalisation takes away the mean, and the biases before it have no effect.
    network = Reference(replace(TINY, scrambled=scrambled)).eval()
    network(scans(), wanted()).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.slow
def test_little_mapping_is_learned_in_thirty_steps(network: Reference) -> None:
    given, asked = scans(), wanted()
    target: Tensor = torch.stack([given.voxels[0].abs(), -given.voxels[1]])  # by another prompt, another contrast
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (network(given, asked) - target).abs().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses
