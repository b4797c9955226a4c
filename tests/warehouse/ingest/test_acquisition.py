from __future__ import annotations

import duckdb
import pytest

from warehouse.centers.registry import PublishedProtocol
from warehouse.ingest.acquisition import FIELDS, Measure, read_acquisition
from warehouse.ingest.findings import Finding
from warehouse.ingest.privacy import clean_sidecar
from warehouse.tables.core import ACQUISITION

PUBLISHED = PublishedProtocol(
    contrast="T2w", values={"echo_time_s": 0.1, "is_flip_angle_variable": True}, source="a paper"
)
AT_GUYS = PublishedProtocol(contrast="T2w", when={"site": "Guys"}, values={"echo_time_s": 0.2}, source="a web page")


def read(sidecar: dict[str, object], contrast: str = "T1w", **more: object) -> dict[str, object]:
    facts, protocols = more.get("facts", {}), more.get("protocols", [])
    return read_acquisition(sidecar, contrast, facts, protocols)[0]  # type: ignore[arg-type]


def findings(sidecar: dict[str, object]) -> list[Finding]:
    return read_acquisition(sidecar, "T1w", {}, [])[1]


def test_every_sourced_column_of_the_table_is_read() -> None:
    sourced = {c.name.removesuffix("_provenance") for c in ACQUISITION.columns if c.name.endswith("_provenance")}
    assert {field.column for field in FIELDS} == sourced


@pytest.mark.parametrize(
    "field", [field for field in FIELDS if isinstance(field.read, Measure)], ids=lambda f: f.column
)
def test_the_limits_of_a_value_are_those_of_its_column(field: object) -> None:
    column = next(c for c in ACQUISITION.columns if c.name == field.column)  # type: ignore[attr-defined]
    high = field.read.high  # type: ignore[attr-defined]
    for value, is_allowed in ((0.0, False), (1e-9, True), (high * 0.999, True), (high * 1.001, False), (-1.0, False)):
        passed = duckdb.execute(f"SELECT {column.rule} FROM (SELECT {value}::DOUBLE AS {column.name})").fetchone()
        assert passed == (is_allowed,)
        key = field.keys[0]  # type: ignore[attr-defined]
        assert (read({key: value})[column.name] is not None) == is_allowed
    passed = duckdb.execute(f"SELECT {column.rule} FROM (SELECT {high}::DOUBLE AS {column.name})").fetchone()
    assert passed == (field.read.is_high_included,)  # type: ignore[attr-defined]


def test_a_value_comes_from_the_sidecar_before_the_published_protocol() -> None:
    row = read({"EchoTime": 0.09}, "T2w", protocols=[PUBLISHED])
    assert (row["echo_time_s"], row["echo_time_s_provenance"]) == (0.09, "sidecar")
    assert (row["is_flip_angle_variable"], row["is_flip_angle_variable_provenance"]) == (True, "center_default")


def test_the_protocol_of_a_site_wins_over_the_general_one() -> None:
    protocols = [AT_GUYS, PUBLISHED]
    assert read({}, "T2w", facts={"site": "Guys"}, protocols=protocols)["echo_time_s"] == 0.2
    assert read({}, "T2w", facts={"site": "HH"}, protocols=protocols)["echo_time_s"] == 0.1


def test_a_protocol_of_another_contrast_says_nothing() -> None:
    assert read({}, "ceT1w", protocols=[PUBLISHED])["echo_time_s"] is None


def test_what_is_missing_stays_missing_without_provenance() -> None:
    row, found = read_acquisition({}, "T1w", {}, [])
    assert set(row.values()) == {None}
    assert found == []


@pytest.mark.parametrize("value", [None, "n/a", "", "NaN", "unknown", float("nan"), "\0\0"])
def test_a_value_that_says_that_it_is_missing_is_null_without_a_finding(value: object) -> None:
    assert read({"FlipAngle": value})["flip_angle_deg"] is None
    assert findings({"FlipAngle": value}) == []


@pytest.mark.parametrize("value", [[4, 5], [], True, {"a": 1}, "nine", "3,0", "9 parsecs", "2.98 ms", "1e999 deg deg"])
def test_a_value_that_is_no_number_of_its_unit_is_null_and_named(value: object) -> None:
    assert read({"FlipAngle": value})["flip_angle_deg"] is None
    assert [(found.kind, found.field) for found in findings({"FlipAngle": value})] == [("value_not_read", "FlipAngle")]


@pytest.mark.parametrize(
    ("key", "value", "column", "expected"),
    [
        ("EchoTime", [0.00298], "echo_time_s", 0.00298),
        ("EchoTime", ["2.98ms"], "echo_time_s", 0.00298),
        ("EchoTime", "2.98 ms", "echo_time_s", 0.00298),
        ("EchoTime", "2980 us", "echo_time_s", 0.00298),
        ("EchoTime", "2980 µs", "echo_time_s", 0.00298),
        ("EchoTime", "0.00298", "echo_time_s", 0.00298),
        ("EchoTime", "0.00298 sec\0", "echo_time_s", 0.00298),
        ("RepetitionTime", "2300 MS", "repetition_time_s", 2.3),
        ("RepetitionTime", "2.3 Seconds", "repetition_time_s", 2.3),
        ("MagneticFieldStrength", "3T", "magnetic_field_strength_t", 3.0),
        ("MagneticFieldStrength", "1.5 Tesla", "magnetic_field_strength_t", 1.5),
        ("MagneticFieldStrength", "15000 gauss", "magnetic_field_strength_t", 1.5),
        ("FlipAngle", "9 deg", "flip_angle_deg", 9.0),
        ("FlipAngle", "9°", "flip_angle_deg", 9.0),
        ("SliceThickness", "0.1 cm", "slice_thickness_mm", 1.0),
        ("MRAcquisitionType", "3d", "mr_acquisition_type", "3D"),
        ("MRAcquisitionType", "n/a", "mr_acquisition_type", None),
        ("Manufacturer", "n/a", "manufacturer", None),
        ("ManufacturersModelName", "Prisma\0\0", "manufacturers_model_name", "Prisma"),
        ("Manufacturer", "SIEMENS\0", "manufacturer", "Siemens"),
    ],
)
def test_one_number_in_a_list_or_with_a_known_unit_is_read(
    key: str, value: object, column: str, expected: object
) -> None:
    row, found = read_acquisition({key: value}, "T1w", {}, [])
    assert row[column] == expected
    assert found == []


@pytest.mark.parametrize("key", ["Manufacturer", "ManufacturersModelName", "ScanningSequence", "MRAcquisitionType"])
def test_a_text_that_privacy_replaced_is_null_and_named(key: str) -> None:
    clean, _, _ = clean_sidecar({key: "operated by John Smith " * 5}, b"salt")
    row, found = read_acquisition(clean, "T1w", {}, [])
    assert set(row.values()) == {None}
    assert [(one.kind, one.field) for one in found] == [("value_not_read", key)]


@pytest.mark.parametrize("key", ["InversionTime", "EchoTime", "MagneticFieldStrength", "FlipAngle", "RepetitionTime"])
def test_a_zero_stands_for_unknown_and_is_counted(key: str) -> None:
    row, found = read_acquisition({key: 0}, "T1w", {}, [])
    assert set(row.values()) == {None}
    assert [(one.kind, one.field) for one in found] == [("value_unknown", key)]


def test_a_value_that_is_not_possible_costs_itself_and_says_what_it_may_have_been() -> None:
    row, found = read_acquisition({"MagneticFieldStrength": 15000, "FlipAngle": 9}, "T1w", {}, [])
    assert (row["magnetic_field_strength_t"], row["flip_angle_deg"]) == (None, 9)
    assert "15000 gauss would be 1.5 T" in found[0].detail


def test_a_protocol_fills_what_a_sidecar_does_not_give_as_a_possible_value() -> None:
    row = read({"EchoTime": 100}, "T2w", protocols=[PUBLISHED])
    assert (row["echo_time_s"], row["echo_time_s_provenance"]) == (0.1, "center_default")


def test_an_echo_time_in_milliseconds_makes_the_other_times_of_its_sidecar_uncertain() -> None:
    row, found = read_acquisition({"RepetitionTime": 8.1, "EchoTime": 3.7, "FlipAngle": 9}, "T1w", {}, [])
    assert (row["echo_time_s"], row["repetition_time_s"], row["flip_angle_deg"]) == (None, None, 9)
    assert [one.field for one in found] == ["EchoTime", "RepetitionTime"]


def test_an_echo_time_that_is_not_shorter_than_tr_costs_both_and_nothing_else() -> None:
    row, found = read_acquisition({"RepetitionTime": 0.02, "EchoTime": 0.5, "FlipAngle": 9}, "T1w", {}, [])
    assert (row["echo_time_s"], row["repetition_time_s"], row["flip_angle_deg"]) == (None, None, 9)
    assert (row["echo_time_s_provenance"], row["repetition_time_s_provenance"]) == (None, None)
    assert {one.field for one in found} == {"EchoTime", "RepetitionTime"}


def test_the_three_repetition_times_are_kept_apart() -> None:
    row = read({"RepetitionTime": 2.3, "RepetitionTimeExcitation": 0.007, "RepetitionTimePreparation": 5})
    names = ("repetition_time_s", "repetition_time_excitation_s", "repetition_time_preparation_s")
    assert tuple(row[name] for name in names) == (2.3, 0.007, 5)


@pytest.mark.parametrize(("one", "other"), [("Prisma_fit", "MAGNETOM Prisma Fit"), ("TrioTim", "Trio Tim")])
def test_two_spellings_of_one_scanner_are_one(one: str, other: str) -> None:
    spelled = [read({"ManufacturersModelName": name})["manufacturers_model_name"] for name in (one, other)]
    assert spelled[0] == spelled[1]


@pytest.mark.parametrize("text", ["SIEMENS", "Siemens Healthineers", " siemens "])
def test_two_spellings_of_one_vendor_are_one(text: str) -> None:
    assert read({"Manufacturer": text})["manufacturer"] == "Siemens"


def test_an_unknown_scanner_keeps_its_name() -> None:
    assert read({"ManufacturersModelName": "Novel_Scanner 5"})["manufacturers_model_name"] == "Novel Scanner 5"
