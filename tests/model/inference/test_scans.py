"""Scans that cannot be right are refused with what to do; the others come to the network's grid and intensities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from model.inference.scans import acquired_size, clean, prepare, read, read_mask, with_steps
from tests.model.inference.conftest import bright
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize.intensity import find_scale
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Image

PERCENTILES = (0.01, 99.9)
PREPARATION = {"percentiles": PERCENTILES, "n4": False, "whole_head": True}


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


def test_intensities_are_those_that_training_reads_from_a_store() -> None:
    scan = read(image(head(30, 36, 30), np.diag([3.0, 3.0, 3.0, 1.0])))
    made = prepare(scan, 3.0, PREPARATION)
    mask, stored = bright(scan.image), find_scale(scan.image, PERCENTILES)
    scale = BrainScale.of(scan.voxels, mask).in_unit(stored.low, stored.high)
    np.testing.assert_allclose(made.voxels, scale.to_network(stored.normalise(scan.voxels)), atol=1e-4)
    np.testing.assert_array_equal(made.mask, mask)
    low, high = np.percentile(made.voxels[mask], (10, 90))
    assert high - low == pytest.approx(1, abs=1e-3)


def test_a_scan_that_holds_a_brain_alone_is_known_as_stripped() -> None:
    whole = head(30, 36, 30)
    skull = np.pad(np.zeros((26, 32, 26)), 2, constant_values=900).astype(np.float32)
    stripped = np.where(bright(Image(whole, np.eye(4))), whole, 0).astype(np.float32)
    alone, inside = (prepare(read(image(voxels)), 2.0, PREPARATION) for voxels in (stripped, whole + skull))
    assert alone.is_stripped
    assert not inside.is_stripped
    assert alone.seen is not None  # around a brain that is left alone, nothing was measured
    np.testing.assert_array_equal(alone.seen, alone.mask)
    assert inside.seen is None


@pytest.mark.parametrize("shape", [(1, 30, 30), (30, 30, 1), (2, 3, 40)])
def test_a_slice_or_two_can_be_prepared(shape: tuple[int, int, int]) -> None:
    scan = read(image(head(*shape)))
    made = prepare(scan, 3.0, PREPARATION)
    assert made.voxels.shape == with_steps(scan.grid.turned(), (3.0, 3.0, 3.0)).shape
    assert np.isfinite(made.voxels).all()


def test_a_recipe_that_strips_leaves_no_signal_around_the_brain() -> None:
    scan = read(image(head(30, 30, 30)))
    made = prepare(scan, 2.0, PREPARATION | {"whole_head": False})
    assert len(np.unique(made.voxels[~made.mask])) == 1
    assert made.voxels[~made.mask].max() < made.voxels[made.mask].min()


def test_a_given_brain_mask_is_used_and_must_lie_on_the_scans_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.harmonize.mask.find_brain", lambda *_: pytest.fail("it was looked for"))
    scan = read(image(head(12, 14, 16)))
    mask = np.zeros(scan.grid.shape, np.float32)
    mask[3:6, 4:9, 5:11] = 1  # more to one side
    given = read_mask(image(mask), scan.grid)
    np.testing.assert_array_equal(prepare(scan, 2.0, PREPARATION, given).mask, mask > 0)
    for wrong, said in ((image(mask[1:]), "another place"), (image(0 * mask), "every voxel is 0")):
        with pytest.raises(ModelError, match=said) as refusal:
            read_mask(wrong, scan.grid)
        assert refusal.value.remedy


def test_a_mask_of_a_scan_stored_otherwise_is_turned_with_it() -> None:
    voxels = head(12, 14, 16)
    mask = np.zeros(voxels.shape, np.float32)
    mask[3:6, 4:9, 5:11] = 1
    right = image(voxels), image(mask)
    left = [nib.as_closest_canonical(one).as_reoriented(np.array([[0, -1], [2, 1], [1, -1]])) for one in right]
    made, other = (
        prepare(read(scan), 2.0, PREPARATION, read_mask(given, read(scan).grid)) for scan, given in (right, left)
    )
    np.testing.assert_array_equal(made.mask, other.mask)
    np.testing.assert_allclose(made.voxels, other.voxels, atol=1e-4)


def test_the_voxel_size_of_interpolated_thick_slices_is_unknown() -> None:
    fine = np.random.default_rng(0).normal(0, 1, (72, 80, 72))
    texture = 100 * ndimage.gaussian_filter(fine, 1.2) / ndimage.gaussian_filter(fine, 1.2).std()
    inside = (np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in fine.shape), indexing="ij")) ** 2).sum(0) < 0.9
    sharp = np.where(inside, 500 + texture, 0)
    slices = sharp.reshape(72, 80, 18, 4).mean(-1)  # 4 mm, along S
    thick = ndimage.zoom(slices, (1, 1, 4), order=1, mode="nearest", grid_mode=True)
    mask = ndimage.binary_erosion(inside, iterations=3)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    assert acquired_size(read(image(sharp.astype(np.float32), affine)), mask) == (1, 1, 1)
    assert acquired_size(read(image(thick.astype(np.float32), affine)), mask) is None
    flipped = read(image(sharp[:, :, ::2].astype(np.float32), np.diag([1.0, 1.0, 2.0, 1.0])))
    assert acquired_size(flipped, mask[:, :, ::2]) == (1, 1, 2)


def test_without_a_brain_it_is_said_that_a_mask_can_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: object) -> None:
        raise HarmonizeError("mask", "no_brain", "no brain was found", "look at the scan")

    scan = read(image(head(12, 12, 12)))
    monkeypatch.setattr("warehouse.harmonize.mask.find_brain", find)
    with pytest.raises(ModelError, match="no brain was found") as refusal:
        prepare(scan, 2.0, PREPARATION)
    assert "mask" in refusal.value.remedy


def test_a_brain_that_cannot_be_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse.harmonize.mask.implausible", lambda mask, image: "90 ml of brain")
    with pytest.raises(ModelError, match="90 ml of brain"):
        prepare(read(image(head(12, 12, 12))), 2.0, PREPARATION)


def test_fluid_at_a_cut_face_and_inside_the_head_is_no_air() -> None:
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, size) for size in (40, 44, 30)), indexing="ij"))
    at[2] -= 0.7  # the lower half of the head lies beyond the field of view
    radius = np.sqrt((at**2).sum(0))
    voxels = 1000.0 * (radius < 0.8)
    ventricle = (np.abs(at[0]) < 0.12) & (np.abs(at[1]) < 0.12) & (radius < 0.8)
    voxels[ventricle] = 30.0  # dark, and open to the face of the field of view
    voxels += np.random.default_rng(0).uniform(1, 30, voxels.shape)
    brain = radius < 0.75
    cleaned = clean(read(image(voxels.astype(np.float32))), PREPARATION, brain)
    assert cleaned.head is not None
    assert cleaned.head[ventricle & brain].all()
    assert not cleaned.head[radius > 1.0].any()
    stripped = clean(read(image((voxels * brain).astype(np.float32))), PREPARATION, brain)
    assert stripped.head is None
