"""Publish the lake as an immutable, checked snapshot and move the pointer to it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from warehouse.catalog import snapshots, sqlfiles
from warehouse.catalog.build import build
from warehouse.lake import atomic, parts
from warehouse.lake.home import Home
from warehouse.provenance import release

MEMORY_LIMIT = "2GB"  # above it, DuckDB spills to the disk of the snapshots
READABLE_SINCE = "v1.2.0"  # release of DuckDB: its shell, R and other programs may be older than the library here


@dataclass(frozen=True)
class Published:
    """Snapshot in force after a publication: identities, file, and number of rows of each table."""

    snapshot_id: str
    data_id: str
    changed: bool
    path: Path
    n_rows: dict[str, int]


def publish(home: Home, *, run_id: str | None = None, keep: int = 10) -> Published:
    """Put a snapshot of the whole lake in force.

    One publisher works at a time; others wait. Readers are never blocked: they keep the snapshot that they opened.
    A publisher that dies leaves the previous snapshot in force, and the next one removes its temporary files.

    Parameters
    ----------
    run_id : str, optional
        Dagster run that publishes.
    keep : int
        How many of the newest snapshots to keep; pinned ones and the one in force are always kept.

    Raises
    ------
    PublishError
        When a row breaks a rule; it names table, rule and rows, and nothing is published.
    """
    with atomic.lock(home.warehouse / "publish.lock", exclusive=True):
        _sweep(home)
        with parts.reading(home):
            manifests, events = parts.in_force(home), parts.event_files(home)
            snapshot_id = identify(manifests, events)
            target = snapshots.path(home, snapshot_id)
            parent = snapshots.in_force(home)
            if not target.exists():
                _build_beside(home, target, manifests, events, _facts(snapshot_id, parent, run_id))
        changed = parent != snapshot_id
        if changed:
            _point_at(home, target)
            snapshots.retire(home, keep)
    return _published(target, changed)


def identify(manifests: list[parts.Manifest], events: dict[str, list[Path]]) -> str:
    """Return the identity of everything that enters a snapshot, as 16 hexadecimal digits."""
    content = {
        "manifests": {f"{manifest.stage}/{manifest.center_id}": manifest.sha256 for manifest in manifests},
        "events": {table: [path.name for path in files] for table, files in events.items()},
        "spec_version": sqlfiles.spec_version(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _facts(snapshot_id: str, parent: str | None, run_id: str | None) -> dict[str, object]:
    return {
        "snapshot_id": snapshot_id,
        "parent_id": parent,
        "created_at": datetime.now(UTC),
        "release": release(),
        "spec_version": sqlfiles.spec_version(),
        "run_id": run_id,
    }


def _sweep(home: Home) -> None:
    """Remove files of killed publishers and writers; the caller must hold the publisher's lock."""
    for path in [*atomic.stale_temporaries(home.warehouse), *home.warehouse.glob("spill-*")]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    parts.sweep(home)


def _build_beside(
    home: Home,
    target: Path,
    manifests: list[parts.Manifest],
    events: dict[str, list[Path]],
    facts: dict[str, object],
) -> None:
    import duckdb

    temporary = atomic.temporary_beside(target)
    spill = home.warehouse / f"spill-{os.getpid()}"
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "storage_compatibility_version": READABLE_SINCE,
        "temp_directory": str(spill),
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,
    }
    try:
        with _writable(temporary) as file, duckdb.connect(str(file), config=config) as connection:
            build(connection, home.lake, manifests, events, facts)
            connection.execute("CHECKPOINT")
        temporary.chmod(0o444)
        atomic.move(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def _writable(target: Path) -> Iterator[Path]:
    """Yield a path that DuckDB can write; its file is then copied to the target if the two differ.

    DuckDB inserts the suffix of its write-ahead log before the first ``?`` of the resolved path. Below a folder with
    ``?`` in its name it can therefore read but not write.
    """
    if "?" not in str(target):
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="tumsyn-publish-") as folder:
        elsewhere = Path(folder) / target.name
        yield elsewhere
        shutil.copyfile(elsewhere, target)


def _point_at(home: Home, target: Path) -> None:
    link = atomic.temporary_beside(home.pointer)
    link.symlink_to(target.relative_to(home.warehouse))
    os.replace(link, home.pointer)
    atomic.fsync(home.warehouse)


def _published(path: Path, changed: bool) -> Published:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        [(snapshot_id, data_id)] = connection.execute("SELECT snapshot_id, data_id FROM meta.snapshot").fetchall()
        rows = connection.execute(sqlfiles.read("catalog/tables")).fetchall()
    return Published(snapshot_id, data_id, changed, path, {row[0]: row[1] for row in rows})
