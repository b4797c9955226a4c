"""Remember which ingests automation has requested, in the home: Dagster's own state may be deleted or renewed.

A request whose run ended is not made again until the data change. One whose run was lost is made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from warehouse.lake import atomic
from warehouse.lake.home import Home

LOST_AFTER_S = 120.0  # from a request to its run in Dagster's history; it takes a tick of the daemon
State = Literal["lost", "open", "ended"]
StateOf = Callable[[str, str], State]


@dataclass(frozen=True)
class Request:
    """A requested ingest of a centre.

    Parameters
    ----------
    work : str
        Hash of the files, the definition and the code of the ingest, as `warehouse.ingest.pending` returns it.
    requested_at : float
        Seconds since 1970.
    has_ended : bool
        Whether its run was seen to have succeeded, failed or been canceled.
    """

    work: str
    requested_at: float
    has_ended: bool = False


def path_of(home: Home) -> Path:
    """Return the path of the file that remembers requests, whether or not there is one."""
    return home.root / "ingest_requests.json"


def load_requests(home: Home) -> dict[str, Request]:
    """Return the last request of each centre; none where the file is damaged, so that they are made again."""
    try:
        found = json.loads(path_of(home).read_text(encoding="utf-8"))
        return {center_id: Request(**one) for center_id, one in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def save_requests(home: Home, requests: Mapping[str, Request]) -> None:
    """Remember the last request of each centre."""
    text = json.dumps({center_id: asdict(one) for center_id, one in sorted(requests.items())}, indent=1)
    atomic.write_text(path_of(home), f"{text}\n")


def followed_up(requests: Mapping[str, Request], state_of: StateOf, now: float) -> dict[str, Request | None]:
    """Return what became of requests that were open: ended, or None where the run was lost.

    Parameters
    ----------
    state_of : callable
        What Dagster knows of the run of a centre and its work: lost (there is none), open or ended.
    now : float
        Seconds since 1970.
    """
    found: dict[str, Request | None] = {}
    for center_id, one in requests.items():
        if one.has_ended or now - one.requested_at < LOST_AFTER_S:
            continue
        state = state_of(center_id, one.work)
        if state != "open":
            found[center_id] = None if state == "lost" else replace(one, has_ended=True)
    return found
