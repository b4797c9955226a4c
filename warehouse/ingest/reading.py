"""Reads sidecars and headers of images; files that have not changed since the last ingest are not opened."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pyarrow as pa

from warehouse.errors import SidecarError
from warehouse.imaging.files import NotFetchedError, RefusedError, checksum
from warehouse.imaging.nifti import NOT_KEPT, Header, read_header
from warehouse.ingest.discover import Candidate, Discovery
from warehouse.ingest.findings import READ_KINDS, Finding
from warehouse.ingest.privacy import clean_text
from warehouse.ingest.rows import header_row
from warehouse.ingest.sidecars import Sidecar, read_sidecar
from warehouse.ingest.tree import ANNEX_KEY, Entry, Refusal
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.tables import TABLES

Progress = Callable[[int, int, str], None]
HEADER_REMEDIES = {
    "qform": "decide which is right and write both forms alike, e.g. with nibabel or fslorient",
    "xyzt_units": "set xyzt_units to the unit that the affine is in",
}
Item = TypeVar("Item")


@dataclass
class PreviousIngest:
    """Results of the last ingest by path, for files that have not changed since."""

    signatures: dict[str, tuple[object, ...]] = field(default_factory=dict)
    sidecars: dict[str, Sidecar] = field(default_factory=dict)
    headers: dict[str, Header] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)  # of READ_KINDS only
    content_hashes: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Home, center_id: str) -> PreviousIngest:
        """Read the last ingest of a centre from its current parts."""
        files, sidecars, headers, rejections = (
            _rows(home, center_id, name) for name in ("raw.file", "raw.sidecar", "raw.header", "core.rejection")
        )
        keys = ("size_bytes", "mtime_ns", "ctime_ns", "link_target", "content")
        return cls(
            {row["path"]: tuple(row[key] for key in keys) for row in files},
            {
                row["path"]: Sidecar(row["path"], json.loads(row["fields"]), row["n_dropped"], row["device_id"])
                for row in sidecars
            },
            {row["path"]: _header(row) for row in headers},
            {
                row["path"]: Refusal(row["stage"], row["reason"], row["detail"], row["remedy"])
                for row in rejections
                if row["row"] is None and row["stage"] in {"read", "parse"}
            },
            _findings(_rows(home, center_id, "core.finding")),
            {row["path"]: row["content_hash"] for row in _rows(home, center_id, "core.image")},
        )

    def unchanged(self, entry: Entry) -> bool:
        """Return whether a file's record is the same as in the last ingest."""
        return self.signatures.get(entry.path) == entry.signature


def read_sidecars(found: Discovery, previous: PreviousIngest, salt: bytes, progress: Progress) -> dict[str, Sidecar]:
    """Return every sidecar by path; one that cannot be parsed moves to the refusals."""
    sidecars = {}
    entries = [entry for entry, kind in found.companions.values() if kind == "sidecar" and entry.content == "present"]
    for entry in _counted(entries, "sidecars", progress, lambda item: item.path):
        known = previous.unchanged(entry)
        if known and entry.path in previous.sidecars:
            sidecars[entry.path] = previous.sidecars[entry.path]
            found.findings += previous.findings.get(entry.path, [])
            continue
        refusal = previous.refusals.get(entry.path) if known else None
        if refusal is None:
            try:
                sidecars[entry.path] = read_sidecar(entry.location, entry.path, salt)
                found.findings += sidecars[entry.path].findings
                continue
            except SidecarError as error:
                refusal = Refusal("parse", "bad_sidecar", error.what, error.remedy)
            except Exception as error:  # noqa: BLE001 - a damaged file may raise anything, and only it is refused
                refusal = _unforeseen(error, "bad_sidecar")
        del found.companions[entry.path]
        found.refusals[entry.path] = (entry, refusal)
    return sidecars


def read_headers(found: Discovery, previous: PreviousIngest, progress: Progress) -> dict[str, Header]:
    """Return the header of every present image by path; one that cannot be used moves to the refusals."""
    headers: dict[str, Header] = {}
    kept: list[Candidate] = []
    for candidate in _counted(found.images, "headers", progress, lambda item: item.entry.path):
        entry = candidate.entry
        known = previous.unchanged(entry)
        if entry.content != "present":
            kept.append(candidate)
        elif known and entry.path in previous.headers:
            headers[entry.path] = previous.headers[entry.path]
            found.findings += previous.findings.get(entry.path, [])
            content_hash = previous.content_hashes.get(entry.path)
            kept.append(replace(candidate, entry=replace(entry, content_hash=content_hash)))
        elif known and entry.path in previous.refusals:
            found.refusals[entry.path] = (entry, previous.refusals[entry.path])
        else:
            _read_one(candidate, headers, kept, found)
    found.images = kept
    return headers


def _read_one(candidate: Candidate, headers: dict[str, Header], kept: list[Candidate], found: Discovery) -> None:
    entry = candidate.entry
    try:
        header = read_header(entry.location)
        TABLES["raw.header"].rows([header_row("", entry.path, header)])  # raises where Arrow cannot hold a value
        pa.scalar(header.n_volumes, pa.int32())
        headers[entry.path] = header
        found.findings += [
            Finding("header_corrected", entry.path, field=name, detail=detail, remedy=HEADER_REMEDIES[name])
            for name, detail in header.doubts
        ]
        kept.append(replace(candidate, entry=_with_content_hash(entry, header.n_bytes)))
    except NotFetchedError as pointer:
        key = ANNEX_KEY.match(pointer.key)
        absent = replace(
            entry,
            content="absent",
            size_bytes=int(key["size"]) if key and key["size"] else None,
            content_hash=f"{key['backend']}:{key['digest']}" if key else None,
        )
        kept.append(replace(candidate, entry=absent))
    except RefusedError as error:
        found.refusals[entry.path] = (entry, Refusal("read", error.reason, error.detail, error.remedy))
    except Exception as error:  # noqa: BLE001 - a damaged file may raise anything, and only it is refused
        found.refusals[entry.path] = (entry, _unforeseen(error, "unreadable_header"))


def _unforeseen(error: Exception, reason: str) -> Refusal:
    stage = "parse" if reason == "bad_sidecar" else "read"
    detail = f"reading it ended with {type(error).__name__}: {clean_text(ascii(str(error)))[:200]}"
    return Refusal(stage, reason, detail, "compare the file with its source, and copy or write it again")


def _with_content_hash(entry: Entry, n_bytes: int) -> Entry:
    """Return the record with the checksum of its unpacked content, which identifies copies."""
    if entry.content_hash:
        return entry
    try:
        found = checksum(entry.location, n_bytes)
    except (OSError, RefusedError):
        return entry
    return replace(entry, content_hash=f"CRC32:{found}")


def _counted(items: Sequence[Item], what: str, progress: Progress, name: Callable[[Item], str]) -> Iterable[Item]:
    step = max(1, len(items) // 200)
    for done, item in enumerate(items):
        if done % step == 0:
            progress(done, len(items), f"{what}: {name(item)}")
        yield item
    progress(len(items), len(items), what)


def _rows(home: Home, center_id: str, name: str) -> list[dict[str, Any]]:
    table = read_table(home, center_id, name)
    return table.to_pylist() if table is not None else []


def _findings(rows: Iterable[dict[str, Any]]) -> dict[str, list[Finding]]:
    by_path: dict[str, list[Finding]] = defaultdict(list)
    for row in rows:
        if row["kind"] in READ_KINDS:
            by_path[row["path"]].append(Finding(**{name: row[name] for name in Finding.__dataclass_fields__}))
    return by_path


def _header(row: dict[str, Any]) -> Header:
    values = {name: row[name] for name in Header.__dataclass_fields__ if name not in NOT_KEPT}
    return Header(**(values | {name: tuple(row[name]) for name in ("shape", "zooms", "affine")}))
