"""Published snapshots: list them, find the one in force, pin them, and remove old ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from warehouse.catalog import sqlfiles
from warehouse.errors import CatalogueError
from warehouse.lake import atomic, parts
from warehouse.lake.home import Home

PINS = "meta.snapshot_pin"


def path(home: Home, snapshot_id: str) -> Path:
    """Return the path of a snapshot's file, whether or not it exists."""
    return home.snapshots / f"{snapshot_id}.duckdb"


def existing(home: Home) -> list[str]:
    """Return the snapshots that exist, the newest first."""
    files = sorted(home.snapshots.glob("[!.]*.duckdb"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [file.stem for file in files]


def in_force(home: Home) -> str | None:
    """Return the snapshot that the pointer names; None where nothing is published."""
    try:
        named = home.pointer.readlink().stem
    except FileNotFoundError:
        return None
    return named if path(home, named).exists() else None


def pin(home: Home, snapshot_id: str, referrer: str) -> None:
    """Record that a snapshot is needed; it is kept until the same referrer unpins it.

    Parameters
    ----------
    referrer : str
        Who needs it, e.g. ``model:3f2a`` or a person's note.

    Raises
    ------
    CatalogueError
        When there is no such snapshot.
    """
    with _retention(home):
        if not path(home, snapshot_id).exists():
            raise CatalogueError(f"there is no snapshot {snapshot_id}", _known(home))
        parts.append_events(home, PINS, [{"snapshot_id": snapshot_id, "referrer": referrer, "action": "pin"}])


def unpin(home: Home, snapshot_id: str, referrer: str) -> None:
    """Record that a referrer no longer needs a snapshot.

    Raises
    ------
    CatalogueError
        When the referrer has not pinned the snapshot.
    """
    with _retention(home):
        pins = pinned(home)
        if referrer not in pins.get(snapshot_id, []):
            known = "; ".join(f"{name} by {', '.join(by)}" for name, by in sorted(pins.items())) or "none"
            raise CatalogueError(f"snapshot {snapshot_id} is not pinned by {referrer!r}", f"pins are: {known}")
        parts.append_events(home, PINS, [{"snapshot_id": snapshot_id, "referrer": referrer, "action": "unpin"}])


def release(home: Home, referrer: str) -> None:
    """Unpin whatever a referrer has pinned."""
    for snapshot_id, referrers in pinned(home).items():
        if referrer in referrers:
            unpin(home, snapshot_id, referrer)


@contextmanager
def held(home: Home, snapshot_id: str, referrer: str) -> Iterator[None]:
    """Keep a snapshot while something long reads it, however much is published meanwhile.

    A process that is killed leaves the pin; the next one with the same referrer, or a person, removes it. A referrer
    holds one snapshot.

    Raises
    ------
    CatalogueError
        When there is no such snapshot.
    """
    pin(home, snapshot_id, referrer)
    try:
        yield
    finally:
        release(home, referrer)


def pinned(home: Home) -> dict[str, list[str]]:
    """Return the referrers of each pinned snapshot, from all recorded events, published or not."""
    import duckdb

    files = [str(file) for file in parts.event_files(home)[PINS]]
    if not files:
        return {}
    with duckdb.connect() as connection:
        rows = connection.execute(sqlfiles.read("catalog/pinned"), {"files": files}).fetchall()
    found: dict[str, list[str]] = {}
    for snapshot_id, referrer in rows:
        found.setdefault(snapshot_id, []).append(referrer)
    return found


def retire(home: Home, keep: int) -> list[str]:
    """Remove snapshots that are neither among the newest, nor in force, nor pinned.

    Open readers of a removed snapshot are not affected: the content is freed when the last one closes the file.

    Returns
    -------
    list of str
        Identities of the removed snapshots.
    """
    with _retention(home):
        everything = existing(home)
        wanted = {*everything[:keep], in_force(home), *pinned(home)}
        retired = [snapshot_id for snapshot_id in everything if snapshot_id not in wanted]
        for snapshot_id in retired:
            path(home, snapshot_id).unlink(missing_ok=True)
    return retired


def _retention(home: Home) -> AbstractContextManager[bool]:
    """Return the lock that keeps a snapshot from being pinned and removed at the same time."""
    return atomic.lock(home.warehouse / "retention.lock", exclusive=True)


def _known(home: Home) -> str:
    known = existing(home)
    return f"there are {', '.join(known)}" if known else "publish one first"
