"""Miniatures of the centres that publish BIDS: LEMON and NKI-Rockland."""

from __future__ import annotations

import json

from warehouse.miniature.expected import ExpectedParticipant
from warehouse.miniature.recipe import Facts, Recipe, Scan, Table

VERIO = {"manufacturer": "Siemens", "manufacturers_model_name": "Verio", "magnetic_field_strength_t": 3.0}
TRIO = {"manufacturer": "Siemens", "manufacturers_model_name": "Trio", "magnetic_field_strength_t": 3.0}


def lemon() -> Recipe:
    """Describe MP2RAGE and its parts, ages in five-year bins, a folder without a row and a row without a folder."""
    scans = [
        *_mp2rage("010001", "01"),
        *_lemon_anat("010001", "01", "lowres"),
        *_mp2rage("010001", "02"),
        *_mp2rage("010002", "01"),
        *_lemon_anat("010002", "01", "highres"),
        *_mp2rage("010003", "02"),
    ]
    rows = [("sub-010001", "F", "55-60"), ("sub-010002", "M", "n/a"), ("sub-010004", "F", "65-70")]
    return Recipe(
        "lemon",
        (
            ExpectedParticipant("010001", "F", None, 55.0, 60.0),
            ExpectedParticipant("010002", "M"),
            ExpectedParticipant("010003"),
            ExpectedParticipant("010004", "F", None, 65.0, 70.0),
        ),
        tuple(scans),
        (Table("participants.tsv", ("participant_id", "gender", "age (5-year bins)"), rows, "\t"),),
        {"README": "A miniature.\n", "CHANGES": "1.0.0\n", **_description("MPI-Leipzig_Mind-Brain-Body")},
    )


def _mp2rage(sub: str, ses: str) -> list[Scan]:
    timing = {**VERIO, "repetition_time_s": 5.0, "echo_time_s": 0.00292}
    inversions = [
        _scan(sub, ses, "anat", "inv-1_mp2rage", sidecar={**timing, "inversion_time_s": 0.7, "flip_angle_deg": 4.0}),
        _scan(sub, ses, "anat", "inv-2_mp2rage", sidecar={**timing, "inversion_time_s": 2.5, "flip_angle_deg": 5.0}),
    ]
    return [
        _scan(sub, ses, "anat", "acq-mp2rage_T1w", "T1w", published=timing),
        _scan(sub, ses, "anat", "acq-mp2rage_T1map"),
        _scan(sub, ses, "anat", "acq-mp2rage_defacemask"),
        *inversions,
    ]


def _lemon_anat(sub: str, ses: str, flair: str) -> list[Scan]:
    t2w = {**VERIO, "repetition_time_s": 3.2, "echo_time_s": 0.409, "flip_angle_deg": 120.0}
    dark = {**VERIO, "repetition_time_s": 10.0, "echo_time_s": 0.09, "flip_angle_deg": 180.0}
    size = (0.9, 0.9, 4.0) if flair == "lowres" else (1.0, 0.49, 0.49)
    return [
        _scan(sub, ses, "anat", "T2w", "T2w", t2w),
        _scan(sub, ses, "anat", f"acq-{flair}_FLAIR", "FLAIR", dark, size=size),
        _scan(sub, ses, "anat", "acq-mag_GRE", sidecar=VERIO),
        _scan(sub, ses, "anat", "acq-phase_GRE", sidecar=VERIO),
        _scan(sub, ses, "dwi", "dwi", sidecar={**VERIO, "repetition_time_s": 7.0}, n_volumes=2),
    ]


def nki_rockland() -> Recipe:
    """Describe identifiers without prefix, sex in capitals, a follow-up visit and a participant without age."""
    t1w = {**TRIO, "repetition_time_s": 1.9, "echo_time_s": 0.00252, "inversion_time_s": 0.9, "flip_angle_deg": 9.0}
    t2w = {**TRIO, "repetition_time_s": 5.5, "echo_time_s": 0.1}
    scans = []
    for sub, ses in (("A00008326", "BAS1"), ("A00008326", "FLU1"), ("A00008399", "BAS1"), ("A00039636", "BAS1")):
        scans += [
            _scan(sub, ses, "anat", "T1w", "T1w", t1w, size=(1.0, 0.9765625, 0.9765625)),
            _scan(sub, ses, "anat", "T2w", "T2w", t2w),
        ]
        scans += [
            _scan(sub, ses, "func", "task-rest_acq-645_bold", sidecar={**TRIO, "repetition_time_s": 0.645}, n_volumes=2)
        ]
    rows = [
        ("A00008326", "52", "FEMALE", "RIGHT"),
        ("A00008399", "17", "MALE", "LEFT"),
        ("A00039636", "n/a", "FEMALE", "RIGHT"),
    ]
    visits = [("ses-BAS1",), ("ses-FLU1",)]
    return Recipe(
        "nki_rockland",
        (
            ExpectedParticipant("A00008326", "F", 52.0),
            ExpectedParticipant("A00008399", "M", 17.0),
            ExpectedParticipant("A00039636", "F"),
        ),
        tuple(scans),
        (
            Table("participants.tsv", ("participant_id", "age", "sex", "handedness"), rows, "\t"),
            Table("sub-A00008326/sub-A00008326_sessions.tsv", ("session_id",), visits, "\t"),
        ),
        {"README": "A miniature.\n", **_description("NKI-Rockland Sample")},
    )


def _scan(
    sub: str,
    ses: str,
    datatype: str,
    name: str,
    contrast: str | None = None,
    sidecar: Facts | None = None,
    published: Facts | None = None,
    size: tuple[float, float, float] = (1.0, 1.0, 1.0),
    n_volumes: int = 1,
) -> Scan:
    path = f"sub-{sub}/ses-{ses}/{datatype}/sub-{sub}_ses-{ses}_{name}.nii.gz"
    return Scan(
        path,
        sub,
        ses,
        contrast,
        voxel_size_mm=size,
        n_volumes=n_volumes,
        sidecar=sidecar,
        published=published or {},
        has_gradients=name.endswith("dwi"),
    )


def _description(name: str) -> dict[str, str]:
    return {"dataset_description.json": json.dumps({"Name": name, "BIDSVersion": "1.0.1"}) + "\n"}
