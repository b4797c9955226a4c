"""Rows that a report reads: of each thing that was said, the last; older rows stay readable."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from model.report.data import gates, rows
from warehouse.tables import TABLES

ASKED = {"model_id": "m", "text_encoder_id": "t", "protocol_hash": "p", "data_id": "d"}


@pytest.fixture
def catalogue() -> Iterator[duckdb.DuckDBPyConnection]:
    """Tables of events without a row."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA core")
        for name in ("core.gate_verdict", "core.retrieval_score"):
            connection.execute(TABLES[name].ddl())
        yield connection


def say(catalogue: duckdb.DuckDBPyConnection, table: str, day: int, **values: Any) -> None:
    told = {"data_id": "d", "protocol_hash": "p", "occurred_at": datetime(2026, 1, day, tzinfo=UTC)} | values
    records = TABLES[table].rows([{"event_id": f"{table} of {day}"} | told])
    assert records.num_rows == 1
    catalogue.execute(f"INSERT INTO {table} BY NAME SELECT * FROM records")


def test_the_last_verdict_counts_also_where_it_has_no_value(catalogue: duckdb.DuckDBPyConnection) -> None:
    gate = {"model_id": "m", "gate": "g", "threshold": 0.0, "detail": "so it is"}
    say(catalogue, "core.gate_verdict", 2, **gate, verdict="not_enough_data", passed=False)
    say(catalogue, "core.gate_verdict", 1, **gate, verdict="passed", passed=True, value=3.0)
    [found] = gates(catalogue, ASKED)
    assert (found["verdict"], found["value"]) == ("not_enough_data", None)


def test_a_text_encoder_that_is_judged_by_another_version_has_one_verdict(
    catalogue: duckdb.DuckDBPyConnection,
) -> None:
    gate = {"model_id": "t", "gate": "g", "detail": "so it is", "value": 1.0}
    say(catalogue, "core.gate_verdict", 1, **gate, passed=True, protocol_hash="older")
    say(catalogue, "core.gate_verdict", 2, **gate, passed=False, verdict="failed", protocol_hash="newer")
    assert [row["verdict"] for row in gates(catalogue, ASKED)] == ["failed"]


def test_a_verdict_of_an_older_version_is_read_from_whether_it_passed(catalogue: duckdb.DuckDBPyConnection) -> None:
    say(catalogue, "core.gate_verdict", 1, model_id="m", gate="g", detail="so it is", passed=True)
    assert [row["verdict"] for row in gates(catalogue, ASKED)] == ["passed"]


@pytest.mark.parametrize(
    ("n_people", "low", "shown"),
    [
        pytest.param(12, 0.4, 0.4, id="twelve people"),
        pytest.param(9, None, None, id="nine people"),
        pytest.param(None, 0.4, None, id="an older row, which does not say of how many people it is"),
    ],
)
def test_an_interval_is_shown_only_where_its_people_are_enough(
    catalogue: duckdb.DuckDBPyConnection, n_people: int | None, low: float | None, shown: float | None
) -> None:
    score = {"model_id": "t", "task": "image_to_contrast", "split": "val", "metric": "recall_at_1", "value": 0.5}
    score |= {"n_candidates": 8, "n_queries": 30, "chance": 0.3, "high": low and 0.6}
    say(catalogue, "core.retrieval_score", 1, **score, n_people=20, low=0.1)  # said before
    say(catalogue, "core.retrieval_score", 2, **score, n_people=n_people, low=low)
    [found] = rows(catalogue, "retrieval", {"text_encoder_id": "t"})
    assert found["low"] == shown
