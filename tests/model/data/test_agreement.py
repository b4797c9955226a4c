"""How far a prompt is true of an image: by what a difference changes in the image, not by its size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.data.agreement import agreement
from warehouse.prompts.record import PromptRecord

FULL = PromptRecord("T2w", False, "Siemens", None, 3.0, 34.0, "M", (0.8, 0.8, 0.8), 3.2, 0.09, None, 120.0)
MPRAGE = PromptRecord("T1w", False, "GE", None, 3.0, 50.0, "F", (1.0, 1.0, 1.0), 2.3, 0.003, 0.9, 9.0)


def test_records_that_say_the_same_are_true_of_each_other() -> None:
    assert torch.equal(agreement([FULL, FULL], [FULL, FULL]), torch.ones(2, 2))


def test_what_a_prompt_does_not_say_is_no_objection() -> None:
    prompts = [PromptRecord(contrast="T2w"), PromptRecord(echo_time_s=0.09), PromptRecord()]
    assert torch.equal(agreement([FULL], prompts), torch.ones(1, 3))


def test_the_more_an_echo_time_is_off_the_less_is_agreed() -> None:
    found = agreement([FULL], [replace(FULL, echo_time_s=value) for value in (0.09, 0.093, 0.1, 0.12)])[0]
    assert (found.diff() < 0).all()
    assert 0.2 < found[1] < 0.9


def test_a_change_that_no_tissue_shows_is_no_lie() -> None:
    unseen = agreement([MPRAGE], [replace(MPRAGE, echo_time_s=0.0031)])[0, 0]
    seen = agreement([MPRAGE], [replace(MPRAGE, inversion_time_s=0.6)])[0, 0]
    assert unseen > 0.9
    assert seen < 0.1


def test_another_contrast_or_an_agent_is_no_match_whatever_else_fits() -> None:
    others = [replace(FULL, contrast="PDw"), replace(FULL, post_contrast=True)]
    assert torch.equal(agreement([FULL], others), torch.zeros(1, 2))


def test_words_that_show_rank_above_words_that_do_not() -> None:
    vendor, echo = agreement([FULL], [replace(FULL, vendor="GE"), replace(FULL, echo_time_s=0.12)])[0]
    assert vendor > echo


def test_a_parameter_that_is_unknown_of_the_image_is_not_asked() -> None:
    found = agreement([PromptRecord("T2w"), FULL], [FULL, PromptRecord("T2w"), PromptRecord("T1w", echo_time_s=0.01)])
    assert found.isnan().tolist() == [[True, False, False], [False, False, False]]


def test_agreement_falls_with_every_false_word() -> None:
    prompts = [replace(FULL, words=words) for words in ((), ("tumour",), ("tumour", "stripped"), ("tumour", "skull"))]
    [found] = agreement([FULL], prompts, [frozenset({"tumour", "stripped"})])
    assert found[0] == found[1] == found[2] == 1
    assert found[3] == pytest.approx(0.1353, abs=1e-3)


def test_the_order_of_prompts_and_images_changes_nothing() -> None:
    records = [FULL, MPRAGE, replace(FULL, echo_time_s=0.1), replace(MPRAGE, inversion_time_s=0.95)]
    found = agreement(records, records)
    assert torch.allclose(agreement(records[::-1], records), found.flip(0))
    assert torch.allclose(agreement(records, records[::-1]), found.flip(1))
