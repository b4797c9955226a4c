"""Decide which centres have new or changed data that has settled; what is remembered between two looks is one text.

Each look walks the folders of every centre for a share of its seconds. A full check, which lists every file, is made of
one centre per look: where the folders changed and stand still, and otherwise once per period.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

from pipelines.runtime.operations import Arrival
from warehouse.centers.readable import readable
from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import TumsynError
from warehouse.ingest import pending
from warehouse.ingest.folders import FolderWalk, advance
from warehouse.lake.home import Home

MINUTE_S = 60
UNCHANGED = "unchanged"
Busy = Callable[[str], bool]


@dataclass(frozen=True)
class Seen:
    """What is remembered of a centre.

    Parameters
    ----------
    position, digest, n_folders
        The walk that is under way; see `FolderWalk`.
    folders : str
        Hash of the folders by the last complete walk, and of the centre's definition.
    decided_folders : str
        Fingerprint of the folders at the last full check that came to a decision.
    checked_at : float
        When the last full check was, seconds since 1970.
    settling : str
        Files, definition and code at the last full check, if they differed from what is ingested.
    requested : str
        Those whose ingest was requested last: a request is not repeated until they change.
    """

    position: tuple[str, ...] | None = None
    digest: str = ""
    n_folders: int = 0
    folders: str = ""
    decided_folders: str = ""
    checked_at: float = 0.0
    settling: str = ""
    requested: str = ""


@dataclass
class Look:
    """Result of one look: centres to ingest, what to remember, and a sentence about each centre."""

    requests: list[str] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def look(
    home: Home,
    remembered: dict[str, Seen],
    settings: Arrival,
    *,
    now: float,
    is_busy: Busy = lambda _: False,
    clock: Callable[[], float] = time.monotonic,
) -> Look:
    """Look at the folders of all registered centres once. An error of one centre does not affect the others.

    Parameters
    ----------
    remembered : dict of str to Seen
        What the last look left, by centre.
    now : float
        Seconds since 1970.
    is_busy : callable
        Whether a centre must wait, because an ingest of it is queued or running.
    clock : callable
        Seconds; limits the walk of folders.
    """
    result = Look()
    found = readable(home)
    entries = found.centers
    for center_id, error in found.errors.items():
        result.errors[center_id] = str(error)
        if center_id in remembered:
            result.seen[center_id] = remembered[center_id]
    end, due = clock() + settings.seconds_per_tick, []
    for number, (center_id, entry) in enumerate(entries.items()):
        seen = remembered.get(center_id, Seen())
        share_ends = clock() + max(0.0, end - clock()) / (len(entries) - number)
        try:
            walked = _walked(seen, entry, lambda end=share_ends: clock() >= end)  # type: ignore[misc]
        except (TumsynError, OSError) as error:
            result.errors[center_id], walked = str(error), replace(seen, position=None, digest="", n_folders=0)
        else:
            result.said[center_id] = _progress(walked)
            if not _is_due(seen, walked, now, settings):
                pass
            elif is_busy(center_id):
                result.said[center_id] = "waits for an ingest that is queued or running"
            else:
                due.append(center_id)
        result.seen[center_id] = walked
    if due:
        # Changed ones first, then whoever has waited longest.
        chosen = min(due, key=lambda name: (not _is_changed(result.seen[name]), result.seen[name].checked_at))
        _check(home, entries[chosen], result, now)
    return result


def to_cursor(seen: dict[str, Seen]) -> str:
    """Return what is remembered as a text."""
    return json.dumps({center_id: asdict(one) for center_id, one in sorted(seen.items())})


def from_cursor(cursor: str | None) -> dict[str, Seen]:
    """Return what a text remembers; nothing where another version wrote it, so that all centres are looked at anew."""
    try:
        found = json.loads(cursor or "{}")
        return {
            center_id: Seen(**(one | {"position": None if one["position"] is None else tuple(one["position"])}))
            for center_id, one in found.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _walked(seen: Seen, entry: RegisteredCenter, is_over: Callable[[], bool]) -> Seen:
    """Return what is remembered after a further slice of the walk."""
    begun = FolderWalk(seen.position, seen.digest, seen.n_folders)
    walk = advance(begun, entry.root, is_over, entry.follow_links)
    if not walk.is_complete:
        return replace(seen, position=walk.position, digest=walk.digest, n_folders=walk.n_folders)
    folders = hashlib.sha256(repr((walk.digest, entry)).encode()).hexdigest()
    return replace(seen, position=None, digest="", n_folders=0, folders=folders)


def _is_changed(seen: Seen) -> bool:
    return bool(seen.settling) or seen.folders != seen.decided_folders


def _is_due(before: Seen, after: Seen, now: float, settings: Arrival) -> bool:
    """Return whether a full check is due: the folders changed and stand still, files settle, or the period is over."""
    stands_still = after.position is None and after.folders == before.folders
    is_late = after.folders != "" and now - after.checked_at >= MINUTE_S * settings.full_check_minutes
    return stands_still and (_is_changed(after) or is_late)


def _progress(seen: Seen) -> str:
    if seen.position is not None:
        return f"{seen.n_folders:,} folders listed, continues at {'/'.join(seen.position) or 'the root'}"
    return "folders changed, waiting until they stand still" if _is_changed(seen) else UNCHANGED


def _check(home: Home, entry: RegisteredCenter, result: Look, now: float) -> None:
    """List every file of a centre, and request its ingest if they differ from the lake and stand still."""
    center_id = entry.center.center_id
    seen = result.seen[center_id]
    decided = replace(seen, decided_folders=seen.folders, checked_at=now, settling="")
    try:
        work = pending(home, entry)
    except (TumsynError, OSError) as error:
        result.errors[center_id] = str(error)
        del result.said[center_id]
        result.seen[center_id] = replace(decided, decided_folders=seen.decided_folders)
        return
    if work is None:
        result.seen[center_id], result.said[center_id] = decided, UNCHANGED
    elif work == seen.requested:
        result.seen[center_id] = decided
        result.said[center_id] = "its ingest was requested and is not finished or failed; see its last run"
    elif work != seen.settling:
        result.seen[center_id] = replace(seen, settling=work, checked_at=now)
        result.said[center_id] = "files changed, waiting until they stand still"
    else:
        result.seen[center_id] = replace(decided, requested=work)
        result.said[center_id] = "new or changed files: ingest requested"
        result.requests.append(center_id)
