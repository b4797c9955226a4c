from __future__ import annotations

import pytest

from warehouse.ingest.demographics import Age, parse_age, parse_sex


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


@pytest.mark.parametrize("text", ["999", "-4", "121", "old", "60-55", "12,5", "1e9", "thirty"])
def test_what_is_no_human_age_is_refused_with_its_value(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_age(text)


def test_days_since_the_age_was_taken_are_added() -> None:
    assert parse_age("60", offset_days=365.25).years == 61


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


@pytest.mark.parametrize("text", ["1", "2", "W", "both"])
def test_a_code_that_nobody_explained_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_sex(text, {})
