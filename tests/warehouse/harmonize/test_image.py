from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from warehouse.errors import HarmonizeError
from warehouse.harmonize.image import load

FLIPS = {"RAS": (1, 1, 1), "LAS": (-1, 1, 1), "LPS": (-1, -1, 1), "RPI": (1, -1, -1)}


def marked(affine: np.ndarray) -> nib.Nifti1Image:
    """A volume of zeros with one bright voxel."""
    voxels = np.zeros((4, 5, 6), np.int16)
    voxels[3, 1, 2] = 100
    made = nib.Nifti1Image(voxels, affine)
    made.set_sform(affine, 1)
    return made


@pytest.mark.parametrize("axes", FLIPS)
def test_a_point_of_the_head_stays_where_it_was_in_the_world(tmp_path: Path, axes: str) -> None:
    affine = np.diag([*FLIPS[axes], 1.0]) @ np.array([[2, 0, 0, 5], [0, 3, 0, -7], [0, 0, 4, 11], [0, 0, 0, 1.0]])
    nib.save(marked(affine), tmp_path / "a.nii")
    image, _ = load(tmp_path / "a.nii")
    bright = np.argwhere(image.voxels == 100)[0]
    np.testing.assert_allclose(
        nib.affines.apply_affine(image.affine, bright), nib.affines.apply_affine(affine, [3, 1, 2])
    )
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


@pytest.mark.parametrize("axes", FLIPS)
def test_turning_back_gives_the_files_own_order(tmp_path: Path, axes: str) -> None:
    made = marked(np.diag([*FLIPS[axes], 1.0]))
    nib.save(made, tmp_path / "a.nii")
    image, source = load(tmp_path / "a.nii")
    np.testing.assert_array_equal(source.turn_back(image.voxels), np.asarray(made.dataobj))
    np.testing.assert_allclose(source.affine, made.affine)


def test_axes_in_another_order_are_turned_and_turned_back(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 2.0, 0], [3.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    made = marked(affine)
    nib.save(made, tmp_path / "a.nii")
    image, source = load(tmp_path / "a.nii")
    assert image.voxels.shape == (6, 4, 5)
    np.testing.assert_array_equal(source.turn_back(image.voxels), np.asarray(made.dataobj))


def refusal(path: Path) -> str:
    with pytest.raises(HarmonizeError) as caught:
        load(path)
    assert caught.value.stage == "load"
    assert caught.value.remedy
    return caught.value.reason


def test_a_scan_without_orientation_is_refused(tmp_path: Path) -> None:
    made = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), None)
    made.header["sform_code"] = made.header["qform_code"] = 0
    nib.save(made, tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "no_orientation"


def test_a_constant_scan_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 5, 6), 7, np.int16), np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "constant"


def test_a_scan_of_mostly_nan_is_refused_and_a_background_of_nan_becomes_zero(tmp_path: Path) -> None:
    voxels = np.full((4, 5, 6), np.nan, np.float32)
    voxels[0, 0, :2] = 1
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "not_finite"
    voxels[:3] = 2
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "b.nii")
    assert set(np.unique(load(tmp_path / "b.nii")[0].voxels)) == {0.0, 2.0}


def test_a_scan_of_several_volumes_is_refused_and_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    voxels = np.arange(4 * 5 * 6 * 2, dtype=np.int16).reshape(4, 5, 6, 2)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "not_3d"
    nib.save(nib.Nifti1Image(voxels[..., :1], np.eye(4)), tmp_path / "b.nii")
    assert load(tmp_path / "b.nii")[0].voxels.shape == (4, 5, 6)


def test_scaled_integers_are_read_in_their_units(tmp_path: Path) -> None:
    made = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4))
    made.header.set_slope_inter(2.5, 10)
    nib.save(made, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(load(tmp_path / "a.nii")[0].voxels, stored.get_fdata(), rtol=1e-6)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    assert refusal(tmp_path / "a.nii.gz") == "empty_file"
