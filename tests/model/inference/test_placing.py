"""A volume keeps its place in the world on any other grid; a slow resampling in the test says where that is."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from model.inference.placing import field_of_view, is_same_grid, place, place_mask
from tests.model.inference.test_grid import AFFINES, OBLIQUE, ball, oriented, world_of
from warehouse.imaging.geometry import Grid

HERE = Grid((30, 28, 26), nib.affines.from_matvec(np.diag([2.0, 2.0, 2.0]), [-29.0, -27.0, -25.0]))
SHAPE = (24, 13, 9)


def centred(affine: NDArray[np.float64], shape: tuple[int, int, int] = SHAPE) -> Grid:
    """Return a grid of these axes around the middle of the world."""
    moved = affine.copy()
    moved[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    return Grid(shape, moved)


def slowly(voxels: NDArray[np.float32], here: Grid, there: Grid) -> NDArray[np.float64]:
    """Return the value at each voxel's place in the world, one coordinate after the other."""
    at = np.indices(there.shape).reshape(3, -1)
    world = there.affine[:3, :3] @ at + there.affine[:3, 3:]
    back = np.linalg.inv(here.affine)
    return map_coordinates(voxels, back[:3, :3] @ world + back[:3, 3:], order=1, mode="nearest").reshape(there.shape)


@pytest.mark.parametrize("affine", AFFINES)
def test_a_one_sided_ball_stays_in_its_place_on_any_grid(affine: NDArray[np.float64]) -> None:
    there = centred(affine)
    made = place(ball(HERE, np.array([8.0, 3.0, -2.0])), HERE, there)
    expected = slowly(ball(HERE, np.array([8.0, 3.0, -2.0])), HERE, there)
    assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > 0.97
    np.testing.assert_allclose(world_of(made, there), world_of(expected, there), atol=0.6)
    assert world_of(made, there)[0] > 5


def test_a_transform_between_worlds_moves_the_ball_with_it() -> None:
    moved = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, 0.1, -0.1), [5.0, -3.0, 2.0])
    there = centred(np.diag([1.5, 1.5, 1.5, 1.0]), (50, 50, 50))
    at = np.array([4.0, 2.0, -1.0])
    made = place(ball(HERE, at, 5.0), HERE, there, moved)
    np.testing.assert_allclose(world_of(made, there), nib.affines.apply_affine(moved, at), atol=0.3)
    mask = place_mask(ball(HERE, at, 5.0) > 0.3, HERE, there, moved)
    np.testing.assert_allclose(world_of(mask.astype(np.float32), there), nib.affines.apply_affine(moved, at), atol=0.5)


@pytest.mark.parametrize("shape", [(1, 20, 20), (20, 1, 20), (20, 20, 1), (1, 1, 1)])
@pytest.mark.parametrize("affine", [AFFINES[0], AFFINES[2], AFFINES[4]])
def test_a_side_of_one_voxel_can_be_left_and_reached(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> None:
    thin = centred(affine, shape)
    values = np.random.default_rng(0).random(shape).astype(np.float32)
    for made in (place(values, thin, HERE), place(np.ones(HERE.shape, np.float32), HERE, thin)):
        assert np.isfinite(made).all()
    assert place(values, thin, HERE).max() <= values.max()
    made = place(np.ones(HERE.shape, np.float32), HERE, thin)
    assert (made == field_of_view(HERE, thin)).all()
    assert made.any()


def test_outside_the_field_of_view_is_the_given_value_and_inside_never() -> None:
    small = centred(np.diag([2.0, 2.0, 2.0, 1.0]), (6, 6, 6))
    made = place(np.ones(small.shape, np.float32), small, HERE, outside=-9.0)
    seen = field_of_view(small, HERE)
    assert (made[seen] == 1).all()
    assert (made[~seen] == -9).all()
    at = np.stack(np.meshgrid(*(np.arange(n) for n in HERE.shape), indexing="ij"), -1) @ np.diag([2.0, 2.0, 2.0])
    world = at + HERE.affine[:3, 3]
    np.testing.assert_array_equal(seen, (np.abs(world) <= 6.0).all(-1))


def test_a_grid_is_the_same_by_where_its_corners_are() -> None:
    grid = Grid((60, 50, 40), OBLIQUE)
    rounded = OBLIQUE.astype(np.float32).astype(np.float64)
    assert is_same_grid(grid, Grid((60, 50, 40), rounded))
    turned = OBLIQUE @ nib.affines.from_matvec(nib.eulerangles.euler2mat(0.002, 0, 0))
    for other in (turned, nib.affines.from_matvec(np.eye(3), [0.3, 0, 0]) @ OBLIQUE, oriented("LPS")):
        assert not is_same_grid(grid, Grid((60, 50, 40), other))
    assert not is_same_grid(grid, Grid((60, 50, 41), OBLIQUE))


def test_a_mirrored_grid_holds_the_mirrored_voxels() -> None:
    values = np.random.default_rng(0).random(HERE.shape).astype(np.float32)
    mirrored = Grid(HERE.shape, HERE.affine @ np.array([[-1, 0, 0, 29], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    np.testing.assert_allclose(place(values, HERE, mirrored), values[::-1], atol=1e-5)
