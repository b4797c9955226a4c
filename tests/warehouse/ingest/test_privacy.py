from __future__ import annotations

import pytest

from warehouse.ingest.privacy import clean_row, clean_sidecar, is_identifying

NASTY = {
    "Comments": "John Smith, born 1950-03-12",
    "comments": "John Smith",
    "PatientName": "John^Smith",
    "PatientID": "4711",
    "PatientBirthDate": "19500312",
    "SeriesDescription": "t1 John Smith",
    "ProtocolName": "smith_t1",
    "ImageComments": "John Smith",
    "AcquisitionTime": "13:40:36",
    "AcquisitionDateTime": "2020-01-01T13:40:36",
    "InstitutionName": "Smith Clinic",
    "StationName": "SMITH1",
    "ReferringPhysicianName": "Dr Smith",
    "AccessionNumber": "123",
    "StudyInstanceUID": "1.2.3",
    "RandomNewKey": "Smith",
    "x": {"y": {"z": ["Smith"]}},
    "Smith": 1,
    "WipMemBlock": "Smith",
    "TaskDescription": "Smith",
    "ConvolutionKernel": " executable\r\nSmith's dcm2niiX",
    "global": {"const": {"PatientName": "Smith"}},
}


@pytest.mark.parametrize("name", NASTY)
def test_a_field_that_no_list_names_is_dropped_whatever_it_holds(name: str) -> None:
    assert clean_sidecar({name: NASTY[name]}, b"salt") == ({}, 1, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EchoTime", "John Smith, born 1950-03-12"),
        ("EchoTime", {"operator": "John Smith"}),
        ("EchoTime", ["John Smith"]),
        ("SliceTiming", [0.1, "Smith"]),
        ("Manufacturer", "Siemens, operated by John Smith on 1950-03-12"),
        ("Manufacturer", "Smith " * 20),
        ("ImageType", ["ORIGINAL", {"by": "Smith"}]),
        ("ImageType", ["Smith"] * 40),
        ("PatientSex", "Smith"),
        ("PatientAge", "born 1950-03-12"),
        ("ContrastBolusAgent", "Gadovist 6 ml, given by Dr Smith"),
        ("ContrastBolusAgent", {"by": "Smith"}),
    ],
)
def test_a_named_field_keeps_no_free_text(name: str, value: object) -> None:
    clean, _, _ = clean_sidecar({name: value}, b"salt")
    assert clean.keys() == {name}
    assert "Smith" not in str(clean)
    assert "1950" not in str(clean)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RepetitionTime", 2.3),
        ("EchoTime", "2.98 ms"),
        ("EchoTime", [0.00298]),
        ("SliceTiming", [0, 0.5, 1.0]),
        ("ImageOrientationPatientDICOM", [0, 1, 0, 0.012217, 0, -0.999925]),
        ("Manufacturer", "GE MEDICAL SYSTEMS"),
        ("ManufacturersModelName", "MAGNETOM Prisma Fit"),
        ("ScanningSequence", "GR\\IR"),
        ("ImageType", ["ORIGINAL", "PRIMARY", "M", "ND"]),
        ("SoftwareVersions", "syngo MR E11"),
        ("VariableFlipAngleFlag", "N"),
        ("NonlinearGradientCorrection", False),
        ("PatientAge", "034Y"),
        ("PatientSex", "F"),
    ],
)
def test_a_named_field_of_its_form_is_kept(name: str, value: object) -> None:
    assert clean_sidecar({name: value}, b"salt") == ({name: value}, 0, None)


@pytest.mark.parametrize(
    ("value", "kept"),
    [("Prisma\0\0", "Prisma"), ("\0SIEMENS\0 ", "SIEMENS"), ("\ufeffTrio\r\n", "Trio"), ("Prisma\tFit", "Prisma Fit")],
)
def test_padding_and_control_characters_are_removed(value: str, kept: str) -> None:
    assert clean_sidecar({"ManufacturersModelName": value}, b"s")[0] == {"ManufacturersModelName": kept}


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**30, 10**400, [10**30], [float("nan")]])
def test_numbers_that_json_readers_cannot_hold_are_not_kept(value: object) -> None:
    clean, _, _ = clean_sidecar({"SAR": value}, b"s")
    assert clean["SAR"] is None or isinstance(clean["SAR"], str)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Gadovist 6 ml", "GIVEN"),
        ("GADOLINIUM", "GIVEN"),
        ("NONE", "NONE"),
        ("n/a", "NONE"),
        ("", "NONE"),
        ("no", "NONE"),
    ],
)
def test_of_a_contrast_agent_only_whether_it_was_given_is_kept(text: str, kept: str) -> None:
    assert clean_sidecar({"ContrastBolusAgent": text}, b"s")[0] == {"ContrastBolusAgent": kept}


@pytest.mark.parametrize("name", ["DeviceSerialNumber", "ScannerSerialNumber", "SerialNumber"])
def test_a_serial_survives_only_as_a_hash_that_differs_from_home_to_home(name: str) -> None:
    clean, n_dropped, here = clean_sidecar({name: "35343.0"}, b"one home")
    _, _, there = clean_sidecar({name: "35343.0"}, b"another home")
    assert (clean, n_dropped) == ({}, 1)
    assert here is not None
    assert "35343" not in here
    assert here != there


def test_a_serial_written_as_text_or_number_is_the_same_device() -> None:
    nested = {"global": {"const": {"DeviceSerialNumber": "35343"}}}
    assert clean_sidecar({"DeviceSerialNumber": 35343.0}, b"s")[2] == clean_sidecar(nested, b"s")[2] is not None


@pytest.mark.parametrize("serial", ["n/a", None, ""])
def test_a_missing_serial_is_no_device(serial: object) -> None:
    assert clean_sidecar({"DeviceSerialNumber": serial}, b"s")[2] is None


IDENTIFYING = [
    "name", "Name", "first_name", "LastName", "surname", "date_of_birth", "DOB", "PTDOB", "PTDOBYY", "birth_year",
    "Acq Date", "exam_date", "MRI date", "interviewdate", "acq_time", "scan_date", "session_date", "e-mail",
    "phone_number", "Post Code", "zip", "NHS number", "MRN", "hospital_no", "record_id", "chart", "subjectkey",
    "StudyInstanceUID", "ScannerSerialNumber", "comments", "Notes", "address", "initials", "Geburtsdatum", "yob",
]  # fmt: skip
HARMLESS = [
    "fluid", "reading_score", "age", "sex", "days_between_studies", "time_follow-up", "age_scan", "site", "group",
    "participant_id", "session_id", "number_of_lesions", "n_sessions", "reaction_time", "bmi", "1year_outcome",
    "age (5-year bins)", "update_count", "candidate_rank", "performing_iq", "birth_weight", "years_of_education",
    "resting_state", "brain_region_volume", "studying_hours", "operating_span", "requested_trials", "euid_like",
]  # fmt: skip


@pytest.mark.parametrize("column", IDENTIFYING)
def test_a_number_in_a_column_named_after_persons_places_or_moments_is_dropped(column: str) -> None:
    assert is_identifying(column)
    assert clean_row({column: "1234"}) == {}


@pytest.mark.parametrize("column", HARMLESS)
def test_a_number_in_any_other_column_is_kept(column: str) -> None:
    assert clean_row({column: "12.5"}) == {column: "12.5"}


@pytest.mark.parametrize(
    "value",
    ["John Smith", "Smith", "born 1950", "1950-03-12", "12/03/1950", "19500312", "+49 170 1234567", "0049170",
     "http://smith", "S-12-77 (Smith)", "1234567890", "12:30:00"],
)  # fmt: skip
def test_a_cell_that_is_neither_number_nor_declared_code_is_dropped(value: str) -> None:
    assert clean_row({"anything": value, "etiology": value}) == {}


@pytest.mark.parametrize("value", ["12", "-0.5", "1e-3", "89+", ">89", "55-60", "yes", "N", "left", "n/a", ""])
def test_numbers_ranges_and_common_words_are_kept(value: str) -> None:
    assert clean_row({"anything": value}) == {"anything": value}


def test_a_text_is_kept_where_the_json_beside_the_table_declares_it_as_a_code() -> None:
    declared = {"etiology": {"CE", "LAA", "cryptogenic stroke"}}
    assert clean_row({"etiology": "cryptogenic stroke"}, declared) == {"etiology": "cryptogenic stroke"}
    assert clean_row({"etiology": "seen by Dr Smith"}, declared) == {}


def test_a_declared_code_does_not_let_an_identifying_column_in() -> None:
    assert clean_row({"surname": "Smith"}, {"surname": {"Smith"}}) == {}


@pytest.mark.parametrize(("column", "value"), [("group", "fcd"), ("histology_group", "IIb"), ("site", "Ithaca")])
def test_one_word_in_a_column_that_is_named_for_codes_is_kept(column: str, value: str) -> None:
    assert clean_row({column: value}) == {column: value}


def test_a_sentence_in_a_column_that_is_named_for_codes_is_dropped() -> None:
    assert clean_row({"group": "John Smith, see notes", "diagnosis": "on 1950-03-12"}) == {}


def test_what_the_layout_reads_is_kept_by_name_but_not_dates() -> None:
    assert clean_row({"RID": "0042", "VISCODE": "m06"}, named={"RID", "VISCODE"}) == {"RID": "0042", "VISCODE": "m06"}
    assert clean_row({"VISCODE": "2011-06-02"}, named={"VISCODE"}) == {}
