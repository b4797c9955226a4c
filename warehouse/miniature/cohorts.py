"""Miniatures of three population cohorts with layouts of their own: IXI, OASIS-3, Cam-CAN."""

from __future__ import annotations

from warehouse.miniature.expected import ExpectedParticipant, ExpectedSession
from warehouse.miniature.recipe import Facts, Recipe, Scan, Table

IXI_GUYS: dict[str, Facts] = {
    "T1": {"repetition_time_s": 0.009813, "echo_time_s": 0.004603, "flip_angle_deg": 8.0},
    "T2": {"repetition_time_s": 8.17834, "echo_time_s": 0.1, "flip_angle_deg": 90.0},
    "PD": {"repetition_time_s": 8.17834, "echo_time_s": 0.008, "flip_angle_deg": 90.0},
    "MRA": {"repetition_time_s": 0.02, "echo_time_s": 0.0069052, "flip_angle_deg": 25.0},
}
IXI_HH: dict[str, Facts] = {
    "T1": {"repetition_time_s": 0.0096, "echo_time_s": 0.0046, "flip_angle_deg": 8.0},
    "T2": {"repetition_time_s": 5.72579, "echo_time_s": 0.1, "flip_angle_deg": 90.0},
    "PD": {"repetition_time_s": 5.72579, "echo_time_s": 0.008, "flip_angle_deg": 90.0},
    "MRA": {},
}
IXI_SITES: dict[str, tuple[Facts, dict[str, Facts]]] = {
    "Guys": ({"manufacturer": "Philips", "magnetic_field_strength_t": 1.5}, IXI_GUYS),
    "HH": ({"manufacturer": "Philips", "magnetic_field_strength_t": 3.0}, IXI_HH),
    "IOP": ({"manufacturer": "GE", "magnetic_field_strength_t": 1.5}, {}),
}
IXI_IMAGES = {
    "T1": ("T1w", (0.9375, 0.9375, 1.2)),
    "T2": ("T2w", (0.9375, 0.9375, 1.25)),
    "PD": ("PDw", (0.9375, 0.9375, 1.25)),
    "MRA": ("angio", (0.46875, 0.46875, 0.8)),
}


def ixi() -> Recipe:
    """Describe three hospitals, sex as 1 and 2, identifiers padded in names alone, and a row without images."""
    scans = [
        scan
        for subject, site, number in (
            ("002", "Guys", "0828"),
            ("012", "HH", "1211"),
            ("013", "HH", "1212"),
            ("035", "IOP", "0873"),
        )
        for scan in _ixi(subject, site, number)
    ]
    columns = (
        "IXI_ID",
        "SEX_ID (1=m, 2=f)",
        "HEIGHT",
        "WEIGHT",
        "ETHNIC_ID",
        "DOB",
        "DATE_AVAILABLE",
        "STUDY_DATE",
        "AGE",
    )
    rows = [
        (2, 2, 164, 58, 1, "1970-02-07", 1, "2005-11-18", 35.8),
        (12, 1, 175, 70, 1, "1966-08-20", 1, "2005-06-01", 38.78),
        (13, 1, 182, 70, 1, "", 1, "", ""),
        (35, 2, 170, 60, 1, "1950-01-01", 1, "2006-01-01", 56.0),
        (116, 1, 180, 80, 1, "1960-05-05", 0, "", 45.5),
    ]
    people = (
        ExpectedParticipant("IXI002", "F", 35.8),
        ExpectedParticipant("IXI012", "M", 38.78),
        ExpectedParticipant("IXI013", "M"),
        ExpectedParticipant("IXI035", "F", 56.0),
        ExpectedParticipant("IXI116", "M", 45.5),
    )
    texts = {"IXI-DTI/bvals.txt": "0 1000\n", "IXI-DTI/bvecs.txt": "0 1\n0 0\n0 0\n"}
    return Recipe("ixi", people, tuple(scans), (Table("IXI.csv", columns, rows, line_end="\r\n"),), texts)


def _ixi(subject: str, site: str, number: str) -> list[Scan]:
    sub, stem = f"IXI{subject}", f"IXI{subject}-{site}-{number}"
    scanner, timings = IXI_SITES[site]
    scans = [
        Scan(
            f"IXI-{name}/{stem}-{name}.nii.gz",
            sub,
            None,
            contrast,
            voxel_size_mm=size,
            published={**scanner, **timings.get(name, {})},
        )
        for name, (contrast, size) in IXI_IMAGES.items()
    ]
    return [
        *scans,
        *(Scan(f"IXI-DTI/{stem}-DTI-{volume:02}.nii.gz", sub, voxel_size_mm=(1.75, 1.75, 2.35)) for volume in range(2)),
    ]


TRIO: Facts = {"manufacturer": "Siemens", "manufacturers_model_name": "Trio", "magnetic_field_strength_t": 3.0}
OASIS3_TIMINGS: dict[str, Facts] = {
    "T1w": {"repetition_time_s": 2.4, "echo_time_s": 0.00316, "inversion_time_s": 1.0, "flip_angle_deg": 8.0},
    "T2w": {"repetition_time_s": 3.2, "echo_time_s": 0.455, "flip_angle_deg": 120.0},
    "FLAIR": {"repetition_time_s": 9.0, "echo_time_s": 0.091, "inversion_time_s": 2.5, "flip_angle_deg": 150.0},
    "T2star": {"repetition_time_s": 0.65, "echo_time_s": 0.02, "flip_angle_deg": 20.0},
    "swi": {"repetition_time_s": 0.027, "echo_time_s": 0.02, "flip_angle_deg": 15.0},
    "angio": {"repetition_time_s": 0.022, "echo_time_s": 0.00361, "flip_angle_deg": 18.0},
}
OASIS3_SUFFIXES = {"T2star": "T2starw", "swi": "SWI"}


def oasis3() -> Recipe:
    """Describe visits counted in days from entry: the age at a visit is the age at entry and the days since."""
    scans = [
        *_oasis3("OAS30001", "d0129", ("run-01_T1w", "run-02_T1w", "T2w", "task-rest_run-01_bold")),
        *_oasis3("OAS30001", "d0757", ("run-01_T1w", "acq-TSE_T2w", "FLAIR", "T2star", "swi", "minIP", "angio", "dwi")),
        *_oasis3("OAS30002", "d0371", ("T1w", "T2w", "FLAIR")),
        *_oasis3("OAS30003", "d0558", ("T1w", "T2star")),
    ]
    rows = [
        ("OAS30001", 65.15, 2, "R"),
        ("OAS30002", 67.21, 1, "R"),
        ("OAS30003", "", 2, "R"),
        ("OAS30004", 55.18, 2, "L"),
    ]
    people = (
        ExpectedParticipant("OAS30001", "F", 65.15),
        ExpectedParticipant("OAS30002", "M", 67.21),
        ExpectedParticipant("OAS30003", "F"),
        ExpectedParticipant("OAS30004", "F", 55.18),
    )
    visits = (("OAS30001", "d0129", 65.15, 129), ("OAS30001", "d0757", 65.15, 757), ("OAS30002", "d0371", 67.21, 371))
    sessions = tuple(ExpectedSession(sub, ses, entry + days / 365.25) for sub, ses, entry, days in visits)
    table = Table("OASIS3_demographics.csv", ("OASISID", "AgeatEntry", "GENDER", "HAND"), rows)
    return Recipe("oasis3", people, tuple(scans), (table,), sessions=sessions)


def _oasis3(sub: str, ses: str, names: tuple[str, ...]) -> list[Scan]:
    scans = []
    for number, name in enumerate(names, start=1):
        suffix = name.rsplit("_", 1)[-1]
        timing = OASIS3_TIMINGS.get(suffix)
        folder = {"bold": "func", "dwi": "dwi", "swi": "swi", "minIP": "swi"}.get(suffix, "anat")
        contrast = OASIS3_SUFFIXES.get(suffix, suffix) if timing else None
        path = f"{sub}_MR_{ses}/{folder}{number}/sub-{sub}_ses-{ses}_{name}.nii.gz"
        volumes = 2 if suffix in {"bold", "dwi"} else 1
        sidecar = {**TRIO, **(timing or {})}
        scans.append(Scan(path, sub, ses, contrast, n_volumes=volumes, sidecar=sidecar, has_gradients=suffix == "dwi"))
    return scans


def camcan() -> Recipe:
    """Describe one tree per modality, sex as words in one table and as 1 and 2 in the other."""
    t1w = {**TRIO, "repetition_time_s": 2.25, "echo_time_s": 0.00299, "inversion_time_s": 0.9, "flip_angle_deg": 9.0}
    t2w = {**TRIO, "repetition_time_s": 2.8, "echo_time_s": 0.408}
    top = "cc700/mri/pipeline/release004/BIDS_20190411"
    scans = []
    for sub in ("CC110033", "CC110037", "CC110045"):
        name = f"sub-{sub}"
        scans += [
            Scan(f"{top}/anat/{name}/anat/{name}_T1w.nii.gz", sub, None, "T1w", sidecar=t1w),
            Scan(f"{top}/anat/{name}/anat/{name}_T2w.nii.gz", sub, None, "T2w", sidecar=t2w),
            Scan(f"{top}/dwi/{name}/dwi/{name}_dwi.nii.gz", sub, n_volumes=2, sidecar=TRIO, has_gradients=True),
            Scan(f"{top}/fmap_rest/{name}/fmap/{name}_fmap.nii.gz", sub),
            Scan(f"{top}/epi_rest/{name}/epi_rest/{name}_epi_rest.nii.gz", sub, n_volumes=2),
        ]
    standard = [("CC110033", 24, "R", "MALE"), ("CC110037", 18, "R", "MALE"), ("CC110045", "", "R", "FEMALE")]
    listed = [
        ("sub-CC110033", 24, "R", 1, 1500000),
        ("sub-CC110037", 18, "R", 1, 1490000),
        ("sub-CC110045", "n/a", "R", 2, 1390000),
    ]
    return Recipe(
        "camcan",
        (
            ExpectedParticipant("CC110033", "M", 24.0),
            ExpectedParticipant("CC110037", "M", 18.0),
            ExpectedParticipant("CC110045", "F"),
        ),
        tuple(scans),
        (
            Table("standard_data.csv", ("CCID", "Age", "Hand", "Sex"), standard, has_byte_order_mark=True),
            Table(
                f"{top}/anat/participants.tsv",
                ("participant_id", "age", "hand", "gender_code", "tiv_cubicmm"),
                listed,
                "\t",
            ),
        ),
        {f"{top}/anat/dataset_description.json": '{"Name": "Cam-CAN"}\n'},
    )
