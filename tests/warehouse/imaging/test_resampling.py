from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from tests.warehouse.harmonize.conftest import displaced
from warehouse.imaging.geometry import Grid, Image, session_grid
from warehouse.imaging.resampling import resample, resample_along_axes, resample_mask


def smooth(shape: tuple[int, int, int] = (30, 34, 28)) -> Image:
    random = np.random.default_rng(3).normal(size=shape)
    affine = np.array([[2, 0.2, 0, -28], [-0.2, 2, 0, -30], [0, 0, 2.5, -33], [0, 0, 0, 1.0]])
    return Image(ndimage.gaussian_filter(random, 2.5).astype(np.float32), affine)


def by_hand(image: Image, to_session: np.ndarray, grid: Grid) -> np.ndarray:
    """The same by scipy, through world coordinates of every voxel."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    world = nib.affines.apply_affine(grid.affine, index)
    source = nib.affines.apply_affine(np.linalg.inv(image.affine) @ np.linalg.inv(to_session), world)
    return ndimage.map_coordinates(image.voxels, source.T, order=3, mode="mirror").reshape(grid.shape)


GRID = Grid((20, 22, 18), np.array([[2.0, 0, 0, -18], [0, 2.0, 0, -20], [0, 0, 2.0, -16], [0, 0, 0, 1]]))


def test_one_interpolation_agrees_with_an_independent_one() -> None:
    image, to_session = smooth(), displaced((4, -6, 8), (3, -2, 1))
    found, expected = resample(image, to_session, GRID).voxels, by_hand(image, to_session, GRID)
    inside = (slice(4, -4),) * 3  # the two libraries continue the image differently beyond its border
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.02 * expected.std())


@pytest.mark.parametrize("step_mm", [1.0, 3.0])
def test_both_ways_agree_where_both_can_be_used(step_mm: float) -> None:
    image = Image(smooth((60, 68, 56)).voxels, np.diag([2.0, 2.0, 2.0, 1.0]))
    there = np.diag([step_mm, step_mm, step_mm, 1.0])
    there[:3, 3] = 8.0
    grid = Grid((30, 34, 28), there)
    found, expected = resample_along_axes(image.voxels, image.grid, grid), resample(image, np.eye(4), grid).voxels
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.std())


def test_a_voxel_grid_resampled_on_itself_is_itself() -> None:
    image = Image(smooth().voxels, np.diag([2.0, 2.0, 2.0, 1.0]))
    same = resample(image, np.eye(4), Grid((30, 34, 28), image.affine))
    np.testing.assert_allclose(same.voxels, image.voxels, atol=1e-4)


def test_left_stays_left() -> None:
    voxels = np.zeros((40, 40, 40), np.float32)
    voxels[5:9, 18:22, 18:22] = 1  # in an LAS image, low i is the subject's right
    image = Image(voxels[::-1].copy(), np.array([[1.0, 0, 0, -20], [0, 1, 0, -20], [0, 0, 1, -20], [0, 0, 0, 1]]))
    grid = Grid((20, 20, 20), np.array([[2.0, 0, 0, -20], [0, 2.0, 0, -20], [0, 0, 2.0, -20], [0, 0, 0, 1]]))
    found = resample(image, np.eye(4), grid)
    where = (found.affine @ np.append(np.argwhere(found.voxels > 0.5).mean(axis=0), 1))[:3]
    expected = (image.affine @ np.append(np.argwhere(image.voxels > 0.5).mean(axis=0), 1))[:3]
    np.testing.assert_allclose(where, expected, atol=0.6)
    assert where[0] > 5


def test_splines_do_not_overshoot_the_scans_own_extremes() -> None:
    voxels = np.zeros((20, 20, 20), np.float32)
    voxels[8:12, 8:12, 8:12] = 1
    fine = Grid((60, 60, 60), np.diag([1 / 3, 1 / 3, 1 / 3, 1.0]))
    found = resample(Image(voxels, np.eye(4)), np.eye(4), fine).voxels
    assert (found.min(), found.max()) == (0, pytest.approx(1, abs=1e-3))


def test_outside_the_field_of_view_there_is_nothing() -> None:
    image = Image(np.full((10, 10, 10), 5, np.float32) + np.eye(10, dtype=np.float32), np.eye(4))
    found = resample(
        image, np.eye(4), Grid((30, 10, 10), np.array([[1.0, 0, 0, -10], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    )
    assert found.voxels[:9].max() == 0
    assert found.voxels[11:19].min() >= 4.9
    assert found.voxels[21:].max() == 0


def test_a_coarser_grid_averages_and_does_not_alias() -> None:
    stripes = np.zeros((60, 60, 60), np.float32)
    stripes[::2] = 1  # the finest pattern: on a grid three times as coarse nothing of it may be left
    coarse = Grid((18, 18, 18), np.diag([3.0, 3.0, 3.0, 1.0]) + np.array([[0, 0, 0, 3.0]] * 3 + [[0, 0, 0, 0]]))
    found = resample(Image(stripes, np.eye(4)), np.eye(4), coarse).voxels[3:-3, 3:-3, 3:-3]
    assert found.std() < 0.05
    assert found.mean() == pytest.approx(0.5, abs=0.05)


def test_a_mask_keeps_its_volume() -> None:
    image = Image(
        np.zeros((60, 60, 60), np.float32), np.array([[1.0, 0, 0, -30], [0, 1, 0, -30], [0, 0, 1, -30], [0, 0, 0, 1]])
    )
    place = np.stack(np.meshgrid(*[np.arange(60)] * 3, indexing="ij")) - 29.5
    ball = (place**2).sum(axis=0) < 20**2
    found = resample_mask(ball, image, displaced((10, 5, -7), (2, 3, -4)), session_grid(1.0))
    assert found.sum() == pytest.approx(ball.sum(), rel=0.01)
