"""Miniature of UK Biobank's brain imaging."""

from __future__ import annotations

from warehouse.miniature.expected import ExpectedParticipant, ExpectedSession
from warehouse.miniature.recipe import Facts, Recipe, Scan, Table

SKYRA: Facts = {"manufacturer": "Siemens", "manufacturers_model_name": "Skyra", "magnetic_field_strength_t": 3.0}
UKB_T1W: Facts = {**SKYRA, "repetition_time_s": 2.0, "inversion_time_s": 0.88}
UKB_FLAIR: Facts = {**SKYRA, "repetition_time_s": 5.0, "inversion_time_s": 1.8, "is_flip_angle_variable": True}
UKB_SWI: Facts = {**SKYRA, "repetition_time_s": 0.027}
UKB_COLUMNS = ("eid", "31-0.0", "34-0.0", "21022-0.0", "21003-2.0", "21003-3.0")


def ukb() -> Recipe:
    """Describe one folder per bulk field and instance, a column of ages per instance, and single coils."""
    scans = [
        scan
        for eid, instance in (("1000223", "2"), ("1000223", "3"), ("1000502", "2"), ("3338337", "2"))
        for scan in _ukb(eid, instance)
    ]
    rows = [("1000223", 0, 1950, 60, 66, 69), ("1000502", 1, 1945, 63, 70, ""), ("3338337", 1, 1960, 50, "", "")]
    return Recipe(
        "ukb",
        (
            ExpectedParticipant("1000223", "F", 66.0),
            ExpectedParticipant("1000502", "M", 70.0),
            ExpectedParticipant("3338337", "M"),
        ),
        tuple(scans),
        (Table("clinical_data.csv", UKB_COLUMNS, rows, is_quoted=True),),
        {"1000223_20252_2_0/T1/transforms/T1_to_MNI_linear.mat": "1 0 0 0\n"},
        sessions=(
            ExpectedSession("1000223", "2", 66.0),
            ExpectedSession("1000223", "3", 69.0),
            ExpectedSession("1000502", "2", 70.0),
        ),
    )


def _ukb(eid: str, instance: str) -> list[Scan]:
    def scan(
        bulk: int,
        path: str,
        contrast: str | None = None,
        eligible: bool = True,
        published: Facts | None = None,
        volumes: int = 1,
    ) -> Scan:
        place = f"{eid}_{bulk}_{instance}_0/{path}.nii.gz"
        size = (0.8, 0.8, 3.0) if bulk == 20251 else (1.0, 1.0, 1.0)
        return Scan(
            place,
            eid,
            instance,
            contrast,
            eligible,
            False,
            size,
            volumes,
            None,
            published or {},
            path.startswith("dMRI"),
        )

    return [
        scan(20252, "T1/T1", "T1w", published=UKB_T1W),
        scan(20252, "T1/T1_brain_to_MNI", "T1w", False, UKB_T1W),
        scan(20252, "T1/T1_brain_mask"),
        scan(20253, "T2_FLAIR/T2_FLAIR_orig_defaced", "FLAIR", published=UKB_FLAIR),
        scan(20253, "T2_FLAIR/T2_FLAIR", "FLAIR", False, UKB_FLAIR),
        scan(20251, "SWI/SWI", "SWI", published=UKB_SWI),
        scan(20251, "SWI/SWI_TOTAL_MAG_TE2"),
        scan(20251, "SWI/SWI_TOTAL_PHA"),
        scan(20251, "SWI/MAG_TE1/SWI_3MM_UPDATED_V1.1_COIL26_ECHO1_17"),
        scan(20250, "dMRI/raw/AP", volumes=2),
        scan(20227, "fMRI/rfMRI", volumes=2),
    ]
