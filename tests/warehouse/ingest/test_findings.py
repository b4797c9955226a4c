from __future__ import annotations

import pytest

from tests.warehouse.ingest.conftest import Dataset
from warehouse.imaging.nifti import Header
from warehouse.ingest import reading
from warehouse.ingest.findings import Finding, finding_rows, shown
from warehouse.tables import TABLES


@pytest.mark.parametrize(
    "value", ["2.98 ms", "3T", "3,0", "18-25", ">89", "n/a", "M", "1.5", "035Y", 0, 2.5, True, [1, 2]]
)
def test_numbers_units_and_short_codes_are_shown_as_they_are(value: object) -> None:
    assert shown(value) == str(value)


@pytest.mark.parametrize("value", ["1950-03-12", "12/03/1950", "+49 170 1234567", "19500312", 4917012345678, "a\ud83d"])
def test_dates_and_long_numbers_are_not_shown(value: object) -> None:
    text = shown(value)
    assert text is not None
    assert text.startswith("(text of ")


@pytest.mark.parametrize(
    "value",
    [
        "John Smith",
        "Smith",
        "Gadovist 6 ml for J. Smith",
        ["John", "Smith"],
        {"John": "Smith"},
        "J\0Smith",
        "1\nSmithson",
    ],
)
def test_text_that_may_name_a_person_is_replaced_by_its_length(value: object) -> None:
    text = shown(value)
    assert text is not None
    assert "Smith" not in text
    assert shown(text) == text


def test_each_finding_is_one_row_and_repeats_are_one() -> None:
    findings = [Finding("duplicate", "a"), Finding("duplicate", "b"), Finding("duplicate", "a", detail="again")]
    rows = finding_rows("lab", findings)
    assert [row["path"] for row in rows] == ["a", "b"]
    assert len({row["finding_id"] for row in rows}) == 2
    TABLES["core.finding"].rows(rows)


def test_a_finding_of_an_unchanged_file_stands_although_it_is_not_read_again(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    found = Finding("header_corrected", "sub-01/anat/sub-01_T1w.nii.gz", field="qform", detail="The sform is used.")
    read = reading._read_one

    def told(candidate: object, headers: dict[str, Header], kept: list[object], discovery: object) -> None:
        read(candidate, headers, kept, discovery)  # type: ignore[arg-type]
        discovery.findings.append(found)  # type: ignore[attr-defined]

    monkeypatch.setattr(reading, "_read_one", told)
    dataset.ingest()
    first = [row for row in dataset.rows("core.finding") if row["kind"] == "header_corrected"]
    assert [(row["kind"], row["field"]) for row in first] == [("header_corrected", "qform")]
    dataset.write("README.md", "changed")
    assert dataset.ingest().changed
    assert [row for row in dataset.rows("core.finding") if row["kind"] == "header_corrected"] == first
