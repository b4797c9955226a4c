"""BIDS names, labels and folders: the participant of a file, and folders that hold no images of the dataset.

Identity comes from folders and file name together. A file whose folder and name contradict each other is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pathspec
from bids2table import parse_bids_entities

from warehouse.ingest.findings import Finding
from warehouse.ingest.tree import Entry, Refusal

# Folders whose content BIDS does not define, by lower-case name, and the kind of their files.
FREE = {"derivatives": "derivative", "sourcedata": "derivative", "code": "code", "stimuli": "other", "models": "other"}
SUBJECT = re.compile(r"sub-(?P<label>.+)", re.IGNORECASE)
SESSION = re.compile(r"ses-(?P<label>.+)", re.IGNORECASE)
DESCRIPTION = "dataset_description.json"
Ignored: TypeAlias = "pathspec.PathSpec[Any]"
NOT_A_LABEL = re.compile(r"[^A-Za-z0-9]")
PREFIX = re.compile(r"^(?:sub|ses)[-_ ]?(?=\w)", re.IGNORECASE)
PADDING = re.compile(r"(?<!\d)0+(?=\d)")


def label(text: str) -> str:
    """Return a BIDS label: letters and digits only."""
    return NOT_A_LABEL.sub("", text)


def name_entities(name: str) -> dict[str, str]:
    """Return the BIDS entities of a file's name and its suffix."""
    parsed: Mapping[str, object] = parse_bids_entities(name)
    return {key: str(value) for key, value in parsed.items() if key not in {"ext", "datatype"}}


@dataclass(frozen=True)
class MatchedLabels:
    """Labels of a table matched with labels of folders.

    Parameters
    ----------
    folders : dict of str to str
        Label of the folder by label of the table, for labels that differ and were matched.
    ambiguous : frozenset of str
        Labels of the table that fit several folders, or a folder that another label fits too.
    """

    folders: dict[str, str] = field(default_factory=dict)
    ambiguous: frozenset[str] = frozenset()

    def of(self, label: str) -> str:
        """Return the label of the folder."""
        return self.folders.get(label, label)


def match_labels(table: Iterable[str], folders: Iterable[str]) -> MatchedLabels:
    """Match labels that differ in leading zeros, case or a prefix; equal labels always match.

    Examples
    --------
    >>> match_labels(["1", "S2"], ["001", "s02"]).folders, match_labels(["1"], ["01", "001"]).ambiguous
    ({'1': '001', 'S2': 's02'}, frozenset({'1'}))
    """
    by_key: dict[str, set[str]] = defaultdict(set)
    for name in folders:
        by_key[_key(name)].add(name)
    wanted: dict[str, set[str]] = defaultdict(set)
    for name in table:
        wanted[_key(name)].add(name)
    matched, ambiguous = {}, set()
    for key, labels in wanted.items():
        there = by_key.get(key, set())
        unknown = labels - there
        if len(labels) == len(there) == 1 and unknown:
            matched[labels.pop()] = next(iter(there))
        elif there:
            ambiguous |= unknown
    return MatchedLabels(matched, frozenset(ambiguous))


def _key(name: str) -> str:
    return PADDING.sub("", PREFIX.sub("", name).casefold())


@dataclass
class BidsPlaces:
    """The folders of one tree; made by `BidsPlaces.of`.

    Attributes
    ----------
    prefix : str
        Folder of the dataset relative to the tree's root, with a slash at its end; empty where it is the root.
    others : list of str
        Folders, with a slash, of further datasets inside the tree.
    ignored : PathSpec
        Patterns of `.bidsignore`, relative to the dataset.
    collisions : set of str
        Labels that several participants share once characters that BIDS does not allow are dropped.
    """

    prefix: str = ""
    others: list[str] = field(default_factory=list)
    ignored: Ignored = field(default_factory=lambda: pathspec.PathSpec([]))
    collisions: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> BidsPlaces:
        """Return the places of a tree, found from all of its files."""
        listed = [entry for entry in entries if not entry.refusal]
        paths = [entry.path for entry in listed]
        above = sorted({prefix for path in paths if (prefix := _above_subject(path)) is not None})
        described = {path.removesuffix(DESCRIPTION) for path in paths if path.rsplit("/", 1)[-1] == DESCRIPTION}
        described = {prefix for prefix in described if not _free(prefix)}
        datasets = [prefix for prefix in above if prefix in described]
        places = cls()
        if "" not in above and above:
            places.prefix = above[0] if len(above) == 1 else ""
            places.others = above if len(above) > 1 else []
        else:
            places.others = [prefix for prefix in datasets if prefix]
        if places.prefix:
            places.findings.append(_shifted(places.prefix))
        places.ignored = _ignored(listed, places.prefix)
        places.collisions = _collisions(paths)
        return places

    def subject_folders(self, path: str) -> list[str]:
        """Return the labels of all participant folders above a file."""
        return [match["label"] for folder in path.split("/")[:-1] if (match := SUBJECT.fullmatch(folder))]

    def free_place(self, path: str) -> str | None:
        """Return the kind of a file in a place whose content BIDS does not define, else None."""
        if kind := _free(path):
            return kind
        inside = path.removeprefix(self.prefix)
        return "other" if self.ignored.match_file(inside) and not _names_subject(inside) else None

    def reason_of_place(self, path: str) -> str | None:
        """Return why an image is not where a dataset has its images, or None where it is."""
        folders = path.removeprefix(self.prefix).split("/")[:-1]
        at = next((number for number, folder in enumerate(folders) if SUBJECT.fullmatch(folder)), None)
        if at is None:
            return None  # a flat folder of images
        if at > 0:
            return f"it lies in {'/'.join(folders[:at])}/, outside the dataset's folders of participants"
        below = [folder for folder in folders[1:] if not SESSION.fullmatch(folder)]
        return f"it lies in a folder {below[-1]}/ that BIDS does not have" if len(below) > 1 else None

    def identity(self, path: str, entities: Mapping[str, str]) -> dict[str, str] | Refusal:
        """Return participant and session of an image, or a refusal where they are not certain.

        Parameters
        ----------
        path : str
        entities : mapping
            Of the file's name.

        Returns
        -------
        dict or Refusal
            `sub`, and `ses` where there is one.
        """
        if other := next((prefix for prefix in self.others if path.startswith(prefix)), None):
            what = f"{other} is a dataset of its own: its participants may have the labels of others"
            return Refusal("discover", "nested_dataset", what, f"register {other} as a centre of its own")
        folders = path.split("/")[:-1]
        found: dict[str, str] = {}
        for key, pattern in (("sub", SUBJECT), ("ses", SESSION)):
            labels = [match["label"] for folder in folders if (match := pattern.fullmatch(folder))]
            labels += [entities[key]] if key in entities else []
            if len(set(labels)) > 1:
                named = " and ".join(f"{key}-{name}" for name in dict.fromkeys(labels))
                what = f"folder and file name contradict each other: {named}"
                return Refusal("discover", "contradicting_identity", what, "rename the file, or move it")
            if labels:
                found[key] = label(labels[0])
                if not found[key]:
                    return Refusal("discover", "unknown_name", f"{key}-{labels[0]} is no label", "rename the file")
        if found.get("sub") in self.collisions:
            what = f"several participants are called sub-{found['sub']} without the characters that BIDS does not allow"
            return Refusal("discover", "ambiguous_label", what, "give each participant a label of letters and digits")
        return found


def _free(path: str) -> str | None:
    """Return the kind of a file in a folder whose content BIDS does not define, else None."""
    return next((FREE[folder.lower()] for folder in path.split("/")[:-1] if folder.lower() in FREE), None)


def _above_subject(path: str) -> str | None:
    """Return the folder above the participant folder of an image; None for other files."""
    if _free(path) or not path.lower().endswith((".nii", ".nii.gz")):
        return None
    folders = path.split("/")[:-1]
    at = next((number for number, folder in enumerate(folders) if SUBJECT.fullmatch(folder)), None)
    return None if at is None else "".join(f"{folder}/" for folder in folders[:at])


def _names_subject(path: str) -> bool:
    return path.lower().endswith((".nii", ".nii.gz")) and any(SUBJECT.match(part) for part in path.split("/"))


def _shifted(prefix: str) -> Finding:
    detail = f"The dataset lies in {prefix}, not at the root; its tables and images are read there."
    return Finding("place", prefix, detail=detail, remedy=f"register {prefix} as the root, or leave it as it is")


def _ignored(entries: Iterable[Entry], prefix: str) -> Ignored:
    for entry in entries:
        if entry.path == f"{prefix}.bidsignore" and entry.content == "present":
            try:
                with open(entry.location, encoding="utf-8", errors="replace") as file:
                    return pathspec.GitIgnoreSpec.from_lines(file)
            except (OSError, ValueError):
                break  # the patterns only exempt files from validation
    return pathspec.PathSpec([])


def _collisions(paths: Iterable[str]) -> set[str]:
    """Return the cleaned labels that several labels of participants have in common."""
    labels: dict[str, set[str]] = {}
    for path in paths:
        for folder in path.split("/")[:-1]:
            if match := SUBJECT.fullmatch(folder):
                labels.setdefault(label(match["label"]), set()).add(match["label"])
    return {cleaned for cleaned, raw in labels.items() if len(raw) > 1}
