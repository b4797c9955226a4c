"""New and changed data is requested once it stands still, one centre's error stops no other, and looks are short."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.runtime import arrivals
from pipelines.runtime.arrivals import Look, Seen, from_cursor, look, to_cursor
from pipelines.runtime.ingest_requests import State, load_requests, path_of
from pipelines.runtime.operations import Arrival
from tests.conftest import write_bids
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home

SETTINGS = Arrival(seconds_per_tick=5, full_check_minutes=60, recipe="draft")
MINUTE = 60.0


class Watch:
    """A sensor's life: looks one minute apart, each with what the last one left in the cursor."""

    def __init__(self, home: Home, settings: Arrival = SETTINGS, **more: Callable[..., object]) -> None:
        self.home, self.settings, self.more = home, settings, more
        self.now, self.cursor = 1e9, ""

    def look(self) -> Look:
        self.now += MINUTE
        found = look(self.home, from_cursor(self.cursor), self.settings, now=self.now, **self.more)  # type: ignore[arg-type]
        self.cursor = to_cursor(found.seen)
        return found

    def requests(self, looks: int) -> list[list[str]]:
        return [self.look().requests for _ in range(looks)]


def other(home: Home, tmp_path: Path) -> RegisteredCenter:
    center = Center(center_id="other", title="Other", layout=Layout(kind="bids"))
    return register(home, center, write_bids(tmp_path / "other"))


def add_scan(entry: RegisteredCenter, name: str = "sub-09") -> Path:
    [first] = list(entry.root.glob("sub-01/**/*_T1w.nii.gz"))[:1]
    target = entry.root / name / "anat" / f"{name}_T1w.nii.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(first, target))


@pytest.fixture
def full_checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def counted(home: Home, entry: RegisteredCenter) -> str | None:
        made.append(entry.center.center_id)
        return real(home, entry)

    real = arrivals.pending
    monkeypatch.setattr(arrivals, "pending", counted)
    return made


def test_a_new_centre_is_requested_once_it_stands_still_and_only_once(home: Home, tiny: RegisteredCenter) -> None:
    assert Watch(home).requests(6) == [[], [], ["tiny"], [], [], []]


def test_only_the_centre_with_new_data_is_requested(home: Home, tiny: RegisteredCenter, tmp_path: Path) -> None:
    for entry in (tiny, other(home, tmp_path)):
        ingest_center(home, entry)
    watch = Watch(home)
    assert watch.requests(4) == [[], [], [], []]
    add_scan(tiny)
    assert watch.requests(4) == [[], [], ["tiny"], []]


def test_data_that_is_still_being_copied_is_not_requested(home: Home, tiny: RegisteredCenter) -> None:
    ingest_center(home, tiny)
    watch = Watch(home)
    watch.requests(3)
    for number in range(4):
        add_scan(tiny, f"sub-2{number}")
        assert watch.look().requests == []
    last = add_scan(tiny, "sub-30")
    for _ in range(4):  # one large file that grows: its folder does not change any more
        with last.open("ab") as file:
            file.write(b"more")
        assert watch.look().requests == []
    assert watch.requests(2).count(["tiny"]) == 1


def test_a_centre_that_is_being_copied_does_not_hold_up_another(
    home: Home, tiny: RegisteredCenter, tmp_path: Path
) -> None:
    other(home, tmp_path)  # is looked at before `tiny`
    growing = next((tmp_path / "other").glob("sub-01/**/*_T1w.nii.gz"))
    watch = Watch(home)
    requests: list[str] = []
    for _ in range(8):
        with growing.open("ab") as file:
            file.write(b"more")
        requests += watch.look().requests
    assert requests == ["tiny"]


def test_content_that_changes_in_place_is_seen_within_the_period(home: Home, tiny: RegisteredCenter) -> None:
    ingest_center(home, tiny)
    watch = Watch(home)
    watch.requests(3)
    [table] = tiny.root.glob("participants.tsv")
    table.write_text(table.read_text() + "\n")
    asked = [number for number, found in enumerate(watch.requests(70)) if found]
    assert len(asked) == 1
    assert 55 <= asked[0] <= 62


def test_files_are_listed_only_where_folders_changed_and_once_per_period(
    home: Home, tiny: RegisteredCenter, full_checks: list[str]
) -> None:
    ingest_center(home, tiny)
    watch = Watch(home)
    watch.requests(60)
    assert full_checks == ["tiny"]
    watch.requests(60)
    assert full_checks == ["tiny", "tiny"]


def test_a_failed_ingest_is_not_requested_again_until_its_data_change(home: Home, tiny: RegisteredCenter) -> None:
    watch = Watch(home)
    assert watch.requests(200).count(["tiny"]) == 1  # nothing is ever committed
    add_scan(tiny)
    assert watch.requests(5).count(["tiny"]) == 1


def test_a_changed_definition_is_new_work(home: Home, tiny: RegisteredCenter) -> None:
    ingest_center(home, tiny)
    watch = Watch(home)
    watch.requests(3)
    register(home, tiny.center.model_copy(update={"title": "Renamed"}), tiny.root)
    assert watch.requests(4).count(["tiny"]) == 1


def test_an_ingest_on_the_command_line_leaves_nothing_to_request(home: Home, tiny: RegisteredCenter) -> None:
    watch = Watch(home)
    watch.requests(1)
    ingest_center(home, tiny)
    assert watch.requests(5) == [[]] * 5


def test_a_centre_whose_ingest_runs_waits_and_is_requested_afterwards(home: Home, tiny: RegisteredCenter) -> None:
    running = {"tiny"}
    watch = Watch(home, is_busy=running.__contains__)
    assert watch.requests(4) == [[]] * 4
    running.clear()
    assert watch.requests(2) == [[], ["tiny"]]


def test_a_request_whose_run_was_lost_is_made_again_and_an_open_or_ended_one_is_not(
    home: Home, tiny: RegisteredCenter
) -> None:
    states: list[State] = ["open"]
    asked: list[tuple[str, str]] = []

    def state_of(center_id: str, work: str) -> State:
        asked.append((center_id, work))
        return states[-1]

    watch = Watch(home, state_of=state_of)
    assert watch.requests(5).count(["tiny"]) == 1
    states.append("lost")
    assert watch.requests(2).count(["tiny"]) == 1
    assert len(set(asked)) == 1
    states.append("ended")
    assert watch.requests(100) == [[]] * 100
    assert len(asked) < 15  # what has ended is not asked about any more


def test_what_was_requested_before_dagster_was_reset_is_not_requested_again(home: Home, tiny: RegisteredCenter) -> None:
    watch = Watch(home)
    assert watch.requests(6).count(["tiny"]) == 1
    renewed = Watch(home)  # no cursor
    renewed.now = watch.now
    looks = [renewed.look() for _ in range(5)]
    assert [found.requests for found in looks] == [[]] * 5
    assert any("see its last run" in found.messages["tiny"] for found in looks)
    add_scan(tiny)
    assert renewed.requests(5).count(["tiny"]) == 1


@pytest.mark.parametrize("text", ["", "[1]", '{"tiny": {"job": "ingest"}}'])
def test_a_damaged_memory_of_requests_makes_them_anew(home: Home, tiny: RegisteredCenter, text: str) -> None:
    assert Watch(home).requests(4).count(["tiny"]) == 1
    path_of(home).write_text(text)
    assert Watch(home).requests(4).count(["tiny"]) == 1


def test_a_removed_centre_is_forgotten(home: Home, tiny: RegisteredCenter) -> None:
    watch = Watch(home)
    watch.requests(4)
    assert load_requests(home).keys() == {"tiny"}
    (home.centers / "tiny.yaml").unlink()
    watch.look()
    assert load_requests(home) == {}


class Disk:
    """A disk that does not answer until it is released, under one centre."""

    def __init__(self, center_id: str, real: Callable[..., object]) -> None:
        self.center_id, self.real, self.answers = center_id, real, threading.Event()
        self.n_calls = 0

    def __call__(self, *words: Any) -> object:
        entry = next(word for word in words if isinstance(word, RegisteredCenter))
        if entry.center.center_id == self.center_id:
            self.n_calls += 1
            assert self.answers.wait(60)
        return self.real(*words)


def test_a_disk_that_hangs_is_said_and_delays_no_other_centre(
    home: Home, tiny: RegisteredCenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other(home, tmp_path)
    disk = Disk("tiny", arrivals._walked)
    monkeypatch.setattr(arrivals, "_walked", disk)
    monkeypatch.setattr(arrivals, "ANSWER_S", 0.2)
    watch = Watch(home, SETTINGS.model_copy(update={"seconds_per_tick": 1}))
    looks = [watch.look() for _ in range(5)]
    assert [name for found in looks for name in found.requests] == ["other"]
    assert all("has not answered" in found.errors["tiny"] for found in looks)
    assert all("tiny" in found.seen for found in looks)
    assert disk.n_calls == 1
    disk.answers.set()
    assert wait_for(watch, "tiny")


def test_a_list_of_files_that_takes_longer_than_a_look_is_taken_up_by_a_later_one(
    home: Home, tiny: RegisteredCenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk("tiny", arrivals.pending)
    monkeypatch.setattr(arrivals, "pending", disk)
    monkeypatch.setattr(arrivals, "LISTING_S", 0.0)
    watch = Watch(home)
    looks = [watch.look() for _ in range(4)]
    assert "are being listed" in looks[-1].messages["tiny"]
    assert disk.n_calls == 1
    other(home, tmp_path)
    assert wait_for(watch, "other")
    disk.answers.set()
    assert wait_for(watch, "tiny")


def test_a_look_ends_in_time_however_many_disks_hang(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        center = Center(center_id=f"c{number}", title="C", layout=Layout(kind="bids"))
        register(home, center, write_bids(tmp_path / f"c{number}"))
    answers = threading.Event()
    monkeypatch.setattr(arrivals, "_walked", lambda *_: answers.wait(60))
    monkeypatch.setattr(arrivals, "LONGEST_S", 1.0)
    began = time.monotonic()
    found = Watch(home).look()
    assert time.monotonic() - began < 4
    assert len(found.errors) == 8
    answers.set()


def wait_for(watch: Watch, center_id: str) -> bool:
    """Look until a centre is requested, for as long as its threads may need."""
    for _ in range(200):
        if center_id in watch.look().requests:
            return True
        time.sleep(0.02)
    return False


def gone(entry: RegisteredCenter) -> None:
    entry.root.rename(entry.root.with_name("moved"))


def emptied(entry: RegisteredCenter) -> None:
    shutil.rmtree(entry.root)
    entry.root.mkdir()


@pytest.mark.parametrize("fault", [gone, emptied])
def test_the_error_of_one_centre_is_said_and_stops_no_other(
    home: Home, tiny: RegisteredCenter, tmp_path: Path, fault: Callable[[RegisteredCenter], None]
) -> None:
    ingest_center(home, tiny)
    other(home, tmp_path)
    fault(tiny)
    watch = Watch(home)
    looks = [watch.look() for _ in range(5)]
    assert [name for found in looks for name in found.requests] == ["other"]
    assert all("mount" in found.errors["tiny"] for found in looks)


def test_a_broken_registration_is_said_and_stops_no_other(home: Home, tiny: RegisteredCenter) -> None:
    (home.centers / "broken.yaml").write_text("root: [")
    watch = Watch(home)
    looks = [watch.look() for _ in range(4)]
    assert [name for found in looks for name in found.requests] == ["tiny"]
    assert all("broken.yaml" in found.errors["broken"] for found in looks)


def test_an_error_while_files_are_listed_is_said_and_tried_again(
    home: Home, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stale(*_: object) -> None:
        raise OSError("Stale file handle")

    watch = Watch(home)
    with monkeypatch.context() as broken:
        broken.setattr(arrivals, "pending", stale)
        looks = [watch.look() for _ in range(3)]
        assert "Stale file handle" in looks[-1].errors["tiny"]
    assert watch.requests(3).count(["tiny"]) == 1


def test_a_look_at_a_large_tree_ends_with_its_time_and_every_centre_gets_a_share(
    home: Home, tiny: RegisteredCenter, tmp_path: Path
) -> None:
    for number in range(30):
        (tiny.root / f"sub-{100 + number}").mkdir()
    other(home, tmp_path)
    ticks = iter(range(10**6))
    watch = Watch(home, SETTINGS.model_copy(update={"seconds_per_tick": 20}), clock=lambda: float(next(ticks)))
    first = watch.look()
    assert all(0 < seen.n_folders <= 20 for seen in first.seen.values() if seen.position is not None)
    assert any(seen.position is not None for seen in first.seen.values())
    assert {name for found in watch.requests(60) for name in found} == {"tiny", "other"}


def test_at_most_one_centre_is_listed_in_full_per_look(
    home: Home, tiny: RegisteredCenter, tmp_path: Path, full_checks: list[str]
) -> None:
    other(home, tmp_path)
    watch = Watch(home)
    for _ in range(8):
        before = len(full_checks)
        watch.look()
        assert len(full_checks) <= before + 1
    assert set(full_checks) == {"tiny", "other"}


@pytest.mark.parametrize("text", ["", "1", "[]", "not JSON", '{"tiny": {}}', '{"tiny": {"position": null, "new": 1}}'])
def test_what_another_version_remembered_is_forgotten(text: str) -> None:
    assert from_cursor(text) == {}


def test_what_is_remembered_survives_as_text() -> None:
    seen = {"tiny": Seen(position=("sub-1", "anat"), digest="d", n_folders=3, settling="s", checked_at=1.5)}
    assert from_cursor(to_cursor(seen)) == seen
