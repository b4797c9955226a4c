"""Both towers of the default encoder in one space: what the loss wants, and that it can be learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.data.agreement import agreement
from model.data.matching import MatchingBatch
from model.networks.field_tokens import FieldTowerConfig
from model.networks.fields import FieldsConfig, FieldsEncoder, choice_loss, matching_loss, tissue_targets
from model.networks.image_tower import ImageTowerConfig
from model.physics.tissue import N_TISSUES, TISSUES
from warehouse.prompts.record import PromptRecord

FULL = PromptRecord("T2w", False, "Siemens", None, 3.0, 34.0, "M", (0.8, 0.8, 0.8), 3.2, 0.09, None, 120.0)
OTHERS = [
    FULL,
    replace(FULL, echo_time_s=0.18, sex="F"),
    replace(FULL, contrast="T1w", echo_time_s=0.003, repetition_time_s=2.3, inversion_time_s=0.9, flip_angle_deg=8.0),
    replace(FULL, contrast="FLAIR", repetition_time_s=9.0, inversion_time_s=2.5, vendor="GE"),
    replace(FULL, contrast="T1w", post_contrast=True, field_strength_t=1.5, words=("glioma",)),
]


def encoder() -> FieldsEncoder:
    torch.manual_seed(0)
    text = FieldTowerConfig(width=32, n_layers=1, n_heads=2, n_frequencies=8)
    image = ImageTowerConfig(width=24, patch_voxels=2, n_intensity_bins=6, channels=8, n_levels=2, n_queries=3)
    return FieldsEncoder(FieldsConfig(text, image))


def batch_of(truth: list[PromptRecord], *, knows_signals: bool = True) -> MatchingBatch:
    generator = torch.Generator().manual_seed(1)
    volumes = torch.rand(len(truth), 1, 12, 12, 12, generator=generator)
    signals = torch.rand(len(truth), N_TISSUES, generator=generator) + 0.1
    if not knows_signals:
        signals = torch.full_like(signals, float("nan"))
    return MatchingBatch(volumes, truth, truth, agreement(truth, truth), signals)


def test_vectors_in_the_common_space_have_length_one() -> None:
    network = encoder()
    texts = network.project_texts(network.text_features(network.encode(OTHERS)))
    images = network.project_images(network.image_features(batch_of(OTHERS).volumes))
    assert torch.allclose(texts.norm(dim=1), torch.ones(5))
    assert torch.allclose(images.norm(dim=1), torch.ones(5))
    assert network.width == 32


def test_the_gradient_reaches_every_parameter_and_is_finite() -> None:
    network, truth = encoder(), [*OTHERS, PromptRecord()]
    batch = batch_of(truth)
    loss, _ = network.loss(network.image_features(batch.volumes), batch)
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.slow
def test_one_batch_can_be_learned_by_heart() -> None:
    network, batch = encoder(), batch_of(OTHERS)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(150):
        loss, parts = network.loss(network.image_features(batch.volumes), batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        texts = network.project_texts(network.text_features(network.encode(OTHERS)))
        similar = network.project_images(network.image_features(batch.volumes)) @ texts.T
    assert similar.argmax(1).tolist() == [0, 1, 2, 3, 4]
    assert parts["recovery_from_text"] < 0.1
    assert parts["recovery_from_image"] < 0.1
    assert parts["signals_from_image"] < 0.1


def test_batches_where_nothing_is_known_give_a_finite_loss() -> None:
    network, batch = encoder(), batch_of([PromptRecord(), PromptRecord()], knows_signals=False)
    loss, parts = network.loss(network.image_features(batch.volumes), batch)
    loss.backward()
    assert loss.isfinite()
    assert parts["recovery_from_image"] == parts["signals_from_image"] == parts["signals_from_text"] == 0
    assert all(one.grad is None or one.grad.isfinite().all() for one in network.parameters())


@pytest.mark.parametrize("loss", [matching_loss, choice_loss], ids=["matching", "choice"])
def test_a_loss_is_zero_for_what_is_wanted_and_more_for_anything_else(loss: object) -> None:
    wanted = torch.tensor([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1]])
    perfect = wanted.logit() if loss is matching_loss else wanted.log()
    assert callable(loss)
    assert float(loss(perfect, wanted)) == pytest.approx(0, abs=1e-5)
    assert float(loss(perfect + torch.tensor([1.0, 0.0, -1.0]), wanted)) > 0.05


@pytest.mark.parametrize("loss", [matching_loss, choice_loss], ids=["matching", "choice"])
def test_what_nobody_knows_is_not_asked(loss: object) -> None:
    wanted = torch.tensor([[1.0, 0.0, float("nan")]])
    assert callable(loss)
    one, other = (float(loss(torch.tensor([[5.0, -5.0, logit]]), wanted)) for logit in (-50.0, 50.0))
    assert one == pytest.approx(other)


def test_targets_of_signals_do_not_change_with_the_gain() -> None:
    signals = torch.rand(3, N_TISSUES) + 0.05
    assert torch.allclose(tissue_targets(signals), tissue_targets(7 * signals), atol=1e-5)
    white = signals.clone()
    white[:] = signals[:, [TISSUES.index("white_matter")]]
    assert torch.allclose(tissue_targets(white), torch.zeros(()), atol=1e-6)
