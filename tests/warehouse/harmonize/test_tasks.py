"""Sessions in processes, and several centres that share one set of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import write_bids
from tests.warehouse.harmonize import works
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.harmonize import center
from warehouse.harmonize import tasks as subject
from warehouse.harmonize.center import harmonize_center
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import HarmonizedRows
from warehouse.harmonize.tasks import SessionQueue, SessionTask, session_queue, workers_for
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home

STANDARD, DRAFT = Recipe(name="standard"), Recipe(name="draft", is_draft=True, grid_mm=3)


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
    monkeypatch.setattr(subject, "work_session", works.made_of)
    monkeypatch.setattr(center, "write_center_page", lambda *_: tmp_path / "quality.html")
    return found


def task(home: Home, center_id: str, session_id: str) -> SessionTask:
    return SessionTask(home, center_id, session_id, (), DRAFT)


@pytest.mark.slow
def test_each_centre_gets_its_own_rows_and_processes_are_opened_once(
    home: Home, two: list[RegisteredCenter], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    completed = subject._completed
    monkeypatch.setattr(
        subject, "_completed", lambda tasks, **more: opened.append(len(tasks)) or completed(tasks, **more)
    )
    with session_queue(home, two, DRAFT, workers=2) as work:
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


@pytest.mark.slow
def test_what_was_not_foreseen_is_done_all_the_same(home: Home, two: list[RegisteredCenter]) -> None:
    with session_queue(home, two[:1], DRAFT, workers=1) as work:
        assert harmonize_center(home, two[1], DRAFT, workers=1, work=work).n_done == 4


def test_a_centre_that_was_not_ingested_is_left_to_who_asks_for_it(home: Home, tmp_path: Path) -> None:
    new = Center(center_id="new", title="New", layout=Layout(kind="bids"))
    with session_queue(home, [register(home, new, write_bids(tmp_path / "new"))], DRAFT) as work:
        assert work.known == {}


@pytest.mark.parametrize(
    ("recipe", "asked", "memory_gb", "expected"),
    [
        pytest.param(STANDARD, 8, 5.1, 2, id="memory allows two"),
        pytest.param(DRAFT, 8, 5.5, 3, id="a draft takes less"),
        pytest.param(STANDARD, 3, 100, 3, id="as many as asked for"),
        pytest.param(STANDARD, 4, 0.5, 1, id="never none"),
    ],
)
def test_memory_bounds_the_number_of_processes(recipe: Recipe, asked: int, memory_gb: float, expected: int) -> None:
    assert workers_for(recipe, asked, memory_gb) == expected
