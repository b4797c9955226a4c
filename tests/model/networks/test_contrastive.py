"""Prompts and images in one space."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.data.prompt_fields import FIELDS, encode_records
from model.networks.contrastive import Contrastive, ContrastiveConfig, agreement
from model.networks.image_tower import ImageTowerConfig
from model.networks.text_encoder import TextEncoderConfig
from warehouse.prompts.record import PromptRecord

FULL = PromptRecord("T2w", False, "Siemens", None, 3.0, 34.0, "M", (0.8, 0.8, 0.8), 3.2, 0.09, None, 120.0)
OTHERS = [
    FULL,
    replace(FULL, echo_time_s=0.18, sex="F"),
    replace(FULL, contrast="T1w", echo_time_s=0.003, repetition_time_s=2.3, inversion_time_s=0.9, flip_angle_deg=8.0),
    replace(FULL, contrast="FLAIR", repetition_time_s=9.0, inversion_time_s=2.5, vendor="GE"),
    replace(FULL, contrast="T1w", post_contrast=True, field_strength_t=1.5, flip_angle_variable=True),
]


@pytest.fixture
def network() -> Contrastive:
    torch.manual_seed(0)
    text = TextEncoderConfig(width=32, n_layers=1, n_heads=2, n_frequencies=8)
    return Contrastive(ContrastiveConfig(text, ImageTowerConfig(width=32, patch_voxels=2, channels=8, n_levels=2)))


def volumes(n_images: int) -> torch.Tensor:
    return torch.rand(n_images, 1, 12, 12, 12, generator=torch.Generator().manual_seed(1))


def agreed(network: Contrastive, truth: list[PromptRecord], prompts: list[PromptRecord]) -> torch.Tensor:
    return agreement(encode_records(truth), encode_records(prompts), network.text.numbers.normalise)


def test_records_that_say_the_same_are_positives_of_each_other(network: Contrastive) -> None:
    assert torch.equal(agreed(network, [FULL, FULL], [FULL, FULL]), torch.ones(2, 2))


def test_what_a_prompt_does_not_say_is_no_objection(network: Contrastive) -> None:
    prompts = [PromptRecord(contrast="T2w"), PromptRecord(echo_time_s=0.09), PromptRecord()]
    assert torch.equal(agreed(network, [FULL], prompts), torch.ones(1, 3))


def test_the_more_a_number_is_off_the_less_is_agreed(network: Contrastive) -> None:
    found = agreed(network, [FULL], [replace(FULL, echo_time_s=value) for value in (0.09, 0.1, 0.15, 0.3)])[0]
    assert (found.diff() < 0).all()
    assert 0.5 < found[1] < 1


def test_another_contrast_is_no_match_whatever_else_fits(network: Contrastive) -> None:
    assert agreed(network, [FULL], [replace(FULL, contrast="PDw")]).max() < 0.001


def test_agreement_ranks_words_that_show_above_words_that_do_not(network: Contrastive) -> None:
    vendor, echo = agreed(network, [FULL], [replace(FULL, vendor="GE"), replace(FULL, echo_time_s=0.18)])[0]
    assert vendor > echo


def test_embeddings_have_length_one(network: Contrastive) -> None:
    prompts, images = network.embed_prompts(encode_records(OTHERS)), network.embed_images(volumes(3))
    assert torch.allclose(prompts.norm(dim=1), torch.ones(5))
    assert torch.allclose(images.norm(dim=1), torch.ones(3))


def test_the_gradient_reaches_every_parameter_and_is_finite(network: Contrastive) -> None:
    truth = encode_records(OTHERS)
    hidden = torch.zeros(5, len(FIELDS), dtype=torch.bool)
    hidden[0] = True
    loss, recovered = network(volumes(5), truth.hide(hidden), truth)
    (loss + sum(recovered.values())).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_one_batch_can_be_learned_by_heart(network: Contrastive) -> None:
    truth, images = encode_records(OTHERS), volumes(5)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(120):
        loss, recovered = network(images, truth, truth)
        optimizer.zero_grad()
        (loss + sum(recovered.values())).backward()
        optimizer.step()
    with torch.no_grad():
        similarity = network.embed_images(images) @ network.embed_prompts(truth).T
        _, recovered = network(images, truth, truth)
    assert similarity.argmax(1).tolist() == [0, 1, 2, 3, 4]
    assert recovered["image"] < 0.1
    assert recovered["text"] < 0.1


def test_batches_where_nothing_is_known_give_a_finite_loss(network: Contrastive) -> None:
    nothing = encode_records([PromptRecord(), PromptRecord()])
    loss, recovered = network(volumes(2), nothing, nothing)
    (loss + sum(recovered.values())).backward()
    assert loss.isfinite()
    assert all(value == 0 for value in recovered.values())
    assert all(one.grad is None or one.grad.isfinite().all() for one in network.parameters())
