"""Reads JSON sidecars, and finds those that apply to an image.

bids2table resolves inheritance as well, but silently skips files that it cannot read, and a lost sidecar is a lost echo
time. A test compares the result with bids2table and pybids.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from warehouse.errors import SidecarError
from warehouse.ingest.bids import name_entities
from warehouse.ingest.findings import Finding
from warehouse.ingest.privacy import ALLOWED_KEYS, clean_sidecar

SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
PARAMETERS = {
    name.lower(): name
    for name in ("RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "MagneticFieldStrength", "Manufacturer")
}


@dataclass(frozen=True)
class Sidecar:
    """The fields of a sidecar that may be stored, and findings about it."""

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
    """Return the sidecar in a JSON file; a byte-order mark is allowed, NaN counts as missing.

    Raises
    ------
    SidecarError
        When it cannot be read, is not UTF-8, not JSON, not an object, or holds text that is not Unicode.
    """
    fields, repeated = read_object(location, path)
    return Sidecar(path, *clean_sidecar(fields, salt), (*repeated, *_unread(fields, path)))


def read_object(location: str, path: str) -> tuple[dict[str, object], list[Finding]]:
    """Return the JSON object in a file, and findings about fields that occur twice.

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
    """Return None for NaN and infinity, which are not JSON."""


def _repeated(text: str) -> set[str]:
    """Return the names that occur twice in an object; JSON readers silently keep the last."""
    repeated: set[str] = set()

    def joined(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        repeated.update(name for name in names if len(set(names)) < len(names) and names.count(name) > 1)

    json.loads(text, object_pairs_hook=joined)
    return repeated


def _unread(fields: Mapping[str, object], path: str) -> list[Finding]:
    """Return findings for keys that differ from a scan parameter's name in case, blanks or underscores."""
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
    """Index of sidecars by the BIDS inheritance principle.

    A sidecar applies to an image when it is in the image's folder or above, has the same suffix, and its entities are
    all among the image's, with the same values. Nearer sidecars take precedence, then those with more entities.
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
        """Return the sidecars that apply to an image, the nearest last."""
        folder, _, name = path.rpartition("/")
        entities = name_entities(name) if name.startswith("sub-") else {}  # other names have no entities
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
            found.append(beside + ".json")  # dcm2niix writes it beside the image, BIDS or not
        return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower()) if len(name) < 40 else ""


def stem(path: str) -> str:
    """Return a path without .nii or .nii.gz."""
    plain = path.removesuffix(".gz")
    return plain.removesuffix(PurePosixPath(plain).suffix)
