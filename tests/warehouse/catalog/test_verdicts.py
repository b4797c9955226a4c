"""Which verdicts of a model count: the last one of each gate, of the last evaluation that had enough data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pytest

from tests.warehouse.catalog.test_model_registry import DAY, FIRST, SECOND, version
from warehouse.catalog import model_registry, verdicts
from warehouse.catalog.publish import publish
from warehouse.catalog.verdicts import BEST_GATE, CHAMPION_GATE
from warehouse.lake.home import Home

Said = tuple[str, str, str | None]  # gate, verdict, opponent


def say(home: Home, day: int, gate: str, said: str | None = "passed", **more: Any) -> None:
    place = {"model_id": FIRST, "data_id": "d", "protocol_hash": "p", "occurred_at": DAY + timedelta(days=day)}
    row = {"gate": gate, "verdict": said, "passed": said == "passed", "detail": f"day {day}", "threshold": 0.0}
    model_registry.record(home, verdicts.TABLE, [place | row | more])


def of_evaluation(home: Home) -> list[Said]:
    rows = verdicts.of_evaluation(verdicts.recorded(home, FIRST), "d", "p")
    return [(row["gate"], row["verdict"], row["against_id"]) for row in rows]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        pytest.param({"verdict": "not_enough_data", "passed": False}, "not_enough_data", id="this version"),
        pytest.param({"verdict": None, "passed": True}, "passed", id="an older row that passed"),
        pytest.param({"passed": False}, "failed", id="an older row that failed"),
    ],
)
def test_a_verdict_of_an_older_version_is_read_from_whether_it_passed(row: dict[str, object], verdict: str) -> None:
    assert verdicts.verdict_of(row) == verdict


def test_the_last_verdict_of_a_gate_counts_in_whatever_order_it_was_recorded(home: Home) -> None:
    say(home, 2, "one", "failed")
    say(home, 1, "one")
    say(home, 9, "one", model_id=SECOND)
    say(home, 9, "one", protocol_hash="another")
    assert of_evaluation(home) == [("one", "failed", None)]


def test_comparisons_stand_last_and_one_with_the_best_of_an_earlier_champion_is_left_out(home: Home) -> None:
    say(home, 1, CHAMPION_GATE, against_id="b")
    say(home, 2, BEST_GATE, "failed", against_id="a")
    say(home, 3, "steers")
    assert of_evaluation(home) == [("steers", "passed", None), (CHAMPION_GATE, "passed", "b"),
                                   (BEST_GATE, "failed", "a")]  # fmt: skip
    say(home, 4, CHAMPION_GATE, against_id="c")
    assert of_evaluation(home) == [("steers", "passed", None), (CHAMPION_GATE, "passed", "c")]


def test_comparisons_with_another_opponent_or_margin_are_kept_apart(home: Home) -> None:
    for threshold, other in ((-0.3, "b"), (-1.5, "b"), (-0.3, "c")):
        say(home, 1, CHAMPION_GATE, against_id=other, threshold=threshold)
    assert len(verdicts.recorded(home, FIRST)) == 3


def test_an_evaluation_without_data_does_not_hide_an_earlier_one_with_them(home: Home) -> None:
    say(home, 1, "one", "failed")
    say(home, 2, "one", "not_enough_data", protocol_hash="later")
    [row] = verdicts.of_last_evaluation(verdicts.recorded(home, FIRST))
    assert row["protocol_hash"] == "p"
    assert verdicts.of_last_evaluation(verdicts.recorded(home, SECOND)) == []


@pytest.mark.slow
def test_the_list_of_models_and_a_snapshot_say_the_same_as_the_records(home: Home) -> None:
    model_registry.record(home, model_registry.VERSION, [version(FIRST)])
    say(home, 1, "one", None)
    say(home, 1, "two")
    say(home, 2, "two", "not_enough_data", protocol_hash="later")
    say(home, 3, "gone", "not_enough_data", data_id="other")
    known = verdicts.of_last_evaluation(verdicts.recorded(home, FIRST))
    with duckdb.connect(str(publish(home).path), read_only=True) as connection:
        assert verdicts.of_last_evaluation(verdicts.published(connection, FIRST)) == known
    [listed] = model_registry.known_models(home).to_pylist()
    assert (listed["n_gates_passed"], listed["gates_failed"], listed["gates_without_data"]) == (1, ["one"], None)
