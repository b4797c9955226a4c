"""Which columns of a table hold labels, ages and sexes, in which units and codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from warehouse.centers.registry import AgeColumn, CodedColumn, IdColumn, ParticipantsTable
from warehouse.ingest.demographics import MISSING, UNITS, Age, age_of_level, parse_age, parse_sex
from warehouse.ingest.dictionaries import Described, Dictionaries
from warehouse.ingest.findings import Finding

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
VISITS = ["session_id", "session", "ses", "visit_id", "visit", "timepoint"]


def _bids(file: str, id_names: list[str], visit_names: list[str] | None = None, pattern: str = "") -> ParticipantsTable:
    """Return a table of BIDS, whose ages and sexes are read by the names that datasets use."""
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


@dataclass(frozen=True)
class Columns:
    """What a table's columns are.

    Parameters
    ----------
    age : tuple of (str, str, Described)
        Columns of age in the order in which they are asked, with unit and description.
    sex : tuple of (str, dict)
        Columns of sex with their codes.
    named, read, declared
        What `warehouse.ingest.privacy.clean_row` needs.
    """

    header: tuple[str, ...]
    age: tuple[tuple[str, str, Mapping[str, str]], ...] = ()
    sex: tuple[tuple[str, Mapping[str, str]], ...] = ()
    named: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()
    declared: Mapping[str, frozenset[str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def age_of(self, row: Mapping[str, str]) -> Age:
        """Return the age that a row gives.

        Raises
        ------
        ValueError
            When a cell holds something else.
        """
        for name, unit, levels in self.age:
            if text := row.get(name, ""):
                level = levels.get(text, levels.get(re.sub(r"\.0$", "", text)))
                if level is None or text.lower() in MISSING:
                    return parse_age(text, unit)
                return age_of_level(level, unit) if level.strip() else parse_age(text, unit)
        return Age()

    def sex_of(self, row: Mapping[str, str]) -> str | None:
        """Return the sex that a row gives.

        Raises
        ------
        ValueError
            When its code is not known.
        """
        return next((parse_sex(row[name], dict(codes)) for name, codes in self.sex if row.get(name)), None)


def find_columns(spec: ParticipantsTable, path: str, header: list[str], dictionaries: Dictionaries) -> Columns:
    """Return what the columns of a table are.

    Parameters
    ----------
    spec : ParticipantsTable
        What the layout, or BIDS, names.
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
    findings += _look_alikes(path, header, read | _labels(spec) | {found.field for found in findings if found.field})
    dates = set(spec.session.names) if spec.session and spec.session.date else set()
    named = frozenset(_labels(spec)) - dates
    declared = {name: frozenset(said.levels) for name, said in described.items()}
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
        said = described.get(name, Described())
        unit, is_understood = said.age_unit()
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
        ages.append((name, default or unit or by_name or "years", said.levels))
    return tuple(ages)


def _unit_in_name(name: str) -> str | None:
    match = UNIT_IN_NAME.fullmatch(name.strip())
    return UNITS.get(match[1].lower()) if match else None


def _look_alikes(path: str, header: list[str], read: set[str]) -> list[Finding]:
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
