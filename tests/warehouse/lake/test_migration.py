"""A home of an earlier version opens: its lake is rewritten once with the names of this version, and loses nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.warehouse.conftest import Lab
from warehouse.catalog import model_registry
from warehouse.errors import TumsynError
from warehouse.lake import atomic, parts
from warehouse.lake.home import Home
from warehouse.lake.migration import COLUMNS, current_keys, migrate

RUN = {"run_id": "r", "kind": "synthesis", "status": "finished", "data_id": "d", "snapshot_id": "s", "seed": 0,
       "device": "cpu", "training_code": "0.1.0+abc", "config": "{}"}  # fmt: skip
SCORE = {"evaluation_id": "e" * 16, "model_id": "baseline:identity", "data_id": "d", "protocol_hash": "p",
         "task": "T1w_to_T2w", "split": "test_internal", "source_image_ids": ["1" * 16], "target_image_id": "2" * 16,
         "metric": "psnr_db", "mask": "brain", "value": 20.0}  # fmt: skip


@pytest.fixture
def old(small: Lab) -> Home:
    """A home as version 1 left it."""
    small.commit()
    home = small.home
    parts.append_events(home, "core.training_run", [RUN])
    parts.append_events(home, "core.evaluation_score", [SCORE])
    home.lake_version.unlink()
    for manifest in parts.manifests(home).values():
        document = json.loads(manifest.to_json())
        for part in document["parts"]:
            names = {new: old for old, new in COLUMNS.get(part["table"], {}).items()}
            part["path"], part["sha256"] = as_before(home.lake / part["path"], names, home.lake)
        atomic.write_text(home.manifests / f"{manifest.center_id}.json", json.dumps(document))
    for table, files in parts.event_files(home).items():
        for path in files:
            as_before(path, {new: old for old, new in COLUMNS.get(table, {}).items()}, home.lake, table)
    return home


def as_before(path: Path, names: dict[str, str], lake: Path, table: str = "") -> tuple[str, str]:
    rows = pq.read_table(path, partitioning=None)
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    if table == "core.evaluation_score":
        column = rows.column_names.index("model_id")
        values = [str(value).replace("baseline:", "floor:") for value in rows["model_id"].to_pylist()]
        rows = rows.set_column(column, "model_id", [values])
    pq.write_table(rows, path)
    return path.relative_to(lake).as_posix(), atomic.sha256(path)


def test_parts_and_events_have_the_names_of_this_version_and_the_same_rows(old: Home) -> None:
    assert migrate(old)
    [rejection] = parts.read_table(old, "gamma", "core.rejection").to_pylist()  # type: ignore[union-attr]
    assert rejection["remedy"]
    [run] = model_registry.statements(old, "core.training_run")
    assert run["training_code"] == "0.1.0+abc"
    [score] = model_registry.statements(old, "core.evaluation_score", model_id="baseline:identity")
    assert score["value"] == 20.0


@pytest.mark.slow
def test_a_migrated_lake_is_published_whole_and_not_migrated_twice(old: Home, small: Lab) -> None:
    assert migrate(old)
    assert not migrate(old)
    assert small.publish().changed
    assert all(
        atomic.sha256(old.lake / part.path) == part.sha256
        for manifest in parts.manifests(old).values()
        for part in manifest.parts
    )


def test_a_migration_that_was_killed_goes_on_where_it_stopped(old: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(home: Home, manifest: parts.Manifest) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parts, "write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            migrate(old)
    assert migrate(old)
    assert parts.read_table(old, "gamma", "core.rejection") is not None
    assert len(model_registry.statements(old, "core.training_run")) == 1


def test_a_new_lake_needs_no_migration(small: Lab) -> None:
    small.commit()
    assert not migrate(small.home)


def test_a_home_without_a_lake_is_left_alone(tmp_path: Path) -> None:
    assert not migrate(Home(tmp_path / "home"))
    assert not (tmp_path / "home").exists()


def test_a_lake_of_a_later_version_is_refused(small: Lab) -> None:
    small.commit()
    small.home.lake_version.write_text("3")
    with pytest.raises(TumsynError, match="later version"):
        migrate(small.home)


def test_keys_of_configurations_are_translated_however_deep() -> None:
    before = {"n_hats": 16, "architecture": {"image": {"n_hats": 12}, "blocks": [1, 2]}, "code_version": "c"}
    after = {
        "n_intensity_bins": 16,
        "architecture": {"image": {"n_intensity_bins": 12}, "blocks": [1, 2]},
        "training_code": "c",
    }
    assert current_keys(before) == after


def test_the_time_of_an_event_is_kept(old: Home) -> None:
    assert migrate(old)
    [run] = model_registry.statements(old, "core.training_run")
    assert abs((datetime.now(UTC) - run["occurred_at"]).total_seconds()) < 3600
