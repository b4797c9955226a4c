"""What a training saw is kept as ranges, and a prompt outside them is named with field, value and range."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from model.data.trained_ranges import outside_trained, states_settings, trained_ranges
from warehouse.prompts.record import PromptRecord

T2W = PromptRecord("T2w", repetition_time_s=3.0, echo_time_s=0.09, age_years=30.0, voxel_size_mm=(1.0, 1.0, 3.0))
RECORDS = [
    T2W,
    replace(T2W, repetition_time_s=5.0, echo_time_s=None, age_years=60.0, field_strength_t=3.0),
    PromptRecord("T1w", post_contrast=True, repetition_time_s=0.5),
    PromptRecord(age_years=20.0),
]


def test_ranges_are_those_of_each_contrast_and_of_all_people() -> None:
    made = trained_ranges(RECORDS)
    assert made == {
        "contrasts": {
            "T2w": {"repetition_time_s": [3.0, 5.0], "echo_time_s": [0.09, 0.09]},
            "ceT1w": {"repetition_time_s": [0.5, 0.5]},
        },
        "all": {"age_years": [20.0, 60.0], "field_strength_t": [3.0, 3.0], "voxel_size_mm": [1.0, 3.0]},
    }
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(
            replace(T2W, repetition_time_s=9.0), "TR is 9000 ms, and the training for T2w had 3000 to 5000 ms"
        ),
        pytest.param(replace(T2W, echo_time_s=0.2), "TE is 200 ms, and the training for T2w had 90 ms only"),
        pytest.param(replace(T2W, inversion_time_s=1.0), "no T2w that the model was trained on had a TI"),
        pytest.param(replace(T2W, age_years=0.0), "age is 0 years, and the training had 20 to 60 years"),
        pytest.param(replace(T2W, voxel_size_mm=(1.0, 1.0, 8.0)), "voxel size is 8 mm, and the training had 1 to 3 mm"),
        pytest.param(replace(T2W, voxel_size_mm=(0.2, 1.0, 1.0)), "voxel size is 0.2 mm"),
        pytest.param(replace(T2W, field_strength_t=7.0), "field strength is 7 T, and the training had 3 T only"),
        pytest.param(PromptRecord("SWI"), "SWI is none of those that the model was trained on: T2w, ceT1w"),
        pytest.param(PromptRecord("T1w"), "the contrast T1w is none"),
    ],
)
def test_what_lies_outside_is_named_with_value_and_range(asked: PromptRecord, said: str) -> None:
    [warning] = outside_trained(asked, trained_ranges(RECORDS))
    assert said in warning


def test_what_lies_inside_or_is_rounded_or_unknown_is_not_mentioned() -> None:
    ranges = trained_ranges(RECORDS)
    for asked in (T2W, replace(T2W, repetition_time_s=5.01), PromptRecord("T2w"), PromptRecord(sex="F")):
        assert outside_trained(asked, ranges) == []


def test_a_model_that_says_nothing_of_its_training_gives_no_warning() -> None:
    assert outside_trained(replace(T2W, age_years=119.0), {}) == []
    assert outside_trained(replace(T2W, age_years=119.0), trained_ranges([])) == []
    assert outside_trained(PromptRecord("SWI", echo_time_s=0.5), {"contrasts": {"SWI": {}}}) == []


@pytest.mark.parametrize(
    ("record", "stated"),
    [
        (PromptRecord("T2w"), True),
        (PromptRecord("T2w", repetition_time_s=4.0, echo_time_s=0.09), True),
        (PromptRecord("T2w", repetition_time_s=4.0, echo_time_s=0.2), False),
        (PromptRecord("T2w", flip_angle_deg=120.0), False),
        (PromptRecord("FLAIR", repetition_time_s=4.0), False),
        (PromptRecord(repetition_time_s=4.0), False),
    ],
    ids=["nothing named", "within", "beyond", "another field", "another contrast", "no contrast"],
)
def test_settings_are_known_where_scans_of_the_contrast_stated_them(record: PromptRecord, stated: bool) -> None:
    ranges = trained_ranges([PromptRecord("T2w", repetition_time_s=value, echo_time_s=0.09) for value in (3.0, 5.0)])
    assert states_settings(record, ranges) is stated
