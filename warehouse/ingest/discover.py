"""What each file of a centre is: an image, a known companion, or a refusal.

Belongs here: the order in which a layout's patterns, BIDS and general rules are asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import bids2table

from warehouse.ingest.companions import companion_kind, refusal_of_format
from warehouse.ingest.findings import Finding
from warehouse.ingest.sidecars import name_entities
from warehouse.ingest.tree import Entry, Refusal
from warehouse.registry import Center, ImagePattern

NIFTI = (".nii", ".nii.gz")
DERIVED_FOLDERS = frozenset({"derivatives", "sourcedata", "code"})
LABEL = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True)
class Candidate:
    """A NIfTI whose name says whose it is.

    Parameters
    ----------
    entities : dict
        BIDS entities, short names, without `suffix` and `datatype`.
    facts : dict
        The layout's own named groups.
    declared : str or None
        The layout's reason why it is never used for synthesis.
    derived : bool
        Whether its place or name marks it as derived from another image.
    """

    entry: Entry
    entities: dict[str, str]
    suffix: str | None
    datatype: str | None
    facts: dict[str, str] = field(default_factory=dict)
    declared: str | None = None
    derived: bool = False


@dataclass
class Discovery:
    """Every entry of a tree, in exactly one of three places, and what is to be known about them."""

    images: list[Candidate] = field(default_factory=list)
    companions: dict[str, tuple[Entry, str]] = field(default_factory=dict)
    refusals: dict[str, tuple[Entry, Refusal]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def discover(center: Center, root: Path, entries: Iterable[Entry]) -> Discovery:
    """Sort entries into images, companions and refusals.

    Parameters
    ----------
    center : Center
    root : Path
        Needed by bids2table, which lists a BIDS dataset itself; no file is opened.
    entries : iterable of Entry
    """
    layout = center.layout
    images = [(re.compile(pattern.pattern), pattern) for pattern in layout.images]
    companions = [(re.compile(pattern.pattern), str(pattern.kind)) for pattern in layout.companions]
    bids = _bids_index(root) if layout.kind == "bids" else {}
    found = Discovery()
    for entry in entries:
        if entry.refusal:
            found.refusals[entry.path] = (entry, entry.refusal)
        elif entry.alias:
            found.companions[entry.path] = (entry, "alias")
        elif candidate := _by_pattern(entry, images):
            found.images.append(candidate)
        elif kind := next((kind for pattern, kind in companions if pattern.fullmatch(entry.path)), None):
            found.companions[entry.path] = (entry, kind)
        elif entry.path.endswith(NIFTI):
            _place_nifti(found, entry, bids, layout.kind)
        elif kind := companion_kind(entry.path):
            found.companions[entry.path] = (entry, kind)
        else:
            found.refusals[entry.path] = (entry, refusal_of_format(entry))
    return found


def label(text: str) -> str:
    """Return a BIDS label: letters and digits only."""
    return LABEL.sub("", text)


def _by_pattern(entry: Entry, patterns: list[tuple[re.Pattern[str], ImagePattern]]) -> Candidate | None:
    for compiled, pattern in patterns:
        match = compiled.fullmatch(entry.path)
        if match and entry.path.endswith(NIFTI):
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            return _filled(entry, pattern, groups)
    return None


def _filled(entry: Entry, pattern: ImagePattern, groups: dict[str, str]) -> Candidate:
    entities, used = {}, set()
    for name, template in pattern.entities.items():
        needed = set(re.findall(r"{(\w+)}", template))
        if needed <= groups.keys():
            entities[name] = template.format(**groups)
            used |= needed
    suffix, datatype = entities.pop("suffix"), entities.pop("datatype", None)
    entities = {name: label(value) for name, value in entities.items()}
    facts = {name: value for name, value in groups.items() if name not in entities}
    return Candidate(entry, entities, suffix, datatype, facts, pattern.ineligible)


def _place_nifti(found: Discovery, entry: Entry, bids: Mapping[str, dict[str, str]], layout: str) -> None:
    derived = not DERIVED_FOLDERS.isdisjoint(entry.path.split("/")[:-1])
    entities = dict(bids.get(entry.path) or name_entities(entry.path))
    suffix, datatype = entities.pop("suffix", None), entities.pop("datatype", None)
    if layout == "bids" and "sub" in entities:
        derived = derived or "space" in entities
        entities["sub"] = label(entities["sub"])
        found.images.append(Candidate(entry, entities, suffix, datatype or _datatype(entry.path), derived=derived))
    elif derived:
        found.companions[entry.path] = (entry, "derivative")
    else:
        mend = "name it as BIDS says" if layout == "bids" else "add a pattern for it to the centre's definition"
        refusal = Refusal("discover", "unknown_name", "the name does not say whose image it is", mend)
        found.refusals[entry.path] = (entry, refusal)


def _datatype(path: str) -> str | None:
    folders = path.split("/")[:-1]
    return folders[-1] if folders and not folders[-1].startswith(("sub-", "ses-")) else None


def _bids_index(root: Path) -> dict[str, dict[str, str]]:
    """Return the entities of every BIDS file that bids2table knows, by path."""
    if not any(root.glob("sub-*/")):
        return {}  # a flat folder of BIDS names: bids2table looks into folders of subjects only
    table = bids2table.index_dataset(root)
    skipped = {"dataset", "root", "path", "ext", "extra_entities"}
    names = [name for name in table.column_names if name not in skipped]
    index = {}
    for row in table.select([*names, "extra_entities", "path"]).to_pylist():
        if not row["path"].endswith(NIFTI):
            continue
        entities = {name: str(row[name]) for name in names if row[name] is not None}
        index[row["path"]] = entities | {
            key: value for key, value in (row["extra_entities"] or []) if value is not None
        }
    return index
