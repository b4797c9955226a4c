"""The layouts of the two datasets of patients: Open MS Data and UCSF-PDGM."""

from __future__ import annotations

from collections.abc import Sequence

from model.simulation.layouts.plan import (
    SIMULATED,
    CenterPlan,
    ExpectedParticipant,
    Look,
    Place,
    Table,
    acquired,
    cell,
    participant,
)
from model.simulation.people import SimulatedPerson

THIN = Look((0.42, 0.42, 3.3), "LPS", is_oblique=True)
ISOTROPIC = Look((1.0, 1.0, 1.0), "LPS")
CROSS = {"T1W": ("T1w", THIN), "T1WKS": ("T1w", THIN), "T2W": ("T2w", THIN), "FLAIR": ("FLAIR", ISOTROPIC)}
LONGITUDINAL = {"T1W": ("T1w", THIN), "T2W": ("T2w", THIN), "FLAIR": ("FLAIR", THIN)}
LONG_COLUMNS = ("patient_id", "sex", "days_between_studies", "age", "ms_type")
CROSS_COLUMNS = ("patient_id", "age", "sex", "ms_type", "edss", "criteria")


def open_ms(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe two sets that count from 01 each: who came twice is longitudinal, everybody else cross-sectional.

    The first patient is in the cross-sectional set as well, as another participant but the same person: that set alone
    has post-contrast images.
    """
    places: list[Place] = []
    long_rows, cross_rows = [], []
    told: list[ExpectedParticipant] = []
    for person in people:
        age = float(int(person.ages_years[0]))
        shown_age, sex = cell(age, person.is_age_told, "N/A"), cell(person.sex, person.is_sex_told, "N/A")
        number = f"{person.number:02}"
        if person.n_visits > 1:
            places += _longitudinal(person, number)
            days = round((person.ages_years[1] - person.ages_years[0]) * 365.25)
            long_rows.append((person.number, sex, days, shown_age, "RR"))
            told.append(participant(f"long{number}", person, age))
        if person.n_visits == 1 or person.number == 1:
            places += _cross_sectional(person, number)
            cross_rows.append((person.number, shown_age, sex, "RR", 1.5, "McDonald 2010"))
            told.append(participant(f"cross{number}", person, age))
    tables = (
        Table("longitudinal/patient_info.csv", LONG_COLUMNS, long_rows, line_end="\r\n"),
        Table("cross_sectional/patient_info.csv", CROSS_COLUMNS, cross_rows, line_end="\r\n"),
    )
    texts = {
        f"{folder}/README.md": f"A {SIMULATED}, of no patient.\n" for folder in ("longitudinal", "cross_sectional")
    }
    return CenterPlan(acquired(places), tables, tuple(told), texts=texts)


def _longitudinal(person: SimulatedPerson, number: str) -> list[Place]:
    return [
        Place(f"longitudinal/raw/patient{number}/study{visit + 1}_{name}.nii.gz", person, visit, f"long{number}",
              str(visit + 1), contrast, look)
        for visit in range(person.n_visits)
        for name, (contrast, look) in LONGITUDINAL.items()
    ]  # fmt: skip


def _cross_sectional(person: SimulatedPerson, number: str) -> list[Place]:
    return [
        Place(f"cross_sectional/raw/patient{number}/{name}.nii.gz", person, 0, f"cross{number}", None, contrast, look,
              is_post_contrast=name == "T1WKS")
        for name, (contrast, look) in CROSS.items()
    ]  # fmt: skip


UCSF = {
    "T1": ("T1w", Look((1.0, 1.0, 1.0), "LPS")),
    "T1c": ("T1w", Look((1.0, 1.0, 1.0), "LPS")),
    "T2": ("T2w", Look((1.0, 1.0, 1.0), "LPS")),
    "FLAIR": ("FLAIR", Look((1.0, 1.0, 1.0), "LPS")),
    "SWI": ("SWI", Look((1.0, 1.0, 1.0), "LPS")),
}
UCSF_COLUMNS = ("ID", "Sex", "Age at MRI", "WHO CNS Grade", "Final pathologic diagnosis (WHO 2021)", "IDH", "OS")
DIAGNOSIS = "Glioblastoma, IDH-wildtype"


def ucsf_pdgm(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe identifiers of three digits in the table and four in the names; a follow-up T2 is cut short.

    Whole heads as acquired: the real release is coregistered and skull-stripped.
    """
    places, rows, told = [], [], []
    for person in people:
        sub, age = f"{900 + person.number:04}", float(int(person.ages_years[0]))
        places += [_exam(person, sub, None, name) for name in UCSF]
        if person.number == 1:
            places.append(_exam(person, sub, "FU007d", "T2", "truncated"))
        sex, shown = cell(person.sex, person.is_sex_told, "unknown"), cell(age, person.is_age_told, "unknown")
        rows.append((f"UCSF-PDGM-{900 + person.number}", sex, shown, 4, DIAGNOSIS, "wildtype", ""))
        told.append(participant(sub, person, age))
    return CenterPlan(acquired(places), (Table("UCSF-PDGM-metadata_v5.csv", UCSF_COLUMNS, rows),), tuple(told))


def _exam(person: SimulatedPerson, sub: str, visit: str | None, name: str, defect: str | None = None) -> Place:
    stem = f"UCSF-PDGM-{sub}" + (f"_{visit}" if visit else "")
    contrast, look = UCSF[name]
    path = f"UCSF-PDGM-v5/{stem}_nifti/{stem}_{name}.nii.gz"
    return Place(path, person, 0, sub, visit, contrast, look, is_post_contrast=name == "T1c", defect=defect)
