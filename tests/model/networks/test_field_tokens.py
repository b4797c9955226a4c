"""The text tower of fields: every field counts, numbers are told apart, what is missing is no value."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.data.prompt_fields import encode_records
from model.networks.field_tokens import FieldTower, FieldTowerConfig
from warehouse.prompts.record import PromptRecord

FULL = PromptRecord("T2w", False, "Siemens", None, 3.0, 34.0, "M", (0.8, 0.8, 0.8), 3.2, 0.09, 1.0, 120.0)
CHANGED: dict[str, object] = {
    "contrast": "T1w",
    "post_contrast": True,
    "vendor": "GE",
    "field_strength_t": 1.5,
    "age_years": 40.0,
    "sex": "F",
    "voxel_size_mm": (0.8, 0.8, 1.0),
    "repetition_time_s": 3.3,
    "echo_time_s": 0.1,
    "inversion_time_s": 1.1,
    "flip_angle_deg": 125.0,
    "flip_angle_variable": True,
    "words": ("tumour",),
}


@pytest.fixture(scope="module")
def encoder() -> FieldTower:
    torch.manual_seed(0)
    return FieldTower(FieldTowerConfig(width=32, n_layers=2, n_heads=4, n_frequencies=8)).eval()


@torch.no_grad()
def embed(encoder: FieldTower, *records: PromptRecord) -> torch.Tensor:
    return encoder(encode_records(records))


def test_a_prompt_is_one_vector(encoder: FieldTower) -> None:
    embedded = embed(encoder, FULL, PromptRecord())
    assert embedded.shape == (2, 32)
    assert embedded.dtype == torch.float32
    assert embedded.isfinite().all()


@pytest.mark.parametrize("field", CHANGED)
def test_another_value_of_any_field_is_another_vector(encoder: FieldTower, field: str) -> None:
    embedded = embed(encoder, FULL, replace(FULL, **{field: CHANGED[field]}))
    assert (embedded[0] - embedded[1]).norm() > 0.01


@pytest.mark.parametrize(
    "field", [name for name in CHANGED if name not in ("post_contrast", "flip_angle_variable", "words")]
)
def test_a_missing_field_is_no_value(encoder: FieldTower, field: str) -> None:
    embedded = embed(encoder, FULL, replace(FULL, **{field: None}))
    assert (embedded[0] - embedded[1]).norm() > 0.05


def test_a_missing_number_is_not_the_number_that_stands_for_zero(encoder: FieldTower) -> None:
    tokens = encoder.numbers(torch.tensor([[float("nan")] * 9, [0.0245] * 9]))  # 24.5 ms: the middle of the usual TE
    assert (tokens[0] - tokens[1]).norm(dim=-1).min() > 0.5


def test_echo_times_of_90_and_100_ms_differ_more_than_rounding_and_less_than_90_and_200(encoder: FieldTower) -> None:
    embedded = embed(encoder, FULL, *(replace(FULL, echo_time_s=value) for value in (0.0900001, 0.1, 0.2)))
    rounding, little, much = ((embedded[0] - other).norm() for other in embedded[1:])
    assert rounding < 0.001 * little
    assert little < much


def test_logarithms_grow_with_the_numbers_and_are_usual_within_one(encoder: FieldTower) -> None:
    values = torch.linspace(0.001, 0.6, 50)[:, None].repeat(1, 9)
    normalised = encoder.numbers.normalise(values)
    assert (normalised.diff(dim=0) > 0).all()
    assert torch.allclose(normalised[[0, -1], 6], torch.tensor([-1.0, 1.0]), atol=1e-5)


def test_the_gradient_reaches_every_parameter_and_is_finite(encoder: FieldTower) -> None:
    encoder.zero_grad()
    records = [FULL, replace(FULL, **CHANGED), *(replace(FULL, **{name: None}) for name in ("age_years", "contrast"))]
    records += [PromptRecord(), replace(FULL, voxel_size_mm=None, repetition_time_s=None)]
    weights = torch.randn(32, generator=torch.Generator().manual_seed(1))
    (encoder(encode_records(records)) * weights).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
    encoder.zero_grad()


def test_prompts_of_a_batch_do_not_see_each_other(encoder: FieldTower) -> None:
    together = embed(encoder, FULL, PromptRecord(), replace(FULL, contrast="SWI"))
    assert torch.allclose(together[0], embed(encoder, FULL)[0], atol=1e-5)


def test_a_typo_in_a_word_moves_a_prompt_less_than_another_word(encoder: FieldTower) -> None:
    right, typo, other = embed(
        encoder, *(replace(FULL, words=(word,)) for word in ("glioblastoma", "gliobastoma", "skull"))
    )
    assert 0 < (right - typo).norm() < (right - other).norm()


def test_the_same_seed_makes_the_same_vectors() -> None:
    made = []
    for _ in range(2):
        torch.manual_seed(3)
        made.append(embed(FieldTower(FieldTowerConfig(width=16, n_heads=2)).eval(), FULL))
    assert torch.equal(made[0], made[1])
