"""The layouts of the two cohorts that the LONI archive serves: ADNI and AIBL.

The dates of folders identify visits; the table of the collection that comes with a download gives the age at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from model.simulation.layouts.plan import (
    DAYS_PER_YEAR,
    CenterPlan,
    ExpectedSession,
    Look,
    Place,
    Table,
    age_cell,
    expected_participant,
    sex_cell,
)
from model.simulation.people import SimulatedPerson

ADNI = {
    "MPRAGE": ("T1w", Look((1.2, 0.9375, 0.9375), "RPS")),
    "Axial_T2-FLAIR": ("FLAIR", Look((0.859375, 0.859375, 5.0), "LPS", is_oblique=True)),
    "Axial_T2-Star": ("T2starw", Look((0.859375, 0.859375, 4.0), "LPS", is_oblique=True)),
}
AIBL = Look((1.2, 1.0, 1.0), "RPS")
BASELINE = date(2011, 3, 1)
MERGE_COLUMNS = ("RID", "PTID", "SITE", "VISCODE", "EXAMDATE", "AGE", "PTGENDER")
AIBL_COLUMNS = ("RID", "SITEID", "VISCODE", "PTGENDER")
COLLECTION_COLUMNS = (
    *("Image Data ID", "Subject", "Group", "Sex", "Age", "Visit", "Modality", "Description", "Type"),
    *("Acq Date", "Format", "Downloaded"),
)
VisitRow = tuple[str, str, str, str]  # subject, sex, age and day of a visit, as the collection's table gives them


def adni(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of ADNI: ages at baseline in one table and at visits in another; a repeated scan is truncated."""
    places, merge, visits, participants, sessions = [], [], [], [], []
    for person in people:
        rid, age = f"9{person.number:03}", round(person.ages_years[0], 1)
        subject, sub = f"999_S_{rid}", f"999S{rid}"
        for visit, day in enumerate(_days(person)):
            names = [*ADNI, *(["MPRAGE_Repeat"] if person.number == 1 and visit == 0 else [])]
            for number, name in enumerate(names, 1000 * person.number + 100 * visit):
                contrast, look = ADNI[name.removesuffix("_Repeat")]
                path = f"ADNI/{_path('ADNI', subject, name, day, number)}"
                defect = "truncated" if name.endswith("_Repeat") else None
                places.append(Place(path, person, visit, sub, f"{day:%Y%m%d}", contrast, look, defect=defect))
            visits.append(_visit_row(subject, person, visit, day))
            sessions += _session(sub, person, visit, day)
            sex = sex_cell(person, {"M": "Male", "F": "Female"})
            merge.append((rid, subject, "999", ("bl", "m24")[visit], day.isoformat(), age_cell(person, age), sex))
        participants.append(expected_participant(sub, person, age))
    tables = [Table("ADNIMERGE.csv", MERGE_COLUMNS, merge, is_quoted=True), _collection(visits)]
    return CenterPlan(places, tables, participants, sessions)


def aibl(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of AIBL: sex as 1 and 2, ages only in the collection's table; one sidecar is truncated."""
    places, demographics, visits, participants, sessions = [], [], [], [], []
    for person in people:
        sub, day = f"99{person.number:02}", _days(person)[0]
        images: list[tuple[str, str | None]] = [("MPRAGE_ADNI_confirmed", None)]
        if person.number == 1:
            images.append(("MPRAGE_repeat", "broken_sidecar"))
        for number, (name, defect) in enumerate(images, 1000 * person.number):
            path = _path("AIBL", sub, name, day, number)
            places.append(Place(path, person, 0, sub, f"{day:%Y%m%d}", "T1w", AIBL, defect=defect))
        demographics.append((sub, "1", "bl", sex_cell(person, {"M": "1", "F": "2"})))
        visits.append(_visit_row(sub, person, 0, day))
        sessions += _session(sub, person, 0, day)
        participants.append(expected_participant(sub, person, float(int(person.ages_years[0]))))
    demographic = Table("aibl_ptdemog_01-Jun-2018.csv", AIBL_COLUMNS, demographics, line_end="\r\n")
    return CenterPlan(places, [demographic, _collection(visits)], participants, sessions)


def loni_path(subject: str, series: str, moment: str, modality: str, stamp: str, number: int, image_id: int) -> str:
    """Return the path of an image below the folder of its study.

    Parameters
    ----------
    moment : str
        Day and time of the scan, as in the name of a folder.
    modality : str
        Study, subject and modality, e.g. ADNI_002_S_0295_MR.
    stamp : str
        Time of the archive's export.
    number : int
        Of the series.
    """
    file = f"{modality}_{series}__br_raw_{stamp}_S{number}_I{image_id}.nii"
    return f"{subject}/{series}/{moment}/S{number}/{file}"


def collection_table(path: str, visits: Sequence[VisitRow], first_image_id: int) -> Table:
    """Return the table of a collection, a row per visit."""
    rows = [
        (f"I{number}", subject, "CN", sex, age, "1", "MRI", "MPRAGE", "Original", day, "NiFTI", "1/15/2024")
        for number, (subject, sex, age, day) in enumerate(visits, start=first_image_id)
    ]
    return Table(path, COLLECTION_COLUMNS, rows, is_quoted=True)


def _days(person: SimulatedPerson) -> list[date]:
    """Return the days of a person's visits."""
    first = BASELINE + timedelta(days=7 * person.number)
    return [first + timedelta(days=round((age - person.ages_years[0]) * DAYS_PER_YEAR)) for age in person.ages_years]


def _path(study: str, subject: str, series: str, day: date, number: int) -> str:
    moment, modality = f"{day.isoformat()}_09_00_00.0", f"{study}_{subject}_MR"
    return loni_path(subject, series, moment, modality, "20180901120000000_1", number, number + 300000)


def _visit_row(subject: str, person: SimulatedPerson, visit: int, day: date) -> VisitRow:
    age = age_cell(person, int(person.ages_years[visit]))
    return subject, sex_cell(person), age, f"{day.month}/{day.day}/{day.year}"


def _session(sub: str, person: SimulatedPerson, visit: int, day: date) -> list[ExpectedSession]:
    age = float(int(person.ages_years[visit]))
    return [ExpectedSession(sub, f"{day:%Y%m%d}", age)] if person.is_age_published else []


def _collection(visits: Sequence[VisitRow]) -> Table:
    return collection_table("Phantom_1_15_2024.csv", visits, 300000)
