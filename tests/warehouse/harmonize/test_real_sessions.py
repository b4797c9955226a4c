"""Real clinical sessions, held against their authors' own transforms and masks."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from warehouse.harmonize.recipe import load_recipe
from warehouse.harmonize.rows import EligibleScan, HarmonizedRows, read_turned
from warehouse.harmonize.session import harmonize_session
from warehouse.imaging.itk import LPS, to_itk
from warehouse.volumes import open_store

pytestmark = [pytest.mark.real, pytest.mark.slow]
STANDARD = load_recipe("standard")


def harmonised(folder: Path, scans: dict[str, tuple[Path, str]]) -> HarmonizedRows:
    """Harmonise scans given by an identifier, as path and contrast."""
    known = {"center_id": "lab", "participant_id": "01", "entities": {"sub": "01"}, "is_simulated": False}
    made = [
        EligibleScan(key, path, contrast, known, str(path.stat().st_size)) for key, (path, contrast) in scans.items()
    ]
    return harmonize_session(folder / "home" / "volumes", "lab/sub-01", made, STANDARD)


def to_reference(result: HarmonizedRows, image_id: str) -> NDArray[np.float64]:
    found = [row for row in result.transforms if row["image_id"] == image_id and row["kind"] == "to_reference"]
    return np.reshape(found[0]["matrix"], (4, 4)) if found else np.eye(4)


def native(folder: Path, result: HarmonizedRows, image_id: str) -> tuple[object, NDArray[np.bool_]]:
    row = next(row for row in result.volumes if row["image_id"] == image_id and row["form"] == "native")
    return read_turned(open_store(folder / "home" / row["path"]))


@pytest.fixture(scope="module")
def patient(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, HarmonizedRows]:
    """Patient 03's second visit: thick slices, three grids, T1w 5.6 mm away from the FLAIR by their headers."""
    source = samples / "images" / "open_ms_longitudinal" / "patient03"
    folder = tmp_path_factory.mktemp("patient03")
    scans = {
        name: (source / f"study2_{file}.nii.gz", name)
        for name, file in (("T1w", "T1W"), ("T2w", "T2W"), ("FLAIR", "FLAIR"))
    }
    return source, folder, harmonised(folder, scans)


@pytest.mark.parametrize(("contrast", "file"), [("T1w", "T1W"), ("T2w", "T2W")])
def test_alignment_agrees_with_the_authors_within_a_millimetre(
    patient: tuple[Path, Path, HarmonizedRows], contrast: str, file: str
) -> None:
    import SimpleITK as sitk

    source, folder, result = patient
    assert result.rejections == []
    image, mask = native(folder, result, "FLAIR")
    points = nib.affines.apply_affine(image.affine, np.argwhere(mask)[::101])
    ours = nib.affines.apply_affine(
        np.linalg.inv(to_reference(result, contrast)) @ to_reference(result, "FLAIR"), points
    )
    authors = sitk.ReadTransform(str(source / f"study2_{file}_intrastudy_to_FLAIR.txt"))
    flip = np.diag(LPS)[:3]
    theirs = np.array([authors.TransformPoint(point.tolist()) for point in points * flip]) * flip
    distance_mm = np.linalg.norm(ours - theirs, axis=1)
    assert distance_mm.mean() < 1.0
    assert np.percentile(distance_mm, 95) < 1.5


def test_the_brain_mask_agrees_with_the_authors(samples: Path, tmp_path: Path) -> None:
    import SimpleITK as sitk

    source = samples / "images" / "open_ms_longitudinal" / "patient01"
    result = harmonised(tmp_path, {"FLAIR": (source / "study1_FLAIR.nii.gz", "FLAIR")})
    image, mask = native(tmp_path, result, "FLAIR")
    theirs = sitk.ReadImage(str(source / "coregistered_masks" / "brainmask.nii.gz"))
    to_common = sitk.ReadTransform(str(source / "study1_FLAIR_to_common_space.txt"))
    moved = sitk.Resample(to_itk(image, mask.astype(np.float32)), theirs, to_common, sitk.sitkLinear, 0.0)
    ours, reference = sitk.GetArrayFromImage(moved) >= 0.5, sitk.GetArrayFromImage(theirs) > 0
    assert 2 * (ours & reference).sum() / (ours.sum() + reference.sum()) > 0.95


def test_contrasts_that_were_aligned_before_stay_aligned_and_small_negative_values_do_no_harm(
    samples: Path, tmp_path: Path
) -> None:
    source = samples / "images" / "open_ms_cross_sectional_mni" / "patient07"
    name = "_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz"
    contrasts = {"T1w": "T1", "ceT1w": "T1POST", "T2w": "T2", "FLAIR": "FLAIR"}
    result = harmonised(tmp_path, {key: (source / f"{file}{name}", key) for key, file in contrasts.items()})
    assert result.rejections == []
    image, mask = native(tmp_path, result, "T1w")
    points = nib.affines.apply_affine(image.affine, np.argwhere(mask)[::501])
    for contrast in ("ceT1w", "T2w", "FLAIR"):
        moved = nib.affines.apply_affine(to_reference(result, contrast), points)
        assert np.linalg.norm(moved - points, axis=1).mean() < 0.3, contrast
    for row in result.volumes:
        values = open_store(tmp_path / "home" / row["path"])[:, :, :]
        assert values.min() >= 0
        assert values.max() <= 1
