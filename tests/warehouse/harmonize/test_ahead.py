"""Several centres by one set of processes: each gets its own rows, and what was not foreseen is done all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import write_bids
from tests.warehouse.harmonize import works
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.harmonize import ahead as subject
from warehouse.harmonize import center
from warehouse.harmonize.ahead import SessionQueue, ahead
from warehouse.harmonize.center import SessionTask, harmonize_center
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import HarmonizedRows
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home
from warehouse.quality import pictures

DRAFT = Recipe(name="draft", is_draft=True, grid_mm=3)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def two(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RegisteredCenter]:
    """Two centres of two sessions each, ingested; scans are done by `works`."""
    found = []
    for name in ("one", "two"):
        made = Center(center_id=name, title=name, layout=Layout(kind="bids"))
        found.append(register(home, made, write_bids(tmp_path / name)))
        ingest_center(home, found[-1])
    monkeypatch.setattr(center, "work_session", works.made_of)
    monkeypatch.setattr(pictures, "write_center_page", lambda *_: tmp_path / "quality.html")
    return found


def task(home: Home, center_id: str, session_id: str) -> SessionTask:
    return SessionTask(home, center_id, session_id, (), DRAFT)


def test_each_centre_gets_its_own_rows_and_processes_are_opened_once(
    home: Home, two: list[RegisteredCenter], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    each_done = subject.each_done
    monkeypatch.setattr(
        subject, "each_done", lambda tasks, **more: opened.append(len(tasks)) or each_done(tasks, **more)
    )
    with ahead(home, two, DRAFT, workers=2) as work:
        for registration in two:
            done = harmonize_center(home, registration, DRAFT, work=work)
            assert (done.center_id, done.n_scans, done.n_done) == (registration.center.center_id, 4, 4)
    assert opened == [4]


def test_sessions_that_end_out_of_turn_wait_for_their_centre(home: Home) -> None:
    tasks = [task(home, "one", "a"), task(home, "one", "b"), task(home, "two", "a")]
    ends = {"one a": HarmonizedRows(n_done=1), "one b": HarmonizedRows(n_done=2), "two a": HarmonizedRows(n_done=4)}

    def results() -> Iterator[tuple[SessionTask, HarmonizedRows]]:
        for index in (2, 1, 0):
            yield tasks[index], ends[f"{tasks[index].center_id} {tasks[index].session_id}"]

    work = SessionQueue(tasks, results())
    assert work(tasks[:2]).n_done == 3
    assert work(tasks[2:]).n_done == 4
    assert work(tasks[:2]).n_done == 3  # a step that is tried again finds them


def test_what_was_not_foreseen_is_done_all_the_same(home: Home, two: list[RegisteredCenter]) -> None:
    with ahead(home, two[:1], DRAFT, workers=1) as work:
        assert harmonize_center(home, two[1], DRAFT, workers=1, work=work).n_done == 4


def test_a_centre_that_was_not_ingested_is_left_to_who_asks_for_it(home: Home, tmp_path: Path) -> None:
    new = Center(center_id="new", title="New", layout=Layout(kind="bids"))
    with ahead(home, [register(home, new, write_bids(tmp_path / "new"))], DRAFT) as work:
        assert work.known == {}
