"""The layouts of six population cohorts: LEMON and NKI-Rockland (BIDS), IXI, OASIS-3, Cam-CAN, UK Biobank."""

from __future__ import annotations

import json
from collections.abc import Sequence

from model.simulation.layouts.plan import (
    DAYS_PER_YEAR,
    SIMULATED,
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

LEMON = {  # voxel sizes of ds000221
    "T1w": Look((1.0, 1.0, 1.0), "RAS"),
    "T2w": Look((1.0, 1.0, 1.0), "PSR"),
    "FLAIR": Look((0.9, 0.9, 4.0), "LAS", is_oblique=True),
}
LEMON_COLUMNS = ("participant_id", "gender", "age (5-year bins)")
LEMON_BIN_YEARS = 5
NKI = {"T1w": Look((1.0, 0.9765625, 0.9765625), "RAS"), "T2w": Look((1.0, 1.0, 1.0), "LAS")}
NKI_COLUMNS = ("participant_id", "age", "sex", "handedness")
NKI_VISITS = ("BAS1", "FLU1")


def lemon(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of LEMON: ages in five-year bins; a second T2w run is truncated."""
    places, rows, participants = [], [], []
    for person in people:
        sub = f"09{person.number:04}"
        places += [_bids_place(person, sub, "01", 0, name, look) for name, look in LEMON.items()]
        if person.number == 1:
            places.append(_bids_place(person, sub, "01", 0, "run-02_T2w", LEMON["T2w"], "truncated"))
        low = int(person.ages_years[0]) // LEMON_BIN_YEARS * LEMON_BIN_YEARS
        high = low + LEMON_BIN_YEARS
        participants.append(expected_participant(sub, person, low_years=low, high_years=high))
        rows.append((f"sub-{sub}", sex_cell(person, missing="n/a"), age_cell(person, f"{low}-{high}", "n/a")))
    tables = [Table("participants.tsv", LEMON_COLUMNS, rows, "\t")]
    return CenterPlan(places, tables, participants, texts=_bids_texts("LEMON"))


def nki_rockland(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of NKI: sex in capitals, a table of visits per person; one sidecar gives TE in milliseconds."""
    places, rows, participants, visits, sessions = [], [], [], [], []
    for person in people:
        sub, age = f"A999900{person.number:02}", float(int(person.ages_years[0]))
        visit_ages = [(label, round(age, 1)) for label, age in zip(NKI_VISITS, person.ages_years, strict=False)]
        for visit, (label, visit_age) in enumerate(visit_ages):
            places += [_bids_place(person, sub, label, visit, name, look) for name, look in NKI.items()]
            if person.is_age_published:
                sessions.append(ExpectedSession(sub, label, visit_age))
        if person.number == 1:
            places.append(_bids_place(person, sub, "BAS1", 0, "run-2_T1w", NKI["T1w"], "milliseconds"))
        sex = sex_cell(person, {"M": "MALE", "F": "FEMALE"}, "n/a")
        rows.append((sub, age_cell(person, age, "n/a"), sex, "RIGHT"))
        participants.append(expected_participant(sub, person, age))
        cells = [(f"ses-{label}", age_cell(person, visit_age, "n/a")) for label, visit_age in visit_ages]
        visits.append(Table(f"sub-{sub}/sub-{sub}_sessions.tsv", ("session_id", "age"), cells, "\t"))
    tables = [Table("participants.tsv", NKI_COLUMNS, rows, "\t"), *visits]
    return CenterPlan(places, tables, participants, sessions, _bids_texts("NKI-Rockland Sample"))


def bids_path(sub: str, ses: str, datatype: str, name: str) -> str:
    """Return the path of an image in a BIDS dataset with sessions."""
    return f"sub-{sub}/ses-{ses}/{datatype}/sub-{sub}_ses-{ses}_{name}.nii.gz"


def _bids_place(
    person: SimulatedPerson, sub: str, ses: str, visit: int, name: str, look: Look, defect: str | None = None
) -> Place:
    path = bids_path(sub, ses, "anat", name)
    return Place(path, person, visit, sub, ses, name.rsplit("_", 1)[-1], look, defect=defect)


def _bids_texts(name: str) -> dict[str, str]:
    document = {"Name": f"{name}: {SIMULATED}", "BIDSVersion": "1.9.0", "DatasetType": "raw"}
    return {"dataset_description.json": json.dumps(document) + "\n", "README": f"A {SIMULATED}, of no person.\n"}


IXI_SITES = ("HH", "Guys", "IOP")  # in the order of `scanner.CENTER_SCANNERS`
IXI = {
    "T1": ("T1w", Look((0.9375, 0.9375, 1.2), "PSR")),
    "T2": ("T2w", Look((0.9375, 0.9375, 1.25), "LPS", is_oblique=True)),
    "PD": ("PDw", Look((0.9375, 0.9375, 1.25), "LPS", is_oblique=True)),
    "MRA": ("angio", Look((0.46875, 0.46875, 0.8), "LPS", is_oblique=True)),
}
IXI_COLUMNS = ("IXI_ID", "SEX_ID (1=m, 2=f)", "ETHNIC_ID", "DATE_AVAILABLE", "AGE")


def ixi(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of IXI: three hospitals, sex as 1 and 2; one repeated T1 has no sidecar."""
    places, rows, participants = [], [], []
    for person in people:
        sub, site = f"IXI9{person.number:02}", IXI_SITES[(person.number - 1) % len(IXI_SITES)]
        images = [(name, f"{site}-9{person.number:03}", None) for name in IXI]
        repeats = [("T1", f"{site}-8{person.number:03}", "no_sidecar")] if person.number == 1 else []
        for name, scan, defect in [*images, *repeats]:
            contrast, look = IXI[name]
            places.append(Place(ixi_path(sub, scan, name), person, 0, sub, None, contrast, look, defect=defect))
        age, sex = age_cell(person, person.ages_years[0]), sex_cell(person, {"M": "1", "F": "2"})
        rows.append((f"9{person.number:02}", sex, "", 1, age))
        participants.append(expected_participant(sub, person, person.ages_years[0]))
    return CenterPlan(places, [Table("IXI.csv", IXI_COLUMNS, rows, line_end="\r\n")], participants)


def ixi_path(sub: str, scan: str, name: str) -> str:
    """Return the path of an image of IXI; `scan` is the hospital and a number."""
    return f"IXI-{name.split('-')[0]}/{sub}-{scan}-{name}.nii.gz"


OASIS3 = {
    "T1w": ("T1w", Look((1.0, 1.0, 1.0), "ASR")),
    "T2w": ("T2w", Look((1.0, 1.0, 1.0), "ASR")),
    "FLAIR": ("FLAIR", Look((0.859375, 0.859375, 5.0), "LAS", is_oblique=True)),
    "T2star": ("T2starw", Look((0.859375, 0.859375, 4.0), "LAS", is_oblique=True)),
    "swi": ("SWI", Look((0.859375, 0.859375, 2.0), "LAS")),
    "angio": ("angio", Look((0.6, 0.6, 1.0), "LAS")),
    "PDw": ("PDw", Look((0.9375, 0.9375, 3.0), "LAS", is_oblique=True)),
}
OASIS3_COLUMNS = ("OASISID", "AgeatEntry", "GENDER", "HAND")
OASIS3_FIRST_VISIT_DAYS = 90
# The real dataset has no PDw; here an external centre must offer it too, under a name that the layout reads.
OASIS3_OFFERS = ("PDw",)


def oasis3(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of OASIS-3: visits in days from entry; the qform of a second T1w run is mirrored."""
    places, rows, participants, sessions = [], [], [], []
    for person in people:
        sub = f"OAS390{person.number:02}"
        entry = round(person.ages_years[0] - OASIS3_FIRST_VISIT_DAYS / DAYS_PER_YEAR, 2)
        for visit, age in enumerate(person.ages_years):
            days = round((age - entry) * DAYS_PER_YEAR)
            ses = f"d{days:04}"
            images: list[tuple[str, str | None]] = [(name, None) for name in OASIS3]
            if person.number == 1 and visit == 0:
                images.append(("run-02_T1w", "mirrored_qform"))
            for number, (name, defect) in enumerate(images, start=1):
                contrast, look = OASIS3[name.rsplit("_", 1)[-1]]
                path = oasis3_path(sub, ses, f"{'swi' if name == 'swi' else 'anat'}{number}", name)
                places.append(Place(path, person, visit, sub, ses, contrast, look, defect=defect))
            if person.is_age_published:
                sessions.append(ExpectedSession(sub, ses, round(entry + days / DAYS_PER_YEAR, 4)))
        rows.append((sub, age_cell(person, entry), sex_cell(person, {"M": "1", "F": "2"}), "R"))
        participants.append(expected_participant(sub, person, entry))
    return CenterPlan(places, [Table("OASIS3_demographics.csv", OASIS3_COLUMNS, rows)], participants, sessions)


def oasis3_path(sub: str, ses: str, folder: str, name: str) -> str:
    """Return the path of an image of OASIS-3."""
    return f"{sub}_MR_{ses}/{folder}/sub-{sub}_ses-{ses}_{name}.nii.gz"


CAMCAN = {"T1w": Look((1.0, 1.0, 1.0), "RAS"), "T2w": Look((1.0, 1.0, 1.0), "LAS")}
CAMCAN_TOP = "cc700/mri/pipeline/release004/BIDS_20190411"
CAMCAN_COLUMNS = ("participant_id", "age", "hand", "gender_code", "tiv_cubicmm")
CAMCAN_STANDARD_COLUMNS = ("CCID", "Age", "Hand", "Sex")


def camcan(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of Cam-CAN: uncompressed images, sex as words in one table and as 1 and 2 in the other."""
    places, standard, listed, participants = [], [], [], []
    for person in people:
        sub, age = f"CC9900{person.number:02}", float(int(person.ages_years[0]))
        places += [
            Place(f"{camcan_stem('anat', sub, 'anat', name)}.nii", person, 0, sub, None, name, look)
            for name, look in CAMCAN.items()
        ]
        standard.append((sub, age_cell(person, age), "R", sex_cell(person, {"M": "MALE", "F": "FEMALE"})))
        code = sex_cell(person, {"M": "1", "F": "2"}, "n/a")
        listed.append((f"sub-{sub}", age_cell(person, age, "n/a"), "R", code, "n/a"))
        participants.append(expected_participant(sub, person, age))
    texts = {f"{CAMCAN_TOP}/anat/dataset_description.json": f'{{"Name": "Cam-CAN: {SIMULATED}"}}\n'}
    return CenterPlan(places, camcan_tables(standard, listed), participants, texts=texts)


def camcan_stem(tree: str, sub: str, folder: str, name: str) -> str:
    """Return the path of an image of Cam-CAN without its extension; each modality has a tree."""
    return f"{CAMCAN_TOP}/{tree}/sub-{sub}/{folder}/sub-{sub}_{name}"


def camcan_tables(standard: Sequence[Sequence[object]], listed: Sequence[Sequence[object]]) -> list[Table]:
    """Return the two tables of Cam-CAN."""
    return [
        Table("standard_data.csv", CAMCAN_STANDARD_COLUMNS, standard, has_byte_order_mark=True),
        Table(f"{CAMCAN_TOP}/anat/participants.tsv", CAMCAN_COLUMNS, listed, "\t"),
    ]


UKB = {
    (20252, "T1/T1"): ("T1w", Look((1.0, 1.0, 1.0), "RAS")),
    (20253, "T2_FLAIR/T2_FLAIR_orig_defaced"): ("FLAIR", Look((1.05, 1.0, 1.0), "RAS")),
    (20251, "SWI/SWI"): ("SWI", Look((0.8, 0.8, 3.0), "LAS")),
}
UKB_INSTANCES = ("2", "3")  # the first imaging visit, and the repeat
UKB_COLUMNS = ("eid", "31-0.0", "21003-2.0", "21003-3.0")
# The real layout classifies companions as derivatives by their folder; here a sidecar lies beside each image.
UKB_SIDECARS = ({"pattern": r"(?:.*/)?\d{7}_\d{5}_\d_0/.*\.json", "kind": "sidecar"},)


def ukb(people: Sequence[SimulatedPerson]) -> CenterPlan:
    """Return the plan of UK Biobank: a folder per bulk field and instance, a column of ages per instance."""
    places, rows, participants, sessions = [], [], [], []
    for person in people:
        eid, ages = f"99900{person.number:02}", [int(age) for age in person.ages_years]
        for visit, (instance, age) in enumerate(zip(UKB_INSTANCES, ages, strict=False)):
            places += [
                Place(ukb_path(eid, field, instance, path), person, visit, eid, instance, contrast, look)
                for (field, path), (contrast, look) in UKB.items()
            ]
            if person.is_age_published:
                sessions.append(ExpectedSession(eid, instance, float(age)))
        cells = [*(age_cell(person, age) for age in ages), ""][:2]
        rows.append((eid, sex_cell(person, {"F": "0", "M": "1"}), *cells))
        participants.append(expected_participant(eid, person, float(ages[0])))
    return CenterPlan(places, [Table("clinical_data.csv", UKB_COLUMNS, rows, is_quoted=True)], participants, sessions)


def ukb_path(eid: str, field: int, instance: str, name: str) -> str:
    """Return the path of an image of UK Biobank, in the folder of its bulk field."""
    return f"{eid}_{field}_{instance}_0/{name}.nii.gz"
