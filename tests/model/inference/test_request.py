"""A prompt is completed from the inputs, each field says where it is from, and what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.inference.known import SIDECAR, Known, known_of
from model.inference.request import GRID, PROMPT, as_json, as_record, described, understand
from warehouse.errors import PromptError
from warehouse.prompts.record import PromptRecord

SIZE = (1.0, 1.0, 4.0)
PERSON = Known(PromptRecord("T1w")).complete(SIDECAR, age_years=0.0, sex="F", field_strength_t=3.0, echo_time_s=0.003)


def test_person_field_and_voxels_are_the_inputs_and_what_nobody_says_stays_unknown() -> None:
    made = understand("T2w; TE 90 ms", [known_of(None), PERSON], SIZE)
    assert made.record == PromptRecord(
        "T2w", echo_time_s=0.09, age_years=0.0, sex="F", field_strength_t=3.0, voxel_size_mm=SIZE
    )
    assert made.origins["echo_time_s"] == PROMPT
    assert made.origins["age_years"] == f"{SIDECAR} (input)"
    assert made.origins["voxel_size_mm"] == GRID
    assert made.missing == ["vendor", "repetition_time_s", "inversion_time_s", "flip_angle_deg"]
    assert made.given == "T2w; TE 90 ms"


def test_what_the_prompt_says_is_not_replaced() -> None:
    made = understand("T2w; age 40; male; 1.5T; 2 mm isotropic", [PERSON], SIZE)
    assert made.record == PromptRecord(
        "T2w", age_years=40.0, sex="M", field_strength_t=1.5, voxel_size_mm=(2.0, 2.0, 2.0)
    )
    assert set(made.origins.values()) == {PROMPT}


def test_inputs_of_different_people_are_reported() -> None:
    other = Known(PromptRecord()).complete(SIDECAR, age_years=50.0, sex="M")
    notes = understand("T2w", [PERSON, other], SIZE).notes
    assert len(notes) == 2
    assert all("one head" in note for note in notes)
    assert understand("T2w", [PERSON, PERSON], SIZE).notes == ()


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        pytest.param("T2w; TE 90 ms; TR 90 ms", "TE 90 ms is not shorter than TR 90 ms", id="TE is TR"),
        pytest.param("FLAIR; TR 2 s; TI 2500 ms", "TI 2500 ms is not shorter than TR 2000 ms", id="TI beyond TR"),
        pytest.param("T1w; TR 500 ms; TI 900 ms", "TI 900 ms", id="T1w whose TR is no excitation's"),
        pytest.param(PromptRecord("T2w", echo_time_s=0.2, repetition_time_s=0.1), "TE 200 ms", id="a record"),
        pytest.param(PromptRecord("T2w", echo_time_s=90.0), "TE cannot be 90 s", id="milliseconds as seconds"),
        pytest.param(PromptRecord("T2w", age_years=float("nan")), "age cannot be nan", id="NaN"),
        pytest.param(PromptRecord("CT"), "no contrast 'CT'", id="no MRI"),
        pytest.param(PromptRecord("T2w", flip_angle_deg=90.0, flip_angle_variable=True), "FA is 90", id="two angles"),
        pytest.param(PromptRecord("T2w", voxel_size_mm=(1.0, 0.0, 1.0)), "voxel size cannot be 0", id="no voxel"),
        pytest.param("", "empty", id="nothing"),
        pytest.param("a nice picture", "not understood", id="no prompt"),
    ],
)
def test_a_prompt_that_no_scan_can_have_is_refused(prompt: str | PromptRecord, said: str) -> None:
    with pytest.raises(PromptError, match=said) as refusal:
        understand(prompt, [PERSON], SIZE)
    assert refusal.value.remedy


@pytest.mark.parametrize("prompt", ["T1w; TR 8 ms; TE 3 ms; TI 450 ms", "FLAIR", "FLAIR; TR 9 s; TI 2500 ms", "3T"])
def test_what_scanners_state_is_accepted(prompt: str) -> None:
    understand(prompt, [PERSON], SIZE)


def test_an_error_says_of_which_input_the_prompt_is() -> None:
    with pytest.raises(PromptError, match=r"the source prompt of a.nii: .*TE"):
        as_record("T2w; TE 90 ms; TR 80 ms", "the source prompt of a.nii")


def test_a_record_is_described_by_origin_with_units() -> None:
    made = understand("ceT1w; TE 3.5 ms; FA 9", [known_of(Path("T2w.nii"))], SIZE)
    assert described(made.record, made.origins) == [
        f"from {PROMPT}: contrast ceT1w, TE 3.5 ms, FA 9°",
        f"from {GRID}: voxel size 1 × 1 × 4 mm",
    ]
    assert as_json(made.record)["voxel_size_mm"] == [1.0, 1.0, 4.0]
    assert "age_years" not in as_json(made.record)
