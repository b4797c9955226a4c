"""The layouts of six population cohorts: LEMON and NKI-Rockland (BIDS), IXI, OASIS-3, Cam-CAN, UK Biobank."""

from __future__ import annotations

import json
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

LEMON = {  # voxel sizes of ds000221
    "T1w": Look((1.0, 1.0, 1.0), "RAS"),
    "T2w": Look((1.0, 1.0, 1.0), "PSR"),
    "FLAIR": Look((0.9, 0.9, 4.0), "LAS", is_oblique=True),
}
NKI = {"T1w": Look((1.0, 0.9765625, 0.9765625), "RAS"), "T2w": Look((1.0, 1.0, 1.0), "LAS")}
LEMON_BIN_YEARS = 5
NKI_VISITS = ("BAS1", "FLU1")


def lemon(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe ages in five-year bins; a second T2w run is cut short."""
    places, rows, told = [], [], []
    for person in people:
        sub = f"09{person.number:04}"
        places += [_bids(person, sub, "01", 0, name, look) for name, look in LEMON.items()]
        if person.number == 1:
            places.append(_bids(person, sub, "01", 0, "run-02_T2w", LEMON["T2w"], "truncated"))
        low = int(person.ages_years[0]) // LEMON_BIN_YEARS * LEMON_BIN_YEARS
        told.append(participant(sub, person, low=float(low), high=float(low + LEMON_BIN_YEARS)))
        age = cell(f"{low}-{low + LEMON_BIN_YEARS}", person.is_age_told, "n/a")
        rows.append((f"sub-{sub}", cell(person.sex, person.is_sex_told, "n/a"), age))
    table = Table("participants.tsv", ("participant_id", "gender", "age (5-year bins)"), rows, "\t")
    return CenterPlan(acquired(places), (table,), tuple(told), texts=_bids_description("LEMON"))


def nki_rockland(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe sex in capitals and ages of visits in tables of their own; a sidecar gives its echo time in ms."""
    places, rows, told, tables, sessions = [], [], [], [], []
    for person in people:
        sub = f"A999900{person.number:02}"
        for visit, label in enumerate(NKI_VISITS[: person.n_visits]):
            places += [_bids(person, sub, label, visit, name, look) for name, look in NKI.items()]
        if person.number == 1:
            places.append(_bids(person, sub, "BAS1", 0, "run-2_T1w", NKI["T1w"], "milliseconds"))
        sex = {"M": "MALE", "F": "FEMALE"}[person.sex]
        age = float(int(person.ages_years[0]))
        rows.append((sub, cell(age, person.is_age_told, "n/a"), cell(sex, person.is_sex_told, "n/a"), "RIGHT"))
        told.append(participant(sub, person, age))
        tables.append(_nki_visits(sub, person))
        sessions += _nki_sessions(sub, person)
    columns = ("participant_id", "age", "sex", "handedness")
    tables.insert(0, Table("participants.tsv", columns, rows, "\t"))
    return CenterPlan(
        acquired(places), tuple(tables), tuple(told), tuple(sessions), _bids_description("NKI-Rockland Sample")
    )


def _nki_visits(sub: str, person: SimulatedPerson) -> Table:
    ages = [cell(round(age, 1), person.is_age_told, "n/a") for age in person.ages_years]
    return Table(f"sub-{sub}/sub-{sub}_nki_sessions.tsv", ("session_id", "age"),
                 [(f"ses-{label}", age) for label, age in zip(NKI_VISITS, ages, strict=False)], "\t")  # fmt: skip


def _nki_sessions(sub: str, person: SimulatedPerson) -> list[ExpectedSession]:
    if not person.is_age_told:
        return []
    return [
        ExpectedSession(sub, label, round(age, 1)) for label, age in zip(NKI_VISITS, person.ages_years, strict=False)
    ]


def _bids(
    person: SimulatedPerson, sub: str, ses: str, visit: int, name: str, look: Look, defect: str | None = None
) -> Place:
    path = f"sub-{sub}/ses-{ses}/anat/sub-{sub}_ses-{ses}_{name}.nii.gz"
    return Place(path, person, visit, sub, ses, name.rsplit("_", 1)[-1], look, defect=defect)


def _bids_description(name: str) -> dict[str, str]:
    document = {"Name": f"{name}: {SIMULATED}", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    return {"dataset_description.json": json.dumps(document) + "\n", "README": f"A {SIMULATED}, of no person.\n"}


IXI_SITES = ("HH", "Guys", "IOP")  # in the order of the fleet
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
        sub, site = f"IXI9{person.number:02}", IXI_SITES[(person.number - 1) % len(IXI_SITES)]
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
CAMCAN_COLUMNS = ("participant_id", "age", "hand", "gender_code", "tiv_cubicmm")


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
        Table(f"{CAMCAN_TOP}/anat/participants.tsv", CAMCAN_COLUMNS, listed, "\t"),
    )
    texts = {f"{CAMCAN_TOP}/anat/dataset_description.json": f'{{"Name": "Cam-CAN: {SIMULATED}"}}\n'}
    return CenterPlan(acquired(places), tables, tuple(told), texts=texts)


UKB = {
    (20252, "T1/T1"): ("T1w", Look((1.0, 1.0, 1.0), "RAS")),
    (20253, "T2_FLAIR/T2_FLAIR_orig_defaced"): ("FLAIR", Look((1.05, 1.0, 1.0), "RAS")),
    (20251, "SWI/SWI"): ("SWI", Look((0.8, 0.8, 3.0), "LAS")),
}
UKB_INSTANCES = ("2", "3")  # the first imaging visit, and the repeat
UKB_COLUMNS = ("eid", "31-0.0", "21003-2.0", "21003-3.0")
# Its companions are taken for derivatives by their folder; here each image's sidecar lies beside it.
UKB_SIDECARS = ({"pattern": r"(?:.*/)?\d{7}_\d{5}_\d_0/.*\.json", "kind": "sidecar"},)


def ukb(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe one folder per bulk field and instance, and a column of ages per instance."""
    places, rows, told, sessions = [], [], [], []
    for person in people:
        eid = f"99900{person.number:02}"
        ages = [str(int(age)) for age in person.ages_years]
        for visit, instance in enumerate(UKB_INSTANCES[: person.n_visits]):
            places += [
                Place(f"{eid}_{field}_{instance}_0/{path}.nii.gz", person, visit, eid, instance, contrast, look)
                for (field, path), (contrast, look) in UKB.items()
            ]
            if person.is_age_told:
                sessions.append(ExpectedSession(eid, instance, float(ages[visit])))
        sex = {"F": "0", "M": "1"}[person.sex]
        shown = [cell(age, person.is_age_told) for age in [*ages, ""][:2]]
        rows.append((eid, cell(sex, person.is_sex_told), *shown))
        told.append(participant(eid, person, float(ages[0])))
    table = Table("clinical_data.csv", UKB_COLUMNS, rows, is_quoted=True)
    return CenterPlan(acquired(places), (table,), tuple(told), tuple(sessions))
