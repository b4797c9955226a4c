"""What each file of a centre is: an image, a known companion, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from warehouse.centers.registry import Center, ImagePattern
from warehouse.ingest.bids import BidsPlaces
from warehouse.ingest.companions import companion_kind, is_housekeeping, refusal_of_format
from warehouse.ingest.findings import Finding
from warehouse.ingest.sidecars import name_entities
from warehouse.ingest.tree import Entry, Refusal

NIFTI = (".nii", ".nii.gz")  # in any case
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
    place : str or None
        Why its place in the tree rules it out for synthesis.
    """

    entry: Entry
    entities: dict[str, str]
    suffix: str | None
    datatype: str | None
    facts: dict[str, str] = field(default_factory=dict)
    declared: str | None = None
    derived: bool = False
    place: str | None = None


@dataclass
class Discovery:
    """Every entry of a tree, in exactly one of three places.

    `prefix` is the folder that a BIDS dataset lies in, with a slash at its end; empty where that is the root.
    """

    images: list[Candidate] = field(default_factory=list)
    companions: dict[str, tuple[Entry, str]] = field(default_factory=dict)
    refusals: dict[str, tuple[Entry, Refusal]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    prefix: str = ""


def discover(center: Center, entries: Iterable[Entry]) -> Discovery:
    """Sort entries into images, companions and refusals.

    Parameters
    ----------
    center : Center
    entries : iterable of Entry
        All files of the tree; no file is opened, but for files without a known ending.
    """
    layout, listed = center.layout, list(entries)
    images = [(re.compile(pattern.pattern), pattern) for pattern in layout.images]
    companions = [(re.compile(pattern.pattern), str(pattern.kind)) for pattern in layout.companions]
    bids = BidsPlaces.of(listed) if layout.kind == "bids" else None
    found = Discovery()
    if bids:
        found.findings += bids.findings
        found.prefix = bids.prefix
    for entry in listed:
        if entry.refusal:
            found.refusals[entry.path] = (entry, entry.refusal)
        elif entry.alias:
            found.companions[entry.path] = (entry, "alias")
        elif is_housekeeping(entry.path):
            found.companions[entry.path] = (entry, "housekeeping")
        elif candidate := _by_pattern(entry, images):
            found.images.append(candidate)
        elif kind := next((kind for pattern, kind in companions if pattern.fullmatch(entry.path)), None):
            found.companions[entry.path] = (entry, kind)
        elif entry.path.lower().endswith(NIFTI):
            _place_nifti(found, entry, bids)
        elif kind := companion_kind(entry.path) or (bids.free_place(entry.path) if bids else None):
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
        if match and entry.path.lower().endswith(NIFTI):
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


def _place_nifti(found: Discovery, entry: Entry, bids: BidsPlaces | None) -> None:
    entities = name_entities(entry.path.rsplit("/", 1)[-1])
    if bids is None or ("sub" not in entities and not bids.subject_folders(entry.path)):
        if bids and (kind := bids.free_place(entry.path)):
            found.companions[entry.path] = (entry, kind)
            return
        remedy = "name it as BIDS says" if bids else "add a pattern for it to the centre's definition"
        refusal = Refusal("discover", "unknown_name", "the name does not say whose image it is", remedy)
        found.refusals[entry.path] = (entry, refusal)
        return
    whose = bids.identity(entry.path, entities)
    if isinstance(whose, Refusal):
        found.refusals[entry.path] = (entry, whose)
        return
    suffix = entities.pop("suffix", None)
    entities = {key: value for key, value in entities.items() if key not in {"sub", "ses"}} | whose
    derived = bids.free_place(entry.path) is not None or "space" in entities
    place = None if derived else bids.reason_of_place(entry.path)
    found.images.append(Candidate(entry, entities, suffix, _datatype(entry.path), derived=derived, place=place))


def _datatype(path: str) -> str | None:
    folders = path.split("/")[:-1]
    return folders[-1] if folders and not folders[-1].lower().startswith(("sub-", "ses-")) else None
