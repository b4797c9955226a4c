from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse.ingest.conftest import Dataset
from warehouse.errors import ParticipantsError
from warehouse.ingest.demographics import Age
from warehouse.ingest.participants import People, read_people, read_table
from warehouse.ingest.tree import walk
from warehouse.registry import Center


def people(dataset: Dataset, **layout: object) -> People:
    center = Center.model_validate({"center_id": "lab", "title": "A lab", "layout": {"kind": "bids"} | layout})
    return read_people(center, walk(dataset.root), b"salt")


def with_table(dataset: Dataset, text: str, encoding: str = "utf-8") -> People:
    dataset.write("participants.tsv", text.encode(encoding))
    return people(dataset)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param("participant_id\tage\tsex\nsub-01\t31\tM\n", "utf-8", id="plain"),
        pytest.param("participant_id\tage\tsex\nsub-01\t31\tM\n", "utf-8-sig", id="byte-order mark"),
        pytest.param("participant_id\tage\tsex\r\nsub-01\t31\tM\r\n", "utf-8", id="CRLF"),
        pytest.param("participant_id\t age\tsex \nsub-01\t31 \t M\n", "utf-8", id="blank before a column's name"),
        pytest.param("participant_id\tAge\tgender\nsub-01\t31\tM\n", "utf-8", id="Age and gender"),
        pytest.param("participant_id\tage_scan\tsex\nsub-01\t31\tM\n", "utf-8", id="age_scan"),
        pytest.param("participant_id\tAgeMRI_W1\tsex\nsub-01\t31.0\tmale\n", "utf-8", id="AgeMRI_W1"),
        pytest.param("participant_id\tage\tsex\n01\t31\tM\n", "utf-8", id="identifier without its prefix"),
        pytest.param("participant_id\tage\tsex\n\nsub-01\t31\tM\n\n", "utf-8", id="blank lines"),
    ],
)
def test_a_table_is_read_however_it_was_written(dataset: Dataset, text: str, encoding: str) -> None:
    found = with_table(dataset, text, encoding)
    assert found.refused == []
    assert (found.participants["01"].sex, found.participants["01"].age) == ("M", Age(years=31))


def test_five_year_bins_keep_both_bounds(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tgender\tage (5-year bins)\nsub-1\tF\t55-60\n")
    assert found.participants["1"].age == Age(low_years=55, high_years=60)


def test_a_code_without_explanation_is_refused_and_the_age_of_the_row_is_kept(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tage\tsex\nsub-1\t40\t1\n")
    assert [(path, row, refusal.reason) for path, row, refusal in found.refused] == [("participants.tsv", 1, "sex")]
    assert (found.participants["1"].sex, found.participants["1"].age.years) == (None, 40)


def test_a_definition_explains_codes_columns_and_padding(dataset: Dataset) -> None:
    dataset.write("IXI.csv", 'IXI_ID,"SEX_ID (1=m, 2=f)",AGE\n2,2,35.8\n12.0,1,\n')
    table = {
        "file": ["IXI.xls", "IXI.csv"],
        "id": {"names": ["IXI_ID"], "pad": 3},
        "age": {"names": ["AGE"]},
        "sex": {"names": ["SEX_ID (1=m, 2=f)"], "values": {"1": "M", "2": "F"}},
    }
    found = people(dataset, participants=[table])
    assert found.refused == []
    assert (found.participants["002"].sex, found.participants["002"].age.years) == ("F", 35.8)
    assert (found.participants["012"].sex, found.participants["012"].age.known) == ("M", False)


def test_a_line_of_descriptions_below_the_header_is_no_row(dataset: Dataset) -> None:
    header = "subjectkey\tsrc_subject_id\tinterview_age\tsex\n"
    dataset.write("ndar_subject01.txt", header + "The GUID\tSubject ID\tAge in months\tSex\nX\tHCD0001305\t150\tM\n")
    table = {
        "file": "ndar_subject01.txt",
        "id": {"names": ["src_subject_id"]},
        "age": {"names": ["interview_age"], "unit": "months"},
        "sex": {"names": ["sex"]},
        "skip_rows": 1,
    }
    found = people(dataset, participants=[table])
    assert list(found.participants) == ["HCD0001305"]
    assert found.participants["HCD0001305"].age.years == 12.5


VISITS = {
    "file": "visits.csv",
    "id": {"names": ["RID"], "pad": 4},
    "session": {"names": ["VISCODE"]},
    "age": {"names": ["AGE"]},
    "sex": {"names": ["PTGENDER"]},
}


def test_a_visit_has_its_own_age_and_the_person_the_first_one_known(dataset: Dataset) -> None:
    dataset.write("visits.csv", "RID,VISCODE,AGE,PTGENDER\n7,bl,,Female\n7,m06,70.5,Female\n7,m12,71,Female\n")
    found = people(dataset, participants=[VISITS])
    assert found.age_at("0007", "m12") == Age(years=71)
    assert found.age_at("0007", "bl") == Age()
    assert found.participants["0007"].age == Age(years=70.5)


def test_rows_that_contradict_each_other_are_refused_and_the_first_stands(dataset: Dataset) -> None:
    dataset.write("visits.csv", "RID,VISCODE,AGE,PTGENDER\n7,bl,70,Female\n7,bl,71,Male\n")
    found = people(dataset, participants=[VISITS])
    assert [(row, refusal.reason) for _, row, refusal in found.refused] == [(2, "sex"), (2, "age")]
    assert (found.participants["0007"].sex, found.age_at("0007", "bl").years) == ("F", 70)


def test_days_in_the_label_of_a_visit_count_from_the_age_at_entry(dataset: Dataset) -> None:
    dataset.write("demo.csv", "OASISID,AgeatEntry,GENDER\nOAS30001,65.0,2\n")
    table = {
        "file": "demo.csv",
        "id": {"names": ["OASISID"]},
        "age": {"names": ["AgeatEntry"], "offset_days": r"d(\d+)"},
        "sex": {"names": ["GENDER"], "values": {"1": "M", "2": "F"}},
    }
    found = people(dataset, participants=[table])
    assert found.age_at("OAS30001", "d0000").years == 65
    assert found.age_at("OAS30001", "d0731").years == pytest.approx(65 + 731 / 365.25, abs=1e-4)
    assert not found.age_at("OAS30001", "unlabelled").known


def test_a_date_becomes_the_label_of_a_visit(dataset: Dataset) -> None:
    dataset.write("c.csv", "Subject,Acq Date,Age\n002_S_0413,5/2/2006,76\n")
    table = {
        "file": "c.csv",
        "id": {"names": ["Subject"]},
        "session": {"names": ["Acq Date"], "date": "%m/%d/%Y"},
        "age": {"names": ["Age"]},
    }
    assert people(dataset, participants=[table]).age_at("002S0413", "20060502").years == 76


def test_a_table_of_sessions_of_one_person_gives_ages_of_visits(dataset: Dataset) -> None:
    dataset.write("sub-01/sub-01_sessions.tsv", "session_id\tage\nses-a\t30\nses-b\t32\n")
    found = people(dataset)
    assert (found.age_at("01", "a").years, found.age_at("01", "b").years) == (30, 32)


def test_only_a_table_that_has_the_columns_is_read_by_its_entry(dataset: Dataset) -> None:
    dataset.write("info.csv", "patient_id,sex,edss\n3,F,1\n")
    entry = {"file": "info.csv", "sex": {"names": ["sex"]}}
    tables = [
        entry | {"id": {"names": ["patient_id"], "pad": 2, "prefix": "long"}, "has_columns": ["days_between_studies"]},
        entry | {"id": {"names": ["patient_id"], "pad": 2, "prefix": "cross"}, "has_columns": ["edss"]},
    ]
    assert list(people(dataset, participants=tables).participants) == ["cross03"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("\n", id="blank header"),
        pytest.param("id_of_nobody\tage\nsub-1\t3\n", id="no column of identifiers"),
        pytest.param("participant_id\tage\tage\nsub-1\t3\t4\n", id="a column twice"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_whole(dataset: Dataset, text: str) -> None:
    refused = with_table(dataset, text).refused
    assert [(path, row, refusal.reason) for path, row, refusal in refused] == [
        ("participants.tsv", None, "unreadable_table")
    ]
    assert refused[0][2].mend


def test_a_table_in_another_encoding_is_an_error_that_says_so(dataset: Dataset) -> None:
    assert "UTF-8" in with_table(dataset, "participant_id\tcity\nsub-1\tTübingen\n", "latin-1").refused[0][2].detail


def test_a_broken_spreadsheet_is_an_error() -> None:
    with pytest.raises(ParticipantsError, match="no spreadsheet"):
        read_table(b"PK\x03\x04 this is cut short", "IXI.xlsx")


def test_a_row_without_identifier_is_refused(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tage\nsub-1\t30\n\t31\n")
    assert [(row, refusal.reason) for _, row, refusal in found.refused] == [(2, "no_identifier")]


def test_a_row_with_more_cells_than_the_header_is_refused(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tage\tsex\nsub-1\t30\tx\tM\nsub-2\t30\tM\t\n")
    assert [(row, refusal.reason) for _, row, refusal in found.refused] == [(1, "too_many_cells")]
    assert list(found.participants) == ["2"]


def test_identifying_columns_do_not_reach_the_raw_rows(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tage\texam_date\tname\nsub-1\t30\t20110101\tJane Doe\n")
    assert found.rows["participants.tsv", 1]["fields"] == '{"participant_id": "sub-1", "age": "30"}'


def test_a_column_that_the_definition_calls_private_does_not_reach_the_raw_rows(dataset: Dataset) -> None:
    dataset.write("ukb.csv", "eid,31-0.0,34-0.0\n1000012,1,1950\n")
    table = {
        "file": "ukb.csv",
        "id": {"names": ["eid"]},
        "sex": {"names": ["31-0.0"], "values": {"0": "F", "1": "M"}},
        "private": ["34-0.0"],
    }
    found = people(dataset, participants=[table])
    assert found.participants["1000012"].sex == "M"
    assert "1950" not in str(found.rows)


def test_a_row_that_two_entries_read_for_two_visits_is_kept_once(dataset: Dataset) -> None:
    dataset.write("ukb.csv", "eid,21003-2.0,21003-3.0\n1000012,60,64\n")
    entry = {"file": "ukb.csv", "id": {"names": ["eid"]}}
    tables = [entry | {"for_session": label, "age": {"names": [f"21003-{label}.0"]}} for label in ("2", "3")]
    found = people(dataset, participants=tables)
    assert (found.age_at("1000012", "2").years, found.age_at("1000012", "3").years) == (60, 64)
    assert [row["session_label"] for row in found.rows.values()] == [None]


def test_a_travelling_subject_is_declared_by_the_definition(dataset: Dataset) -> None:
    found = people(dataset, persons={"phantom1": "traveller"})
    assert found.participants["phantom1"].person_id == "traveller"


def test_a_table_in_a_subfolder_is_found_by_a_pattern(dataset: Dataset, tmp_path: Path) -> None:
    dataset.write("tables/2024/people.csv", "id;sex\nA1;F\n")
    table = {"file": "tables/*/people.csv", "id": {"names": ["id"]}, "sex": {"names": ["sex"]}}
    assert people(dataset, participants=[table]).participants["A1"].sex == "F"


def defined(**more: object) -> Center:
    return Center.model_validate({"center_id": "lab", "title": "A lab", "layout": {"kind": "bids"}} | more)


def test_a_column_of_another_datasets_identifiers_makes_both_participants_one_person(dataset: Dataset) -> None:
    person = {"names": ["BraTS21 ID"], "pattern": r"(?:BraTS2021_)?(?P<label>\d{1,5})", "pad": 5, "center": "brats2021"}
    table = {"file": "participants.tsv", "id": {"names": ["participant_id"]}, "person": person}
    dataset.center = defined(layout={"kind": "bids", "participants": [table]})
    for label in ("01", "02", "03", "04"):
        dataset.image(f"sub-{label}/anat/sub-{label}_T1w.nii.gz")
    cells = ("BraTS2021_00097", "97", "", "unknown exam")
    rows = [f"sub-{number:02d}\t{cell}" for number, cell in enumerate(cells, 1)]
    dataset.write("participants.tsv", "participant_id\tBraTS21 ID\n" + "\n".join(rows) + "\n")
    dataset.ingest()
    people = {row["participant_id"]: row["person_id"] for row in dataset.rows("core.participant")}
    assert people == {"01": "brats2021/00097", "02": "brats2021/00097", "03": "lab/03", "04": "lab/04"}


def test_a_fixed_split_reaches_its_participant_and_one_that_is_absent_is_named(dataset: Dataset) -> None:
    dataset.center = defined(splits={"val": ["01", "77"]}, split="train")
    for label in ("01", "02"):
        dataset.image(f"sub-{label}/anat/sub-{label}_T1w.nii.gz")
    dataset.ingest()
    fixed = {row["participant_id"]: row["fixed_split"] for row in dataset.rows("core.participant")}
    assert fixed == {"01": "val", "02": "train"}
    [finding] = [row for row in dataset.rows("core.finding") if row["kind"] == "split_without_participant"]
    assert (finding["participant_id"], finding["field"]) == ("77", "splits.val")
