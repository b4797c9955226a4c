from __future__ import annotations

import pytest

from warehouse.ingest.acquisition import FIELDS, read_acquisition
from warehouse.registry import Protocol
from warehouse.tables.core import ACQUISITION

PUBLISHED = Protocol(contrast="T2w", values={"echo_time_s": 0.1, "is_flip_angle_variable": True}, source="a paper")
AT_GUYS = Protocol(contrast="T2w", when={"site": "Guys"}, values={"echo_time_s": 0.2}, source="a web page")


def test_every_sourced_column_of_the_table_is_read() -> None:
    sourced = {c.name.removesuffix("_provenance") for c in ACQUISITION.columns if c.name.endswith("_provenance")}
    assert {field.column for field in FIELDS} == sourced


def test_a_value_comes_from_the_sidecar_before_the_published_protocol() -> None:
    row = read_acquisition({"EchoTime": 0.09}, "T2w", {}, [PUBLISHED])
    assert (row["echo_time_s"], row["echo_time_s_provenance"]) == (0.09, "sidecar")
    assert (row["is_flip_angle_variable"], row["is_flip_angle_variable_provenance"]) == (True, "center_default")


def test_the_protocol_of_a_site_wins_over_the_general_one() -> None:
    assert read_acquisition({}, "T2w", {"site": "Guys"}, [AT_GUYS, PUBLISHED])["echo_time_s"] == 0.2
    assert read_acquisition({}, "T2w", {"site": "HH"}, [AT_GUYS, PUBLISHED])["echo_time_s"] == 0.1


def test_a_protocol_of_another_contrast_says_nothing() -> None:
    assert read_acquisition({}, "ceT1w", {}, [PUBLISHED])["echo_time_s"] is None


def test_what_is_missing_stays_missing_without_provenance() -> None:
    row = read_acquisition({}, "T1w", {}, [])
    assert set(row.values()) == {None}


@pytest.mark.parametrize("value", [None, "n/a", [4, 5], True, float("nan"), {"a": 1}])
def test_a_value_that_is_no_number_is_missing(value: object) -> None:
    assert read_acquisition({"FlipAngle": value}, "T1w", {}, [])["flip_angle_deg"] is None


def test_a_number_written_as_text_is_a_number() -> None:
    assert read_acquisition({"EchoTime": "0.00298"}, "T1w", {}, [])["echo_time_s"] == 0.00298


def test_an_inversion_time_of_zero_means_that_there_is_no_inversion() -> None:
    assert read_acquisition({"InversionTime": 0}, "T1w", {}, [])["inversion_time_s"] is None


def test_the_three_repetition_times_are_kept_apart() -> None:
    times = {"RepetitionTime": 2.3, "RepetitionTimeExcitation": 0.007, "RepetitionTimePreparation": 5}
    row = read_acquisition(times, "T1w", {}, [])
    names = ("repetition_time_s", "repetition_time_excitation_s", "repetition_time_preparation_s")
    assert tuple(row[name] for name in names) == (2.3, 0.007, 5)


@pytest.mark.parametrize(("one", "other"), [("Prisma_fit", "MAGNETOM Prisma Fit"), ("TrioTim", "Trio Tim")])
def test_two_spellings_of_one_scanner_are_one(one: str, other: str) -> None:
    spelled = [read_acquisition({"ManufacturersModelName": name}, "T1w", {}, []) for name in (one, other)]
    assert spelled[0]["manufacturers_model_name"] == spelled[1]["manufacturers_model_name"]


@pytest.mark.parametrize("text", ["SIEMENS", "Siemens Healthineers", " siemens "])
def test_two_spellings_of_one_vendor_are_one(text: str) -> None:
    assert read_acquisition({"Manufacturer": text}, "T1w", {}, [])["manufacturer"] == "Siemens"


def test_an_unknown_scanner_keeps_its_name() -> None:
    assert (
        read_acquisition({"ManufacturersModelName": "Novel_Scanner 5"}, "T1w", {}, [])["manufacturers_model_name"]
        == "Novel Scanner 5"
    )
