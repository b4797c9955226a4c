"""Verdicts of gates: which rows of `core.gate_verdict` apply to a model. Nothing else decides this.

A gate may be measured again, a champion be compared again by another margin, and a model be evaluated on other data.
Callers take the rows of `recorded` or `published`, and select an evaluation by `of_evaluation` or `of_last_evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from warehouse.catalog import events, sqlfiles
from warehouse.lake.home import Home

if TYPE_CHECKING:
    import duckdb

TABLE = "core.gate_verdict"
CHAMPION_GATE, BEST_GATE = "not_worse_than_champion", "not_worse_than_best"
COMPARISONS = (CHAMPION_GATE, BEST_GATE)

Verdict = Mapping[str, Any]
Row = dict[str, Any]


def verdict_of(row: Verdict) -> str:
    """Return passed, failed or not_enough_data from a row of `core.gate_verdict`; older rows have `passed` alone."""
    return str(row.get("verdict") or ("passed" if row["passed"] else "failed"))


def recorded(home: Home, model_id: str | None = None) -> list[Row]:
    """Return the last verdict of each gate, opponent and threshold of each evaluation, published or not.

    Parameters
    ----------
    model_id : str, optional
        Whose; default: those of all models.

    Returns
    -------
    list of dict
        Rows of `core.gate_verdict`, ordered by time.
    """
    with events.opened(home, TABLE) as connection:
        return published(connection, model_id)


def published(connection: duckdb.DuckDBPyConnection, model_id: str | None = None) -> list[Row]:
    """Return the same rows as `recorded`, from a published catalogue."""
    answer = connection.sql(sqlfiles.read("models/verdicts"), params={"model_id": model_id}).to_arrow_table()
    return list(answer.to_pylist())


def of_evaluation(rows: Sequence[Verdict], data_id: str, protocol_hash: str) -> list[Row]:
    """Return the verdicts of one evaluation: the last one of each gate, comparisons with other models at the end.

    Parameters
    ----------
    rows : sequence of mapping
        Of one model, as `recorded` or `published` returns them.
    data_id, protocol_hash : str
        The evaluation.
    """
    place = data_id, protocol_hash
    last = {row["gate"]: dict(row) for row in rows if (row["data_id"], row["protocol_hash"]) == place}
    champion, best = (last.get(gate) for gate in COMPARISONS)
    if champion and best and best["occurred_at"] < champion["occurred_at"]:
        del last[BEST_GATE]  # of an earlier champion
    return sorted(last.values(), key=lambda row: (row["gate"] in COMPARISONS, row["gate"] == BEST_GATE, row["gate"]))


def of_last_evaluation(rows: Sequence[Verdict]) -> list[Row]:
    """Return the verdicts of the last evaluation with enough data for at least one gate, else of the last evaluation.

    Parameters
    ----------
    rows : sequence of mapping
        Of one model, as `recorded` or `published` returns them.
    """
    by_time = sorted(rows, key=lambda row: row["occurred_at"])
    measured = [row for row in by_time if verdict_of(row) != "not_enough_data"]
    if not by_time:
        return []
    last = (measured or by_time)[-1]
    return of_evaluation(by_time, last["data_id"], last["protocol_hash"])
