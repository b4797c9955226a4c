from __future__ import annotations

import pytest

from warehouse.ingest.demographics import Age
from warehouse.ingest.participants import People, Person
from warehouse.ingest.visits import ages_of_visits, visit_of_age


@pytest.mark.parametrize(
    ("own", "labels", "expected"),
    [
        pytest.param({None}, set(), (None,), id="visits without labels"),
        pytest.param({"mri"}, {"mri", "meg"}, ("mri",), id="one visit of any name"),
        pytest.param({"01"}, {"01", "02"}, ("01",), id="the first of two, the only one"),
        pytest.param({"1", "2"}, {"1", "2", "3"}, ("1",), id="numbers"),
        pytest.param({"2", "10"}, {"2", "10"}, ("2",), id="numbers are compared as numbers"),
        pytest.param({"M00", "M120"}, {"M00", "M120"}, ("M00",), id="months since the first visit"),
        pytest.param({"baseline", "year10"}, {"baseline", "year10"}, ("baseline",), id="a word for the first visit"),
        pytest.param({"BAS1", "FLU1"}, {"BAS1", "FLU1"}, ("BAS1",), id="Rockland's words"),
        pytest.param({"pre", "post"}, {"pre", "post"}, ("pre",), id="before and after"),
        pytest.param({"20060418", "20110602"}, {"20060418", "20110602", "20010101"}, ("20060418",), id="dates"),
        pytest.param({"1", None}, {"1", "2"}, ("1",), id="a mask without a visit beside it"),
        pytest.param({"FU007d", None}, {"FU007d", "FU100d"}, (None,), id="an exam without a label before a follow-up"),
        pytest.param({"2", "3"}, {"1", "2", "3"}, None, id="the first visit has no image"),
        pytest.param({"M120"}, {"M00", "M120"}, None, id="only a visit ten years later has an image"),
        pytest.param({"M12", "M24"}, {"M12", "M24"}, None, id="months after a visit that nobody has"),
        pytest.param({"FU1", "FU2"}, {"FU1", "FU2"}, None, id="follow-ups only"),
        pytest.param({"siteA", "siteB"}, {"siteA", "siteB"}, None, id="names without an order"),
        pytest.param({"a1", "b2"}, {"a1", "b2"}, None, id="numbers of different things"),
    ],
)
def test_one_age_belongs_to_the_only_or_the_first_visit_or_to_none(
    own: set[str | None], labels: set[str], expected: tuple[str | None] | None
) -> None:
    assert visit_of_age(own, labels) == expected


def test_a_later_visit_never_has_the_age_of_the_first() -> None:
    people = People({"01": Person(age=Age(50), age_path="participants.tsv")})
    ages, findings = ages_of_visits(people, {"01": {"1", "2"}})
    assert ages == {("01", "1"): Age(50)}
    assert [(found.kind, found.participant_id) for found in findings] == [("age_not_assigned", "01")]


def test_an_age_of_a_visit_is_not_given_to_another_one() -> None:
    people = People({"01": Person(age=Age(50), age_is_of_visit=True)}, {("01", "1"): Age(50)})
    assert ages_of_visits(people, {"01": {"1", "2"}})[0] == {("01", "1"): Age(50)}


def test_an_age_at_enrolment_is_given_to_no_visit() -> None:
    people = People({"01": Person(age=Age(50), age_is_at_baseline=True)})
    ages, findings = ages_of_visits(people, {"01": {"20200101"}})
    assert ages == {}
    assert [found.kind for found in findings] == ["age_not_assigned"]


@pytest.mark.parametrize(
    ("age", "kinds"), [(50, []), (50.9, []), (45, ["sources_disagree"]), (70, ["sources_disagree"])]
)
def test_a_participants_age_that_contradicts_those_of_the_visits_is_said(age: float, kinds: list[str]) -> None:
    people = People({"01": Person(age=Age(age))}, {("01", "1"): Age(50), ("01", "2"): Age(60)})
    ages, findings = ages_of_visits(people, {"01": {"1", "2"}})
    assert ages == {("01", "1"): Age(50), ("01", "2"): Age(60)}
    assert [found.kind for found in findings] == kinds


def test_a_range_of_ages_is_of_its_visit_too() -> None:
    people = People({"01": Person(age=Age(low_years=55, high_years=60))})
    assert ages_of_visits(people, {"01": {"01", "02"}})[0] == {("01", "01"): Age(low_years=55, high_years=60)}
