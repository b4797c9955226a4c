"""SQL shows the champions, and how each of them came about."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from tests.warehouse.catalog.test_model_registry import FIRST, SECOND, said
from tests.warehouse.catalog.test_promotion import KIND, THIRD, against, judged, known, offered, verdict
from warehouse.catalog import model_registry, promotion
from warehouse.catalog.publish import publish
from warehouse.catalog.sqlfiles import useful_queries
from warehouse.lake.home import Home


def asked(home: Home, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(publish(home).path), read_only=True) as connection:
        found: list[dict[str, Any]] = connection.sql(useful_queries()[query]).to_arrow_table().to_pylist()
        return found


@pytest.mark.slow
def test_sql_shows_champions_and_how_they_came_about(home: Home) -> None:
    known(home, FIRST, SECOND)
    known(home, THIRD, grid_mm=1.0)
    offered(home, FIRST, verdict())
    offered(home, SECOND, verdict(), against(FIRST, "failed"))
    promotion.promote(home, SECOND, "I have looked", despite_gates=True)
    promotion.promote(home, THIRD, "a test", despite_gates=True)
    found = {row["grid_mm"]: (row["model_id"], row["predecessor_id"]) for row in asked(home, "champions")}
    assert found == {3.0: (SECOND, FIRST), 1.0: (THIRD, None)}
    promotion.rollback(home, KIND, "it blurs", grid_mm=3.0)
    found = {row["grid_mm"]: (row["model_id"], row["predecessor_id"]) for row in asked(home, "champions")}
    assert found == {3.0: (FIRST, None), 1.0: (THIRD, None)}
    assert {model_id for model_id, _ in found.values()} == {
        one.model_id for one in model_registry.champions(home, KIND)
    }
    names = ("model_id", "decision", "champion_before", "champion_after")
    told = [tuple(row[name] for name in names) for row in asked(home, "promotions")]
    assert told == [
        (SECOND, "rolled back", SECOND, FIRST),
        (THIRD, "promoted", None, THIRD),
        (SECOND, "promoted", FIRST, SECOND),
        (SECOND, "rejected", FIRST, FIRST),
        (FIRST, "promoted", None, FIRST),
    ]
    status = {row["model_id"]: row["status"] for row in model_registry.known_models(home).to_pylist()}
    assert status == {FIRST: "champion", SECOND: "rolled back", THIRD: "champion"}


@pytest.mark.slow
def test_the_champion_before_each_decision_is_right_after_rollbacks_on_each_grid_and_in_older_records(
    home: Home,
) -> None:
    fine, encoder = "d" * 16, "e" * 16
    known(home, FIRST, SECOND, THIRD)
    known(home, fine, grid_mm=1.0)
    known(home, encoder, kind="text_encoder")
    said(home, FIRST, 0)  # as an older version recorded it: neither grid nor who was champion before
    said(home, SECOND, 1)
    promotion.promote(home, encoder, "a test", despite_gates=True)
    promotion.promote(home, THIRD, "a test", despite_gates=True)
    promotion.promote(home, fine, "a test", despite_gates=True)
    promotion.rollback(home, KIND, "it blurs", grid_mm=3.0)
    promotion.rollback(home, KIND, "it blurs, too", grid_mm=3.0)
    promotion.promote(home, THIRD, "it does not", despite_gates=True)
    found = asked(home, "promotions")[::-1]
    assert [(row["grid_mm"], row["model_id"], row["champion_before"], row["champion_after"]) for row in found] == [
        (3.0, FIRST, None, FIRST),
        (3.0, SECOND, FIRST, SECOND),
        (3.0, encoder, None, encoder),
        (3.0, THIRD, SECOND, THIRD),
        (1.0, fine, None, fine),
        (3.0, THIRD, THIRD, SECOND),
        (3.0, SECOND, SECOND, FIRST),
        (3.0, THIRD, FIRST, THIRD),
    ]


@pytest.mark.slow
def test_the_gain_of_a_decision_is_that_of_the_comparison_before_it(home: Home) -> None:
    known(home, FIRST, SECOND)
    offered(home, FIRST, verdict())
    offered(home, SECOND, verdict(), against(FIRST, mean=0.25))
    judged(home, SECOND, against(FIRST, "failed", mean=-9.0), data_id="later")
    assert [row["gain"] for row in asked(home, "promotions")] == [0.25, None]
