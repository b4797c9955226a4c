"""What is known of a scan comes from the user, its sidecars and its name, in this order, and each field says which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.inference.known import NAME, SAID, SIDECAR, contrast_in_words, known_of
from warehouse.prompts.record import PromptRecord


def beside(path: Path, **fields: Any) -> Path:
    """Write a sidecar for an image, and return the image's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json").write_text(json.dumps(fields))
    return path


def test_fields_of_a_sidecar_are_read_as_ingest_reads_them(tmp_path: Path) -> None:
    facts = {"RepetitionTime": "3200 ms", "EchoTime": 0.09, "FlipAngle": 120, "MagneticFieldStrength": 2.89}
    person = {"PatientAge": "034Y", "PatientSex": "F", "PatientName": "Doe^Jane", "Manufacturer": "SIEMENS"}
    known = known_of(beside(tmp_path / "scan.nii.gz", **facts, **person))
    wanted = {"repetition_time_s": 3.2, "echo_time_s": 0.09, "flip_angle_deg": 120.0, "field_strength_t": 3.0}
    for name, value in (wanted | {"age_years": 34.0, "sex": "F", "vendor": "Siemens"}).items():
        assert getattr(known.record, name) == value
        assert known.origins[name] == SIDECAR
    assert known.record.contrast is None
    assert "Doe" not in str(known)


@pytest.mark.parametrize(
    ("name", "contrast", "is_after"),
    [
        ("sub-01_ses-02_T2w.nii.gz", "T2w", False),
        ("sub-01_ce-gd_T1w.nii", "T1w", True),
        ("sub-01_ce-none_T1w.nii", "T1w", False),
        ("sub-01_acq-postcontrast_T1w.nii", "T1w", True),
        ("sub-01_acq-precontrast_T1w.nii", "T1w", False),
        ("7_t2_tirm_tra_dark-fluid.nii.gz", "FLAIR", False),
        ("t1_mprage_sag.nii.gz", "T1w", False),
        ("T1.nii", "T1w", False),
    ],
)
def test_a_name_tells_the_contrast(name: str, contrast: str, is_after: bool) -> None:
    known = known_of(Path("/nowhere") / name)
    assert (known.record.contrast, known.record.post_contrast) == (contrast, is_after)
    assert known.contrast_origin == NAME


@pytest.mark.parametrize("name", ["scan.nii.gz", "sub-01_bold.nii.gz", "t1_and_t2.nii", "art1.nii", "1.nii", ".nii"])
def test_a_name_that_tells_no_one_contrast_leaves_it_unknown(name: str) -> None:
    assert known_of(Path("/nowhere") / name).record.contrast is None


def test_the_user_is_believed_before_sidecar_and_name(tmp_path: Path) -> None:
    path = beside(tmp_path / "sub-01_T1w.nii.gz", EchoTime=0.003, RepetitionTime=2.3)
    known = known_of(path, PromptRecord("T1w", echo_time_s=0.004))
    assert (known.record.echo_time_s, known.record.repetition_time_s) == (0.004, 2.3)
    assert (known.origins["echo_time_s"], known.origins["repetition_time_s"]) == (SAID, SIDECAR)
    assert known.contrast_origin == SAID


def test_a_name_that_contradicts_the_user_is_reported() -> None:
    known = known_of(Path("/nowhere/sub-01_T2w.nii"), PromptRecord("T1w"))
    assert known.record.contrast == "T1w"
    assert known.notes == ("sub-01_T2w.nii: the source prompt says T1w, the file name T2w; the prompt counts",)
    assert known_of(Path("/nowhere/sub-01_T1w.nii"), PromptRecord("T1w")).notes == ()


def test_times_of_a_sidecar_are_not_those_of_another_contrast_that_the_user_states(tmp_path: Path) -> None:
    path = beside(tmp_path / "scan.nii", SeriesDescription="t1_mprage", EchoTime=0.003, PatientSex="M")
    known = known_of(path, PromptRecord("T2w"))
    assert (known.record.contrast, known.record.echo_time_s, known.record.sex) == ("T2w", None, "M")


def test_a_sidecar_that_contradicts_what_the_user_says_does_not_make_an_impossible_scan(tmp_path: Path) -> None:
    path = beside(tmp_path / "scan.nii", EchoTime=0.09, RepetitionTime=3.0)
    assert known_of(path, PromptRecord(repetition_time_s=0.05)).record.echo_time_s is None
    assert known_of(path, PromptRecord(echo_time_s=0.5)).record.repetition_time_s == 3.0


def test_texts_of_a_scanner_tell_the_contrast_unless_the_name_has_a_suffix(tmp_path: Path) -> None:
    fields = {"SeriesDescription": "t2_space_sag", "ContrastBolusAgent": "Gadovist"}
    known = known_of(beside(tmp_path / "scan.nii", **fields))
    assert (known.record.contrast, known.contrast_origin) == ("T2w", SIDECAR)
    named = known_of(beside(tmp_path / "sub-01_T1w.nii", **fields))
    assert (named.record.contrast, named.contrast_origin) == ("T1w", NAME)


def test_a_contrast_agent_in_the_sidecar_counts_for_a_contrast_in_the_name(tmp_path: Path) -> None:
    known = known_of(beside(tmp_path / "sub-01_T1w.nii", ContrastBolusAgent="Gadovist"))
    assert (known.record.contrast, known.record.post_contrast) == ("T1w", True)


def test_sidecars_are_inherited_in_a_data_set_and_nowhere_else(tmp_path: Path) -> None:
    image = tmp_path / "set" / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    image.parent.mkdir(parents=True)
    (tmp_path / "set" / "T1w.json").write_text('{"RepetitionTime": 2.3}')
    (tmp_path / "T1w.json").write_text('{"EchoTime": 0.5}')
    assert known_of(image).record.repetition_time_s is None
    (tmp_path / "set" / "dataset_description.json").write_text('{"Name": "set", "BIDSVersion": "1.9.0"}')
    known = known_of(image)
    assert (known.record.repetition_time_s, known.record.echo_time_s) == (2.3, None)


@pytest.mark.parametrize(
    "content", [b"{", b"[1]", b"\xff\xfe", b'{"EchoTime": "soon"}', b'{"Manufacturer": "\\ud83d"}']
)
def test_a_sidecar_that_cannot_be_read_costs_its_fields_and_is_reported(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "sub-01_T1w.json").write_bytes(content)
    known = known_of(tmp_path / "sub-01_T1w.nii")
    assert known.record == PromptRecord("T1w")
    assert any("sub-01_T1w" in note for note in known.notes)


def test_an_input_that_is_synthetic_is_reported(tmp_path: Path) -> None:
    known = known_of(beside(tmp_path / "sub-01_T1w.nii", Synthetic=True))
    assert any("itself synthetic" in note for note in known.notes)


def test_nothing_is_known_of_an_image_in_memory_but_what_is_said() -> None:
    assert known_of(None).record == PromptRecord()
    known = known_of(None, PromptRecord("T2w", age_years=0.0))
    assert known.origins == {"contrast": SAID, "post_contrast": SAID, "age_years": SAID}


@pytest.mark.parametrize("text", ["", "___", "T1T2T3", "petit1", "x" * 5000])
def test_words_of_no_contrast_name_none(text: str) -> None:
    assert contrast_in_words(text) is None
