"""Reads one table of participants: its rows of cells, the JSON beside it, and the meaning of its columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from warehouse.centers.registry import AgeColumn, CodedColumn, IdColumn, ParticipantsTable
from warehouse.errors import ParticipantsError, SidecarError
from warehouse.ingest.demographics import (
    MISSING,
    NO_UNITS,
    UNITS,
    Age,
    age_of_level,
    parse_age,
    parse_sex,
    sex_of_level,
    unit_of,
)
from warehouse.ingest.findings import Finding
from warehouse.ingest.privacy import clean_text
from warehouse.ingest.sidecars import Inheritance, read_object
from warehouse.ingest.tree import Entry

SURPLUS = "(beyond the header)"
QUOTED = re.compile(r'"([^"]*)"')

IN_UNIT = re.compile(r"(?:\bin|\()\s*(?:completed\s+|full\s+)?([^\W\d_]+)", re.IGNORECASE)
CODE_OF_SEX = re.compile(r"(?<!\w)(\d{1,2}|[A-Za-z])\s*(?:=|:|-|–|\bis\b|\bfor\b)\s*([^\W\d_]{4,})")
INHERITED = ("sessions.json", "scans.json")

AGES = ["age", "Age", "AGE", "age_scan", "age_at_scan", "AgeMRI_W1", "age (5-year bins)", "age_years"]
AGES += ["participant_age", "age_at_first_scan_years"]
SEXES = ["sex", "Sex", "SEX", "gender", "Gender", "GENDER", "participant_sex"]
IDS = ["participant_id", "participant", "subject", "subject_id", "sub", "participants_id"]
VISITS = ["session_id", "session", "ses", "visit_id", "visit", "timepoint"]


def _bids(file: str, id_names: list[str], visit_names: list[str] | None = None, pattern: str = "") -> ParticipantsTable:
    """Return a table of BIDS whose columns of age and sex have the names that datasets use."""
    identity = IdColumn(names=id_names, pattern=pattern) if pattern else IdColumn(names=id_names)
    visits = IdColumn(names=visit_names) if visit_names else None
    age, sex = AgeColumn(names=AGES), CodedColumn(names=SEXES)
    return ParticipantsTable(file=file, id=identity, session=visits, age=age, sex=sex)


BIDS_TABLES = (_bids("participants.tsv", IDS, VISITS), _bids("sessions.tsv", IDS, VISITS))
SESSIONS = _bids("", ["session_id", "session", "ses"])
SCANS = _bids("", ["filename"], pattern=r"^(?P<label>.+)$")
PHENOTYPE = _bids("", IDS, VISITS)
UNIT_IN_NAME = re.compile(
    r"age[ _-]*(?:at[ _-]*(?:scan|mri|visit|session)[ _-]*)?[(\[]?(?:in[ _-]*)?([a-z]+)[)\]]?", re.IGNORECASE
)
AGE_WORDS = frozenset({"age", "ages", "alter", "edad", "agey", "agem", "ageyears", "agemonths", "agedays", "ageweeks"})
SEX_WORDS = frozenset({"sex", "gender", "geschlecht", "sexe", "sexo", "genre"})


def read_table(content: bytes, path: str) -> list[dict[str, str]]:
    """Return the rows of a table as text cells, without surrounding blanks and control characters.

    Tab-separated text has no quoting (BIDS): a quote is a character of its cell, and a pair around a whole cell is
    removed. In other text, a quote that is never closed is a character as well.

    Raises
    ------
    ParticipantsError
        When it cannot be decoded or parsed, has no header, or names a column twice.
    """
    if path.lower().endswith((".xls", ".xlsx", ".ods")):
        rows = _spreadsheet(content, path)
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ParticipantsError(f"{path}: not UTF-8: {error}", "save it as UTF-8") from error
        rows = _text_rows(text.replace("\0", " "), path)
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise ParticipantsError(f"{path}: the table has no header", "write the names of the columns in the first line")
    header = [clean_text(cell) for cell in rows[0]]
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise ParticipantsError(f"{path}: columns {sorted(twice)} occur twice", "rename one of each")
    return [_cells(header, [clean_text(cell) for cell in row]) for row in rows[1:]]


def _text_rows(text: str, path: str) -> list[list[str]]:
    delimiter = _delimiter(text, path)
    try:
        if delimiter == "\t" or _has_open_quote(text, delimiter):
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
            return [[_unquoted(cell) for cell in row] for row in rows]
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ParticipantsError(f"{path}: no table: {error}", "compare it with its source and save it again") from error


def _has_open_quote(text: str, delimiter: str) -> bool:
    """Return whether a quote is never closed, or closed in a later row, so that rows would be merged."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        if "end of data" in str(error):
            return True
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return any("\n" in cell for row in rows for cell in row)
    return False


def _unquoted(cell: str) -> str:
    match = QUOTED.fullmatch(cell.strip())
    return match[1] if match else cell


def _cells(header: list[str], row: list[str]) -> dict[str, str]:
    cells = dict.fromkeys(header, "") | dict(zip(header, row, strict=False))
    surplus = " ".join(row[len(header) :]).strip()
    return cells | ({SURPLUS: surplus} if surplus else {})


def _delimiter(text: str, path: str) -> str:
    first = text.split("\n", 1)[0]
    if path.lower().endswith(".tsv") or "\t" in first:
        return "\t"
    return ";" if first.count(";") > first.count(",") else ","


def _spreadsheet(content: bytes, path: str) -> list[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    except (CalamineError, ValueError, OSError) as error:
        raise ParticipantsError(f"{path}: no spreadsheet: {error}", "save it as CSV") from error
    return [[str(cell) for cell in row] for row in sheet.to_python()]


@dataclass(frozen=True)
class Described:
    """Description of one column.

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
        """Return the unit of an age, and whether the description is understood.

        Returns
        -------
        unit : str or None
            None where none is given.
        is_understood : bool
            False where the unit is not one of an age since birth.
        """
        if self.units.strip().lower() not in NO_UNITS:
            unit = unit_of(self.units)
            return unit, unit is not None
        named = {unit for word in IN_UNIT.findall(self.description) if (unit := unit_of(word))}
        return (named.pop() if len(named) == 1 else None), len(named) < 2

    def codes_of_sex(self) -> dict[str, str]:
        """Return M, F, O or n/a by code, for codes that `Levels` or the description explains."""
        pairs = [*self.levels.items(), *(() if self.levels else CODE_OF_SEX.findall(self.description))]
        return {code: sex for code, text in pairs if (sex := sex_of_level(text))}


class Dictionaries:
    """The JSON files of tables; each is read once."""

    def __init__(self, by_path: Mapping[str, Entry]) -> None:
        self._by_path = by_path
        self._inheritance = Inheritance.of(path for path in by_path if path.endswith(INHERITED))
        self._read: dict[str, dict[str, object]] = {}
        self.findings: list[Finding] = []

    def of(self, path: str) -> dict[str, Described]:
        """Return the descriptions of the columns of a table; the nearest file takes precedence."""
        beside = path.rpartition(".")[0] + ".json"
        paths = [name for name in self._inheritance.applying(path) if name != beside]
        merged: dict[str, object] = {}
        for name in [*paths, beside]:
            if name in self._by_path:
                merged |= self._fields(name)
        return {column.strip(): _described(item) for column, item in merged.items() if isinstance(item, dict)}

    def _fields(self, path: str) -> dict[str, object]:
        if path not in self._read:
            try:
                self._read[path], _ = read_object(self._by_path[path].location, path)
            except SidecarError:
                self._read[path] = {}
                detail = "The JSON beside a table cannot be read: ages are taken as years, codes are not explained."
                self.findings.append(Finding("field_not_read", path, detail=detail, remedy="correct the file"))
        return self._read[path]


def _described(item: Mapping[str, object]) -> Described:
    levels = item.get("Levels")
    explained = {str(code): _text(text) for code, text in levels.items()} if isinstance(levels, dict) else {}
    return Described(
        _text(item.get("Units")), explained, f"{_text(item.get('LongName'))} {_text(item.get('Description'))}"
    )


def _text(value: object) -> str:
    """Return a text, or the description of an object, which BIDS 1.9 allows for a level."""
    if isinstance(value, dict):
        value = value.get("Description", value.get("LongName"))
    return value if isinstance(value, str) else ""


@dataclass(frozen=True)
class Columns:
    """The meaning of a table's columns.

    Parameters
    ----------
    age : tuple of (str, str, dict)
        Columns of age in order of precedence, with unit and explained codes.
    sex : tuple of (str, dict)
        Columns of sex with their codes.
    named, read, declared
        Arguments of `warehouse.ingest.privacy.clean_row`.
    """

    header: tuple[str, ...]
    age: tuple[tuple[str, str, Mapping[str, str]], ...] = ()
    sex: tuple[tuple[str, Mapping[str, str]], ...] = ()
    named: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def age_of(self, row: Mapping[str, str]) -> Age:
        """Return the age in a row.

        Raises
        ------
        ValueError
            When a cell holds no age.
        """
        for name, unit, levels in self.age:
            if text := row.get(name, ""):
                level = levels.get(text, levels.get(re.sub(r"\.0$", "", text)))
                if level is None or text.lower() in MISSING:
                    return parse_age(text, unit)
                return age_of_level(level, unit) if level.strip() else parse_age(text, unit)
        return Age()

    def sex_of(self, row: Mapping[str, str]) -> str | None:
        """Return the sex in a row.

        Raises
        ------
        ValueError
            When its code is not known.
        """
        return next((parse_sex(row[name], dict(codes)) for name, codes in self.sex if row.get(name)), None)


def find_columns(spec: ParticipantsTable, path: str, header: list[str], dictionaries: Dictionaries) -> Columns:
    """Return the meaning of a table's columns.

    Parameters
    ----------
    spec : ParticipantsTable
        Names from the layout or from BIDS.
    path : str
        Of the table.
    header : list of str
        Names of its columns.
    dictionaries : Dictionaries
        The JSON files beside tables.
    """
    described = dictionaries.of(path)
    findings: list[Finding] = []
    ages = _ages(spec, path, header, described, findings)
    sexes = tuple(
        (name, described.get(name, Described()).codes_of_sex() | sex.values)
        for sex in ([spec.sex] if spec.sex else [])
        for name in sex.names
        if name in header
    )
    read = {name for name, *_ in ages} | {name for name, _ in sexes}
    findings += _unread_demographics(
        path, header, read | _labels(spec) | {found.field for found in findings if found.field}
    )
    dates = set(spec.session.names) if spec.session and spec.session.date else set()
    named = frozenset(_labels(spec)) - dates
    declared = {name: frozenset(description.levels) for name, description in described.items()}
    return Columns(tuple(header), ages, sexes, named, frozenset(read), declared, tuple(findings))


def _labels(spec: ParticipantsTable) -> set[str]:
    return {*spec.id.names, *(spec.session.names if spec.session else ())}


def _ages(
    spec: ParticipantsTable,
    path: str,
    header: list[str],
    described: Mapping[str, Described],
    findings: list[Finding],
) -> tuple[tuple[str, str, Mapping[str, str]], ...]:
    if spec.age is None:
        return ()
    is_bids = spec.age.names is AGES or spec.age.names == AGES
    found = [name for name in spec.age.names if name in header]
    if is_bids:
        found += [name for name in header if name not in found and _unit_in_name(name)]
    ages = []
    for name in found:
        description = described.get(name, Described())
        unit, is_understood = description.age_unit()
        by_name = _unit_in_name(name) if is_bids else None
        if not is_understood or (unit and by_name and unit != by_name):
            detail = (
                "The JSON beside the table gives no unit of an age since birth, or another one than the column's name; "
                "ages in this column are null."
            )
            remedy = "give Units as years, months, weeks or days"
            findings.append(Finding("value_not_read", path, field=name, detail=detail, remedy=remedy))
            continue
        default = spec.age.unit if spec.age.unit != "years" else None
        ages.append((name, default or unit or by_name or "years", description.levels))
    return tuple(ages)


def _unit_in_name(name: str) -> str | None:
    match = UNIT_IN_NAME.fullmatch(name.strip())
    return UNITS.get(match[1].lower()) if match else None


def _unread_demographics(path: str, header: list[str], read: set[str]) -> list[Finding]:
    found = []
    for name in header:
        words = set(re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()))
        what = "an age" if words & AGE_WORDS else "a sex" if words & SEX_WORDS else None
        if what and name not in read:
            detail = f"The column looks like {what} and is not read."
            remedy = (
                f"if it is {what} at the scan, name the column {what.split()[1]}, or describe the table in a definition"
            )
            found.append(Finding("field_not_read", path, field=name, detail=detail, remedy=remedy))
    return found
