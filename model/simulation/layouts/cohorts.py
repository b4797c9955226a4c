"""Three population cohorts with layouts of their own: IXI, OASIS-3, Cam-CAN."""

from __future__ import annotations

from collections.abc import Sequence

from model.simulation.layouts.plan import (
    SIMULATED,
    CenterPlan,
    ExpectedSession,
    Look,
    Place,
    Table,
    acquired,
    cell,
    participant,
)
from model.simulation.people import SimulatedPerson

SITES = ("HH", "Guys", "IOP")  # in the order of the fleet
IXI = {
    "T1": ("T1w", Look((0.9375, 0.9375, 1.2), "PSR")),
    "T2": ("T2w", Look((0.9375, 0.9375, 1.25), "LPS", is_oblique=True)),
    "PD": ("PDw", Look((0.9375, 0.9375, 1.25), "LPS", is_oblique=True)),
    "MRA": ("angio", Look((0.46875, 0.46875, 0.8), "LPS", is_oblique=True)),
}
IXI_COLUMNS = ("IXI_ID", "SEX_ID (1=m, 2=f)", "ETHNIC_ID", "DATE_AVAILABLE", "AGE")


def ixi(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe three hospitals and sex as 1 and 2; one repeated T1 has no sidecar."""
    places, rows, told = [], [], []
    for person in people:
        sub, site = f"IXI9{person.number:02}", SITES[(person.number - 1) % len(SITES)]
        places += [_ixi(person, sub, f"{site}-9{person.number:03}", name) for name in IXI]
        if person.number == 1:
            places.append(_ixi(person, sub, f"{site}-8{person.number:03}", "T1", "no_sidecar"))
        sex, age = {"M": 1, "F": 2}[person.sex], person.ages_years[0]
        rows.append((f"9{person.number:02}", cell(sex, person.is_sex_told), "", 1, cell(age, person.is_age_told)))
        told.append(participant(sub, person, age))
    return CenterPlan(acquired(places), (Table("IXI.csv", IXI_COLUMNS, rows, line_end="\r\n"),), tuple(told))


def _ixi(person: SimulatedPerson, sub: str, scan: str, name: str, defect: str | None = None) -> Place:
    contrast, look = IXI[name]
    return Place(f"IXI-{name}/{sub}-{scan}-{name}.nii.gz", person, 0, sub, None, contrast, look, defect=defect)


OASIS3 = {
    "T1w": ("T1w", Look((1.0, 1.0, 1.0), "ASR")),
    "T2w": ("T2w", Look((1.0, 1.0, 1.0), "ASR")),
    "FLAIR": ("FLAIR", Look((0.859375, 0.859375, 5.0), "LAS", is_oblique=True)),
    "T2star": ("T2starw", Look((0.859375, 0.859375, 4.0), "LAS", is_oblique=True)),
    "swi": ("SWI", Look((0.859375, 0.859375, 2.0), "LAS")),
    "angio": ("angio", Look((0.6, 0.6, 1.0), "LAS")),
    "PDw": ("PDw", Look((0.9375, 0.9375, 3.0), "LAS", is_oblique=True)),
}
FIRST_VISIT_DAYS = 90
DAYS_PER_YEAR = 365.25
# The real dataset has no PDw; here an external centre must offer it too, under a name that the layout reads.
OASIS3_OFFERS = ("PDw",)


def oasis3(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe visits counted in days from entry; a second T1w run disagrees with itself about left and right."""
    places, rows, told, sessions = [], [], [], []
    for person in people:
        sub = f"OAS390{person.number:02}"
        entry = round(person.ages_years[0] - FIRST_VISIT_DAYS / DAYS_PER_YEAR, 2)
        for visit, age in enumerate(person.ages_years):
            days = round((age - entry) * DAYS_PER_YEAR)
            names = [*OASIS3, *(["run-02_T1w"] if person.number == 1 and visit == 0 else [])]
            places += [_oasis3(person, sub, f"d{days:04}", visit, number, name) for number, name in enumerate(names, 1)]
            if person.is_age_told:
                sessions.append(ExpectedSession(sub, f"d{days:04}", round(entry + days / DAYS_PER_YEAR, 4)))
        sex = {"M": 1, "F": 2}[person.sex]
        rows.append((sub, cell(entry, person.is_age_told), cell(sex, person.is_sex_told), "R"))
        told.append(participant(sub, person, entry))
    table = Table("OASIS3_demographics.csv", ("OASISID", "AgeatEntry", "GENDER", "HAND"), rows)
    return CenterPlan(acquired(places), (table,), tuple(told), tuple(sessions))


def _oasis3(person: SimulatedPerson, sub: str, ses: str, visit: int, number: int, name: str) -> Place:
    contrast, look = OASIS3[name.rsplit("_", 1)[-1]]
    folder = "swi" if name == "swi" else "anat"
    path = f"{sub}_MR_{ses}/{folder}{number}/sub-{sub}_ses-{ses}_{name}.nii.gz"
    defect = "mirrored_qform" if name.startswith("run-02") else None
    return Place(path, person, visit, sub, ses, contrast, look, defect=defect)


CAMCAN = {"T1w": Look((1.0, 1.0, 1.0), "RAS"), "T2w": Look((1.0, 1.0, 1.0), "LAS")}
CAMCAN_TOP = "cc700/mri/pipeline/release004/BIDS_20190411"
LISTED = ("participant_id", "age", "hand", "gender_code", "tiv_cubicmm")


def camcan(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe uncompressed images in one tree, sex as words in one table and as 1 and 2 in the other."""
    places, standard, listed, told = [], [], [], []
    for person in people:
        sub, age = f"CC9900{person.number:02}", float(int(person.ages_years[0]))
        places += [
            Place(f"{CAMCAN_TOP}/anat/sub-{sub}/anat/sub-{sub}_{name}.nii", person, 0, sub, None, name, look)
            for name, look in CAMCAN.items()
        ]
        word, code = {"M": ("MALE", 1), "F": ("FEMALE", 2)}[person.sex]
        told_age = cell(age, person.is_age_told)
        standard.append((sub, told_age, "R", cell(word, person.is_sex_told)))
        code_cell = cell(code, person.is_sex_told, "n/a")
        listed.append((f"sub-{sub}", told_age or "n/a", "R", code_cell, "n/a"))
        told.append(participant(sub, person, age))
    tables = (
        Table("standard_data.csv", ("CCID", "Age", "Hand", "Sex"), standard, has_byte_order_mark=True),
        Table(f"{CAMCAN_TOP}/anat/participants.tsv", LISTED, listed, "\t"),
    )
    texts = {f"{CAMCAN_TOP}/anat/dataset_description.json": f'{{"Name": "Cam-CAN: {SIMULATED}"}}\n'}
    return CenterPlan(acquired(places), tables, tuple(told), texts=texts)
