"""Drift is found where new people differ, is not found by chance, and nothing is said of few people."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from model.evaluation.drift import COLUMNS, DriftLimits, DriftScore, drift_scores, is_known, read_people
from tests.model.tiny_home import RECIPE, make_tiny_home
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

LIMITS = DriftLimits(least_people=20, significance=0.01, least_effect=0.2)
FIELDS = tuple(f"field_{number}" for number in range(6))


def numbers(values: dict[str, list[float | None]], contrast: str = "T1w") -> pd.DataFrame:
    """Return people whose fields have these numbers, one person each."""
    rows = [
        {"person_id": f"p{number}", "field": field, "contrast": contrast, "number": value, "text": None}
        for field, column in values.items()
        for number, value in enumerate(column)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"number": float})


def texts(values: list[str | None]) -> pd.DataFrame:
    """Return people of these manufacturers."""
    rows = [
        {"person_id": f"p{number}", "field": "manufacturer", "contrast": "", "number": None, "text": value}
        for number, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def only(scores: list[DriftScore], aspect: str = "value") -> DriftScore:
    [score] = [one for one in scores if one.aspect == aspect]
    return score


def drawn(rng: np.random.Generator, n_people: int, shift: float = 0.0) -> pd.DataFrame:
    return numbers({field: (rng.normal(size=n_people) + shift).tolist() for field in FIELDS})


def test_a_drifted_scanner_is_found_and_its_other_fields_are_not() -> None:
    rng = np.random.default_rng(0)
    known, new = drawn(rng, 60), drawn(rng, 30)
    new.loc[new["field"] == "field_3", "number"] += 2.0
    scores = drift_scores(known, new, LIMITS)
    assert [one.field for one in scores if one.verdict == "drifted"] == ["field_3"]
    assert scores[0].effect is not None
    assert scores[0].effect > 0.5
    assert (scores[0].n_known, scores[0].n_new, scores[0].test) == (60, 30, "ks_2samp")


@pytest.mark.slow
def test_people_of_the_same_kind_drift_no_more_often_than_the_significance_says() -> None:
    rng, n_cohorts = np.random.default_rng(1), 100
    anything = DriftLimits(20, 0.1, 0.0)  # no least effect, or the rate would be lower still
    alarms = sum(
        any(one.verdict == "drifted" for one in drift_scores(drawn(rng, 60), drawn(rng, 30), anything))
        for _ in range(n_cohorts)
    )
    assert (
        3 <= alarms <= 33
    )  # binomial of 200 at 0.1: within 20 ± 3.1 standard deviations; the exact test is conservative


def test_a_trifle_is_no_drift_however_many_people_show_it() -> None:
    rng = np.random.default_rng(2)
    known, new = ({"a": (rng.normal(size=20_000) + shift).tolist()} for shift in (0.0, 0.2))
    score = only(drift_scores(numbers(known), numbers(new), LIMITS))
    assert score.p_adjusted is not None
    assert score.p_adjusted < 1e-20
    assert score.verdict == "same"


def test_few_people_are_not_enough_data_however_different_they_are() -> None:
    score = only(drift_scores(numbers({"a": [0.0] * 60}), numbers({"a": [9.0] * 19}), LIMITS))
    assert (score.verdict, score.p_value, score.test) == ("not_enough_data", None, "")
    assert only(drift_scores(numbers({"a": [0.0] * 60}), numbers({"a": [9.0] * 20}), LIMITS)).verdict == "drifted"


def test_no_new_people_are_not_enough_data_and_nobody_at_all_is_no_field() -> None:
    nobody = numbers({})
    assert only(drift_scores(numbers({"a": [1.0] * 60}), nobody, LIMITS)).verdict == "not_enough_data"
    assert drift_scores(nobody, nobody, LIMITS) == []


def test_constant_columns_are_the_same_where_they_are_equal_and_drift_where_they_are_not() -> None:
    same = only(drift_scores(numbers({"a": [3.0] * 30}), numbers({"a": [3.0] * 30}), LIMITS))
    assert (same.verdict, same.effect, same.p_value) == ("same", 0.0, None)
    other = only(drift_scores(numbers({"a": [3.0] * 30}), numbers({"a": [1.5] * 30}), LIMITS))
    assert (other.verdict, other.effect) == ("drifted", 1.0)


def test_samples_without_overlap_drift_fully() -> None:
    known, new = numbers({"a": np.arange(30.0).tolist()}), numbers({"a": (np.arange(30.0) + 100).tolist()})
    score = only(drift_scores(known, new, LIMITS))
    assert (score.verdict, score.effect) == ("drifted", 1.0)


def test_a_field_that_new_people_lack_drifts_by_its_presence() -> None:
    known, new = numbers({"a": [1.0, 2.0] * 30}), numbers({"a": [None] * 40})
    scores = drift_scores(known, new, LIMITS)
    assert only(scores).verdict == "not_enough_data"
    presence = only(scores, "presence")
    assert (presence.verdict, presence.effect, presence.known_values, presence.new_values) == (
        "drifted", 1.0, "100%", "0%"
    )  # fmt: skip


def test_missing_values_are_left_out_of_a_distribution() -> None:
    known, new = numbers({"a": [1.0, 2.0, None] * 30}), numbers({"a": [1.0, 2.0, None] * 30})
    scores = drift_scores(known, new, LIMITS)
    assert (only(scores).n_known, only(scores).verdict, only(scores, "presence").verdict) == (60, "same", "same")


def test_shares_of_texts_drift_and_rare_texts_alone_do_not() -> None:
    known = texts(["GE"] * 40 + ["Siemens"] * 40 + ["Philips"] * 20)
    drifted = only(drift_scores(known, texts(["GE"] * 5 + ["Siemens"] * 5 + ["Philips"] * 40), LIMITS))
    assert (drifted.verdict, drifted.test) == ("drifted", "chi2_contingency")
    assert drifted.effect == pytest.approx(0.6)
    rare = only(drift_scores(known, texts(["GE"] * 20 + ["Siemens"] * 19 + ["Philips"] * 10 + ["United"]), LIMITS))
    assert rare.verdict == "same"


def test_a_new_manufacturer_drifts() -> None:
    score = only(drift_scores(texts(["GE"] * 40), texts(["United"] * 40), LIMITS))
    assert (score.verdict, score.test, score.effect) == ("drifted", "fisher_exact", 1.0)


def test_a_contrast_that_new_people_lack_drifts() -> None:
    rows = [{"person_id": f"p{n}", "field": "contrast", "contrast": "T2w", "number": 1.0} for n in range(30)]
    rows += [{"person_id": f"p{n}", "field": "contrast", "contrast": "T1w", "number": 1.0} for n in range(40)]
    known = pd.DataFrame(rows, columns=list(COLUMNS))
    scores = drift_scores(known, known[known["contrast"] == "T1w"], LIMITS)
    found = {one.contrast: (one.verdict, one.effect) for one in scores}
    assert found == {"T2w": ("drifted", 0.75), "T1w": ("same", 0.0)}


@pytest.mark.slow
def test_the_values_of_a_catalogue_are_those_of_its_training_people(home: Home) -> None:
    place = make_tiny_home(home.root, 12)
    with Catalogue(place).connect() as connection:
        people = read_people(connection, RECIPE)
        trained = connection.execute("SELECT DISTINCT person_id FROM out.split WHERE split = 'train'").fetchall()
        nobody = read_people(connection, RECIPE, ["elsewhere"])
        other = read_people(connection, "f" * 16)
    assert set(people["person_id"]) == {row[0] for row in trained}
    assert not people.duplicated(["person_id", "field", "contrast"]).any()
    assert {"echo_time_s", "age_years", "manufacturer", "contrast", "brain_intensity"} <= set(people["field"])
    assert nobody.empty
    assert other.empty


def test_people_are_recognised_by_the_hashes_of_a_checkpoint() -> None:
    learned = frozenset({hashlib.sha256(b"alpha/00").hexdigest()})
    assert is_known(["alpha/00", "alpha/01", "alpha/00"], learned).tolist() == [True, False, True]
