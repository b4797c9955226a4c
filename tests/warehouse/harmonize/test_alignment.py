from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from tests.warehouse.harmonize.conftest import displaced, scanned, t2_like
from warehouse.errors import HarmonizeError
from warehouse.harmonize import alignment as module
from warehouse.harmonize.alignment import movement, nearest_rigid, register, register_to_mni, stretched, suspicious
from warehouse.imaging.geometry import Image
from warehouse.imaging.itk import matrix_of, to_itk, transform_of


def error_mm(found: np.ndarray, truth: np.ndarray, image: Image, mask: np.ndarray) -> tuple[float, float]:
    """Mean and 95th percentile of the distance between two mappings, over points of the brain."""
    points = nib.affines.apply_affine(image.affine, np.argwhere(mask)[::17])
    gap = nib.affines.apply_affine(found, points) - nib.affines.apply_affine(truth, points)
    length = np.linalg.norm(gap, axis=1)
    return float(length.mean()), float(np.percentile(length, 95))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degrees", "shift_mm"),
    [
        pytest.param((0, 0, 0), (0, 0, 0), id="none"),
        pytest.param((3, -2, 4), (4, -3, 2), id="small"),
        pytest.param((-8, 5, 6), (10, 6, -8), id="large"),
    ],
)
def test_a_known_movement_is_found_across_contrasts_and_thick_slices(
    fine_template: Image, degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]
) -> None:
    movement_ = displaced(degrees, shift_mm)
    thick = np.array([[1.5, 0, 0, -100], [0, 1.5, 0, -130], [0, 0, 4.0, -90], [0, 0, 0, 1]])
    other = scanned(Image(t2_like(fine_template.voxels), fine_template.affine), movement_, thick, (134, 170, 50))
    mask = fine_template.voxels > 0
    found = register(fine_template, mask, other)
    mean, high = error_mm(found.matrix, np.linalg.inv(movement_), other, other.voxels > 0)
    assert mean < 0.7
    assert high < 1.2
    assert found.similarity_after >= found.similarity_before - 1e-9


@pytest.mark.slow
def test_the_matrix_maps_the_moving_scans_world_to_the_fixed_ones(template: Image) -> None:
    moved = Image(template.voxels, displaced((0, 0, 0), (12, 0, 0)) @ template.affine)
    found = register(template, template.voxels > 0, moved, resolution_mm=3.0)
    np.testing.assert_allclose(found.matrix[:3, 3], [-12, 0, 0], atol=0.3)


@pytest.mark.slow
def test_a_registration_that_is_worse_than_none_never_passes(template: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    far = transform_of(displaced((40, 0, 0), (30, 30, 0)))
    monkeypatch.setattr(module, "_optimise", lambda *_: (far, 0.5, 0.1))
    monkeypatch.setattr(module, "_refine", lambda *_: (far, 0.1))
    with pytest.raises(HarmonizeError) as caught:
        register(template, template.voxels > 0, template)
    assert (caught.value.stage, caught.value.reason) == ("register", "worse_than_none")
    assert "0.5000" in caught.value.what
    assert "0.1000" in caught.value.what


def test_scans_that_do_not_overlap_are_refused(template: Image) -> None:
    away = Image(template.voxels, displaced((0, 0, 0), (900, 0, 0)) @ template.affine)
    with pytest.raises(HarmonizeError) as caught:
        register(template, template.voxels > 0, away)
    assert caught.value.stage == "register"


@pytest.mark.slow
def test_a_head_far_from_the_worlds_origin_is_placed_in_mni_space(fine_template: Image) -> None:
    far = Image(fine_template.voxels, displaced((0, 0, 0), (300, -250, 200)) @ fine_template.affine)
    rigid, affine = register_to_mni(far, far.voxels > 0)
    np.testing.assert_allclose(rigid.matrix[:3, 3], [-300, 250, -200], atol=1.0)
    assert affine.similarity_before == 0.0
    assert affine.similarity_after > 0.1


@pytest.mark.slow
def test_an_error_of_the_refinement_is_told_as_one_of_registration(
    template: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = sitk.ImageRegistrationMethod.Execute

    def failing(method: sitk.ImageRegistrationMethod, *images: sitk.Image) -> object:
        if method.__dict__.get("fails"):
            raise RuntimeError("itk::ERROR: Too many samples map outside moving image buffer")
        return execute(method, *images)

    def as_powell(method: sitk.ImageRegistrationMethod, **settings: object) -> None:
        method.__dict__["fails"] = True

    monkeypatch.setattr(sitk.ImageRegistrationMethod, "SetOptimizerAsPowell", as_powell)
    monkeypatch.setattr(sitk.ImageRegistrationMethod, "Execute", failing)
    with pytest.raises(HarmonizeError, match="Too many samples") as caught:
        register(template, template.voxels > 0, template, resolution_mm=3.0)
    assert (caught.value.stage, caught.value.reason) == ("register", "no_overlap")


def test_an_empty_mask_is_refused(template: Image) -> None:
    with pytest.raises(HarmonizeError, match="empty"):
        register(template, np.zeros_like(template.voxels, bool), template)


@pytest.mark.slow
def test_a_displaced_brain_is_placed_in_mni_space_and_keeps_its_size(fine_template: Image) -> None:
    away = Image(fine_template.voxels, displaced((6, -4, 9), (15, -20, 30)) @ fine_template.affine)
    rigid, affine = register_to_mni(away, away.voxels > 0)
    truth = np.linalg.inv(displaced((6, -4, 9), (15, -20, 30)))
    assert error_mm(rigid.matrix, truth, away, away.voxels > 0)[0] < 1.0
    assert error_mm(affine.matrix, truth, away, away.voxels > 0)[0] < 1.0
    assert np.linalg.det(rigid.matrix[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(rigid.matrix[:3, :3] @ rigid.matrix[:3, :3].T, np.eye(3), atol=1e-9)


@pytest.mark.slow
def test_a_smaller_brain_is_not_tilted_by_its_placement(fine_template: Image) -> None:
    small = Image(fine_template.voxels, np.diag([0.85, 0.88, 0.9, 1.0]) @ fine_template.affine)
    rigid, affine = register_to_mni(small, small.voxels > 0)
    assert movement(rigid.matrix, np.zeros(3))[0] < 2.0
    assert np.linalg.det(affine.matrix[:3, :3]) == pytest.approx(1 / (0.85 * 0.88 * 0.9), rel=0.05)


@pytest.mark.slow
def test_a_brain_in_place_stays_there(fine_template: Image) -> None:
    rigid, _ = register_to_mni(fine_template, fine_template.voxels > 0)
    assert error_mm(rigid.matrix, np.eye(4), fine_template, fine_template.voxels > 0)[0] < 0.5


def test_itk_and_back_keep_matrices_and_left_and_right() -> None:
    matrix = displaced((10, 20, 30), (1, 2, 3))
    np.testing.assert_allclose(matrix_of(transform_of(matrix)), matrix, atol=1e-12)
    image = Image(np.zeros((3, 4, 5), np.float32), displaced((10, 0, 0), (7, 8, 9)) @ np.diag([1.0, 2, 3, 1]))
    lps = to_itk(image).TransformContinuousIndexToPhysicalPoint((2.0, 3.0, 4.0))
    np.testing.assert_allclose(np.array(lps) * [-1, -1, 1], nib.affines.apply_affine(image.affine, [2, 3, 4]))


def test_the_nearest_rotation_ignores_stretching() -> None:
    matrix = displaced((5, -10, 15), (3, 2, 1)) @ np.diag([1.1, 0.9, 1.05, 1.0])
    rigid = nearest_rigid(matrix, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(rigid[:3, :3], displaced((5, -10, 15), (0, 0, 0))[:3, :3], atol=1e-9)
    kept = [1.0, 2.0, 3.0, 1.0]
    np.testing.assert_allclose(rigid @ kept, matrix @ kept)


@pytest.mark.parametrize(("factor", "doubted"), [(1.0, False), (1.15, False), (1.4, True), (0.8, True)])
def test_a_brain_that_would_have_to_be_stretched_too_far_is_doubted(factor: float, doubted: bool) -> None:
    assert bool(stretched(np.diag([factor, factor, factor, 1.0]))) is doubted


@pytest.mark.parametrize(
    ("matrix", "doubted"),
    [
        (displaced((2, 1, 0), (3, 3, 3)), False),
        (displaced((0, 0, 40), (0, 0, 0)), True),
        (displaced((0, 0, 0), (60, 0, 0)), True),
    ],
)
def test_a_head_that_moved_too_far_within_a_visit_is_suspicious(matrix: np.ndarray, doubted: bool) -> None:
    assert bool(suspicious(matrix, np.zeros(3))) is doubted
