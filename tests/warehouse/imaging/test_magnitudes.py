"""No tissue is lost where a tool subtracted something of the signal, and what interpolation left is no tissue."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.imaging.files import RefusedError
from warehouse.imaging.scan import magnitudes


def brain(mean: float = 500.0, spread: float = 100.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a stripped brain, zeros around it, and where it is."""
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (20, 22, 18)), indexing="ij"))
    inside = (at**2).sum(0) < 0.6
    voxels = np.random.default_rng(0).normal(mean, spread, inside.shape)
    return np.where(inside, voxels, 0).astype(np.float32), inside


def test_a_z_scored_stripped_brain_keeps_every_voxel_of_the_brain() -> None:
    voxels, inside = brain(0.0, 1.0)
    found, offset = magnitudes(voxels)
    assert found.min() == 0
    assert not found[~inside].any()
    np.testing.assert_allclose(found[inside], voxels[inside] + offset, atol=1e-5)
    assert (found[inside] > 0).mean() > 0.999


def test_a_smooth_z_scored_brain_whose_values_cross_zero_in_sheets_is_moved() -> None:
    _, inside = brain()
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=inside.shape), 2)
    voxels = np.where(inside, smooth / smooth[inside].std(), 0).astype(np.float32)
    found, offset = magnitudes(voxels)
    assert offset == pytest.approx(-voxels.min())
    assert np.corrcoef(found[inside], voxels[inside])[0, 1] == pytest.approx(1)


def test_dark_tissue_deep_in_the_brain_is_moved_although_it_is_little() -> None:
    voxels, inside = (np.kron(part, np.ones((2, 2, 2), part.dtype)) for part in brain())
    voxels[18:23, 20:25, 16:21] = -80  # ventricles below zero: 1 % of the brain
    found, offset = magnitudes(voxels)
    assert offset == 80
    assert found[inside].min() == 0
    assert not found[~inside].any()


def test_a_whole_head_that_was_z_scored_is_moved_with_its_air() -> None:
    voxels, inside = brain()
    noisy = np.hypot(voxels, np.random.default_rng(2).normal(0, 10, voxels.shape))
    z = ((noisy - noisy.mean()) / noisy.std()).astype(np.float32)
    found, offset = magnitudes(z)
    np.testing.assert_allclose(found, z + np.float32(offset), atol=1e-5)
    assert found[~inside].mean() < 0.1 * found[inside].mean()


@pytest.mark.parametrize("shift", [30, 1024, 32768])
def test_an_offset_is_taken_back_with_the_background_at_zero(shift: int) -> None:
    voxels, inside = brain()
    found, offset = magnitudes(voxels - np.float32(shift))
    assert not found[~inside].any()
    assert offset in (0, shift)  # where all tissue stays positive, nothing needs to be moved
    np.testing.assert_allclose(found[inside], voxels[inside] - shift + offset, atol=4e-3)
    assert (found[inside] > 0).all()


def test_an_offset_under_noise_is_taken_back() -> None:
    voxels, _ = brain()
    noisy = np.hypot(voxels, np.random.default_rng(2).normal(0, 10, voxels.shape)).astype(np.float32)
    found, offset = magnitudes(noisy - 1024)
    assert offset == pytest.approx(1024, abs=0.1)
    np.testing.assert_allclose(found, noisy, atol=0.1)


def test_one_damaged_voxel_does_not_decide_the_offset() -> None:
    voxels, inside = brain(0.0, 1.0)
    voxels[9, 10, 9] = -1e7
    found, offset = magnitudes(voxels)
    assert offset < 20
    assert np.unique(found[inside]).size > 0.99 * inside.sum()


def test_what_interpolation_leaves_beside_the_background_stays_for_scaling_to_cut() -> None:
    voxels, _ = brain(500.0, 20.0)
    fine = ndimage.zoom(voxels, 1.7, order=3).astype(np.float32)
    assert fine.min() < -20
    found, offset = magnitudes(fine)
    assert offset == 0
    np.testing.assert_array_equal(found, fine)


def test_padding_around_the_field_of_view_becomes_background() -> None:
    voxels, _ = brain()
    noisy = np.hypot(voxels, np.random.default_rng(2).normal(0, 5, voxels.shape)).astype(np.float32)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in voxels.shape), indexing="ij"))
    outside = (at[:2] ** 2).sum(0) > 0.95
    outside[[0, -1]] = outside[:, [0, -1]] = True
    outside[:, :, [0, -1]] = True
    found, offset = magnitudes(np.where(outside, np.float32(-2000), noisy))
    assert offset == 0
    np.testing.assert_array_equal(found, np.where(outside, 0, noisy))


def test_a_magnitude_is_returned_as_it_is() -> None:
    voxels, _ = brain()
    found, offset = magnitudes(voxels)
    assert found is voxels
    assert offset == 0


def test_nan_around_a_stripped_brain_is_background() -> None:
    voxels, inside = brain()
    assert 1 - inside.mean() > 0.6
    found, offset = magnitudes(np.where(inside, voxels, np.nan).astype(np.float32))
    np.testing.assert_array_equal(found, voxels)
    assert offset == 0


def test_nan_around_a_z_scored_brain_lies_below_the_brain() -> None:
    voxels, inside = brain(0.0, 1.0)
    found, offset = magnitudes(np.where(inside, voxels, np.nan).astype(np.float32))
    assert not found[~inside].any()
    np.testing.assert_allclose(found[inside], voxels[inside] + offset, atol=1e-5)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(np.nan, "not_finite", id="nothing is a number"),
        pytest.param(np.inf, "not_finite", id="everything is infinite"),
        pytest.param(3.0, "constant", id="one value"),
        pytest.param(-3.0, "constant", id="one negative value"),
    ],
)
def test_voxels_that_say_nothing_are_refused(value: float, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        magnitudes(np.full((4, 5, 6), value, np.float32))
    assert caught.value.reason == reason


def test_magnitudes_that_no_scanner_gives_are_refused() -> None:
    voxels, _ = brain()
    voxels[3, 3, 3] = 1e30
    with pytest.raises(RefusedError) as caught:
        magnitudes(voxels)
    assert caught.value.reason == "impossible_intensity"


@pytest.mark.slow
@pytest.mark.real
def test_stripped_scans_that_were_interpolated_are_not_moved(samples: Path) -> None:
    paths = sorted((samples / "images" / "open_ms_cross_sectional_mni").rglob("*_brain_N4_regtoMNI.nii.gz"))
    if not paths:
        pytest.skip(f"no images in {samples}")
    for path in paths:
        values = np.asarray(nib.load(path).dataobj, np.float32)
        assert values.min() < 0, path
        found, offset = magnitudes(values)
        assert offset == 0, path
        np.testing.assert_array_equal(found, values)
