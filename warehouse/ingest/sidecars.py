"""JSON sidecars: reading them loudly, and which of them apply to an image.

bids2table resolves inheritance as well, but skips what it cannot read without a word, and a lost sidecar is a lost echo
time. So the reading is ours, and a test holds the result against bids2table and pybids.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bids2table import parse_bids_entities

from warehouse.errors import SidecarError
from warehouse.ingest.privacy import scrub


@dataclass(frozen=True)
class Sidecar:
    """One sidecar's content, without what identifies anybody."""

    path: str
    fields: dict[str, object]
    n_dropped: int
    device_id: str | None

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
        When it is not UTF-8, not JSON, or not an object.
    """
    try:
        with open(location, "rb") as file:
            content = file.read()
        fields = json.loads(content.decode("utf-8-sig"), parse_constant=lambda _: None)
    except OSError as error:
        raise SidecarError(f"{path}: {error}", "give this user read permission") from error
    except UnicodeDecodeError as error:
        raise SidecarError(f"{path}: not UTF-8: {error}", "save it as UTF-8") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise SidecarError(
            f"{path}: not JSON: {error}", "mend the file; until then its image has no TR, TE, TI or FA"
        ) from error
    if not isinstance(fields, dict):
        raise SidecarError(f"{path}: holds a {type(fields).__name__}, not an object", "a sidecar is one JSON object")
    return Sidecar(path, *scrub(fields, salt))


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


def name_entities(name: str) -> dict[str, str]:
    """Return the BIDS entities of a file's name and its suffix."""
    parsed: Mapping[str, object] = parse_bids_entities(name)
    return {key: str(value) for key, value in parsed.items() if key not in {"ext", "datatype"}}


def stem(path: str) -> str:
    """Return a path without .nii or .nii.gz."""
    plain = path.removesuffix(".gz")
    return plain.removesuffix(PurePosixPath(plain).suffix)
