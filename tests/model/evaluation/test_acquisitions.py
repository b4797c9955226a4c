"""Prompts as protocols: those of simulated scans come back, and what leaves something open is None."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.data.random_pairs import record_of
from model.evaluation.acquisitions import acquisition
from model.physics.contrast import signals_of
from model.simulation.people import Subject
from model.simulation.protocols import VARIANTS, draw_protocol
from model.simulation.scanner import Scanner
from warehouse.prompts.record import PromptRecord

SCANNER = Scanner("Siemens", "Prisma", 3.0)
T2W = PromptRecord(
    "T2w", field_strength_t=3.0, repetition_time_s=4.0, echo_time_s=0.09, flip_angle_deg=150.0
)  # fmt: skip


@pytest.mark.parametrize("contrast", VARIANTS)
def test_signals_of_a_drawn_protocol_follow_from_its_prompt(contrast: str) -> None:
    random = np.random.default_rng(0)
    for number in range(40):
        protocol = draw_protocol(contrast, random, is_wide=number % 2 == 0)
        record = record_of(Subject(1, 40.0, "F"), protocol, SCANNER, (1.0, 1.0, 1.0))
        found = acquisition(record)
        assert found is not None
        np.testing.assert_allclose(signals_of([found]), signals_of([protocol]), rtol=1e-9)


def test_the_angle_of_a_late_train_varies_whether_it_is_stated_or_not() -> None:
    late = replace(T2W, echo_time_s=0.563)
    stated = replace(late, flip_angle_deg=None, flip_angle_variable=True)
    assert acquisition(late) == acquisition(stated)
    assert acquisition(late) is not None


def test_an_angle_up_to_90_degrees_is_that_of_the_excitation() -> None:
    assert acquisition(replace(T2W, flip_angle_deg=90.0)) == acquisition(T2W)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(PromptRecord(), id="nothing"),
        pytest.param(replace(T2W, contrast="FLAIR"), id="a FLAIR without TI"),
        pytest.param(replace(T2W, flip_angle_deg=None), id="no flip angle"),
        pytest.param(replace(T2W, field_strength_t=None), id="no field strength"),
        pytest.param(replace(T2W, echo_time_s=None), id="no echo time"),
        pytest.param(replace(T2W, repetition_time_s=0.05), id="an echo after the next excitation"),
    ],
)
def test_what_leaves_something_open_has_no_protocol(record: PromptRecord) -> None:
    assert acquisition(record) is None
