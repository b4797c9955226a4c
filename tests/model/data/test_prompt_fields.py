"""Records as numbers: what is missing is not zero, and the order is fixed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.data.prompt_fields import N_PIECES, NUMBERS, VOCABULARY, FieldBatch, encode_records
from warehouse.errors import PromptError
from warehouse.prompts.record import PromptRecord

FULL = PromptRecord("T1w", False, "Siemens", None, 3.0, 12.0, "M", (0.8, 0.7, 0.9), 2.5, 0.0022, 1.0, 8.0)


def test_every_field_has_its_column() -> None:
    batch = encode_records([FULL])
    wanted = torch.tensor([[3.0, 12.0, 0.8, 0.7, 0.9, 2.5, 0.0022, 1.0, 8.0]])
    assert torch.equal(batch.numbers, wanted)
    assert batch.categories.tolist() == [[1, 1, 1, 1, 1]]
    assert batch.numbers.dtype == torch.float32
    assert batch.categories.dtype == torch.int64


def test_what_is_missing_is_not_a_number_and_category_zero() -> None:
    batch = encode_records([PromptRecord()])
    assert batch.numbers.isnan().all()
    assert batch.categories.tolist() == [[0] * len(VOCABULARY)]


def test_an_age_of_zero_is_not_a_missing_age() -> None:
    batch = encode_records([PromptRecord(age_years=0.0)])
    assert batch.numbers[0, 1] == 0


def test_a_contrast_agent_is_seen_in_any_contrast() -> None:
    enhanced = encode_records([PromptRecord("T1w", True), PromptRecord("FLAIR", True), PromptRecord("FLAIR")])
    labels = VOCABULARY["contrast"]
    assert enhanced.categories[:, 0].tolist() == [labels.index(name) + 1 for name in ("ceT1w", "FLAIR", "FLAIR")]
    assert enhanced.categories[:, 1].tolist() == [2, 2, 1]


def test_a_variable_flip_angle_is_a_kind_and_no_number() -> None:
    batch = encode_records([PromptRecord(flip_angle_deg=120.0, flip_angle_variable=True), PromptRecord()])
    assert batch.numbers[0, 8].isnan()
    assert batch.categories[:, 4].tolist() == [2, 0]


def test_an_unknown_vendor_is_as_good_as_none() -> None:
    assert encode_records([PromptRecord(vendor="Acme")]).categories[0, 2] == 0


def test_words_are_pieces_of_three_letters_and_none_where_there_are_no_words() -> None:
    batch = encode_records([FULL, replace(FULL, words=("tumour",)), replace(FULL, words=("tumor", "skull"))])
    assert (batch.pieces > 0).sum(1).tolist() == [0, 6, 10]
    assert set(batch.pieces[1].tolist()) & set(batch.pieces[2].tolist()) - {0}  # a spelling has pieces in common
    assert int(batch.pieces.max()) <= N_PIECES


def test_no_records_are_an_empty_batch() -> None:
    batch = encode_records([])
    assert batch.numbers.shape == (0, len(NUMBERS))
    assert batch.categories.shape == (0, len(VOCABULARY))
    assert len(batch) == 0


def test_rows_can_be_taken() -> None:
    batch = encode_records([FULL, PromptRecord(), FULL])
    assert isinstance(batch[1:], FieldBatch)
    assert len(batch[1:]) == 2
    assert torch.equal(batch[torch.tensor([2])].numbers, batch.numbers[:1])


@pytest.mark.parametrize("value", [0.0, -0.09, float("nan"), float("inf")])
def test_a_number_that_has_no_logarithm_is_refused(value: float) -> None:
    with pytest.raises(PromptError, match="echo_time_s cannot be"):
        encode_records([PromptRecord(echo_time_s=value)])
