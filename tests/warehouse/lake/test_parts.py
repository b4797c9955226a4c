"""The lake: parts by content, manifests in force, events, sweeping."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from warehouse.errors import PublishError
from warehouse.lake import atomic
from warehouse.lake import parts as lake
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED, PARTITIONED, TABLES

PIN = {"snapshot_id": "s", "referrer": "me", "action": "pin"}


def tables_of(center_id: str, title: str = "A centre") -> dict[str, pa.Table]:
    tables = {table.name: table.rows([]) for table in PARTITIONED}
    row = {"center_id": center_id, "title": title, "role": "internal", "is_simulated": False, "contrasts": []}
    tables["core.center"] = TABLES["core.center"].rows([row | {"layout": "bids", "root": "/data"}])
    return tables


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def parts(home: Home) -> list[Path]:
    return sorted(home.lake.rglob("part-*.parquet"))


def test_what_is_committed_is_read_back(home: Home) -> None:
    manifest = lake.commit_center(home, "a", tables_of("a"), {"files": "abc"})
    assert lake.read_manifest(home, "a") == manifest
    assert lake.manifests(home) == {"a": manifest}
    assert manifest.fingerprint == {"files": "abc"}
    read = lake.read_table(home, "a", "core.center")
    assert read is not None
    assert read.schema.equals(TABLES["core.center"].schema())
    assert read.to_pylist() == tables_of("a")["core.center"].to_pylist()
    columns = lake.read_table(home, "a", "core.center", ["title"])
    assert columns is not None
    assert columns.column_names == ["title"]


def test_parts_are_named_by_their_content_and_not_rewritten(home: Home) -> None:
    first = lake.commit_center(home, "a", tables_of("a"), {})
    before = {path: path.stat().st_mtime_ns for path in parts(home)}
    second = lake.commit_center(home, "a", tables_of("a"), {})
    assert second.sha256 == first.sha256
    assert {path: path.stat().st_mtime_ns for path in parts(home)} == before
    for part in first.parts:
        assert atomic.sha256(home.lake / part.path) == part.sha256
        assert part.sha256.startswith(Path(part.path).stem.removeprefix("part-"))


def test_a_change_in_one_table_changes_one_part_and_the_manifest(home: Home) -> None:
    first = lake.commit_center(home, "a", tables_of("a"), {})
    second = lake.commit_center(home, "a", tables_of("a", "Another title"), {})
    assert second.sha256 != first.sha256
    assert [part.table for part in set(second.parts) - set(first.parts)] == ["core.center"]


def test_nothing_is_known_of_a_centre_that_was_never_committed(home: Home) -> None:
    assert lake.read_manifest(home, "a") is None
    assert lake.read_table(home, "a", "core.image") is None
    assert lake.manifests(home) == {}


def test_a_part_of_another_version_of_the_table_is_not_built_upon(home: Home) -> None:
    manifest = lake.commit_center(home, "a", tables_of("a"), {})
    part = next(part for part in manifest.parts if part.table == "core.center")
    older = tables_of("a")["core.center"].drop_columns(["citation"])
    pa.parquet.write_table(older, home.lake / part.path)
    assert lake.read_table(home, "a", "core.center") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda t: t.pop("core.image"), "core.image", id="a table is missing"),
        pytest.param(lambda t: t.update({"core.brain": t["core.image"]}), "core.brain", id="a table is unknown"),
        pytest.param(
            lambda t: t.update({"core.center": t["core.center"].drop_columns(["city"])}),
            "city",
            id="a column is missing",
        ),
        pytest.param(lambda t: t.update(tables_of("b")), "another|b", id="rows of another centre"),
    ],
)
def test_tables_that_do_not_fit_are_refused_and_nothing_is_in_force(home: Home, change: Any, said: str) -> None:
    tables = tables_of("a")
    change(tables)
    with pytest.raises(PublishError, match=said):
        lake.commit_center(home, "a", tables, {})
    assert lake.read_manifest(home, "a") is None


def test_a_dropped_centre_is_out_of_force_and_its_parts_are_swept(home: Home) -> None:
    lake.commit_center(home, "a", tables_of("a"), {})
    lake.commit_center(home, "b", tables_of("b"), {})
    lake.drop_center(home, "a")
    lake.drop_center(home, "never")
    assert list(lake.manifests(home)) == ["b"]
    removed = lake.sweep(home)
    assert len(removed) == len(PARTITIONED)
    assert all("center=a" in str(path) for path in removed)
    assert lake.read_table(home, "b", "core.center") is not None


def test_a_sweep_removes_temporaries_and_leaves_what_a_manifest_names(home: Home) -> None:
    lake.commit_center(home, "a", tables_of("a"), {})
    kept = parts(home)
    stale = atomic.temporary_beside(kept[0])
    stale.write_bytes(b"half a part")
    assert lake.sweep(home) == [stale]
    assert parts(home) == kept


def test_a_sweep_beside_a_writer_leaves_everything_that_is_young(home: Home) -> None:
    lake.commit_center(home, "a", tables_of("a"), {})
    lake.drop_center(home, "a")
    young, old = (atomic.temporary_beside(parts(home)[0]) for _ in range(2))
    young.write_bytes(b"")
    old.write_bytes(b"")
    os.utime(old, (1, 1))
    with lake.reading(home):
        assert lake.sweep(home) == [old]
    assert len(lake.sweep(home)) == 1 + len(PARTITIONED)


def test_a_writer_killed_before_its_manifest_leaves_the_previous_one_in_force(home: Home) -> None:
    first = lake.commit_center(home, "a", tables_of("a"), {})
    script = """
import os, signal, sys
from pathlib import Path
from warehouse.lake import atomic
from warehouse.lake import parts as lake
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED, PARTITIONED, TABLES
atomic.write_text = lambda target, text: os.kill(os.getpid(), signal.SIGKILL)
lake.commit_center(Home(Path(sys.argv[1])), "a", {t.name: t.rows([]) for t in PARTITIONED}, {"x": "y"})
"""
    done = subprocess.run([sys.executable, "-c", script, str(home.root)], cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == -9
    assert lake.read_manifest(home, "a") == first
    assert lake.read_table(home, "a", "core.center") is not None
    lake.sweep(home)
    assert len(parts(home)) == len(first.parts)


def test_events_get_an_identity_and_a_time(home: Home) -> None:
    path = lake.append_events(home, "meta.snapshot_pin", [PIN, PIN])
    assert path is not None
    records = pa.parquet.read_table(path).to_pylist()
    assert len({record["event_id"] for record in records}) == 2
    assert all(record["occurred_at"] is not None for record in records)
    assert lake.event_files(home)["meta.snapshot_pin"] == [path]


def test_no_events_are_no_file(home: Home) -> None:
    assert lake.append_events(home, "meta.snapshot_pin", []) is None
    assert not any(lake.event_files(home).values())


@pytest.mark.parametrize(
    ("table", "record", "said"),
    [
        pytest.param("core.image", PIN, "takes no events", id="not a table of events"),
        pytest.param("meta.snapshot_pin", PIN | {"action": "pinn"}, "rule 'action'", id="a rule is broken"),
        pytest.param("meta.snapshot_pin", {"action": "pin"}, "is null", id="a value is missing"),
        pytest.param("meta.snapshot_pin", PIN | {"who": "me"}, "no columns", id="an unknown column"),
        pytest.param("meta.snapshot_pin", PIN | {"referrer": 3}, "does not fit", id="a value of another type"),
    ],
)
def test_an_event_that_would_break_every_later_snapshot_is_refused(
    home: Home, table: str, record: dict[str, object], said: str
) -> None:
    with pytest.raises(PublishError, match=said):
        lake.append_events(home, table, [record])
    assert not home.events.exists() or not list(home.events.rglob("*.parquet"))


def volumes_of(center_id: str) -> dict[str, pa.Table]:
    rejection = {"image_id": "i", "recipe_id": "r", "center_id": center_id}
    rejection |= {"stage": "mask", "reason": "no_brain", "detail": "none was found", "remedy": "look at it"}
    tables = {table.name: table.rows([]) for table in HARMONIZED}
    tables["core.volume_rejection"] = TABLES["core.volume_rejection"].rows([rejection])
    return tables


def test_each_stage_has_a_manifest_of_its_own(home: Home) -> None:
    ingested = lake.commit_center(home, "a", tables_of("a"), {})
    harmonized = lake.commit_center(home, "a", volumes_of("a"), {"r": "x"}, "harmonize")
    assert lake.read_manifest(home, "a") == ingested
    assert lake.read_manifest(home, "a", "harmonize") == harmonized
    assert lake.manifests(home) == {"a": ingested}
    assert lake.in_force(home) == [ingested, harmonized]
    rejections = lake.read_table(home, "a", "core.volume_rejection")
    assert rejections is not None
    assert rejections.num_rows == 1


def test_a_centre_that_was_never_harmonised_has_no_volumes(home: Home) -> None:
    ingested = lake.commit_center(home, "a", tables_of("a"), {})
    assert lake.read_table(home, "a", "core.volume") is None
    assert lake.in_force(home) == [ingested]


def test_tables_of_another_stage_are_refused(home: Home) -> None:
    with pytest.raises(PublishError, match=r"core\.volume"):
        lake.commit_center(home, "a", volumes_of("a"), {})


def test_dropping_a_centre_drops_what_every_stage_committed(home: Home) -> None:
    lake.commit_center(home, "a", tables_of("a"), {})
    lake.commit_center(home, "a", volumes_of("a"), {}, "harmonize")
    assert lake.sweep(home) == []
    lake.drop_center(home, "a")
    assert lake.in_force(home) == []
    assert lake.read_table(home, "a", "core.volume") is None
    assert len(lake.sweep(home)) == len(PARTITIONED) + len(HARMONIZED)


def test_a_manifest_from_before_there_were_stages_is_an_ingest(home: Home) -> None:
    manifest = lake.commit_center(home, "a", tables_of("a"), {})
    path = home.manifests / "a.json"
    document = json.loads(path.read_text())
    del document["stage"]
    path.write_text(json.dumps(document))
    assert lake.read_manifest(home, "a") == manifest


@pytest.mark.slow
def test_a_sweep_beside_many_writers_of_events_loses_none(home: Home) -> None:
    n_writers, n_each = 4, 8
    is_done = threading.Event()

    def sweeping() -> None:
        while not is_done.is_set():
            lake.sweep(home)

    def writing() -> None:
        for _ in range(n_each):
            lake.append_events(home, "meta.snapshot_pin", [PIN])

    lake.append_events(home, "meta.snapshot_pin", [PIN])
    with ThreadPoolExecutor(n_writers + 1) as pool:
        sweeper = pool.submit(sweeping)
        writers = [pool.submit(writing) for _ in range(n_writers)]
        for writer in writers:
            writer.result(timeout=60)
        is_done.set()
        sweeper.result(timeout=60)
    assert len(lake.event_files(home)["meta.snapshot_pin"]) == n_writers * n_each + 1
