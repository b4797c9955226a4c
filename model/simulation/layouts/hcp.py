"""The layouts of the Human Connectome Project's three cohorts."""

from __future__ import annotations

from collections.abc import Sequence

from model.simulation.layouts.plan import (
    CenterPlan,
    Look,
    Place,
    Table,
    age_cell,
    expected_participant,
    sex_cell,
)
from model.simulation.people import SimulatedPerson

LIFESPAN = Look((0.8, 0.8, 0.8), "RAS")
YOUNG = Look((0.7, 0.7, 0.7), "LAS")
NDA_COLUMNS = {  # with the descriptions in the second line of the table
    "collection_id": "collection_id",
    "subjectkey": "The NDAR Global Unique Identifier",
    "src_subject_id": "Subject ID",
    "interview_age": "Age in months",
    "sex": "Sex",
}
NDA_KEY = "NDARXX000XXX"
MONTHS = 12
OLDEST_BIN_YEARS = 36  # from here on the release gives 36+
BINS = ((22, 25), (26, 30), (31, 35))


def hcp_development(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of HCP Development: ages in months; images are means of two echoes."""
    return _lifespan(people, "HCD", "e1e2_mean", "2846")


def hcp_aging(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of HCP Aging, an older release: images are the root mean square of four echoes."""
    return _lifespan(people, "HCA", "RMS", "2847")


def _lifespan(people: Sequence[SimulatedPerson], prefix: str, echoes: str, collection: str) -> CenterPlan:
    places, participants = [], []
    rows: list[tuple[str, ...]] = [tuple(NDA_COLUMNS.values())]
    for person in people:
        sub = f"{prefix}99900{person.number:02}"
        for name, contrast in ((f"T1w_MPR_vNav_4e_{echoes}", "T1w"), ("T2w_SPC_vNav", "T2w")):
            path = lifespan_path(f"{sub}_V1_MR", name, name)
            places.append(Place(path, person, 0, sub, "V1", contrast, LIFESPAN))
        months = round(person.ages_years[0] * MONTHS)
        rows.append((collection, NDA_KEY, sub, age_cell(person, months), sex_cell(person)))
        participants.append(expected_participant(sub, person, round(months / MONTHS, 4)))
    table = Table("ndar_subject01.txt", tuple(NDA_COLUMNS), rows, "\t", is_quoted=True)
    return CenterPlan(places, [table], participants)


def lifespan_path(session: str, folder: str, name: str) -> str:
    """Return the path of an unprocessed image of HCP Development or HCP Aging."""
    return f"{session}/unprocessed/{folder}/{session}_{name}.nii.gz"


def hcp_young_adult(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of HCP Young Adult: ages as ranges, the last one open; a second T1w has no orientation."""
    places, rows, participants = [], [], []
    for person in people:
        sub = f"9990{person.number:02}"
        images: list[tuple[str, str | None]] = [("T1w_MPR1", None), ("T2w_SPC1", None)]
        if person.number == 1:
            images.append(("T1w_MPR2", "no_orientation"))
        places += [
            Place(young_path(sub, name, name), person, 0, sub, None, name[:3], YOUNG, defect=defect)
            for name, defect in images
        ]
        text, low, high = _bin(person.ages_years[0])
        participants.append(expected_participant(sub, person, low_years=low, high_years=high))
        rows.append((sub, "S1200", sex_cell(person), age_cell(person, text)))
    table = Table("unrestricted_phantom_1_1_2024.csv", ("Subject", "Release", "Gender", "Age"), rows)
    return CenterPlan(places, [table], participants)


def young_path(sub: str, folder: str, name: str) -> str:
    """Return the path of an unprocessed image of HCP Young Adult."""
    return f"{sub}/unprocessed/3T/{folder}/{sub}_3T_{name}.nii.gz"


def _bin(age_years: float) -> tuple[str, int, int | None]:
    """Return the range that is published for an age, in completed years, and its bounds."""
    years = int(age_years)
    if years >= OLDEST_BIN_YEARS:
        return f"{OLDEST_BIN_YEARS}+", OLDEST_BIN_YEARS, None
    low, high = next((low, high) for low, high in BINS if years <= high)
    return f"{low}-{high}", low, high
