"""Which model is in force: the last assignment counts, statements are only appended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from warehouse.catalog import model_registry, verdicts
from warehouse.catalog.publish import publish
from warehouse.errors import PublishError
from warehouse.lake.home import Home

FIRST, SECOND = "a" * 16, "b" * 16
DAY = datetime(2026, 11, 1, tzinfo=UTC)


def version(model_id: str, kind: str = "synthesis") -> dict[str, object]:
    return {
        "model_id": model_id,
        "kind": kind,
        "run_id": "r" * 16,
        "data_id": "d" * 16,
        "path": f"models/{model_id}",
        "n_parameters": 10,
        "size_bytes": 40,
        "is_simulated": True,
    }


def said(home: Home, model_id: str, day: int, action: str = "assign", alias: str = "champion") -> None:
    row = {"model_id": model_id, "kind": "synthesis", "alias": alias, "action": action, "reason": "a test"}
    model_registry.record(home, model_registry.EVENT, [{**row, "occurred_at": DAY + timedelta(days=day)}])


def run(
    home: Home, status: str, day: int, data_id: str = "d" * 16, kind: str = "synthesis", config: str = "{}"
) -> None:
    row = {"run_id": "r" * 16, "kind": kind, "status": status, "config": config, "data_id": data_id, "snapshot_id": "s"}
    row |= {"training_code": "0", "seed": 0, "device": "cpu", "occurred_at": DAY + timedelta(days=day)}  # type: ignore[dict-item]
    model_registry.record(home, "core.training_run", [row])


def test_an_empty_home_has_no_champion_and_no_models(home: Home) -> None:
    assert model_registry.champion(home, "synthesis") is None
    assert model_registry.known_models(home).num_rows == 0
    assert model_registry.last_run(home, "synthesis") is None


def test_the_last_assignment_counts_in_whatever_order_it_is_read(home: Home) -> None:
    said(home, SECOND, 2)
    said(home, FIRST, 1)
    assert model_registry.champion(home, "synthesis") == SECOND
    assert model_registry.champion(home, "text_encoder") is None
    said(home, FIRST, 3)
    assert model_registry.champion(home, "synthesis") == FIRST


def test_a_champion_that_is_removed_gives_way_to_the_one_before(home: Home) -> None:
    said(home, FIRST, 1)
    said(home, SECOND, 2)
    said(home, SECOND, 3, "remove")
    assert model_registry.champion(home, "synthesis") == FIRST
    said(home, FIRST, 4, "remove")
    assert model_registry.champion(home, "synthesis") is None


def test_a_candidate_is_no_champion(home: Home) -> None:
    said(home, FIRST, 1, alias="candidate")
    assert model_registry.champion(home, "synthesis") is None


def test_the_list_says_what_is_champion_and_which_gates_failed(home: Home) -> None:
    model_registry.record(home, model_registry.VERSION, [version(FIRST), version(SECOND, "text_encoder")])
    said(home, FIRST, 1)
    verdict = {"model_id": FIRST, "data_id": "d", "protocol_hash": "p", "detail": "so it is"}
    for gate, passed, day in (("one", True, 1), ("two", True, 1), ("two", False, 2)):
        row = {**verdict, "gate": gate, "passed": passed, "occurred_at": DAY + timedelta(days=day)}
        model_registry.record(home, "core.gate_verdict", [row])
    rows = {row["model_id"]: row for row in model_registry.known_models(home).to_pylist()}
    assert (rows[FIRST]["is_champion"], rows[FIRST]["status"]) == (True, "champion")
    assert (rows[FIRST]["n_gates_passed"], rows[FIRST]["gates_failed"]) == (1, ["two"])
    assert (rows[SECOND]["is_champion"], rows[SECOND]["status"]) == (False, "not evaluated")
    assert rows[SECOND]["gates_failed"] is None


def test_the_last_run_is_the_one_that_finished_last(home: Home) -> None:
    run(home, "finished", 1, "early")
    run(home, "finished", 3, "late")
    run(home, "started", 5, "later")
    run(home, "finished", 9, "other", "text_encoder")
    last = model_registry.last_run(home, "synthesis")
    assert last is not None
    assert last["data_id"] == "late"


def test_trainings_of_cross_validation_are_not_the_last_run(home: Home) -> None:
    run(home, "finished", 1, "whole", config='{"held_out_fold": null, "n_folds": 4}')
    run(home, "finished", 3, "fold", config='{"held_out_fold": 0, "n_folds": 4}')
    last = model_registry.last_run(home, "synthesis")
    assert last is not None
    assert last["data_id"] == "whole"


def test_what_is_said_twice_was_said_once_and_first(home: Home) -> None:
    for day in (2, 1):
        row = version(FIRST) | {"event_id": "same", "occurred_at": DAY + timedelta(days=day), "n_parameters": day}
        model_registry.record(home, model_registry.VERSION, [row])
    assert [
        row["n_parameters"] for row in model_registry.statements(home, model_registry.VERSION, kind="synthesis")
    ] == [1]
    assert model_registry.statements(home, model_registry.VERSION, kind="text_encoder") == []


def test_a_statement_that_breaks_a_rule_is_refused(home: Home) -> None:
    with pytest.raises(PublishError, match="kind"):
        model_registry.record(home, model_registry.VERSION, [version(FIRST, "oracle")])


def test_each_grid_and_recipe_has_a_champion_of_its_own(home: Home) -> None:
    model_registry.record(home, model_registry.VERSION, [version(FIRST) | {"grid_mm": 1.0, "recipe_id": "standard"}])
    model_registry.record(home, model_registry.VERSION, [version(SECOND) | {"grid_mm": 3.0, "recipe_id": "draft"}])
    said(home, FIRST, 1)
    said(home, SECOND, 2)  # later, yet on another grid: it displaces nobody
    found = {(one.grid_mm, one.recipe_id): one.model_id for one in model_registry.champions(home, "synthesis")}
    assert found == {(1.0, "standard"): FIRST, (3.0, "draft"): SECOND}
    assert model_registry.champion(home, "synthesis", recipe="standard") == FIRST
    assert [row["grid_mm"] for row in model_registry.known_models(home).to_pylist()] == [3.0, 1.0]


@pytest.mark.slow
def test_events_of_older_versions_lack_later_columns_and_are_read_and_published(home: Home) -> None:
    import duckdb
    import pyarrow.parquet as pq

    gate = {
        "model_id": FIRST,
        "data_id": "d",
        "protocol_hash": "p",
        "gate": "one",
        "passed": True,
        "detail": "so it is",
    }
    for table, row, later in (
        ("core.gate_verdict", gate, ["verdict", "against_id", "mean", "n_people", "snapshot_id"]),
        (model_registry.VERSION, version(FIRST), ["grid_mm", "recipe_id"]),
        (
            model_registry.EVENT,
            {"model_id": FIRST, "kind": "synthesis", "alias": "champion", "action": "assign", "reason": "so it is"},
            ["decided_by", "against_id", "evaluation_id", "grid_mm", "recipe_id"],
        ),
    ):
        file = model_registry.record(home, table, [row])
        assert file is not None
        pq.write_table(pq.read_table(file).drop_columns(later), file)
    [verdict] = verdicts.recorded(home, FIRST)
    assert verdict["verdict"] == "passed"
    [known] = model_registry.known_models(home).to_pylist()
    assert (known["n_gates_passed"], known["grid_mm"], known["status"]) == (1, None, "champion")
    with duckdb.connect(str(publish(home).path), read_only=True) as connection:
        assert connection.execute("SELECT passed, verdict FROM core.gate_verdict").fetchall() == [(True, None)]
