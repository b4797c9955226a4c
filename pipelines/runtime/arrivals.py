"""Decide which centres have new or changed data that is no longer being written; JSON keeps the state between looks.

Each look walks the folders of every centre for a share of its seconds. A full check, which lists every file, is made of
one centre per look: where the folders changed and stand still, and otherwise once per period. If a disk does not answer
or a list is long, the work continues in a background thread, and a later look takes its result.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace

from pipelines.runtime.background import Background, StillWorkingError
from pipelines.runtime.ingest_requests import Request, StateOf, followed_up, load_requests, save_requests
from pipelines.runtime.operations import Arrival
from warehouse.centers.readable import readable
from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import CenterError, TumsynError
from warehouse.ingest import pending
from warehouse.ingest.folders import FolderWalk, advance
from warehouse.lake.home import Home

MINUTE_S = 60
UNCHANGED = "unchanged"
BUSY = "waits for an ingest that is queued or running"
LONGEST_S = 40.0  # of a look: other sensors wait for it, and Dagster drops one that takes minutes
ANSWER_S = 5.0  # beyond its share that a centre's walk may take; a disk that does not answer by then hangs
LISTING_S = 10.0  # that a look waits for a list of files
Busy = Callable[[str], bool]
BACKGROUND = Background()


@dataclass(frozen=True)
class Seen:
    """State of a centre between two looks.

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
    """

    position: tuple[str, ...] | None = None
    digest: str = ""
    n_folders: int = 0
    folders: str = ""
    decided_folders: str = ""
    checked_at: float = 0.0
    settling: str = ""


@dataclass
class Look:
    """Result of one look: centres to ingest, state for the next look, and a message or an error for each centre.

    `works` has a hash of the data that each request is for, by which `StateOf` later finds the run.
    """

    requests: list[str] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    works: dict[str, str] = field(default_factory=dict)


def look(
    home: Home,
    remembered: dict[str, Seen],
    settings: Arrival,
    *,
    now: float,
    is_busy: Busy = lambda _: False,
    state_of: StateOf = lambda *_: "ended",
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
    state_of : callable
        What became of the run that was requested for a centre and a work.
    clock : callable
        Seconds; limits the walk of folders.
    """
    found, requests = readable(home), load_requests(home)
    known = found.centers.keys() | found.errors.keys()
    changes = followed_up(requests, state_of, now)
    kept = {center_id: one for center_id, one in (requests | changes).items() if one and center_id in known}
    looking = _Looking(home, settings, now, is_busy, clock, kept)
    for center_id, error in found.errors.items():
        looking.result.errors[center_id] = str(error)
        if center_id in remembered:
            looking.result.seen[center_id] = remembered[center_id]
    seen = {center_id: remembered.get(center_id, Seen()) for center_id in found.centers}
    for center_id in (name for name, one in changes.items() if one is None and name in seen):
        # Its files stood still when it was requested, so that one more list of them is enough.
        seen[center_id] = replace(seen[center_id], decided_folders="", settling=requests[center_id].work)
    looking.walk(found.centers, seen)
    if kept != requests:
        save_requests(home, kept)
    return looking.result


def to_cursor(seen: dict[str, Seen]) -> str:
    """Return the state of all centres as JSON."""
    return json.dumps({center_id: asdict(one) for center_id, one in sorted(seen.items())})


def from_cursor(cursor: str | None) -> dict[str, Seen]:
    """Return the state that `to_cursor` wrote; empty if another version wrote it: all centres are then checked."""
    try:
        found = json.loads(cursor or "{}")
        return {
            center_id: Seen(**(one | {"position": None if one["position"] is None else tuple(one["position"])}))
            for center_id, one in found.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _walked(seen: Seen, entry: RegisteredCenter, is_over: Callable[[], bool]) -> Seen:
    """Return the state after a further slice of the walk."""
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


@dataclass
class _Looking:
    """One look that is under way."""

    home: Home
    settings: Arrival
    now: float
    is_busy: Busy
    clock: Callable[[], float]
    requests: dict[str, Request]
    result: Look = field(default_factory=Look)
    ends: float = field(default_factory=lambda: time.monotonic() + LONGEST_S)

    def walk(self, entries: Mapping[str, RegisteredCenter], seen: Mapping[str, Seen]) -> None:
        """Walk the folders of all centres for their shares of the time, and list the files of one of them."""
        end, due = self.clock() + self.settings.seconds_per_tick, []
        for number, (center_id, entry) in enumerate(entries.items()):
            self.result.seen[center_id] = seen[center_id]
            if BACKGROUND.goes_on(self._key("files", center_id)):
                self.check(entry)
                continue
            share_ends = self.clock() + max(0.0, end - self.clock()) / (len(entries) - number)
            self.result.seen[center_id] = walked = self.advanced(seen[center_id], entry, share_ends)
            if center_id in self.result.errors or not _is_due(seen[center_id], walked, self.now, self.settings):
                pass
            elif self.is_busy(center_id):
                self.result.messages[center_id] = BUSY
            else:
                due.append(center_id)
        if due:
            # Changed ones first, then whoever has waited longest.
            at = self.result.seen
            self.check(entries[min(due, key=lambda name: (not _is_changed(at[name]), at[name].checked_at))])

    def advanced(self, seen: Seen, entry: RegisteredCenter, share_ends: float) -> Seen:
        """Return the state of a centre after a further slice of its walk, or record why there is none."""
        center_id = entry.center.center_id
        patience_s = share_ends - self.clock() + ANSWER_S
        try:
            walked = BACKGROUND.result(
                self._key("folders", center_id),
                (seen, entry),
                lambda: _walked(seen, entry, lambda: self.clock() >= share_ends),
                min(patience_s, self.ends - time.monotonic()),
            )
        except StillWorkingError as working:
            remedy = "see whether its disk is mounted and answers; it is looked at again as soon as it does"
            error = CenterError(f"root {entry.root} has not answered for {working.seconds:.0f} s", remedy)
            self.result.errors[center_id] = str(error)
            return seen
        except (TumsynError, OSError) as error:
            self.result.errors[center_id] = str(error)
            return replace(seen, position=None, digest="", n_folders=0)
        self.result.messages[center_id] = _progress(walked)
        return walked

    def check(self, entry: RegisteredCenter) -> None:
        """List every file of a centre, and request its ingest if they differ from the lake and stand still."""
        center_id, result = entry.center.center_id, self.result
        seen = result.seen[center_id]
        decided = replace(seen, decided_folders=seen.folders, checked_at=self.now, settling="")
        try:
            patience_s = min(LISTING_S, self.ends - time.monotonic())
            work = BACKGROUND.result(
                self._key("files", center_id), entry, lambda: pending(self.home, entry), patience_s
            )
        except StillWorkingError as working:
            result.messages[center_id] = f"its files are being listed, for {working.seconds:.0f} s so far"
            return
        except (TumsynError, OSError) as error:
            result.errors[center_id] = str(error)
            result.messages.pop(center_id, None)
            result.seen[center_id] = replace(decided, decided_folders=seen.decided_folders)
            return
        request = self.requests.get(center_id)
        if work is None:
            result.seen[center_id], result.messages[center_id] = decided, UNCHANGED
        elif self.is_busy(center_id):
            result.messages[center_id] = BUSY
        elif request and work == request.work:
            result.seen[center_id] = decided
            result.messages[center_id] = (
                "its ingest was requested and is not finished or failed; see its last run. A change of its data, or"
                f" `tumsyn ingest {center_id}`, starts it again"
            )
        elif work != seen.settling:
            result.seen[center_id] = replace(seen, settling=work, checked_at=self.now)
            result.messages[center_id] = "files changed, waiting until they stand still"
        else:
            result.seen[center_id], self.requests[center_id] = decided, Request(work, self.now)
            result.messages[center_id] = "new or changed files: ingest requested"
            result.requests.append(center_id)
            result.works[center_id] = work

    def _key(self, what: str, center_id: str) -> tuple[str, str, str]:
        return what, str(self.home.root), center_id
