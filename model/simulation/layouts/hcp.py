"""The layouts of the Human Connectome Project's three cohorts."""

from __future__ import annotations

from collections.abc import Sequence

from model.simulation.layouts.plan import CenterPlan, Look, Place, Table, acquired, cell, participant
from model.simulation.people import SimulatedPerson

LIFESPAN = Look((0.8, 0.8, 0.8), "RAS")
YOUNG = Look((0.7, 0.7, 0.7), "LAS")
NDA_COLUMNS = ("collection_id", "subjectkey", "src_subject_id", "interview_age", "sex")
NDA_DESCRIPTIONS = ("collection_id", "The NDAR Global Unique Identifier", "Subject ID", "Age in months", "Sex")
MONTHS = 12
OLDEST_BIN_YEARS = 36  # from here on the release says 36+
BINS = ((22, 25), (26, 30), (31, 35))


def hcp_development(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe ages in months under a second line of descriptions: means of two echoes."""
    return _lifespan(people, "HCD", "e1e2_mean", "2846")


def hcp_aging(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe the older release: root mean square of four echoes."""
    return _lifespan(people, "HCA", "RMS", "2847")


def _lifespan(people: Sequence[SimulatedPerson], prefix: str, echoes: str, collection: str) -> CenterPlan:
    places, told = [], []
    rows: list[tuple[str, ...]] = [NDA_DESCRIPTIONS]
    for person in people:
        sub = f"{prefix}99900{person.number:02}"
        visit, top = f"{sub}_V1_MR", f"{sub}_V1_MR/unprocessed"
        t1w, t2w = f"T1w_MPR_vNav_4e_{echoes}", "T2w_SPC_vNav"
        for name, contrast in ((t1w, "T1w"), (t2w, "T2w")):
            path = f"{top}/{name}/{visit}_{name}.nii.gz"
            places.append(Place(path, person, 0, sub, "V1", contrast, LIFESPAN))
        months = round(person.ages_years[0] * MONTHS)
        sex = cell(person.sex, person.is_sex_told)
        rows.append((collection, "NDARXX000XXX", sub, cell(months, person.is_age_told), sex))
        told.append(participant(sub, person, round(months / MONTHS, 4)))
    table = Table("ndar_subject01.txt", NDA_COLUMNS, rows, "\t", is_quoted=True)
    return CenterPlan(acquired(places), (table,), tuple(told))


def hcp_young_adult(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe ages as ranges, the last one open; a second T1w run says nothing of its orientation."""
    places, rows, told = [], [], []
    for person in people:
        sub = f"9990{person.number:02}"
        raw = f"{sub}/unprocessed/3T"
        names = [
            ("T1w_MPR1", None),
            ("T2w_SPC1", None),
            *([("T1w_MPR2", "no_orientation")] if person.number == 1 else []),
        ]
        places += [
            Place(f"{raw}/{name}/{sub}_3T_{name}.nii.gz", person, 0, sub, None, name[:3], YOUNG, defect=defect)
            for name, defect in names
        ]
        text, low, high = _bin(person.ages_years[0])
        bounds = {"low": low} if high is None else {"low": low, "high": high}
        told.append(participant(sub, person, **bounds))
        rows.append((sub, "S1200", cell(person.sex, person.is_sex_told), cell(text, person.is_age_told)))
    table = Table("unrestricted_phantom_1_1_2024.csv", ("Subject", "Release", "Gender", "Age"), rows)
    return CenterPlan(acquired(places), (table,), tuple(told))


def _bin(age_years: float) -> tuple[str, float, float | None]:
    """Return the range that is published for an age, in completed years, and its bounds."""
    years = int(age_years)
    if years >= OLDEST_BIN_YEARS:
        return f"{OLDEST_BIN_YEARS}+", float(OLDEST_BIN_YEARS), None
    low, high = next((low, high) for low, high in BINS if years <= high)
    return f"{low}-{high}", float(low), float(high)
