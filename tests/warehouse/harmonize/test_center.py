"""A whole centre: what is done, what is found again, what a bad scan costs, what is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import write_bids, write_image
from tests.warehouse.harmonize import works
from warehouse.catalog.publish import publish
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.errors import TumsynError
from warehouse.harmonize import center, tasks
from warehouse.harmonize.center import harmonize_center, is_current
from warehouse.harmonize.plan import sessions
from warehouse.harmonize.recipe import Recipe
from warehouse.ingest import ingest_center
from warehouse.lake import parts
from warehouse.lake.home import Home

STANDARD, DRAFT = Recipe(name="standard"), Recipe(name="draft", is_draft=True, grid_mm=3)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def tiny(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RegisteredCenter:
    """Four eligible scans in two sessions, ingested; scans are done by `works`, and nothing is drawn."""
    tiny = Center(center_id="tiny", title="Tiny", layout=Layout(kind="bids"))
    registration = register(home, tiny, write_bids(tmp_path / "bids"))
    ingest_center(home, registration)
    monkeypatch.setattr(tasks, "work_session", works.made_of)
    monkeypatch.setattr(center, "write_center_page", lambda *_: tmp_path / "quality.html")
    return registration


def volumes(home: Home, table: str = "core.volume") -> list[dict[str, object]]:
    rows = parts.read_table(home, "tiny", table)
    return [] if rows is None else list(rows.to_pylist())


def test_scans_are_the_eligible_images_whose_content_is_there(home: Home, tiny: RegisteredCenter) -> None:
    found = sessions(home, tiny)
    assert list(found) == ["tiny/sub-01", "tiny/sub-02"]
    assert [scan.contrast for scan in found["tiny/sub-02"]] == ["FLAIR", "T1w"]  # the empty T2w was refused
    scan = found["tiny/sub-01"][1]
    assert scan.path.is_file()
    assert scan.attributes["participant_id"] == "01"
    assert scan.attributes["entities"]["suffix"] == "T1w"
    assert scan.attributes["is_simulated"] is False


def test_a_centre_that_was_not_ingested_is_refused_with_what_to_do(home: Home, tmp_path: Path) -> None:
    new = Center(center_id="new", title="New", layout=Layout(kind="bids"))
    registration = register(home, new, write_bids(tmp_path / "other"))
    assert not is_current(home, registration, STANDARD)
    with pytest.raises(TumsynError, match="tumsyn ingest new"):
        harmonize_center(home, registration, STANDARD)


@pytest.mark.slow
def test_every_scan_is_done_once_and_an_unchanged_centre_is_left_alone(
    home: Home, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[int, int, str]] = []
    first = harmonize_center(home, tiny, STANDARD, workers=2, progress=lambda *step: said.append(step))
    assert (first.n_scans, first.n_done, first.n_reused, first.n_rejected) == (4, 4, 0, 0)
    assert [step[:2] for step in said] == [(2, 4), (4, 4)]
    assert {step[2] for step in said} == {"tiny/sub-01", "tiny/sub-02"}
    monkeypatch.setattr(tasks, "run_tasks", None)  # nothing may be started
    second = harmonize_center(home, tiny, STANDARD)
    assert (second.changed, second.n_done, second.n_reused) == (False, 0, 4)
    assert second.manifest == first.manifest


@pytest.mark.slow
def test_another_parameter_is_done_beside_the_first(home: Home, tiny: RegisteredCenter) -> None:
    harmonize_center(home, tiny, STANDARD, workers=1)
    assert not is_current(home, tiny, DRAFT)
    done = harmonize_center(home, tiny, DRAFT, workers=1)
    assert done.n_done == 4
    assert {row["recipe"] for row in volumes(home)} == {"standard", "draft"}
    assert len(volumes(home)) == 8
    assert is_current(home, tiny, STANDARD)
    assert is_current(home, tiny, DRAFT)


@pytest.mark.slow
def test_what_an_interrupted_run_finished_is_found_again(home: Home, tiny: RegisteredCenter) -> None:
    found = sessions(home, tiny)
    works.made_of(tasks.tasks_of(home, "tiny", found, STANDARD)[0])  # then it was killed: nothing was committed
    done = harmonize_center(home, tiny, STANDARD, workers=1)
    assert (done.n_done, done.n_reused) == (2, 2)


@pytest.mark.slow
def test_a_new_scan_is_done_and_a_removed_store_is_noticed(home: Home, tiny: RegisteredCenter) -> None:
    harmonize_center(home, tiny, STANDARD, workers=1)
    write_image(tiny.root / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    ingest_center(home, tiny)
    assert harmonize_center(home, tiny, STANDARD, workers=1).n_done == 1
    (home.root / str(volumes(home)[0]["path"])).rmdir()
    assert not is_current(home, tiny, STANDARD)
    assert harmonize_center(home, tiny, STANDARD, workers=1).n_done == 1


@pytest.mark.slow
def test_force_does_everything_again(home: Home, tiny: RegisteredCenter) -> None:
    harmonize_center(home, tiny, STANDARD, workers=1)
    done = harmonize_center(home, tiny, STANDARD, workers=1, force=True)
    assert (done.changed, done.n_done) == (True, 4)


def test_forgetting_a_session_removes_its_stores_by_this_recipe_alone(home: Home, tiny: RegisteredCenter) -> None:
    found = sessions(home, tiny)
    for recipe in (STANDARD, DRAFT):
        for task in tasks.tasks_of(home, "tiny", found, recipe):
            works.made_of(task)
    tasks.forget(tasks.tasks_of(home, "tiny", found, DRAFT)[0])
    assert len(list(home.volumes.glob("*/*/*.zarr"))) == 4 + 2


@pytest.mark.slow
def test_a_scan_that_kills_its_process_is_rejected_alone_and_tried_again_next_time(
    home: Home, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "work_session", works.killed_by_one)
    done = harmonize_center(home, tiny, STANDARD, workers=2)
    assert (done.n_scans, done.n_done, done.n_rejected) == (4, 3, 1)
    [row] = volumes(home, "core.volume_rejection")
    assert row["stage"] == "worker"
    assert "process died" in str(row["detail"])
    assert len(volumes(home)) == 3
    monkeypatch.setattr(tasks, "work_session", works.made_of)
    assert harmonize_center(home, tiny, STANDARD, workers=1).n_done == 1
    assert volumes(home, "core.volume_rejection") == []


@pytest.mark.slow
def test_a_row_that_breaks_a_rule_is_rejected_and_the_others_are_published(
    home: Home, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "work_session", works.broken_rows)
    assert harmonize_center(home, tiny, STANDARD, workers=1).n_rejected == 2
    assert {row["reason"] for row in volumes(home, "core.volume_rejection")} == {"broken_rule"}
    published = publish(home)
    assert published.n_rows["core.volume"] == 2
    assert published.n_rows["core.volume_rejection"] == 2


@pytest.mark.slow
def test_what_a_step_refused_is_not_tried_again_until_something_changes(
    home: Home, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "work_session", works.refused)
    assert harmonize_center(home, tiny, STANDARD, workers=1).n_rejected == 4
    assert not harmonize_center(home, tiny, STANDARD, workers=1).changed


@pytest.mark.slow
def test_volumes_of_an_image_that_is_gone_are_not_published(home: Home, tiny: RegisteredCenter) -> None:
    harmonize_center(home, tiny, STANDARD, workers=1)
    first = publish(home)
    (tiny.root / "sub-01" / "anat" / "sub-01_T1w.nii.gz").unlink()
    ingest_center(home, tiny)
    second = publish(home)
    assert (first.n_rows["core.volume"], second.n_rows["core.volume"]) == (4, 3)
    assert first.data_id != second.data_id


@pytest.mark.slow
def test_volumes_are_part_of_what_a_training_depends_on(home: Home, tiny: RegisteredCenter) -> None:
    before = publish(home)
    harmonize_center(home, tiny, STANDARD, workers=1)
    after = publish(home)
    assert before.data_id != after.data_id
