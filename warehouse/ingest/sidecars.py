"""JSON sidecars: reading them loudly, and which of them apply to an image.

bids2table resolves inheritance as well, but skips what it cannot read without a word, and a lost sidecar is a lost echo
time. So the reading is ours, and a test holds the result against bids2table and pybids.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bids2table import parse_bids_entities

from warehouse.errors import SidecarError
from warehouse.ingest.findings import Finding
from warehouse.ingest.privacy import ALLOWED_KEYS, clean_sidecar

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
PARAMETERS = {
    name.lower(): name
    for name in ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "MagneticFieldStrength", "Manufacturer")
}


@dataclass(frozen=True)
class Sidecar:
    """One sidecar's content, without what identifies anybody, and what was found while it was read."""

    path: str
    fields: dict[str, object]
    n_dropped: int
    device_id: str | None
    findings: tuple[Finding, ...] = ()

    def row(self, center_id: str) -> dict[str, object]:
        """Return the row of `raw.sidecar`."""
        text = json.dumps(self.fields, ensure_ascii=False, allow_nan=False)
        return {
            "center_id": center_id,
            "path": self.path,
            "fields": text,
            "n_dropped": self.n_dropped,
            "device_id": self.device_id,
        }


def read_sidecar(location: str, path: str, salt: bytes) -> Sidecar:
    """Read one JSON object; a byte-order mark is allowed, NaN counts as missing.

    Raises
    ------
    SidecarError
        When it cannot be read, is not UTF-8, not JSON, not an object, or holds text that is not Unicode.
    """
    fields, repeated = read_object(location, path)
    return Sidecar(path, *clean_sidecar(fields, salt), (*repeated, *_unread(fields, path)))


def read_object(location: str, path: str) -> tuple[dict[str, object], list[Finding]]:
    """Return the JSON object that a file holds, and the fields that it names twice.

    Raises
    ------
    SidecarError
        See `read_sidecar`.
    """
    try:
        with open(location, "rb") as file:
            content = file.read()
        text = content.decode("utf-8-sig")
        fields = json.loads(text, parse_constant=_nothing)
        if SURROGATE.search(content):  # an escape such as \\ud83d alone is valid JSON, but no character
            json.dumps(fields, ensure_ascii=False).encode()
    except OSError as error:
        raise SidecarError(f"{path}: {error}", "give this user read permission") from error
    except UnicodeDecodeError as error:
        raise SidecarError(f"{path}: not UTF-8: {error}", "save it as UTF-8") from error
    except UnicodeEncodeError as error:
        raise SidecarError(
            f"{path}: holds an escape that is no character (a lone surrogate)", "write the character, or leave it out"
        ) from error
    except (ValueError, RecursionError) as error:  # ValueError: not JSON, or an integer of thousands of digits
        raise SidecarError(
            f"{path}: not JSON: {error}", "correct the file; until then its image has no TR, TE, TI or FA"
        ) from error
    if not isinstance(fields, dict):
        raise SidecarError(f"{path}: holds a {type(fields).__name__}, not an object", "a sidecar is one JSON object")
    remedy = "write each field once"
    repeated = _repeated(text) if text.count('":') != len(fields) else set()
    return fields, [
        Finding(
            "field_repeated", path, field=name, detail="The field is named twice; the last one is used.", remedy=remedy
        )
        for name in sorted(repeated & ALLOWED_KEYS)
    ]


def _nothing(_: str) -> None:
    """Stand for NaN and infinity, which JSON does not have."""


def _repeated(text: str) -> set[str]:
    """Return the names that an object holds twice; JSON readers keep the last and say nothing."""
    repeated: set[str] = set()

    def joined(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        repeated.update(name for name in names if len(set(names)) < len(names) and names.count(name) > 1)

    json.loads(text, object_pairs_hook=joined)
    return repeated


def _unread(fields: Mapping[str, object], path: str) -> list[Finding]:
    """Return keys that are a scan parameter's name but for case, blanks or underscores: BIDS names are exact."""
    return [
        Finding(
            "field_not_read",
            path,
            field=meant,
            detail=f"The sidecar spells {meant} in another way, so that it is not read.",
            remedy=f"name the field {meant}",
        )
        for name in fields
        if name not in ALLOWED_KEYS and (meant := PARAMETERS.get(_plain(name))) and meant not in fields
    ]


@dataclass
class Inheritance:
    """Finds the sidecars that apply to an image by the BIDS inheritance principle.

    A sidecar applies when it lies in the image's folder or above, has the same suffix, and its entities are all among
    the image's, with the same values. Nearer ones win; in one folder, the one with more entities wins.
    """

    by_folder: dict[str, dict[str | None, list[tuple[frozenset[tuple[str, str]], str]]]] = field(default_factory=dict)
    by_stem: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, paths: Iterable[str]) -> Inheritance:
        """Index sidecars by their paths."""
        index: dict[str, dict[str | None, list[tuple[frozenset[tuple[str, str]], str]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        stems = set()
        for path in paths:
            folder, _, name = path.rpartition("/")
            entities = name_entities(name)
            index[folder][entities.pop("suffix", None)].append((frozenset(entities.items()), path))
            stems.add(path.removesuffix(".json"))
        for suffixes in index.values():
            for sidecars in suffixes.values():
                sidecars.sort(key=lambda pair: (len(pair[0]), pair[1]))
        return cls(dict(index), stems)

    def applying(self, path: str) -> list[str]:
        """Return the sidecars of an image, the nearest last."""
        folder, _, name = path.rpartition("/")
        entities = name_entities(name) if name.startswith("sub-") else {}  # other names have no entities to inherit by
        suffix = entities.pop("suffix", None)
        own = frozenset(entities.items())
        folders = (
            ["", *("/".join(folder.split("/")[: n + 1]) for n in range(folder.count("/") + 1))] if folder else [""]
        )
        found = [
            sidecar
            for place in folders
            for needed, sidecar in self.by_folder.get(place, {}).get(suffix, ())
            if suffix and needed <= own
        ]
        beside = stem(path)
        if beside in self.by_stem and beside + ".json" not in found:
            found.append(beside + ".json")  # dcm2niix puts it beside the image under the same name, BIDS or not
        return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()) if len(name) < 40 else ""


def name_entities(name: str) -> dict[str, str]:
    """Return the BIDS entities of a file's name and its suffix."""
    parsed: Mapping[str, object] = parse_bids_entities(name)
    return {key: str(value) for key, value in parsed.items() if key not in {"ext", "datatype"}}


def stem(path: str) -> str:
    """Return a path without .nii or .nii.gz."""
    plain = path.removesuffix(".gz")
    return plain.removesuffix(PurePosixPath(plain).suffix)
