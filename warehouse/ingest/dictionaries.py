"""What the JSON beside a table says of its columns: the unit of ages, and the codes of ages and sexes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from warehouse.errors import SidecarError
from warehouse.ingest.demographics import NO_UNITS, sex_of_level, unit_of
from warehouse.ingest.findings import Finding
from warehouse.ingest.sidecars import Inheritance, read_object
from warehouse.ingest.tree import Entry

IN_UNIT = re.compile(r"(?:\bin|\()\s*(?:completed\s+|full\s+)?([^\W\d_]+)", re.IGNORECASE)
CODE_OF_SEX = re.compile(r"(?<!\w)(\d{1,2}|[A-Za-z])\s*(?:=|:|-|–|\bis\b|\bfor\b)\s*([^\W\d_]{4,})")
INHERITED = ("sessions", "scans")


@dataclass(frozen=True)
class Described:
    """What is said of one column.

    Parameters
    ----------
    units : str
        `Units` as written; empty where there is none.
    levels : dict of str to str
        Explanation by code.
    description : str
        `Description` and `LongName`.
    """

    units: str = ""
    levels: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    def age_unit(self) -> tuple[str | None, bool]:
        """Return the unit of an age, and whether what is said of it is understood.

        Returns
        -------
        unit : str or None
            None where nothing is said.
        is_understood : bool
            False where a unit is given that is none of an age since birth.
        """
        if self.units.strip().lower() not in NO_UNITS:
            unit = unit_of(self.units)
            return unit, unit is not None
        named = {unit for word in IN_UNIT.findall(self.description) if (unit := unit_of(word))}
        return (named.pop() if len(named) == 1 else None), len(named) < 2

    def codes_of_sex(self) -> dict[str, str]:
        """Return M, F, O or n/a by code, where `Levels` or the description explains the code."""
        pairs = [*self.levels.items(), *(() if self.levels else CODE_OF_SEX.findall(self.description))]
        return {code: sex for code, text in pairs if (sex := sex_of_level(text))}


class Dictionaries:
    """Finds and reads the JSON of tables; each file once."""

    def __init__(self, by_path: Mapping[str, Entry]) -> None:
        self._by_path = by_path
        inherited = [path for path in by_path if path.endswith(tuple(f"{name}.json" for name in INHERITED))]
        self._inheritance = Inheritance.of(inherited)
        self._read: dict[str, dict[str, object]] = {}
        self.findings: list[Finding] = []

    def of(self, path: str) -> dict[str, Described]:
        """Return what is said of the columns of a table; the nearest file wins."""
        beside = path.rpartition(".")[0] + ".json"
        paths = [name for name in self._inheritance.applying(path) if name != beside]
        merged: dict[str, object] = {}
        for name in [*paths, beside]:
            if name in self._by_path:
                merged |= self._fields(name)
        return {column.strip(): _described(said) for column, said in merged.items() if isinstance(said, dict)}

    def _fields(self, path: str) -> dict[str, object]:
        if path not in self._read:
            try:
                self._read[path], _ = read_object(self._by_path[path].location, path)
            except SidecarError:
                self._read[path] = {}
                detail = "The JSON beside a table cannot be read: ages are taken as years, codes are not explained."
                self.findings.append(Finding("field_not_read", path, detail=detail, remedy="correct the file"))
        return self._read[path]


def _described(said: Mapping[str, object]) -> Described:
    levels = said.get("Levels")
    explained = {str(code): _text(text) for code, text in levels.items()} if isinstance(levels, dict) else {}
    return Described(
        _text(said.get("Units")), explained, f"{_text(said.get('LongName'))} {_text(said.get('Description'))}"
    )


def _text(value: object) -> str:
    """Return a text; of an object (BIDS 1.9 allows one for a level) its description."""
    if isinstance(value, dict):
        value = value.get("Description", value.get("LongName"))
    return value if isinstance(value, str) else ""
