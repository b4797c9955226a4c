from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.warehouse.ingest.conftest import Dataset
from warehouse.centers.registry import Center
from warehouse.errors import ParticipantsError
from warehouse.ingest.demographics import Age
from warehouse.ingest.participants import People, read_people
from warehouse.ingest.tables import read_table
from warehouse.ingest.tree import walk


def people(dataset: Dataset, **layout: object) -> People:
    center = Center.model_validate({"center_id": "lab", "title": "A lab", "layout": {"kind": "bids"} | layout})
    return read_people(center, walk(dataset.root))


def found_in(dataset: Dataset, visits: dict[str, set[str | None]]) -> People:
    return read_people(dataset.center, walk(dataset.root), visits=visits)


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
    assert refused[0][2].remedy


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


@pytest.mark.parametrize(
    ("units", "cell", "years"),
    [("months", "18", 1.5), ("Weeks", "52.1775", 1.0), ("days", "730.5", 2.0), ("year", "18", 18), ("mo", "6", 0.5)],
)
def test_the_json_beside_a_table_gives_the_unit_of_ages(dataset: Dataset, units: str, cell: str, years: float) -> None:
    dataset.write("participants.json", {"age": {"Units": units}})
    assert with_table(dataset, f"participant_id\tage\nsub-1\t{cell}\n").participants["1"].age == Age(years)


def test_a_description_that_names_the_unit_counts_where_there_are_no_units(dataset: Dataset) -> None:
    dataset.write("participants.json", {"age": {"Description": "Age at the scan in months"}})
    assert with_table(dataset, "participant_id\tage\nsub-1\t18\n").participants["1"].age == Age(1.5)


@pytest.mark.parametrize(
    "said", [{"Units": "weeks of gestation"}, {"Units": "score"}, {"Description": "in years (months for infants)"}]
)
def test_ages_of_an_unknown_unit_are_not_read_and_that_is_said(dataset: Dataset, said: dict[str, object]) -> None:
    dataset.write("participants.json", {"age": said})
    found = with_table(dataset, "participant_id\tage\tsex\nsub-1\t40\tF\n")
    assert (found.participants["1"].age.known, found.participants["1"].sex) == (False, "F")
    assert [(one.kind, one.field) for one in found.findings] == [("value_not_read", "age")]


@pytest.mark.parametrize(
    ("column", "years"),
    [("age_months", 1.5), ("Age (months)", 1.5), ("age_in_days", 0.0493), ("age_at_scan_weeks", 0.345)],
)
def test_a_columns_name_gives_the_unit_too(dataset: Dataset, column: str, years: float) -> None:
    found = with_table(dataset, f"participant_id\t{column}\nsub-1\t18\n")
    assert found.participants["1"].age == Age(years)
    assert found.findings == []


def test_a_name_and_a_json_that_give_two_units_cost_the_ages(dataset: Dataset) -> None:
    dataset.write("participants.json", {"age_months": {"Units": "years"}})
    found = with_table(dataset, "participant_id\tage_months\nsub-1\t18\n")
    assert not found.participants["1"].age.known
    assert [one.kind for one in found.findings] == ["value_not_read"]


def test_levels_explain_codes_of_age_as_ranges(dataset: Dataset) -> None:
    levels = {"1": "1-5 years", "13": "61 or older", "2": "older adult"}
    dataset.write("participants.json", {"age_scan": {"Description": "age in years", "Levels": levels}})
    found = with_table(dataset, "participant_id\tage_scan\nsub-1\t1\nsub-2\t13\nsub-3\t2\n")
    assert found.participants["1"].age == Age(low_years=1, high_years=5)
    assert found.participants["2"].age == Age(low_years=61)
    assert not found.participants["3"].age.known
    assert [(row, refusal.reason) for _, row, refusal in found.refused] == [(3, "age")]


@pytest.mark.parametrize(
    "said",
    [
        {"Levels": {"1": "male", "2": "female"}},
        {"Levels": {"1": "Male participant", "2": "Females"}},
        {"Levels": {"1": {"Description": "man"}, "2": {"Description": "woman"}}},
        {"Description": "1 = male, 2 = female"},
    ],
)
def test_levels_explain_codes_of_sex(dataset: Dataset, said: dict[str, object]) -> None:
    dataset.write("participants.json", {"gender": said})
    found = with_table(dataset, "participant_id\tgender\nsub-1\t1\nsub-2\t2.0\nsub-3\tn/a\n")
    assert [found.participants[name].sex for name in ("1", "2", "3")] == ["M", "F", None]
    assert found.refused == []


def test_a_code_that_levels_do_not_explain_is_refused(dataset: Dataset) -> None:
    dataset.write("participants.json", {"sex": {"Levels": {"1": "male", "2": "see protocol"}}})
    found = with_table(dataset, "participant_id\tsex\nsub-1\t1\nsub-2\t2\n")
    assert [(row, refusal.reason) for _, row, refusal in found.refused] == [(2, "sex")]
    assert "Levels" in found.refused[0][2].remedy


@pytest.mark.parametrize(
    "content", [b"{", b"[1]", b'{"age": "months"}', b'{"age": {"Units": 3, "Levels": [1]}}', b"\xff"]
)
def test_a_json_that_says_nothing_usable_costs_no_row(dataset: Dataset, content: bytes) -> None:
    dataset.write("participants.json", content)
    assert with_table(dataset, "participant_id\tage\nsub-1\t18\n").participants["1"].age == Age(18)


def test_sessions_have_units_of_their_own_json_inherited_from_the_root(dataset: Dataset) -> None:
    dataset.write("sessions.json", {"age": {"Units": "months"}})
    dataset.write("sub-1/sub-1_sessions.tsv", "session_id\tage\nses-a\t18\nses-b\t24\n")
    dataset.write("sub-2/sub-2_sessions.json", {"age": {"Units": "weeks"}})
    dataset.write("sub-2/sub-2_sessions.tsv", "session_id\tage\nses-a\t104.355\n")
    found = people(dataset)
    assert (found.age_at("1", "a"), found.age_at("1", "b"), found.age_at("2", "a")) == (Age(1.5), Age(2), Age(2))


def test_a_table_with_a_row_per_session_gives_an_age_per_visit(dataset: Dataset) -> None:
    rows = "sub-1\tses-17mo\t1.4\tF\nsub-1\tses-23mo\t1.9\tF\n"
    found = with_table(dataset, "participant_id\tsession_id\tage\tsex\n" + rows)
    assert (found.age_at("1", "17mo"), found.age_at("1", "23mo")) == (Age(1.4), Age(1.9))
    assert found.refused == []


def test_a_table_of_sessions_at_the_root_gives_an_age_per_visit(dataset: Dataset) -> None:
    dataset.write("sessions.tsv", "participant_id\tsession_id\tage\nsub-1\t1\t60\nsub-1\t2\t70\n")
    found = found_in(dataset, {"1": {"01", "02"}})
    assert (found.age_at("1", "01"), found.age_at("1", "02")) == (Age(60), Age(70))


def test_a_table_of_scans_gives_the_age_of_the_visit_of_each_scan(dataset: Dataset) -> None:
    dataset.write("scans.json", {"age": {"Units": "months"}})
    dataset.write("sub-1/ses-a/sub-1_ses-a_scans.tsv", "filename\tage\nanat/sub-1_ses-a_T1w.nii.gz\t18\n")
    assert people(dataset).age_at("1", "a") == Age(1.5)


def test_a_phenotype_table_fills_gaps_and_contradictions_are_said(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\tsex\nsub-1\tn/a\tF\nsub-2\t40\tM\n")
    dataset.write("phenotype/demographics.tsv", "participant_id\tage\tsex\nsub-1\t30\tF\nsub-2\t50\tF\n")
    dataset.write("phenotype/memory.tsv", "participant_id\tscore\nsub-9\t30\n")
    found = people(dataset)
    assert (found.participants["1"].age, found.participants["2"].age) == (Age(30), Age(40))
    assert found.participants["2"].sex == "M"
    assert found.refused == []
    assert [(one.kind, one.field) for one in found.findings] == [
        ("sources_disagree", "sex"),
        ("sources_disagree", "age"),
    ]
    assert "9" not in found.participants


def test_a_quote_in_tab_separated_text_is_a_quote(dataset: Dataset) -> None:
    rows = 'sub-1\tok\t30\nsub-2\t"headache\t31\nsub-3\t5" scar\t32\nsub-4\t"a"\t33\n'
    found = with_table(dataset, "participant_id\tcomment\tage\n" + rows)
    assert [found.participants[name].age.years for name in "1234"] == [30, 31, 32, 33]


def test_a_table_whose_every_cell_is_quoted_is_read(dataset: Dataset) -> None:
    found = with_table(dataset, '"participant_id"\t"age"\t"sex"\n"sub-1"\t30\t"F"\n')
    assert (found.participants["1"].age.years, found.participants["1"].sex) == (30, "F")


def test_a_quote_that_is_never_closed_swallows_no_rows_of_a_csv() -> None:
    rows = read_table(b'id,note,age\n1,"headache,31\n2,ok,32\n3,"a",33\n', "people.csv")
    assert [(row["id"], row["age"]) for row in rows] == [("1", "31"), ("2", "32"), ("3", "33")]


def test_nul_and_control_characters_are_removed_from_cells(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tage\tsex\0\nsub-1\0\t30\0\0\tF\x0b\n")
    assert (found.participants["1"].age.years, found.participants["1"].sex) == (30, "F")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_a_table_of_another_encoding_is_refused_by_name(dataset: Dataset, encoding: str) -> None:
    found = with_table(dataset, "participant_id\tage\tname\nsub-1\t30\tMüller\n", encoding)
    assert [(path, row, refusal.reason) for path, row, refusal in found.refused] == [
        ("participants.tsv", None, "unreadable_table")
    ]


def test_a_cell_of_many_characters_costs_the_table_and_not_the_centre(dataset: Dataset) -> None:
    found = with_table(dataset, "participant_id\tage\nsub-1\t" + "9" * 200_000 + "\n")
    assert [refusal.reason for _, _, refusal in found.refused] == ["unreadable_table"]


def test_a_header_that_may_hold_names_is_not_repeated(dataset: Dataset) -> None:
    found = with_table(dataset, "John Smith\t1950\nJane Doe\t1960\n")
    assert "Smith" not in found.refused[0][2].detail


def test_labels_without_padding_are_matched_with_the_folders_and_said(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\n1\t44\n2\t46\n")
    found = found_in(dataset, {"001": {None}, "002": {None}})
    assert {name: person.age.years for name, person in found.participants.items()} == {"001": 44, "002": 46}
    assert [row["participant_id"] for row in found.rows.values()] == ["001", "002"]
    assert [one.kind for one in found.findings] == ["label_matched"]


def test_labels_that_fit_two_folders_are_matched_with_none_and_said(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tage\n1\t44\n")
    found = found_in(dataset, {"01": {None}, "001": {None}})
    assert set(found.participants) == {"1"}
    assert [(one.kind, one.value) for one in found.findings] == [("label_ambiguous", "1")]


def test_labels_of_visits_are_matched_with_the_folders(dataset: Dataset) -> None:
    dataset.write("sub-1/sub-1_sessions.tsv", "session_id\tage\nses-1\t60\n2\t70\n")
    found = found_in(dataset, {"1": {"01", "02"}})
    assert (found.age_at("1", "01"), found.age_at("1", "02")) == (Age(60), Age(70))


def test_the_only_visit_of_a_table_is_the_visit_that_folders_do_not_name(dataset: Dataset) -> None:
    dataset.write("participants.tsv", "participant_id\tsession_id\tage\nsub-1\t1\t60\nsub-2\t1\t30\nsub-2\t2\t40\n")
    found = found_in(dataset, {"1": {None}, "2": {None}})
    assert (found.age_at("1", None), found.age_at("2", None)) == (Age(60), Age())


@pytest.mark.parametrize("column", ["age_at_onset", "AgeAtDeath", "sex_assigned", "Gender Identity"])
def test_a_column_that_looks_like_age_or_sex_and_is_not_read_is_said(dataset: Dataset, column: str) -> None:
    found = with_table(dataset, f"participant_id\tage\tsex\t{column}\tlanguage\nsub-1\t30\tF\t1\t2\n")
    assert [(one.kind, one.field) for one in found.findings] == [("field_not_read", column)]


def test_harmless_columns_reach_the_raw_rows_and_free_text_does_not(dataset: Dataset) -> None:
    dataset.write("participants.json", {"etiology": {"Levels": {"cardioembolism": "…"}}})
    header = "participant_id\tfluid\treading_score\tetiology\tComments\tgroup\n"
    found = with_table(dataset, header + "sub-1\t12.5\t99\tcardioembolism\tJohn Smith, born 1950\tpatient\n")
    fields = json.loads(str(found.rows["participants.tsv", 1]["fields"]))
    assert fields == {
        "participant_id": "sub-1",
        "fluid": "12.5",
        "reading_score": "99",
        "etiology": "cardioembolism",
        "group": "patient",
    }
