"""Miniatures of the two datasets of patients: Open MS Data and UCSF-PDGM."""

from __future__ import annotations

from warehouse.miniature.expected import ExpectedParticipant
from warehouse.miniature.recipe import Recipe, Scan, Table

OPEN_MS_CONTRASTS = {
    "T1W": "T1w",
    "T1WKS": "T1w",
    "T2W": "T2w",
    "FLAIR": "FLAIR",
    "T1": "T1w",
    "T1POST": "T1w",
    "T2": "T2w",
}
POST_CONTRAST = {"T1WKS", "T1POST", "T1c"}
GRID = (0.5, 0.5, 3.3)


def open_ms() -> Recipe:
    """Describe two sets that both count from 01: patient03 of one is not patient03 of the other."""
    longitudinal = [scan for number in (1, 3) for scan in _longitudinal(number)]
    cross = [scan for number in (1, 3) for scan in _cross_sectional(number)]
    texts = {f"{folder}/README.md": "A miniature.\n" for folder in ("longitudinal", "cross_sectional")}
    for study in (1, 2):
        texts[f"longitudinal/raw/patient01/study{study}_T1W_intrastudy_to_FLAIR.txt"] = "1 0 0 0\n"
        texts[f"longitudinal/raw/patient01/study{study}_FLAIR_to_common_space.txt"] = "1 0 0 0\n"
    texts["cross_sectional/coregistered/patient01/T1W_to_FLAIR.txt"] = "1 0 0 0\n"
    long_rows = [(1, "F", 203, 20, ""), (2, "F", 283, 29, "RR"), (3, "M", 671, 19, "RR")]
    cross_rows = [(1, 31, "F", "RR", 1.5, "McDonald 2010"), (3, "N/A", "F", "N/A", "N/A", "N/A")]
    return Recipe(
        "open_ms",
        (
            ExpectedParticipant("cross01", "F", 31.0),
            ExpectedParticipant("cross03", "F"),
            ExpectedParticipant("long01", "F", 20.0),
            ExpectedParticipant("long02", "F", 29.0),
            ExpectedParticipant("long03", "M", 19.0),
        ),
        (*longitudinal, *cross),
        (
            Table(
                "longitudinal/patient_info.csv",
                ("patient_id", "sex", "days_between_studies", "age", "ms_type"),
                long_rows,
                line_end="\r\n",
            ),
            Table(
                "cross_sectional/patient_info.csv",
                ("patient_id", "age", "sex", "ms_type", "edss", "criteria"),
                cross_rows,
                line_end="\r\n",
            ),
        ),
        texts,
    )


def _longitudinal(number: int) -> list[Scan]:
    sub, patient = f"long{number:02}", f"patient{number:02}"
    scans = []
    for study in ("1", "2"):
        for weight in ("T1W", "T2W", "FLAIR"):
            contrast = OPEN_MS_CONTRASTS[weight]
            scans.append(
                Scan(
                    f"longitudinal/raw/{patient}/study{study}_{weight}.nii.gz", sub, study, contrast, voxel_size_mm=GRID
                )
            )
            scans.append(
                Scan(f"longitudinal/coregistered/{patient}/study{study}_{weight}.nii.gz", sub, study, contrast, False)
            )
    masks = [f"longitudinal/raw/{patient}/gt.nii.gz", f"longitudinal/coregistered/{patient}/brainmask.nii.gz"]
    return [*scans, *(Scan(path, sub) for path in masks)]


def _cross_sectional(number: int) -> list[Scan]:
    sub, patient = f"cross{number:02}", f"patient{number:02}"
    scans = []
    for weight in ("T1W", "T1WKS", "T2W", "FLAIR"):
        contrast, post = OPEN_MS_CONTRASTS[weight], weight in POST_CONTRAST
        scans.append(Scan(f"cross_sectional/raw/{patient}/{weight}.nii.gz", sub, None, contrast, True, post, GRID))
        scans.append(Scan(f"cross_sectional/coregistered/{patient}/{weight}.nii.gz", sub, None, contrast, False, post))
    for weight in ("T1", "T1POST", "T2", "FLAIR"):
        name = f"{weight}_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz"
        scans.append(
            Scan(
                f"cross_sectional/MNI/{patient}/{name}",
                sub,
                None,
                OPEN_MS_CONTRASTS[weight],
                False,
                weight in POST_CONTRAST,
            )
        )
    masks = [
        f"cross_sectional/coregistered/{patient}/brainmask.nii.gz",
        f"cross_sectional/raw/{patient}/consensus_gt.nii.gz",
        f"cross_sectional/MNI/{patient}/GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI.nii.gz",
    ]
    return [*scans, *(Scan(path, sub) for path in masks)]


SCANNER = {"manufacturer": "GE", "manufacturers_model_name": "Discovery 750", "magnetic_field_strength_t": 3.0}
UCSF_CONTRASTS = {"T1": "T1w", "T1c": "T1w", "T2": "T2w", "FLAIR": "FLAIR", "SWI": "SWI"}
UCSF_OTHERS = ("DWI", "ADC", "FA", "ASL", "brain_segmentation", "brain_parenchyma_segmentation", "tumor_segmentation")
UCSF_COLUMNS = ("ID", "Sex", "Age at MRI", "WHO CNS Grade", "Final pathologic diagnosis (WHO 2021)", "IDH", "OS")


def ucsf_pdgm() -> Recipe:
    """Describe identifiers of three digits in the table and four in the names, and a follow-up exam."""
    exams = ["0004", "0005", "0433", "0433_FU007d"]
    diagnosis = "Glioblastoma, IDH-wildtype"
    rows = [
        ("UCSF-PDGM-004", "M", 66, 4, diagnosis, "wildtype", 1303),
        ("UCSF-PDGM-005", "F", "unknown", 4, diagnosis, "wildtype", 274),
        ("UCSF-PDGM-433", "F", 39, 2, "Astrocytoma, IDH-mutant", "mutated (NOS)", ""),
        ("UCSF-PDGM-0433_FU007d", "F", 39, 2, "Astrocytoma, IDH-mutant", "mutated (NOS)", ""),
    ]
    people = (
        ExpectedParticipant("0004", "M", 66.0),
        ExpectedParticipant("0005", "F"),
        ExpectedParticipant("0433", "F", 39.0),
    )
    scans = tuple(scan for exam in exams for scan in _exam(exam))
    return Recipe("ucsf_pdgm", people, scans, (Table("UCSF-PDGM-metadata_v5.csv", UCSF_COLUMNS, rows),))


def _exam(exam: str) -> list[Scan]:
    sub, _, visit = exam.partition("_")
    folder, stem = f"UCSF-PDGM-v5/UCSF-PDGM-{exam}_nifti", f"UCSF-PDGM-{exam}"
    scans = []
    for name, contrast in UCSF_CONTRASTS.items():
        post = name in POST_CONTRAST
        scans.append(
            Scan(f"{folder}/{stem}_{name}.nii.gz", sub, visit or None, contrast, True, post, published=SCANNER)
        )
        scans.append(
            Scan(f"{folder}/{stem}_{name}_bias.nii.gz", sub, visit or None, contrast, False, post, published=SCANNER)
        )
    return [*scans, *(Scan(f"{folder}/{stem}_{name}.nii.gz", sub, visit or None) for name in UCSF_OTHERS)]
