"""Miniatures of the Human Connectome Project's three cohorts."""

from __future__ import annotations

from warehouse.miniature.expected import ExpectedParticipant
from warehouse.miniature.recipe import Facts, Recipe, Scan, Table

PRISMA = {"manufacturer": "Siemens", "manufacturers_model_name": "Prisma", "magnetic_field_strength_t": 3.0}
SKYRA = {"manufacturer": "Siemens", "manufacturers_model_name": "Connectome Skyra", "magnetic_field_strength_t": 3.0}
T1W_LIFESPAN = {**PRISMA, "repetition_time_s": 2.5, "inversion_time_s": 1.0, "flip_angle_deg": 8.0}
T2W_LIFESPAN = {**PRISMA, "is_flip_angle_variable": True}
T1W_YOUNG = {**SKYRA, "repetition_time_s": 2.4, "echo_time_s": 0.00214, "inversion_time_s": 1.0, "flip_angle_deg": 8.0}
T2W_YOUNG = {**SKYRA, "repetition_time_s": 3.2, "echo_time_s": 0.565, "is_flip_angle_variable": True}
REST = {**PRISMA, "repetition_time_s": 0.8, "echo_time_s": 0.037, "flip_angle_deg": 52.0}
FIELD_MAP = {**PRISMA, "repetition_time_s": 8.0, "echo_time_s": 0.066, "flip_angle_deg": 90.0}
ISOTROPIC = (0.8, 0.8, 0.8)


def hcp_development() -> Recipe:
    """Describe ages in months under a second line of descriptions: twelve and sixteen years, as in the paper."""
    people = (
        ExpectedParticipant("HCD0001305", "M", 12.0),
        ExpectedParticipant("HCD0008117", "F", 16.0),
        ExpectedParticipant("HCD0378150", "F"),
    )
    visits = [("HCD0001305", "V1"), ("HCD0001305", "V2"), ("HCD0008117", "V1"), ("HCD0378150", "V1")]
    return _lifespan("hcp_development", people, visits, "e1e2_mean")


def hcp_aging() -> Recipe:
    """Describe the older release: root mean square of four echoes."""
    people = (
        ExpectedParticipant("HCA6002236", "F", 71.5),
        ExpectedParticipant("HCA6005242", "M", 36.25),
        ExpectedParticipant("HCA8657295", "M"),
    )
    visits = [("HCA6002236", "V1"), ("HCA6002236", "V2"), ("HCA6005242", "V1"), ("HCA8657295", "V1")]
    return _lifespan("hcp_aging", people, visits, "RMS")


def _lifespan(
    center_id: str, people: tuple[ExpectedParticipant, ...], visits: list[tuple[str, str]], echoes: str
) -> Recipe:
    columns = ("collection_id", "subjectkey", "src_subject_id", "interview_date", "interview_age", "sex")
    rows: list[tuple[str, ...]] = [
        ("collection_id", "The NDAR Global Unique Identifier", "Subject ID", "Date", "Age in months", "Sex")
    ]
    for person in people:
        months = "" if person.age_years is None else f"{person.age_years * 12:.0f}"
        rows.append(("2846", "NDARXX000XXX", person.participant_id, "01/01/2018", months, person.sex or ""))
    scans = tuple(scan for sub, visit in visits for scan in _lifespan_visit(sub, visit, echoes))
    table = Table("ndar_subject01.txt", columns, rows, "\t", is_quoted=True)
    return Recipe(center_id, people, scans, (table,), {"manifests/HCD0008117_V1_MR_UnprocPcasl_manifest.json": "{}\n"})


def _lifespan_visit(sub: str, visit: str, echoes: str) -> list[Scan]:
    session = f"{sub}_{visit}_MR"
    t1w = {**PRISMA, "repetition_time_s": 2.5, "echo_time_s": 0.0022, "inversion_time_s": 1.0, "flip_angle_deg": 8.0}
    t2w = {**PRISMA, "repetition_time_s": 3.2, "echo_time_s": 0.563, "flip_angle_deg": 120.0}

    def scan(
        folder: str,
        name: str,
        contrast: str | None = None,
        eligible: bool = True,
        sidecar: Facts | None = None,
        volumes: int = 1,
    ) -> Scan:
        published: dict[str, Facts] = {"T1w": T1W_LIFESPAN, "T2w": T2W_LIFESPAN}
        defaults = published.get(contrast or "", {})
        path = f"{session}/{folder}/{name}.nii.gz"
        is_gradient = "dMRI" in name
        return Scan(path, sub, visit, contrast, eligible, False, ISOTROPIC, volumes, sidecar, defaults, is_gradient)

    folder = f"unprocessed/T1w_MPR_vNav_4e_{echoes}"
    return [
        scan(folder, f"{session}_T1w_MPR_vNav_4e_{echoes}", "T1w", sidecar=t1w),
        scan(f"{folder}/OTHER_FILES", f"{session}_T1w_MPR_vNav_Norm_4e_RMS", "T1w", False),
        scan("unprocessed/T2w_SPC_vNav", f"{session}_T2w_SPC_vNav", "T2w", sidecar=t2w),
        scan("unprocessed/rfMRI_REST1_AP", f"{session}_rfMRI_REST1_AP", sidecar=REST, volumes=2),
        scan("unprocessed/rfMRI_REST1_AP", f"{session}_rfMRI_REST1_AP_SBRef", sidecar=PRISMA),
        scan("unprocessed/rfMRI_REST1_AP", f"{session}_SpinEchoFieldMap1_AP", sidecar=FIELD_MAP),
        scan("unprocessed/Diffusion", f"{session}_dMRI_dir99_PA", sidecar=PRISMA, volumes=2),
        scan("T1w", "T1w_acpc_dc_restore", "T1w", False),
        scan("MNINonLinear", "T2w_restore_brain", "T2w", False),
    ]


def hcp_young_adult() -> Recipe:
    """Describe a dataset without sidecars, whose ages are ranges, the last one open."""
    people = (
        ExpectedParticipant("100206", "M", None, 26.0, 30.0),
        ExpectedParticipant("100307", "F", None, 36.0, None),
        ExpectedParticipant("103111", "M"),
    )
    rows = [
        ("100206", "S900", "Q11", "M", "26-30"),
        ("100307", "Q1", "Q01", "F", "36+"),
        ("103111", "S500", "Q06", "M", ""),
    ]
    scans = tuple(scan for person in people for scan in _young(person.participant_id))
    table = Table("unrestricted_miniature_1_1_2024.csv", ("Subject", "Release", "Acquisition", "Gender", "Age"), rows)
    return Recipe(
        "hcp_young_adult",
        people,
        scans,
        (table,),
        {"100307/MNINonLinear/fsaverage_LR32k/100307.L.midthickness.32k_fs_LR.surf.gii": "<GIFTI/>\n"},
    )


def _young(sub: str) -> list[Scan]:
    def scan(path: str, contrast: str | None = None, eligible: bool = True, volumes: int = 1) -> Scan:
        published: dict[str, Facts] = {"T1w": T1W_YOUNG, "T2w": T2W_YOUNG}
        return Scan(
            f"{sub}/{path}.nii.gz",
            sub,
            None,
            contrast,
            eligible,
            False,
            (0.7, 0.7, 0.7),
            volumes,
            None,
            published.get(contrast or "", {}),
        )

    raw = "unprocessed/3T"
    runs = [scan(f"{raw}/T1w_MPR{run}/{sub}_3T_T1w_MPR{run}", "T1w") for run in (1, 2)]
    return [
        *runs,
        scan(f"{raw}/T1w_MPR1/{sub}_3T_AFI", volumes=2),
        scan(f"{raw}/T1w_MPR1/{sub}_3T_BIAS_32CH"),
        scan(f"{raw}/T1w_MPR1/{sub}_3T_FieldMap_Magnitude", volumes=2),
        scan(f"{raw}/T1w_MPR1/{sub}_3T_FieldMap_Phase"),
        scan(f"{raw}/T2w_SPC1/{sub}_3T_T2w_SPC1", "T2w"),
        scan(f"{raw}/rfMRI_REST1_LR/{sub}_3T_rfMRI_REST1_LR", volumes=2),
        scan("T1w/T1w_acpc_dc_restore", "T1w", False),
        scan("MNINonLinear/T2w_restore_brain", "T2w", False),
    ]
