"""Reads tables of participants and visits: labels, ages, sexes, and rows that cannot be used."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from warehouse.centers.registry import Center, IdColumn, ParticipantsTable
from warehouse.errors import ParticipantsError
from warehouse.ingest.bids import MatchedLabels, label, match_labels, name_entities
from warehouse.ingest.demographics import Age
from warehouse.ingest.findings import Finding, shown
from warehouse.ingest.privacy import clean_row
from warehouse.ingest.tables import (
    BIDS_TABLES,
    PHENOTYPE,
    SCANS,
    SESSIONS,
    SURPLUS,
    Columns,
    Dictionaries,
    find_columns,
    read_table,
)
from warehouse.ingest.tree import Entry, Refusal

HARMLESS_NAMES = {"participant", "participants", "subject", "sub", "patient", "id", "age", "sex", "gender", "session"}
Key = tuple[str | None, str | None]  # participant and visit that a row names


@dataclass
class Person:
    """One participant in the tables.

    `age_is_of_visit`: the age is that of the first visit with an age, not of the participant. `age_path` is its table.
    """

    sex: str | None = None
    age: Age = field(default_factory=Age)
    person_id: str | None = None
    age_is_of_visit: bool = False
    age_is_at_baseline: bool = False
    age_has_offset: bool = False
    age_path: str | None = None


@dataclass
class People:
    """The participants in the tables of a centre.

    `rows` are rows of `raw.participant_row` by path and line; `refused` are (path, row, refusal) with row None for a
    whole table; `offsets` are patterns of visit labels that count days.
    """

    participants: dict[str, Person] = field(default_factory=dict)
    sessions: dict[tuple[str, str], Age] = field(default_factory=dict)
    rows: dict[tuple[str, int], dict[str, object]] = field(default_factory=dict)
    refused: list[tuple[str, int | None, Refusal]] = field(default_factory=list)
    offsets: list[re.Pattern[str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def age_at(self, participant: str, session: str | None) -> Age:
        """Return the age at a visit: the visit's own, or the participant's plus the days in the visit's label."""
        own = self.sessions.get((participant, session or ""))
        if own and own.known:
            return own
        base = self.participants.get(participant, Person()).age
        for pattern in self.offsets if session else []:
            match = pattern.fullmatch(session or "")
            if match and base.years is not None:
                return Age(years=round(base.years + int(match[1]) / 365.25, 4))
        return Age()


@dataclass(frozen=True)
class _Table:
    """A table.

    `participant` is set where every row is a visit of the same one. `is_secondary`: its values only fill gaps.
    """

    spec: ParticipantsTable
    path: str
    columns: Columns
    participant: str | None = None
    is_secondary: bool = False


def read_people(
    center: Center,
    entries: Iterable[Entry],
    visits: Mapping[str, Collection[str | None]] | None = None,
    prefix: str = "",
) -> People:
    """Read every table of participants and visits that a layout names.

    Parameters
    ----------
    center : Center
    entries : iterable of Entry
        The files of the centre.
    visits : mapping of str to collection of (str or None), optional
        Labels of the visits with an image, by participant: labels of a BIDS dataset's tables are matched with them.
    prefix : str
        Folder of a BIDS dataset, relative to the root, with a slash at its end.
    """
    by_path = {entry.path: entry for entry in entries if entry.content == "present" and not entry.refusal}
    inside = {path.removeprefix(prefix): entry for path, entry in by_path.items()}
    people, dictionaries = People(), Dictionaries(by_path)
    reader = _Reader(people, dictionaries, dict(visits or {}) if center.layout.kind == "bids" else {})
    layout = center.layout
    for spec in layout.participants or (BIDS_TABLES if layout.kind == "bids" else ()):
        for path in _files(spec, inside):
            reader.read(spec, inside[path])
    if layout.kind == "bids":
        for path in sorted(path for path in inside if path.endswith(".tsv")):
            if found := re.fullmatch(r"sub-([^/]+)/(?:ses-[^/]+/)?sub-[^/]+_sessions\.tsv", path):
                reader.read(SESSIONS, inside[path], label(found[1]))
            elif found := re.fullmatch(r"sub-([^/]+)/(?:ses-[^/]+/)?sub-[^/]+_scans\.tsv", path):
                reader.read(SCANS, inside[path], label(found[1]))
            elif re.fullmatch(r"phenotype/[^/]+\.tsv", path):
                reader.read(PHENOTYPE, inside[path])
    for participant, person in layout.persons.items():
        people.participants.setdefault(label(participant), Person()).person_id = person
    people.findings += dictionaries.findings
    return people


class _Reader:
    """Reads tables into `People`."""

    def __init__(
        self, people: People, dictionaries: Dictionaries, visits: Mapping[str, Collection[str | None]]
    ) -> None:
        self.people = people
        self.dictionaries = dictionaries
        self.visits = visits

    def read(self, spec: ParticipantsTable, entry: Entry, participant: str | None = None) -> None:
        """Read one table; any error refuses this table only."""
        is_secondary = spec is PHENOTYPE or spec is SCANS
        try:
            with open(entry.location, "rb") as file:
                rows = read_table(file.read(), entry.path)
            if not rows or not set(spec.has_columns) <= rows[0].keys():
                return
            columns = find_columns(spec, entry.path, list(rows[0]), self.dictionaries)
            if is_secondary and not columns.age and not columns.sex:
                self.people.findings += columns.findings
                return
            if participant is None and not any(name in rows[0] for name in spec.id.names):
                raise ParticipantsError(
                    f"{entry.path}: none of the columns {spec.id.names} (found {_described_header(rows[0])})",
                    "name the column of identifiers in the layout",
                )
        except ParticipantsError as error:
            self._refuse_table(entry.path, error.what, error.remedy)
            return
        except Exception as error:  # noqa: BLE001 - a damaged table may raise anything, and only it is refused
            self._refuse_table(entry.path, f"{entry.path}: {type(error).__name__}", "check the file, and save it again")
            return
        self.people.findings += columns.findings
        if spec.age and spec.age.offset_days:
            self.people.offsets.append(re.compile(spec.age.offset_days))
        self._rows(_Table(spec, entry.path, columns, participant, is_secondary), rows)

    def _refuse_table(self, path: str, what: str, remedy: str) -> None:
        self.people.refused.append((path, None, Refusal("participants", "unreadable_table", what, remedy)))

    def _rows(self, table: _Table, rows: list[dict[str, str]]) -> None:
        spec = table.spec
        kept = [
            (number, row)
            for number, row in enumerate(rows[spec.skip_rows :], start=1 + spec.skip_rows)
            if any(row.values()) and all(row.get(column, "") in allowed for column, allowed in spec.where.items())
        ]
        keys = self._matched(table, [_key(table, row) for _, row in kept])
        for (number, row), (participant, session) in zip(kept, keys, strict=True):
            _read_row(self.people, table, number, row, participant, session)

    def _matched(self, table: _Table, keys: list[Key]) -> list[Key]:
        """Return keys with the labels of the folders in place of the spelling in the table."""
        if not self.visits:
            return keys
        people = match_labels({participant for participant, _ in keys if participant}, self.visits)
        self._add_findings(table, people, "participants", table.spec.id.names)
        matched = [(people.of(participant) if participant else None, session) for participant, session in keys]
        wanted: dict[str, set[str]] = {}
        for participant, session in matched:
            if participant and participant in self.visits and session:
                wanted.setdefault(participant, set()).add(session)
        sessions = {participant: _match_visits(some, self.visits[participant]) for participant, some in wanted.items()}
        names = table.spec.session.names if table.spec.session else table.spec.id.names
        for participant, found in sessions.items():
            self._add_findings(table, found, f"visits of {participant}", names)
        return [
            (participant, sessions[participant].of(session) if session and participant in sessions else session)
            for participant, session in matched
        ]

    def _add_findings(self, table: _Table, matched: MatchedLabels, whose: str, names: list[str]) -> None:
        column = next((name for name in names if name in table.columns.header), None)
        if matched.folders:
            one, other = min(matched.folders.items())
            detail = f"{len(matched.folders)} {whose} were matched with folders, e.g. {one!r} with {other!r}."
            self.people.findings.append(Finding("label_matched", table.path, field=column, detail=detail))
        for ambiguous in sorted(matched.ambiguous):
            detail = f"The label {ambiguous!r} of {whose} fits several folders or rows; it was matched with none."
            remedy = "write labels as the folders have them"
            self.people.findings.append(Finding("label_ambiguous", table.path, None, column, ambiguous, detail, remedy))


def _described_header(header: Iterable[str]) -> str:
    """Return the number of columns and the names that hold labels, ages or sexes; others may be data with names."""
    names = list(header)
    shown_names = [name for name in names if HARMLESS_NAMES & set(re.split(r"[^a-z]+", name.lower()))]
    return f"{len(names)} columns, among them {shown_names[:12]}"


def _match_visits(labels: Collection[str], folders: Collection[str | None]) -> MatchedLabels:
    """Match visits; a table's only visit matches folders without labels."""
    if set(folders) == {None} and len(labels) == 1:
        return MatchedLabels({next(iter(labels)): ""})
    return match_labels(labels, [folder for folder in folders if folder])


def _key(table: _Table, row: dict[str, str]) -> Key:
    """Return the participant and the visit of a row, in the spelling of the table."""
    spec = table.spec
    if spec is SCANS:
        return table.participant, name_entities(_cell(row, spec.id.names).rpartition("/")[2]).get("ses", "")
    identity = _label(row, spec.id)
    if table.participant is not None:
        return table.participant, identity
    return identity, _label(row, spec.session) if spec.session else spec.for_session


def _read_row(
    people: People, table: _Table, number: int, row: dict[str, str], participant: str | None, session: str | None
) -> None:
    spec, columns = table.spec, table.columns
    fields = clean_row(row, columns.declared, columns.named, spec.private, columns.read)
    _keep_raw(people, table.path, number, participant, session, fields)

    def refuse(reason: str, detail: str, remedy: str) -> None:
        people.refused.append((table.path, number, Refusal("participants", reason, detail, remedy)))

    if SURPLUS in row:
        refuse("too_many_cells", f"{shown(row[SURPLUS])} is beyond the header", "write one cell for each column")
        return
    unread = _unread_label(table, row, participant, session)
    if unread:
        detail = f"{shown(_cell(row, unread.names))} of {unread.names} is no label like {unread.pattern}"
        refuse("no_identifier", detail, "write the identifier, or widen the pattern in the layout")
        return
    assert participant is not None
    person = people.participants.setdefault(participant, Person())
    try:
        _set_sex(people, person, columns.sex_of(row), table, participant)
    except ValueError as error:
        remedy = "explain the code under Levels in the JSON beside the table, or under sex.values of the centre"
        refuse("sex", str(error), remedy)
    try:
        _set_age(people, person, columns.age_of(row), table, (participant, session))
    except ValueError as error:
        refuse("age", str(error), "correct the row, or give the unit in the JSON beside the table or in the centre")
    if spec.person and (named := _cell(row, spec.person.names)):
        person.person_id = spec.person.person_id(named) or person.person_id


def _unread_label(table: _Table, row: dict[str, str], participant: str | None, session: str | None) -> IdColumn | None:
    """Return the column whose label cannot be read, or None."""
    spec = table.spec
    if not participant or (table.participant is not None and session is None):
        return spec.id
    return spec.session if spec.session and session is None and _cell(row, spec.session.names) else None


def _keep_raw(
    people: People, path: str, number: int, participant: str | None, session: str | None, fields: dict[str, str]
) -> None:
    """Add a row once, also where two entries of the layout read it for two visits."""
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


def _set_sex(people: People, person: Person, sex: str | None, table: _Table, participant: str) -> None:
    if sex and person.sex and sex != person.sex:
        detail = f"sex {sex} contradicts {person.sex} of an earlier row"
        if not table.is_secondary:
            raise ValueError(detail)
        people.findings.append(Finding("sources_disagree", table.path, None, "sex", sex, detail, "", participant))
    person.sex = person.sex or sex


def _set_age(people: People, person: Person, age: Age, table: _Table, key: tuple[str, str | None]) -> None:
    participant, session = key
    spec = table.spec
    if not age.known:
        return
    if session is not None and not (spec.age and spec.age.offset_days):
        known = people.sessions.get((participant, session), Age())
        if known.known and age != known and not table.is_secondary:
            raise ValueError(f"age {age.text} contradicts {known.text} of an earlier row of the same visit")
        people.sessions[participant, session] = known if known.known else age
        if not person.age.known:
            person.age, person.age_is_of_visit, person.age_path = age, True, table.path
        return
    if person.age.known and not person.age_is_of_visit and age != person.age:
        detail = f"age {age.text} contradicts {person.age.text} of an earlier row"
        if not table.is_secondary:
            raise ValueError(detail)
        people.findings.append(Finding("sources_disagree", table.path, None, "age", age.years, detail, "", participant))
        return
    if not person.age.known or person.age_is_of_visit:
        person.age, person.age_is_of_visit, person.age_path = age, False, table.path
        person.age_is_at_baseline = bool(spec.age and spec.age.at_baseline)
        person.age_has_offset = bool(spec.age and spec.age.offset_days)


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
    """Return the first non-empty cell of the named columns."""
    return next((row[name] for name in names if row.get(name)), "")


def _day(text: str, form: str) -> str | None:
    try:
        return f"{datetime.strptime(text, form):%Y%m%d}"
    except ValueError:
        return None


def _files(spec: ParticipantsTable, paths: Iterable[str]) -> list[str]:
    for pattern in spec.files:
        if matching := sorted(fnmatch.filter(paths, pattern)):
            return matching
    return []
