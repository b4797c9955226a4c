"""Which protocols several contrasts may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.data.ambiguity import is_ambiguous
from warehouse.prompts.record import PromptRecord

SWI = PromptRecord("SWI", repetition_time_s=0.035, echo_time_s=0.02, flip_angle_deg=14.0)
T2W = PromptRecord("T2w", repetition_time_s=4.0, echo_time_s=0.09, flip_angle_deg=150.0)


@pytest.mark.parametrize("record", [SWI, replace(SWI, contrast="T2starw")])
def test_an_swi_and_a_t2starw_of_one_protocol_may_be_either(record: PromptRecord) -> None:
    assert is_ambiguous(record)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(T2W, id="a T2w"),
        pytest.param(replace(SWI, contrast="T2starw", repetition_time_s=0.6), id="a slow T2*w"),
        pytest.param(replace(SWI, contrast="FLAIR", inversion_time_s=0.01), id="an inversion"),
        pytest.param(PromptRecord("T1w", False, None, None, 3.0, None, None, None, 2.3, 0.003, 0.9, 9.0), id="MPRAGE"),
        pytest.param(replace(SWI, echo_time_s=None), id="without echo time"),
        pytest.param(PromptRecord(), id="nothing stated"),
    ],
)
def test_all_else_is_what_it_is_called(record: PromptRecord) -> None:
    assert not is_ambiguous(record)
