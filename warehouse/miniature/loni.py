"""Miniatures of the two cohorts that the LONI archive serves: ADNI and AIBL.

Visits are known by the dates of their folders; the table that LONI gives with a download has the age at each of them.
"""

from __future__ import annotations

from warehouse.miniature.expected import ExpectedParticipant, ExpectedSession
from warehouse.miniature.recipe import Recipe, Scan, Table

COLLECTION = (
    "Image Data ID",
    "Subject",
    "Group",
    "Sex",
    "Age",
    "Visit",
    "Modality",
    "Description",
    "Type",
    "Acq Date",
    "Format",
    "Downloaded",
)


def adni() -> Recipe:
    """Describe raw and corrected T1w, FLAIR, T2*, two echoes in one file, a mask; baseline ages in ADNIMERGE."""
    scans = [
        *_adni(
            "002_S_0295",
            "2006-04-18_08_20_30.0",
            13408,
            ("MP-RAGE", "MPR__GradWarp__B1_Correction__N3__Scaled", "Axial_PD_T2_FSE", "Hippocampal_Mask"),
        ),
        *_adni(
            "002_S_0295",
            "2011-06-02_07_56_36.0",
            110000,
            ("MPRAGE", "Axial_T2-FLAIR", "Axial_T2-Star", "3-plane_localizer"),
        ),
        *_adni(
            "006_S_4153", "2011-08-03_08_12_01.0", 117305, ("MPRAGE", "Axial_T2-FLAIR", "Axial_T2-Star", "Axial_DTI")
        ),
        *_adni("116_S_6119", "2018-01-29_09_00_00.0", 650000, ("Accelerated_Sagittal_MPRAGE", "Sagittal_3D_FLAIR")),
    ]
    merge = [
        ("295", "002_S_0295", "2", "bl", "2006-04-18", "84.8", "Male"),
        ("295", "002_S_0295", "2", "m60", "2011-06-02", "84.8", "Male"),
        ("4153", "006_S_4153", "6", "bl", "2011-08-03", "79.3", "Male"),
        ("6119", "116_S_6119", "116", "bl", "2018-01-29", "", "Female"),
    ]
    visits = [
        ("002_S_0295", "M", "85", "4/18/2006"),
        ("002_S_0295", "M", "90", "6/2/2011"),
        ("006_S_4153", "M", "79", "8/3/2011"),
        ("116_S_6119", "F", "", "1/29/2018"),
    ]
    return Recipe(
        "adni",
        (
            ExpectedParticipant("002S0295", "M", 84.8),
            ExpectedParticipant("006S4153", "M", 79.3),
            ExpectedParticipant("116S6119", "F"),
        ),
        tuple(scans),
        (
            Table(
                "ADNIMERGE.csv",
                ("RID", "PTID", "SITE", "VISCODE", "EXAMDATE", "AGE", "PTGENDER"),
                merge,
                is_quoted=True,
            ),
            _collection("Miniature_1_15_2024.csv", visits),
        ),
        sessions=(
            ExpectedSession("002S0295", "20060418", 85.0),
            ExpectedSession("002S0295", "20110602", 90.0),
            ExpectedSession("006S4153", "20110803", 79.0),
        ),
    )


ADNI_CONTRASTS = {"FLAIR": "FLAIR", "Star": "T2starw", "RAGE": "T1w", "MPR": "T1w"}


def _adni(subject: str, moment: str, series_number: int, series: tuple[str, ...]) -> list[Scan]:
    scans = []
    for number, name in enumerate(series):
        contrast = next((value for part, value in ADNI_CONTRASTS.items() if part in name), None)
        number += series_number
        file = f"ADNI_{subject}_MR_{name}__br_raw_20060418193713091_1_S{number}_I{number + 300000}.nii"
        path = f"ADNI/{subject}/{name}/{moment}/S{number}/{file}"
        volumes = 2 if name in {"Axial_PD_T2_FSE", "Axial_DTI"} else 1
        size = (1.2, 0.9375, 0.9375) if contrast == "T1w" else (0.859375, 0.859375, 5.0)
        day = moment[:10].replace("-", "")
        scans.append(Scan(path, subject.replace("_", ""), day, contrast, voxel_size_mm=size, n_volumes=volumes))
    return scans


def aibl() -> Recipe:
    """Describe sex as 1 and 2, a year of birth in place of an age, two visits of one participant."""
    scans = [
        _aibl("5", "MPRAGE_ADNI_confirmed", "2007-06-22_11_25_43.0", 62407),
        _aibl("5", "MPRAGE_ADNI_confirmed", "2008-10-03_10_14_13.0", 78675),
        _aibl("16", "MPRAGE_SAG_ISO_p2_ND", "2009-01-15_09_30_00.0", 80001),
        _aibl("100", "MPRAGE", "2010-02-20_14_00_00.0", 90002),
        _aibl("100", "PIB", "2010-02-21_14_00_00.0", 90003),
    ]
    folder = "aibl_19Sep2019/Data_extract_3.3.0"
    demographics = [
        ("5", "1", "bl", "1", "/1933"),
        ("16", "1", "bl", "2", "/1940"),
        ("100", "2", "bl", "2", "/1951"),
        ("101", "2", "bl", "1", "/1944"),
    ]
    scores = [("5", "1", "bl", "06/20/2007", "29")]
    visits = [
        ("5", "M", "74", "6/22/2007"),
        ("5", "M", "75", "10/03/2008"),
        ("16", "F", "68", "1/15/2009"),
        ("100", "F", "", "2/20/2010"),
    ]
    return Recipe(
        "aibl",
        (
            ExpectedParticipant("100", "F"),
            ExpectedParticipant("101", "M"),
            ExpectedParticipant("16", "F", 68.0),
            ExpectedParticipant("5", "M", 74.0),
        ),
        tuple(scans),
        (
            Table(
                f"{folder}/aibl_ptdemog_01-Jun-2018.csv",
                ("RID", "SITEID", "VISCODE", "PTGENDER", "PTDOB"),
                demographics,
                line_end="\r\n",
            ),
            Table(
                f"{folder}/aibl_mmse_01-Jun-2018.csv",
                ("RID", "SITEID", "VISCODE", "EXAMDATE", "MMSCORE"),
                scores,
                line_end="\r\n",
            ),
            _collection("Miniature_1_15_2024.csv", visits),
        ),
        sessions=(
            ExpectedSession("5", "20070622", 74.0),
            ExpectedSession("5", "20081003", 75.0),
            ExpectedSession("16", "20090115", 68.0),
        ),
    )


def _aibl(subject: str, series: str, moment: str, number: int) -> Scan:
    modality, contrast = ("PT", None) if series == "PIB" else ("MR", "T1w")
    file = f"AIBL_{subject}_{modality}_{series}__br_raw_20100118121651368_1_S{number}_I{number + 70000}.nii"
    day = moment[:10].replace("-", "")
    return Scan(f"{subject}/{series}/{moment}/S{number}/{file}", subject, day, contrast, voxel_size_mm=(1.2, 1.0, 1.0))


def _collection(path: str, visits: list[tuple[str, str, str, str]]) -> Table:
    rows = [
        (f"I{number}", subject, "CN", sex, age, "1", "MRI", "MPRAGE", "Original", day, "NiFTI", "1/15/2024")
        for number, (subject, sex, age, day) in enumerate(visits, start=45108)
    ]
    return Table(path, COLLECTION, rows, is_quoted=True)
