"""The layouts of the two datasets of patients: Open MS Data and UCSF-PDGM."""

from __future__ import annotations

from collections.abc import Sequence

from model.simulation.layouts.plan import (
    DAYS_PER_YEAR,
    SIMULATED,
    CenterPlan,
    ExpectedParticipant,
    Look,
    Place,
    Table,
    age_cell,
    expected_participant,
    sex_cell,
)
from model.simulation.people import SimulatedPerson

THIN = Look((0.42, 0.42, 3.3), "LPS", is_oblique=True)
ISOTROPIC = Look((1.0, 1.0, 1.0), "LPS")
CROSS = {"T1W": ("T1w", THIN), "T1WKS": ("T1w", THIN), "T2W": ("T2w", THIN), "FLAIR": ("FLAIR", ISOTROPIC)}
LONGITUDINAL = {"T1W": ("T1w", THIN), "T2W": ("T2w", THIN), "FLAIR": ("FLAIR", THIN)}
LONG_COLUMNS = ("patient_id", "sex", "days_between_studies", "age", "ms_type")
CROSS_COLUMNS = ("patient_id", "age", "sex", "ms_type", "edss", "criteria")
OPEN_MS_SETS = ("longitudinal", "cross_sectional")


def open_ms(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of Open MS Data: two sets that both count from 01.

    Patients with two visits are in the longitudinal set, all others in the cross-sectional one. The first patient is
    in both, as two participants but one person, since only the cross-sectional set has post-contrast images.
    """
    places: list[Place] = []
    long_rows, cross_rows = [], []
    participants: list[ExpectedParticipant] = []
    for person in people:
        number, age = person.number, float(int(person.ages_years[0]))
        age_text, sex = age_cell(person, age, "N/A"), sex_cell(person, missing="N/A")
        if person.n_visits > 1:
            places += [
                Place(long_path("raw", number, visit + 1, name), person, visit, f"long{number:02}", str(visit + 1),
                      contrast, look)
                for visit in range(person.n_visits)
                for name, (contrast, look) in LONGITUDINAL.items()
            ]  # fmt: skip
            days = round((person.ages_years[1] - person.ages_years[0]) * DAYS_PER_YEAR)
            long_rows.append((number, sex, days, age_text, "RR"))
            participants.append(expected_participant(f"long{number:02}", person, age))
        if person.n_visits == 1 or number == 1:
            places += [
                Place(cross_path("raw", number, name), person, 0, f"cross{number:02}", None, contrast, look,
                      is_post_contrast=name == "T1WKS")
                for name, (contrast, look) in CROSS.items()
            ]  # fmt: skip
            cross_rows.append((number, age_text, sex, "RR", 1.5, "McDonald 2010"))
            participants.append(expected_participant(f"cross{number:02}", person, age))
    texts = {f"{folder}/README.md": f"A {SIMULATED}, of no patient.\n" for folder in OPEN_MS_SETS}
    return CenterPlan(places, open_ms_tables(long_rows, cross_rows), participants, texts=texts)


def long_path(folder: str, number: int, study: int, name: str) -> str:
    """Return the path of an image of a patient of the longitudinal set."""
    return f"longitudinal/{folder}/patient{number:02}/study{study}_{name}.nii.gz"


def cross_path(folder: str, number: int, name: str) -> str:
    """Return the path of an image of a patient of the cross-sectional set."""
    return f"cross_sectional/{folder}/patient{number:02}/{name}.nii.gz"


def open_ms_tables(long_rows: Sequence[Sequence[object]], cross_rows: Sequence[Sequence[object]]) -> list[Table]:
    """Return the tables of the two sets."""
    return [
        Table("longitudinal/patient_info.csv", LONG_COLUMNS, long_rows, line_end="\r\n"),
        Table("cross_sectional/patient_info.csv", CROSS_COLUMNS, cross_rows, line_end="\r\n"),
    ]


UCSF_LOOK = Look((1.0, 1.0, 1.0), "LPS")
UCSF = {"T1": "T1w", "T1c": "T1w", "T2": "T2w", "FLAIR": "FLAIR", "SWI": "SWI"}
UCSF_COLUMNS = ("ID", "Sex", "Age at MRI", "WHO CNS Grade", "Final pathologic diagnosis (WHO 2021)", "IDH", "OS")
GLIOBLASTOMA = "Glioblastoma, IDH-wildtype"


def ucsf_pdgm(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of UCSF-PDGM: identifiers of 3 digits in the table, of 4 in names; a follow-up T2 is truncated.

    The images are whole heads as acquired; those of the real release are coregistered and skull-stripped.
    """
    places, rows, participants = [], [], []
    for person in people:
        sub, age = f"{900 + person.number:04}", float(int(person.ages_years[0]))
        images: list[tuple[str, str | None, str | None]] = [(name, None, None) for name in UCSF]
        if person.number == 1:
            images.append(("T2", "FU007d", "truncated"))
        for name, visit, defect in images:
            path = ucsf_path(f"{sub}_{visit}" if visit else sub, name)
            place = Place(path, person, 0, sub, visit, UCSF[name], UCSF_LOOK, name == "T1c", defect)
            places.append(place)
        sex, age_text = sex_cell(person, missing="unknown"), age_cell(person, age, "unknown")
        rows.append((f"UCSF-PDGM-{900 + person.number}", sex, age_text, 4, GLIOBLASTOMA, "wildtype", ""))
        participants.append(expected_participant(sub, person, age))
    return CenterPlan(places, [Table("UCSF-PDGM-metadata_v5.csv", UCSF_COLUMNS, rows)], participants)


def ucsf_path(exam: str, name: str) -> str:
    """Return the path of an image of UCSF-PDGM; an exam is a participant or a participant and a follow-up."""
    return f"UCSF-PDGM-v5/UCSF-PDGM-{exam}_nifti/UCSF-PDGM-{exam}_{name}.nii.gz"
