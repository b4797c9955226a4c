"""`tumsyn sql` answers queries of one's own and shipped ones, read-only; `tumsyn catalog` pins snapshots."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.pipelines.conftest import Command, command_in
from warehouse.catalog import snapshots
from warehouse.catalog.sqlfiles import useful_queries
from warehouse.lake.home import Home

pytestmark = pytest.mark.slow  # its fixtures take seconds


def test_every_query_that_ships_is_listed_with_its_question(tumsyn: Command) -> None:
    result = tumsyn("sql", "--list-queries", "--format", "json")
    assert result.exit_code == 0, result.stderr  # in an empty home too
    listed = {row["query"]: row["question"] for row in json.loads(result.stdout)}
    assert listed.keys() == useful_queries().keys()
    assert all(question.endswith("?") for question in listed.values())


@pytest.mark.parametrize("name", sorted(useful_queries()))
def test_every_query_that_ships_runs_by_its_name(asking: Command, name: str) -> None:
    result = asking("sql", "--query", name, "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert isinstance(json.loads(result.stdout), list)


def test_an_unknown_query_is_refused_with_the_names_that_there_are(asking: Command) -> None:
    result = asking("sql", "--query", "nonsense")
    assert result.exit_code == 1
    assert "split_balance" in result.stderr
    assert "--list-queries" in result.stderr.split("->", 1)[1]


@pytest.mark.parametrize("words", [["SELECT 1", "--query", "split_balance"], ["SELECT 1", "--list-queries"], []])
def test_a_statement_and_a_query_exclude_each_other(asking: Command, words: list[str]) -> None:
    result = asking("sql", *words)
    assert result.exit_code == 2
    assert "--list-queries" in result.stderr


def test_a_pinned_snapshot_is_listed_with_who_needs_it(filled: Home, tmp_path: Path) -> None:
    home = Home(shutil.copytree(filled.root, tmp_path / "copy", symlinks=True))
    run, snapshot = command_in(home), str(snapshots.in_force(home))
    assert run("catalog", "pin", snapshot, "--for", "model:3f2a").exit_code == 0
    rows = json.loads(run("catalog", "snapshots", "--format", "json").stdout)
    assert rows[0]["pinned_by"] == ["model:3f2a"]
    assert run("catalog", "unpin", snapshot, "--for", "model:3f2a").exit_code == 0
    assert run("catalog", "unpin", snapshot, "--for", "model:3f2a").exit_code == 1


def test_a_query_is_read_from_standard_input(asking: Command) -> None:
    result = asking("sql", "-", "--format", "csv", input="SELECT 7 AS seven")
    assert result.stdout.split() == ['"seven"', "7"]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("DELETE FROM core.image", id="writes"),
        pytest.param("COPY core.image TO 'stolen.csv'", id="writes a file"),
        pytest.param("SELECT * FROM read_text('/etc/hostname')", id="reads a file"),
        pytest.param("SELECT 1; SELECT 2", id="two statements"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_query_that_does_more_than_ask_is_refused(asking: Command, query: str) -> None:
    result = asking("sql", query)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("tumsyn: ")


def test_a_query_that_takes_too_long_is_ended(asking: Command) -> None:
    result = asking(
        "sql", "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", "--timeout", "0.5"
    )
    assert result.exit_code == 1
    assert "0.5" in result.stderr
