"""Tissues of heads made from the packaged maps, and air of round heads."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tests.warehouse.harmonize.conftest import displaced
from tests.warehouse.harmonize.phantoms import SIGMA, Head, round_head
from warehouse.imaging.geometry import Image
from warehouse.quality.tissues import STRETCH, blank_region, has_background, mni_by_extent, segment

pytestmark = pytest.mark.slow  # its fixtures take seconds

CONTRASTS = {"t1_like": (300, 700, 1000), "t2_like": (1000, 600, 450), "flair_like": (150, 650, 520)}
NEARLY = displaced((1, -1, 3), (1, -2, 2))  # what a rigid alignment leaves


@lru_cache(maxsize=1)
def truth() -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float64]]:
    """Labels of the template's brain at 2 mm, the share of each tissue in a voxel, and the affine."""
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_gm_template, load_mni152_wm_template

    grey, white = load_mni152_gm_template(resolution=2), load_mni152_wm_template(resolution=2)
    brain = np.asarray(load_mni152_brain_mask(resolution=2).dataobj) > 0
    gm, wm = np.asarray(grey.dataobj, np.float32), np.asarray(white.dataobj, np.float32)
    labels = np.where(brain, np.argmax(np.stack([1 - gm - wm, gm, wm]), axis=0) + 1, 0).astype(np.uint8)
    shares = np.stack([ndimage.gaussian_filter((labels == k).astype(np.float32), 0.5) for k in (1, 2, 3)])
    return labels, shares / np.maximum(shares.sum(axis=0), 1e-6), np.asarray(grey.affine, np.float64)


def head(contrast: str, *, shaded: bool = False, noise: float = 30.0) -> tuple[Image, NDArray[np.uint8]]:
    labels, shares, affine = truth()
    clean = np.tensordot(np.array(CONTRASTS[contrast], np.float32), shares, 1)
    if shaded:
        x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in labels.shape), indexing="ij")
        clean = clean * (1 + 0.25 * x - 0.2 * y * z + 0.15 * z)
    rng = np.random.default_rng(1)
    noisy = np.hypot(clean + rng.normal(0, noise, clean.shape), rng.normal(0, noise, clean.shape))
    return Image(noisy.astype(np.float32), affine), labels


def dice(found: NDArray[np.uint8], labels: NDArray[np.uint8]) -> list[float]:
    """Overlap of CSF, GM and WM."""
    return [2 * np.sum((found == k) & (labels == k)) / np.sum((found == k) * 1 + (labels == k)) for k in (1, 2, 3)]


@pytest.mark.parametrize("contrast", list(CONTRASTS))
@pytest.mark.parametrize("shaded", [False, True], ids=["even", "shaded"])
def test_tissues_are_found_whatever_the_contrast_and_the_shading(contrast: str, shaded: bool) -> None:
    image, labels = head(contrast, shaded=shaded)
    found = segment(image, labels > 0, NEARLY)
    assert min(dice(found, labels)) > 0.8
    assert not found[labels == 0].any()


def test_a_mirrored_grid_gives_the_same_tissues() -> None:
    image, labels = head("t1_like")
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    flip[0, 3] = labels.shape[0] - 1
    mirrored = Image(np.ascontiguousarray(image.voxels[::-1]), image.affine @ flip)
    found = segment(mirrored, labels[::-1] > 0, NEARLY)
    assert min(dice(found[::-1], labels)) > 0.8


def test_a_head_elsewhere_in_the_world_needs_its_affine() -> None:
    image, labels = head("flair_like")
    moved = displaced((0, 0, 40), (60, 0, 0))
    elsewhere = Image(image.voxels, moved @ image.affine)
    assert min(dice(segment(elsewhere, labels > 0, np.linalg.inv(moved)), labels)) > 0.8
    assert min(dice(segment(elsewhere, labels > 0, np.eye(4)), labels)) < 0.8


def test_thick_slices_are_segmented_too() -> None:
    image, labels = head("t2_like")
    thick = Image(image.voxels[:, :, ::2], image.affine @ np.diag([1.0, 1.0, 2.0, 1.0]))
    assert min(dice(segment(thick, labels[:, :, ::2] > 0, NEARLY), labels[:, :, ::2])) > 0.8


def test_units_do_not_matter() -> None:
    image, labels = head("t1_like")
    once = segment(image, labels > 0, NEARLY)
    again = segment(Image(image.voxels * np.float32(1e-3), image.affine), labels > 0, NEARLY)
    assert np.mean(once == again) > 0.9999


def test_what_was_cut_away_is_no_tissue() -> None:
    image, labels = head("t1_like")
    cut = image.voxels.copy()
    cut[:40] = 0
    assert not segment(Image(cut, image.affine), labels > 0, NEARLY)[:40].any()


@pytest.mark.parametrize("voxels", [np.full((12, 12, 12), 7.0), np.zeros((12, 12, 12))], ids=["constant", "zeros"])
def test_a_single_intensity_has_no_tissues(voxels: NDArray[np.float64]) -> None:
    image = Image(voxels.astype(np.float32), np.eye(4))
    assert not segment(image, np.ones(voxels.shape, bool), np.eye(4)).any()


def test_an_empty_mask_has_no_tissues() -> None:
    image, labels = head("t1_like")
    assert not segment(image, np.zeros(labels.shape, bool), np.eye(4)).any()


@pytest.fixture(scope="module")
def whole() -> Head:
    return round_head()


def test_noise_in_the_air_is_background(whole: Head) -> None:
    assert has_background(whole.image.voxels, whole.mask) == (True, "the air holds noise")


def test_a_stripped_head_has_no_background(whole: Head) -> None:
    is_there, why = has_background(np.where(whole.mask, whole.image.voxels, 0), whole.mask)
    assert not is_there
    assert "skull-stripped" in why


def test_a_stripped_head_with_overshoot_at_its_edge_is_seen_as_stripped(whole: Head) -> None:
    voxels = np.where(whole.mask, whole.image.voxels, 0)
    edge = ndimage.binary_dilation(whole.mask) & ~whole.mask
    voxels[edge] = np.random.default_rng(0).normal(0, 20, np.count_nonzero(edge))
    assert "skull-stripped" in has_background(voxels, whole.mask)[1]


def test_a_defaced_head_has_no_background(whole: Head) -> None:
    voxels = whole.image.voxels.copy()
    voxels[:, 44:, :28] = 0  # the face: in front and below
    is_there, why = has_background(voxels, whole.mask & (voxels > 0))
    assert not is_there
    assert "defaced" in why


def test_zeroed_air_is_no_background(whole: Head) -> None:
    is_there, why = has_background(np.where(whole.distance_mm < 75, whole.image.voxels, 0), whole.mask)
    assert not is_there
    assert "set to 0" in why


def test_air_set_to_another_constant_is_no_background(whole: Head) -> None:
    is_there, why = has_background(np.where(whole.distance_mm < 75, whole.image.voxels, 17), whole.mask)
    assert not is_there
    assert "set to 17" in why


def test_padding_beside_the_head_leaves_a_background(whole: Head) -> None:
    voxels = whole.image.voxels.copy()
    voxels[:4], voxels[-3:] = 0, 0
    assert has_background(voxels, whole.mask)[0]


def test_air_stored_too_coarsely_is_no_background(whole: Head) -> None:
    coarse = np.round(whole.image.voxels / (SIGMA * 3)) * SIGMA * 3
    is_there, why = has_background(coarse, whole.mask)
    assert not is_there
    assert "quantised" in why


def test_a_field_of_view_without_air_has_no_background(whole: Head) -> None:
    inner = (slice(20, 44),) * 3
    assert not has_background(whole.image.voxels[inner], whole.mask[inner])[0]


def test_without_a_brain_there_is_nothing_to_compare_with(whole: Head) -> None:
    assert not has_background(whole.image.voxels, np.zeros_like(whole.mask))[0]


def test_single_zeros_are_no_blank_region() -> None:
    voxels = np.ones((20, 20, 20))
    voxels[::3, ::3, ::3] = 0
    assert not blank_region(voxels).any()
    voxels[10:] = 0
    assert blank_region(voxels)[12:18, 3:17, 3:17].all()


@pytest.mark.parametrize("size", [0.9, 1.1])
def test_a_brain_elsewhere_is_placed_by_its_extent(size: float) -> None:
    image, labels = head("t1_like")
    elsewhere = np.diag([size, size, size, 1.0]) @ displaced((0, 0, 0), (60, -30, 45)) @ image.affine
    placed = mni_by_extent(labels > 0, elsewhere)
    np.testing.assert_allclose(np.diag(placed)[:3], 1 / size, rtol=0.03)
    there = np.argwhere(labels > 0)[::997] @ (placed @ elsewhere)[:3, :3].T + (placed @ elsewhere)[:3, 3]
    own = np.argwhere(labels > 0)[::997] @ image.affine[:3, :3].T + image.affine[:3, 3]
    assert np.linalg.norm(there - own, axis=1).max() < 6
    assert min(dice(segment(Image(image.voxels, elsewhere), labels > 0, placed), labels)) > 0.75


def test_a_brain_that_is_cut_is_not_stretched_beyond_measure() -> None:
    _, labels = head("t1_like")
    slab = np.zeros(labels.shape, bool)
    slab[:, :, 40:50] = labels[:, :, 40:50] > 0
    assert np.diag(mni_by_extent(slab, np.diag([2.0, 2.0, 2.0, 1.0])))[2] == pytest.approx(1 + STRETCH)


def test_an_empty_mask_is_placed_nowhere_else() -> None:
    np.testing.assert_array_equal(mni_by_extent(np.zeros((4, 4, 4), bool), np.eye(4)), np.eye(4))
