"""A marker on the person's left stays there from files of any orientation to stores, patches and exported files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.warehouse.harmonize.conftest import rotation, scanned
from warehouse.harmonize import mask as brain
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import EligibleScan
from warehouse.harmonize.session import harmonize_session
from warehouse.imaging.geometry import Image
from warehouse.volumes import export, open_store

QUICK = Recipe(name="quick", is_draft=True, grid_mm=3.0, n4=False, register_mm=4.0, mni_mm=6, converged_mm=0.1)
LEFT_MM = np.array([-45.0, -20.0, 10.0])  # RAS+: x is negative on the left
STORED = {"T1w": "LAS", "T2w": "PSR", "FLAIR": "oblique", "PDw": "RAS"}
FORMS = {"T1w": (1, 1), "T2w": (1, 0), "FLAIR": (0, 1), "PDw": (0, 2)}  # codes of qform and sform


def stored(image: Image, order: str) -> Image:
    """Return the head as a file of another orientation holds it."""
    if order == "oblique":
        turned = nib.affines.from_matvec(rotation((9, -6, 12)) @ np.diag([3.0, 3.0, 3.0]))
        turned[:3, 3] = -(turned[:3, :3] @ (np.array([66, 78, 66]) - 1) / 2)
        return scanned(image, np.eye(4), turned @ np.diag([-1.0, 1, 1, 1]) @ _shifted(65), (66, 78, 66))
    ornt = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(order)
    )
    affine = image.affine @ nib.orientations.inv_ornt_aff(ornt, image.voxels.shape)
    return Image(nib.orientations.apply_orientation(image.voxels, ornt), affine)


def _shifted(last: int) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[0, 3] = -last
    return matrix


def marker_mm(voxels: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the brightest voxels are in the world, mm."""
    bright = np.argwhere(voxels > 0.9 * float(voxels.max())).mean(axis=0)
    return np.asarray(nib.affines.apply_affine(affine, bright))


@pytest.fixture
def scans(tmp_path: Path, template: Image, monkeypatch: pytest.MonkeyPatch) -> list[EligibleScan]:
    """One head with a marker on its left, as four files of different orientation and forms."""
    seen = SimpleNamespace(
        run_model=lambda voxels: (voxels > 0.02 * voxels.max()).astype(float), postprocess=lambda mask: mask
    )
    monkeypatch.setattr(brain, "_network", lambda _: seen)
    voxels = template.voxels.copy()
    i, j, k = nib.affines.apply_affine(np.linalg.inv(template.affine), LEFT_MM).round().astype(int)
    voxels[i - 3 : i + 4, j - 3 : j + 4, k - 3 : k + 4] = 3 * voxels.max()
    made = []
    for contrast, order in STORED.items():
        image = stored(Image(voxels, template.affine), order)
        file = nib.Nifti1Image(image.voxels, image.affine)
        file.set_qform(image.affine, FORMS[contrast][0])
        file.set_sform(image.affine, FORMS[contrast][1])
        path = tmp_path / f"{contrast}.nii.gz"
        nib.save(file, path)
        place = {"center_id": "lab", "participant_id": "01", "entities": {"sub": "01", "suffix": contrast}}
        made.append(EligibleScan(contrast.ljust(16, "0"), path, contrast, place | {"is_simulated": True}, "signature"))
    return made


@pytest.mark.slow
def test_a_marker_on_the_left_stays_there_through_stores_patches_and_exported_files(
    tmp_path: Path, scans: list[EligibleScan]
) -> None:
    for scan in scans:
        loaded: Any = nib.load(scan.path)
        assert marker_mm(np.asarray(loaded.dataobj), loaded.affine) == pytest.approx(LEFT_MM, abs=4), scan.contrast
    result = harmonize_session(tmp_path / "home" / "volumes", "lab/sub-01", scans, QUICK)
    assert result.rejections == []
    assert len(result.volumes) == 2 * len(scans)
    for row in result.volumes:
        volume = open_store(tmp_path / "home" / row["path"])
        what = f"{row['image_id']} {row['form']}"
        found = marker_mm(volume[...], volume.affine)
        assert found[0] == pytest.approx(LEFT_MM[0], abs=8), what
        center = nib.affines.apply_affine(np.linalg.inv(volume.affine), found).round().astype(int)
        opposite = nib.affines.apply_affine(np.linalg.inv(volume.affine), found * [-1, 1, 1]).round().astype(int)
        left, right = (
            volume.patch((int(at[0]) - 2, int(at[1]) - 2, int(at[2]) - 2), (5, 5, 5)).mean()
            for at in (center, opposite)
        )
        assert left > 1.5 * right, what
        exported: Any = nib.load(export(volume, tmp_path / row["form"]).image)
        np.testing.assert_allclose(exported.affine, volume.affine, atol=1e-4)
        np.testing.assert_allclose(exported.get_qform(), exported.get_sform(), atol=1e-3)
        assert marker_mm(np.asarray(exported.dataobj), exported.affine) == pytest.approx(found, abs=1e-2), what
