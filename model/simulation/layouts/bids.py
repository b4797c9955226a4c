"""The centres that publish BIDS: LEMON and NKI-Rockland."""

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
BIN_YEARS = 5
VISITS = ("BAS1", "FLU1")


def lemon(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe ages in five-year bins; a second T2w run is cut short."""
    places, rows, told = [], [], []
    for person in people:
        sub = f"09{person.number:04}"
        places += [_place(person, sub, "01", 0, name, look) for name, look in LEMON.items()]
        if person.number == 1:
            places.append(_place(person, sub, "01", 0, "run-02_T2w", LEMON["T2w"], "truncated"))
        low = int(person.ages_years[0]) // BIN_YEARS * BIN_YEARS
        told.append(participant(sub, person, low=float(low), high=float(low + BIN_YEARS)))
        age = cell(f"{low}-{low + BIN_YEARS}", person.is_age_told, "n/a")
        rows.append((f"sub-{sub}", cell(person.sex, person.is_sex_told, "n/a"), age))
    table = Table("participants.tsv", ("participant_id", "gender", "age (5-year bins)"), rows, "\t")
    return CenterPlan(acquired(places), (table,), tuple(told), texts=_description("LEMON"))


def nki_rockland(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Describe sex in capitals and ages of visits in tables of their own; a sidecar gives its echo time in ms."""
    places, rows, told, tables, sessions = [], [], [], [], []
    for person in people:
        sub = f"A999900{person.number:02}"
        for visit, label in enumerate(VISITS[: person.n_visits]):
            places += [_place(person, sub, label, visit, name, look) for name, look in NKI.items()]
        if person.number == 1:
            places.append(_place(person, sub, "BAS1", 0, "run-2_T1w", NKI["T1w"], "milliseconds"))
        sex = {"M": "MALE", "F": "FEMALE"}[person.sex]
        age = float(int(person.ages_years[0]))
        rows.append((sub, cell(age, person.is_age_told, "n/a"), cell(sex, person.is_sex_told, "n/a"), "RIGHT"))
        told.append(participant(sub, person, age))
        tables.append(_visits(sub, person))
        sessions += _sessions(sub, person)
    columns = ("participant_id", "age", "sex", "handedness")
    tables.insert(0, Table("participants.tsv", columns, rows, "\t"))
    return CenterPlan(
        acquired(places), tuple(tables), tuple(told), tuple(sessions), _description("NKI-Rockland Sample")
    )


def _visits(sub: str, person: SimulatedPerson) -> Table:
    ages = [cell(round(age, 1), person.is_age_told, "n/a") for age in person.ages_years]
    return Table(f"sub-{sub}/sub-{sub}_sessions.tsv", ("session_id", "age"),
                 [(f"ses-{label}", age) for label, age in zip(VISITS, ages, strict=False)], "\t")  # fmt: skip


def _sessions(sub: str, person: SimulatedPerson) -> list[ExpectedSession]:
    if not person.is_age_told:
        return []
    return [ExpectedSession(sub, label, round(age, 1)) for label, age in zip(VISITS, person.ages_years, strict=False)]


def _place(
    person: SimulatedPerson, sub: str, ses: str, visit: int, name: str, look: Look, defect: str | None = None
) -> Place:
    path = f"sub-{sub}/ses-{ses}/anat/sub-{sub}_ses-{ses}_{name}.nii.gz"
    return Place(path, person, visit, sub, ses, name.rsplit("_", 1)[-1], look, defect=defect)


def _description(name: str) -> dict[str, str]:
    document = {"Name": f"{name}: {SIMULATED}", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    return {"dataset_description.json": json.dumps(document) + "\n", "README": f"A {SIMULATED}, of no person.\n"}
