from __future__ import annotations

import pytest

from warehouse.ingest.privacy import scrub

IDENTIFYING = [
    "PatientName", "PatientID", "PatientBirthDate", "OtherPatientIDs", "PatientAddress", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "AcquisitionTime", "AcquisitionDate",
    "AcquisitionDateTime", "StudyDate", "SeriesTime", "ContentTime", "PerformedProcedureStepStartTime",
    "ReferringPhysicianName", "OperatorsName", "AccessionNumber", "StudyID", "StudyInstanceUID",
    "SeriesInstanceUID", "ImageComments", "ProcedureStepDescription", "name", "surname", "date_of_birth", "DOB",
    "PTDOB", "PTDOBYY", "Acq Date", "subjectkey",
    "exam_date", "MRI date", "e-mail", "phone_number", "Post Code", "NHS number", "acq_time", "scan_date",
]  # fmt: skip
HARMLESS = [
    "RepetitionTime", "EchoTime", "InversionTime", "EchoTime1", "TotalReadoutTime", "DwellTime", "SliceTiming",
    "FlipAngle", "AcquisitionDuration", "AcquisitionNumber", "AcquisitionMatrixPE", "MRAcquisitionType",
    "Manufacturer", "ManufacturersModelName", "SequenceName", "ProtocolName", "PatientPosition",
    "participant_id", "age", "sex", "days_between_studies", "time_follow-up", "age_scan", "site", "group",
    "session_id", "CoilString", "ReceiveCoilName", "PulseSequenceName", "BodyPartExamined", "TaskName",
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTIFYING)
def test_an_identifying_field_is_dropped(name: str) -> None:
    assert scrub({name: "Jane Doe"}, b"salt") == ({}, 1, None)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_field_that_names_nobody_is_kept(name: str) -> None:
    assert scrub({name: 1}, b"salt") == ({name: 1}, 0, None)


def test_identifying_fields_are_dropped_at_any_depth() -> None:
    nested = {"global": {"const": {"PatientName": "x", "EchoTime": 2}, "slices": [{"AcquisitionTime": "y", "n": 1}]}}
    clean, n_dropped, _ = scrub(nested, b"salt")
    assert clean == {"global": {"const": {"EchoTime": 2}, "slices": [{"n": 1}]}}
    assert n_dropped == 2


@pytest.mark.parametrize("name", ["DeviceSerialNumber", "ScannerSerialNumber", "SerialNumber"])
def test_a_serial_survives_only_as_a_hash_that_differs_from_home_to_home(name: str) -> None:
    clean, n_dropped, here = scrub({name: "35343.0"}, b"one home")
    _, _, there = scrub({name: "35343.0"}, b"another home")
    assert (clean, n_dropped) == ({}, 1)
    assert here is not None
    assert "35343" not in here
    assert here != there


def test_a_serial_written_as_text_or_number_is_the_same_device() -> None:
    assert (
        scrub({"DeviceSerialNumber": 35343.0}, b"s")[2] == scrub({"global": {"DeviceSerialNumber": "35343"}}, b"s")[2]
    )


def test_a_missing_serial_is_no_device() -> None:
    assert scrub({"DeviceSerialNumber": "n/a"}, b"s")[2] is None
