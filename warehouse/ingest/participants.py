"""Tables of participants and visits: who they are, how old, of which sex, and whose rows cannot be used.

Belongs here: reading the tables a layout names (or BIDS's own), one cell at a time, with a refusal for each that fails.
"""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from warehouse.errors import ParticipantsError
from warehouse.ingest.demographics import Age, parse_age, parse_sex
from warehouse.ingest.discover import label
from warehouse.ingest.findings import Finding
from warehouse.ingest.privacy import clean_row
from warehouse.ingest.tree import Entry, Refusal
from warehouse.registry import AgeColumn, Center, CodedColumn, IdColumn, ParticipantsTable

AGES = [
    "age",
    "Age",
    "AGE",
    "age_scan",
    "age_at_scan",
    "AgeMRI_W1",
    "age (5-year bins)",
    "age_years",
    "participant_age",
    "age_at_first_scan_years",
]
SEXES = ["sex", "Sex", "SEX", "gender", "Gender", "GENDER", "participant_sex"]
IDS = ["participant_id", "participant", "subject", "subject_id", "sub", "participants_id"]
BIDS_TABLES = (
    ParticipantsTable(
        file="participants.tsv", id=IdColumn(names=IDS), age=AgeColumn(names=AGES), sex=CodedColumn(names=SEXES)
    ),
)
SESSIONS = ParticipantsTable(
    file="",
    id=IdColumn(names=["session_id", "session", "ses"]),
    age=AgeColumn(names=AGES),
    sex=CodedColumn(names=SEXES),
)


SURPLUS = "(beyond the header)"


@dataclass
class Person:
    """What the tables say of one participant."""

    sex: str | None = None
    age: Age = field(default_factory=Age)
    person_id: str | None = None


@dataclass
class People:
    """What the tables of a centre say, and what could not be read.

    `rows` are rows of `raw.participant_row` by path and line; `refused` are (path, row, refusal), row None for a whole
    table.
    """

    participants: dict[str, Person] = field(default_factory=dict)
    sessions: dict[tuple[str, str], Age] = field(default_factory=dict)
    rows: dict[tuple[str, int], dict[str, object]] = field(default_factory=dict)
    refused: list[tuple[str, int | None, Refusal]] = field(default_factory=list)
    offsets: list[re.Pattern[str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def age_at(self, participant: str, session: str | None) -> Age:
        """Return the age at a visit: the visit's own, or the first age plus the days that its label counts."""
        own = self.sessions.get((participant, session or ""))
        if own and own.known:
            return own
        base = self.participants.get(participant, Person()).age
        for pattern in self.offsets if session else []:
            match = pattern.fullmatch(session or "")
            if match and base.years is not None:
                return Age(years=round(base.years + int(match[1]) / 365.25, 4))
        return Age()


def read_people(center: Center, entries: Iterable[Entry], salt: bytes) -> People:
    """Read every table of participants and visits that a layout names.

    Parameters
    ----------
    center : Center
    entries : iterable of Entry
        The files of the centre.
    salt : bytes
        The home's secret.
    """
    by_path = {entry.path: entry for entry in entries if entry.content == "present" and not entry.refusal}
    people = People()
    layout = center.layout
    specs = layout.participants or (BIDS_TABLES if layout.kind == "bids" else ())
    for spec in specs:
        for path in _files(spec, by_path):
            _read_table(people, spec, by_path[path], None, salt)
    if layout.kind == "bids":
        for path in sorted(by_path):
            if match := re.fullmatch(r"sub-([^/]+)/sub-[^/]+_sessions\.tsv", path):
                _read_table(people, SESSIONS, by_path[path], label(match[1]), salt)
    for participant, person in layout.persons.items():
        people.participants.setdefault(label(participant), Person()).person_id = person
    return people


def read_table(content: bytes, path: str) -> list[dict[str, str]]:
    """Read a table of text cells; headers lose surrounding blanks.

    Raises
    ------
    ParticipantsError
        When it cannot be decoded, has no header, or names a column twice.
    """
    if path.lower().endswith((".xls", ".xlsx", ".ods")):
        rows = _spreadsheet(content, path)
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ParticipantsError(f"{path}: not UTF-8: {error}", "save it as UTF-8") from error
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text, path)))
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise ParticipantsError(
            f"{path}: the table has no header", "write the names of the columns into the first line"
        )
    header = [cell.strip() for cell in rows[0]]
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise ParticipantsError(f"{path}: columns {sorted(twice)} stand twice", "rename one of each")
    return [_cells(header, [cell.strip() for cell in row]) for row in rows[1:]]


def _cells(header: list[str], row: list[str]) -> dict[str, str]:
    cells = dict.fromkeys(header, "") | dict(zip(header, row, strict=False))
    surplus = " ".join(row[len(header) :]).strip()
    return cells | ({SURPLUS: surplus} if surplus else {})


def _files(spec: ParticipantsTable, paths: Iterable[str]) -> list[str]:
    for pattern in spec.files:
        if matching := sorted(fnmatch.filter(paths, pattern)):
            return matching
    return []


def _read_table(people: People, spec: ParticipantsTable, entry: Entry, participant: str | None, salt: bytes) -> None:
    """Read one table; `participant` is given where every row is a visit of the same one."""
    try:
        with open(entry.location, "rb") as file:
            rows = read_table(file.read(), entry.path)
        if rows and not set(spec.has_columns) <= rows[0].keys():
            return
        if rows and participant is None and not any(name in rows[0] for name in spec.id.names):
            raise ParticipantsError(
                f"{entry.path}: none of the columns {spec.id.names} (found {list(rows[0])[:12]})",
                "name the column of identifiers in the layout",
            )
    except (OSError, ParticipantsError) as error:
        what, mend = (
            (error.what, error.mend) if isinstance(error, ParticipantsError) else (str(error), "check the file")
        )
        people.refused.append((entry.path, None, Refusal("participants", "unreadable_table", what, mend)))
        return
    if spec.age and spec.age.offset_days:
        people.offsets.append(re.compile(spec.age.offset_days))
    for number, row in enumerate(rows[spec.skip_rows :], start=1 + spec.skip_rows):
        if any(row.values()) and all(row.get(column, "") in allowed for column, allowed in spec.where.items()):
            _read_row(people, spec, entry.path, number, row, participant, salt)


def _read_row(
    people: People,
    spec: ParticipantsTable,
    path: str,
    number: int,
    row: dict[str, str],
    participant: str | None,
    salt: bytes,
) -> None:
    identity = _label(row, spec.id)
    session = _label(row, spec.session) if spec.session else spec.for_session
    if participant is not None:
        participant, session = participant, identity
    else:
        participant = identity
    _keep_raw(
        people,
        path,
        number,
        participant,
        session,
        clean_row(row, None, named_columns(spec), spec.private),
    )

    def refuse(reason: str, detail: str, mend: str) -> None:
        people.refused.append((path, number, Refusal("participants", reason, detail, mend)))

    if SURPLUS in row:
        refuse("too_many_cells", f"{row[SURPLUS]!r} stands beyond the header", "quote cells that hold the separator")
        return
    unread = (
        spec.id
        if not identity
        else spec.session
        if spec.session and not session and _cell(row, spec.session.names)
        else None
    )
    if unread or not participant:
        column = unread or spec.id
        detail = f"{_cell(row, column.names)!r} of {column.names} is no label like {column.pattern}"
        refuse("no_identifier", detail, "write the identifier, or widen the pattern in the layout")
        return
    person = people.participants.setdefault(participant, Person())
    try:
        _set_sex(person, parse_sex(_cell(row, spec.sex.names), spec.sex.values) if spec.sex else None)
    except ValueError as error:
        refuse("sex", str(error), "add the code under sex.values of the centre's definition, or mend the row")
    try:
        age = parse_age(_cell(row, spec.age.names), spec.age.unit) if spec.age else Age()
        if session is not None and not (spec.age and spec.age.offset_days):
            _set_session_age(people, participant, session, age)
            person.age = person.age if person.age.known else age
        else:
            _set_age(person, age)
    except ValueError as error:
        refuse("age", str(error), "mend the row, or the unit in the centre's definition")
    if spec.person and (named := _cell(row, spec.person.names)):
        person.person_id = spec.person.person_id(named) or person.person_id


def named_columns(spec: ParticipantsTable) -> frozenset[str]:
    """Return the columns that a layout reads, without those that hold dates."""
    columns = (spec.id, spec.age, spec.sex, spec.session if spec.session and not spec.session.date else None)
    return frozenset(name for column in columns if column for name in column.names)


def _keep_raw(
    people: People, path: str, number: int, participant: str | None, session: str | None, fields: dict[str, str]
) -> None:
    """Keep a row once, also where two entries of the layout read it for two visits."""
    known = people.rows.get((path, number))
    if known:
        known["session_label"] = session if known["session_label"] == session else None
        return
    people.rows[path, number] = {
        "path": path,
        "row": number,
        "participant_id": participant or None,
        "session_label": session,
        "fields": json.dumps(fields, ensure_ascii=False),
    }


def _set_sex(person: Person, sex: str | None) -> None:
    if sex and person.sex and sex != person.sex:
        raise ValueError(f"sex {sex} contradicts {person.sex} of an earlier row")
    person.sex = person.sex or sex


def _set_age(person: Person, age: Age) -> None:
    if age.known and person.age.known and age != person.age:
        raise ValueError(f"age {age} contradicts {person.age} of an earlier row")
    person.age = age if age.known else person.age


def _set_session_age(people: People, participant: str, session: str, age: Age) -> None:
    known = people.sessions.get((participant, session), Age())
    if age.known and known.known and age != known:
        raise ValueError(f"age {age} contradicts {known} of an earlier row of the same visit")
    people.sessions[participant, session] = age if age.known else known


def _label(row: dict[str, str], column: IdColumn) -> str | None:
    text = re.sub(r"^(\d+)\.0$", r"\1", _cell(row, column.names))  # spreadsheets turn 7 into 7.0
    if column.date:
        return _day(text, column.date)
    match = re.fullmatch(column.pattern, text)
    if not match:
        return None
    found = column.values.get(match["label"], match["label"])
    padded = label(found).zfill(column.pad)
    return label(column.prefix) + padded if padded else None


def _cell(row: dict[str, str], names: list[str]) -> str:
    """Return the first of the named columns that holds something."""
    return next((row[name] for name in names if row.get(name)), "")


def _day(text: str, form: str) -> str | None:
    try:
        return f"{datetime.strptime(text, form):%Y%m%d}"
    except ValueError:
        return None


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
