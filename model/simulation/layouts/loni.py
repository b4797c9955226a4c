"""The layouts of the two cohorts that the LONI archive serves: ADNI and AIBL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from model.simulation.layouts.plan import CenterPlan, ExpectedSession, Look, Place, Table, acquired, cell, participant
from model.simulation.people import SimulatedPerson

ADNI = {
    "MPRAGE": ("T1w", Look((1.2, 0.9375, 0.9375), "RPS")),
    "Axial_T2-FLAIR": ("FLAIR", Look((0.859375, 0.859375, 5.0), "LPS", is_oblique=True)),
    "Axial_T2-Star": ("T2starw", Look((0.859375, 0.859375, 4.0), "LPS", is_oblique=True)),
}
AIBL = {"MPRAGE_ADNI_confirmed": ("T1w", Look((1.2, 1.0, 1.0), "RPS"))}
BASELINE = date(2011, 3, 1)
DAYS_PER_YEAR = 365.25
EXPORTED = "20180901120000000_1"  # the archive's stamp within names of files
COLLECTION = (
    "Image Data ID",
    "Subject",
    "Group",
    "Sex",
    "Age",
    "Visit",
    "Modality",
    "Description",
    "Type",
    "Acq Date",
    "Format",
    "Downloaded",
)
MERGE_COLUMNS = ("RID", "PTID", "SITE", "VISCODE", "EXAMDATE", "AGE", "PTGENDER")


def adni(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe visits known by dates, ages at them in the collection's table; a repeated scan is cut short."""
    places, merge, visits, told, sessions = [], [], [], [], []
    for person in people:
        rid = f"9{person.number:03}"
        subject, sub = f"999_S_{rid}", f"999S{rid}"
        for visit, day in enumerate(_days(person)):
            names = [*ADNI, *(["MPRAGE_Repeat"] if person.number == 1 and visit == 0 else [])]
            for number, name in enumerate(names, 1000 * person.number + 100 * visit):
                contrast, look = ADNI[name.removesuffix("_Repeat")]
                path = f"ADNI/{subject}/{_file('ADNI', subject, name, day, number)}"
                defect = "truncated" if name.endswith("_Repeat") else None
                places.append(Place(path, person, visit, sub, f"{day:%Y%m%d}", contrast, look, defect=defect))
            visits.append(_visit(subject, person, visit, day))
            sessions += _session(sub, person, visit, day)
            code, gender = ("bl", "m24")[visit], {"M": "Male", "F": "Female"}[person.sex]
            age = cell(round(person.ages_years[0], 1), person.is_age_told)
            merge.append((rid, subject, "999", code, day.isoformat(), age, cell(gender, person.is_sex_told)))
        told.append(participant(sub, person, round(person.ages_years[0], 1)))
    tables = (Table("ADNIMERGE.csv", MERGE_COLUMNS, merge, is_quoted=True), _collection(visits))
    return CenterPlan(acquired(places), tables, tuple(told), tuple(sessions))


def aibl(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe sex as 1 and 2 and ages in the collection's table alone; one sidecar is cut short."""
    places, demographics, visits, told, sessions = [], [], [], [], []
    for person in people:
        sub, day = f"99{person.number:02}", _days(person)[0]
        names = [(name, None) for name in AIBL] + ([("MPRAGE_repeat", "broken_sidecar")] if person.number == 1 else [])
        for number, (name, defect) in enumerate(names, 1000 * person.number):
            contrast, look = AIBL["MPRAGE_ADNI_confirmed"]
            path = f"{sub}/{_file('AIBL', sub, name, day, number)}"
            places.append(Place(path, person, 0, sub, f"{day:%Y%m%d}", contrast, look, defect=defect))
        gender = {"M": "1", "F": "2"}[person.sex]
        demographics.append((sub, "1", "bl", cell(gender, person.is_sex_told)))
        visits.append(_visit(sub, person, 0, day))
        sessions += _session(sub, person, 0, day)
        told.append(participant(sub, person, float(int(person.ages_years[0]))))
    columns = ("RID", "SITEID", "VISCODE", "PTGENDER")
    tables = (Table("aibl_ptdemog_01-Jun-2018.csv", columns, demographics, line_end="\r\n"), _collection(visits))
    return CenterPlan(acquired(places), tables, tuple(told), tuple(sessions))


def _days(person: SimulatedPerson) -> list[date]:
    """Return the days of a person's visits."""
    first = BASELINE + timedelta(days=7 * person.number)
    return [first + timedelta(days=round((age - person.ages_years[0]) * DAYS_PER_YEAR)) for age in person.ages_years]


def _file(study: str, subject: str, series: str, day: date, number: int) -> str:
    """Return series, moment, number and name of a file below the folder of its subject."""
    name = f"{study}_{subject}_MR_{series}__br_raw_{EXPORTED}_S{number}_I{number + 300000}.nii"
    return f"{series}/{day.isoformat()}_09_00_00.0/S{number}/{name}"


def _visit(subject: str, person: SimulatedPerson, visit: int, day: date) -> tuple[str, str, str, str]:
    age = cell(int(person.ages_years[visit]), person.is_age_told)
    return subject, cell(person.sex, person.is_sex_told), age, f"{day.month}/{day.day}/{day.year}"


def _session(sub: str, person: SimulatedPerson, visit: int, day: date) -> list[ExpectedSession]:
    age = float(int(person.ages_years[visit]))
    return [ExpectedSession(sub, f"{day:%Y%m%d}", age)] if person.is_age_told else []


def _collection(visits: list[tuple[str, str, str, str]]) -> Table:
    rows = [
        (f"I{number}", subject, "CN", sex, age, "1", "MRI", "MPRAGE", "Original", day, "NiFTI", "1/15/2024")
        for number, (subject, sex, age, day) in enumerate(visits, start=300000)
    ]
    return Table("Phantom_1_15_2024.csv", COLLECTION, rows, is_quoted=True)
