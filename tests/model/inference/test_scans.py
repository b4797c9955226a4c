"""Scans that cannot be right are refused with what to do; the others come to [0, 1] on the network's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from model.inference.scans import prepare, read, with_steps
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize.intensity import find_scale
from warehouse.imaging.geometry import Image

PREPARATION = {"percentiles": (0.01, 99.9), "n4": False, "whole_head": True}


def head(*shape: int) -> np.ndarray[Any, Any]:
    """Return a bright ellipsoid with some texture in noisy air."""
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij"))
    random = np.random.default_rng(0)
    inside = (at**2).sum(0) < 0.7
    return (inside * (400 + 200 * at[0]) + random.uniform(0, 10, shape)).astype(np.float32)


def image(voxels: Any, affine: Any = None) -> nib.Nifti1Image:
    return nib.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine)


def test_a_scan_is_read_as_it_is(tmp_path: Path) -> None:
    made = image(head(8, 9, 10))
    nib.save(made, tmp_path / "scan.nii.gz")
    for given in (made, tmp_path / "scan.nii.gz", str(tmp_path / "scan.nii.gz")):
        scan = read(given)
        np.testing.assert_array_equal(scan.voxels, made.get_fdata())
        np.testing.assert_allclose(scan.grid.affine, made.affine)


def test_a_fourth_axis_of_one_volume_is_no_hindrance() -> None:
    assert read(image(head(8, 9, 10)[..., None])).voxels.shape == (8, 9, 10)


def flat() -> nib.Nifti1Image:
    made = image(head(8, 9, 10))
    made.affine[:3, 2] = 0
    return made


def unplaced() -> nib.Nifti1Image:
    made = image(head(8, 9, 10))
    made.set_sform(None, 0)
    made.set_qform(None, 0)
    return made


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param(image(np.ones((4, 4, 4, 2), np.float32)), "2 volumes where one is expected", id="two volumes"),
        pytest.param(image(np.ones((4, 4), np.float32)), "three axes are wanted", id="a picture"),
        pytest.param(image(np.ones((4, 4, 4), np.float32)), "every voxel is 1", id="constant"),
        pytest.param(image(np.ones((4, 4, 4), np.complex64)), "complex64", id="complex"),
        pytest.param(flat(), "determinant", id="flat"),
        pytest.param(unplaced(), "left and right are unknown", id="without orientation"),
    ],
)
def test_what_cannot_be_right_is_refused(given: nib.Nifti1Image, said: str) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        read(given)
    assert refusal.value.remedy


def test_files_that_are_no_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nii.gz").write_text("hello")
    nib.save(image(head(8, 9, 10)), tmp_path / "cut.nii")
    (tmp_path / "cut.nii").write_bytes((tmp_path / "cut.nii").read_bytes()[:-500])
    for name in ("absent.nii", "text.nii.gz", "cut.nii"):
        with pytest.raises(ModelError, match=name) as refusal:
            read(tmp_path / name)
        assert refusal.value.remedy


def test_intensities_are_scaled_as_the_recipe_scales_them() -> None:
    scan = read(image(head(30, 36, 30), np.diag([3.0, 3.0, 3.0, 1.0])))
    voxels, grid = scan.voxels, scan.grid
    made = prepare(voxels, grid, grid.turned(), PREPARATION)
    scale = find_scale(Image(voxels, grid.affine), (0.01, 99.9))
    np.testing.assert_allclose(made, scale.normalise(voxels), atol=1e-6)
    assert made.min() == 0
    assert made.max() == 1


@pytest.mark.parametrize("shape", [(1, 30, 30), (30, 30, 1), (2, 3, 40)])
def test_a_slice_or_two_can_be_prepared(shape: tuple[int, int, int]) -> None:
    scan = read(image(head(*shape)))
    voxels, grid = scan.voxels, scan.grid
    there = with_steps(grid.turned(), (3.0, 3.0, 3.0))
    made = prepare(voxels, grid, there, PREPARATION)
    assert made.shape == there.shape
    assert np.isfinite(made).all()


def test_a_recipe_that_strips_leaves_nothing_around_the_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = read(image(head(30, 30, 30)))
    voxels, grid = scan.voxels, scan.grid
    mask = voxels > 500
    monkeypatch.setattr("warehouse.harmonize.mask.find_brain", lambda _: mask)
    made = prepare(voxels, grid, grid.turned(), PREPARATION | {"whole_head": False})
    assert not made[~mask].any()
    assert made[mask].any()


def test_a_recipe_that_corrects_bias_needs_a_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: object) -> None:
        raise HarmonizeError("mask", "no_brain", "no brain was found", "look at the scan")

    scan = read(image(head(12, 12, 12)))
    voxels, grid = scan.voxels, scan.grid
    monkeypatch.setattr("warehouse.harmonize.mask.find_brain", find)
    with pytest.raises(ModelError, match="no brain was found") as refusal:
        prepare(voxels, grid, grid.turned(), PREPARATION | {"n4": True})
    assert refusal.value.remedy == "look at the scan"
