from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from tests.warehouse.ingest.conftest import Dataset, gz

SIDE = {"RepetitionTime": 2.0, "EchoTime": 0.003, "FlipAngle": 9}
T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def kinds(dataset: Dataset) -> list[tuple[object, ...]]:
    """Return kind, path, row, participant and field of every finding, in order."""
    names = ("kind", "path", "row", "participant_id", "field")
    return sorted((tuple(row[name] for name in names) for row in dataset.rows("core.finding")), key=str)


def test_a_dataset_that_agrees_has_no_findings(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\tsex\nsub-01\t30\tF\n")
    dataset.write("participants.json", {"age": {"Units": "years"}})
    dataset.write("task-rest_events.json", {"onset": {"Units": "s"}})
    dataset.image(T1W, SIDE)
    dataset.ingest()
    assert kinds(dataset) == []


def test_rows_without_images_and_images_without_rows_are_found(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\nsub-01\t30\nsub-09\t40\n")
    dataset.write("sub-01/sub-01_sessions.tsv", "session_id\tage\nses-1\t30\nses-7\t37\n")
    dataset.image("sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", SIDE)
    dataset.image("sub-02/anat/sub-02_T1w.nii.gz", SIDE)
    dataset.ingest()
    assert kinds(dataset) == [
        ("images_without_row", None, None, "02", None),
        ("row_without_images", "participants.tsv", 2, "09", None),
        ("row_without_images", "sub-01/sub-01_sessions.tsv", 2, "01", None),
    ]


def test_images_without_any_table_are_one_finding(dataset: Dataset) -> None:
    for sub in ("01", "02"):
        dataset.image(f"sub-{sub}/anat/sub-{sub}_T1w.nii.gz", SIDE)
    dataset.ingest()
    assert kinds(dataset) == [("images_without_row", None, None, None, None)]


def listed(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\tsex\nsub-01\t30\tF\n")


def test_a_sidecar_that_applies_to_no_image_is_found_and_one_of_a_refused_image_is_not(dataset: Dataset) -> None:
    listed(dataset)
    dataset.image(T1W)
    dataset.write("T1w.json", SIDE)
    dataset.write("sub-01/anat/sub-01_run-2_T2w.json", SIDE)
    dataset.write("acq-hires_T1w.json", SIDE)
    dataset.write("sub-01/anat/sub-01_FLAIR.json", SIDE)
    dataset.write("sub-01/anat/sub-01_FLAIR.nii.gz", b"")
    dataset.write("derivatives/x/sub-01_T1w.json", SIDE)
    dataset.ingest()
    assert [(kind, path) for kind, path, *_ in kinds(dataset)] == [
        ("sidecar_without_image", "acq-hires_T1w.json"),
        ("sidecar_without_image", "sub-01/anat/sub-01_run-2_T2w.json"),
    ]


def timed(dataset: Dataset, sidecar: dict[str, object], *, tr_s: float = 2.0, unit: str = "sec") -> None:
    listed(dataset)
    image = nib.Nifti1Image(np.ones((4, 4, 4, 3), np.int16), np.diag([2.0, 2.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", unit)
    image.header.set_zooms((2.0, 2.0, 3.0, tr_s))
    image.set_sform(image.affine, 1)
    dataset.write("sub-01/func/sub-01_task-rest_bold.nii.gz", gz(image.to_bytes()))
    dataset.write("sub-01/func/sub-01_task-rest_bold.json", sidecar)
    dataset.ingest()


@pytest.mark.parametrize(
    ("sidecar", "fields"),
    [
        (SIDE | {"SliceThickness": 3.0}, []),
        (SIDE | {"SliceThickness": 2.4, "SpacingBetweenSlices": 3.0}, []),
        (SIDE | {"SliceThickness": 5.0}, ["SliceThickness"]),
        (SIDE | {"SpacingBetweenSlices": 5.0}, ["SpacingBetweenSlices"]),
        (SIDE | {"RepetitionTime": 2.5}, ["RepetitionTime"]),
    ],
)
def test_a_sidecar_that_contradicts_the_header_is_found(
    dataset: Dataset, sidecar: dict[str, object], fields: list[str]
) -> None:
    timed(dataset, sidecar)
    assert [(kind, field) for kind, _, _, _, field in kinds(dataset)] == [
        ("sources_disagree", field) for field in fields
    ]


def test_a_step_in_time_in_milliseconds_agrees_with_seconds(dataset: Dataset) -> None:
    timed(dataset, SIDE, tr_s=2000.0, unit="msec")
    assert kinds(dataset) == []


def test_sex_and_age_of_a_sidecar_that_contradict_the_table_are_found(dataset: Dataset) -> None:
    listed(dataset)
    dataset.image(T1W, SIDE | {"PatientSex": "M", "PatientAge": "041Y"})
    dataset.ingest()
    assert kinds(dataset) == [
        ("sources_disagree", None, None, "01", "age"),
        ("sources_disagree", None, None, "01", "sex"),
    ]
    assert dataset.rows("core.participant")[0]["sex"] == "F"


def test_an_age_of_a_sidecar_that_was_rounded_agrees(dataset: Dataset) -> None:
    listed(dataset)
    dataset.image(T1W, SIDE | {"PatientSex": "F", "PatientAge": "031Y"})
    dataset.ingest()
    assert kinds(dataset) == []


def test_an_age_that_a_later_visit_does_not_inherit_is_null_in_the_catalogue(dataset: Dataset) -> None:
    listed(dataset)
    for session in ("2010", "2020"):
        dataset.image(f"sub-01/ses-{session}/anat/sub-01_ses-{session}_T1w.nii.gz", SIDE)
    dataset.ingest()
    ages = {row["session_label"]: (row["age_years"], row["age_provenance"]) for row in dataset.rows("core.session")}
    assert ages == {"2010": (30, "participants"), "2020": (None, None)}
    assert kinds(dataset) == [("age_not_assigned", "participants.tsv", None, "01", "age")]


def test_findings_show_no_text_of_the_dataset(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\tsex\nsub-01\tborn 1950 to Smith\tSmith\n")
    dataset.image(T1W, SIDE | {"EchoTime": "as Dr Smith said", "Manufacturer": {"by": "Smith"}})
    dataset.ingest()
    for table in ("core.finding", "core.rejection", "raw.sidecar", "raw.participant_row"):
        assert "Smith" not in json.dumps(dataset.rows(table)), table
    assert {row["field"] for row in dataset.rows("core.finding")} == {"EchoTime", "Manufacturer"}
