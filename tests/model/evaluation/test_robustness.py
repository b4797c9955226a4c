"""Prompts written otherwise: units and order change nothing, and what is left out is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.evaluation.robustness import LEFT_OUT, cosine, misspelt, variants, written
from model.evaluation.scorers import Encoder
from tests.model.evaluation.seen import Clairvoyant, scans
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.record import PromptRecord, render

FULL = PromptRecord(
    "T1w", True, "Siemens", "Prisma", 3.0, 45.5, "F", (1.0, 1.0, 1.2), 2.3, 0.00298, 0.9, 9.0
)  # fmt: skip


@pytest.mark.parametrize(
    "record", [FULL, replace(FULL, flip_angle_deg=None, flip_angle_variable=True), *scans(7).records]
)
def test_what_is_written_with_units_is_read_as_it_was_in_any_order(record: PromptRecord) -> None:
    for options in ({}, {"in_seconds": True}, {"is_reversed": True}):
        assert render(parse_prompt(written(record, **options))) == render(record)


def test_units_and_order_do_not_move_an_embedding() -> None:
    encoder, records = Encoder(Clairvoyant()), scans(14).records
    found = {variant.name: variant for variant in variants(records)}
    for name in ("other units", "other order"):
        assert cosine(encoder, records, found[name]) == pytest.approx(1, abs=1e-6)
    assert cosine(encoder, records, found["without contrast"]) < 0.9


def test_every_field_that_is_stated_is_left_out_once() -> None:
    found = {variant.name: variant.records for variant in variants([FULL])}
    for name in LEFT_OUT:
        assert found[f"without {name}"] == [replace(FULL, **{name: None})]
    assert found["unknown vendor"][0].vendor == "Acme"
    assert "without sex" not in {variant.name for variant in variants([replace(FULL, sex=None)])}


def test_a_misspelt_word_is_kept_as_a_word_or_nothing_is_understood() -> None:
    assert misspelt("T1w, Siemens Prisma, 3 T") == "T1w, Seimens Prisma, 3 T"
    [found] = [variant.records[0] for variant in variants([FULL]) if variant.name == "misspelt"]
    assert found == PromptRecord() or "seimens" in found.words
