from __future__ import annotations

import pytest

from warehouse.ingest.demographics import Age, age_of_level, parse_age, parse_sex, sex_of_level, unit_of


@pytest.mark.parametrize(
    ("text", "unit", "age"),
    [
        pytest.param("34.5", "years", Age(years=34.5), id="a number"),
        pytest.param("150", "months", Age(years=12.5), id="months"),
        pytest.param("3652.5", "days", Age(years=10.0), id="days"),
        pytest.param("55-60", "bins", Age(low_years=55, high_years=60), id="a five-year bin keeps both bounds"),
        pytest.param("22 – 25", "years", Age(low_years=22, high_years=25), id="a range with a dash"),
        pytest.param("36+", "bins", Age(low_years=36), id="an open range"),
        pytest.param(">89", "years", Age(low_years=89), id="above"),
        pytest.param("034Y", "years", Age(years=34), id="DICOM years"),
        pytest.param("006M", "years", Age(years=0.5), id="DICOM months"),
        pytest.param("n/a", "years", Age(), id="missing in BIDS"),
        pytest.param("", "years", Age(), id="blank"),
        pytest.param("NaN", "years", Age(), id="not a number"),
    ],
)
def test_an_age_is_read_as_it_was_published(text: str, unit: str, age: Age) -> None:
    assert parse_age(text, unit) == age


@pytest.mark.parametrize("text", ["999", "-4", "121", "old", "60-55", "12,5", "1e9", "12;3", "6 cm"])
def test_what_is_no_human_age_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_age(text)


def test_a_text_that_is_no_age_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="text of 17 characters"):
        parse_age("born to Mrs Smith")


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("6 months", 0.5),
        ("45y", 45),
        ("45 years old", 45),
        ("P18M", 1.5),
        ("P1Y6M", 1.5),
        ("026W", 0.4983),
        ("P45Y", 45),
    ],
)
def test_an_age_with_a_unit_of_its_own_is_read_whatever_the_unit_of_the_column(text: str, years: float) -> None:
    assert parse_age(text, "days").years == years


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("months", "months"), ("Months ", "months"), ("month(s)", "months"), ("mo", "months"), ("in weeks", "weeks"),
        ("wk", "weeks"), ("d", "days"), ("Day", "days"), ("years (integer)", "years"), ("yrs", "years"), ("a", "years"),
        ("Jahre", "years"), ("weeks of gestation", None), ("postmenstrual weeks", None), ("score", None),
        ("years and months", None), ("", None),
    ],
)  # fmt: skip
def test_a_unit_is_read_however_it_is_spelled_and_never_guessed(text: str, unit: str | None) -> None:
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("16-20 years", Age(low_years=16, high_years=20)),
        ("18 to 24 months", Age(low_years=1.5, high_years=2)),
        ("89 or older", Age(low_years=89)),
        (">= 65 years", Age(low_years=65)),
        ("18 months", Age(years=1.5)),
    ],
)
def test_a_code_of_age_is_what_its_explanation_says(text: str, age: Age) -> None:
    assert age_of_level(text, "years") == age


@pytest.mark.parametrize(
    ("text", "sex"),
    [
        ("male", "M"), ("Female", "F"), ("woman (self-reported)", "F"), ("males", "M"), ("intersex", "O"),
        ("not reported", "n/a"), ("unknown", "n/a"), ("male or female", None), ("see protocol", None), ("", "n/a"),
    ],
)  # fmt: skip
def test_a_code_of_sex_is_what_its_explanation_says(text: str, sex: str | None) -> None:
    assert sex_of_level(text) == sex


@pytest.mark.parametrize(
    ("text", "values", "sex"),
    [
        ("M", {}, "M"),
        ("female", {}, "F"),
        ("Male ", {}, "M"),
        ("1", {"1": "M", "2": "F"}, "M"),
        ("2.0", {"1": "M", "2": "F"}, "F"),
        ("0", {"0": "Female", "1": "Male"}, "F"),
        ("O", {}, "O"),
        ("n/a", {}, None),
        ("-4", {"-4": "n/a"}, None),
    ],
)
def test_sex_is_read_by_the_tables_own_codes(text: str, values: dict[str, str], sex: str | None) -> None:
    assert parse_sex(text, values) == sex


@pytest.mark.parametrize("text", ["1", "2", "W", "U"])
def test_a_code_that_nobody_explained_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_sex(text, {})
