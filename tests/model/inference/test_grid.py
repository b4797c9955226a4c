"""Grids of any orientation lead to the network's and back, and every voxel stays where it is in the world."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from model.inference.scans import with_steps
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid, turn, turn_back
from warehouse.imaging.resampling import resample_along_axes as resample

TILT = nib.eulerangles.euler2mat(0.3, -0.2, 0.25)  # rad, about z, y and x
OBLIQUE = nib.affines.from_matvec(TILT @ np.diag([1.0, 2.0, 3.0]), [-20.0, -31.0, 12.0])
SHEARED = np.array([[0.9, -0.2, 0.3, -20.0], [0.25, 1.8, 0.1, -31.0], [-0.3, 0.1, 2.6, 12.0], [0, 0, 0, 1.0]])


def oriented(axcodes: str, sizes: tuple[float, float, float] = (1.0, 2.0, 3.0)) -> NDArray[np.float64]:
    """Return an affine whose axes point as the letters say."""
    ornt = nib.orientations.axcodes2ornt(tuple(axcodes))
    matrix = np.eye(4)
    for axis, (towards, sign) in enumerate(ornt):
        matrix[:3, axis] = 0
        matrix[int(towards), axis] = sign * sizes[axis]
    matrix[:3, 3] = (7.0, -5.0, 3.0)
    return matrix


AFFINES = [pytest.param(oriented(code), id=code) for code in ("RAS", "LPS", "PIR", "ASL")]
AFFINES.append(pytest.param(OBLIQUE @ oriented("LPI", (1, 1, 1)), id="oblique"))
AFFINES.append(pytest.param(SHEARED, id="sheared"))


def world_of(voxels: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    """Return where the centre of gravity of the voxels is, the slow and obvious way."""
    at = np.indices(voxels.shape).reshape(3, -1)
    weights = voxels.ravel().astype(float)
    return (grid.affine @ np.append(at @ weights / weights.sum(), 1))[:3]


def ball(grid: Grid, at_mm: NDArray[np.float64], radius_mm: float = 8.0) -> NDArray[np.float32]:
    """Return a soft ball in the world."""
    at = np.indices(grid.shape).reshape(3, -1)
    here = grid.affine[:3, :3] @ at + grid.affine[:3, 3:]
    distance = np.linalg.norm(here - at_mm[:, None], axis=0)
    return np.exp(-((distance / radius_mm) ** 2)).reshape(grid.shape).astype(np.float32)


@pytest.mark.parametrize("affine", AFFINES)
def test_turned_voxels_point_to_ras_and_stay_in_place(affine: NDArray[np.float64]) -> None:
    grid = Grid((5, 6, 7), affine)
    voxels = np.arange(210, dtype=np.float32).reshape(5, 6, 7)
    turned, there = turn(voxels, affine), grid.turned()
    assert nib.aff2axcodes(there.affine) == ("R", "A", "S")
    assert turned.shape == there.shape
    np.testing.assert_allclose(world_of(turned, there), world_of(voxels, grid), atol=1e-4)
    reference = nib.as_closest_canonical(nib.Nifti1Image(voxels, affine))
    np.testing.assert_array_equal(turned, reference.get_fdata())
    np.testing.assert_allclose(there.affine, reference.affine)
    np.testing.assert_array_equal(turn_back(turned, affine), voxels)


@pytest.mark.parametrize("size_mm", [(3.0, 3.0, 3.0), (0.7, 1.1, 6.0)])
@pytest.mark.parametrize("affine", AFFINES)
def test_other_steps_keep_axes_centre_and_field_of_view(
    affine: NDArray[np.float64], size_mm: tuple[float, float, float]
) -> None:
    grid = Grid((20, 14, 9), affine)
    other = with_steps(grid, size_mm)
    np.testing.assert_allclose(other.voxel_size_mm, size_mm)
    np.testing.assert_allclose(
        other.affine[:3, :3] / other.voxel_size_mm, grid.affine[:3, :3] / grid.voxel_size_mm, atol=1e-12
    )
    centres = [one.affine @ np.append((np.array(one.shape) - 1) / 2, 1) for one in (grid, other)]
    np.testing.assert_allclose(*centres, atol=1e-9)
    extent, covered = (np.array(one.shape) * one.voxel_size_mm for one in (grid, other))
    assert (covered >= extent - 0.002 * other.voxel_size_mm).all()
    assert (covered < extent + other.voxel_size_mm).all()


@pytest.mark.parametrize("affine", AFFINES)
def test_a_one_sided_ball_stays_where_it_is(affine: NDArray[np.float64]) -> None:
    grid = Grid((60, 40, 30), affine).turned()
    centre = (grid.affine @ np.append((np.array(grid.shape) - 1) / 2, 1))[:3]
    at = centre + 10 * grid.affine[:3, 0] / grid.voxel_size_mm[0]  # to the right
    coarse = with_steps(grid, (3.0, 3.0, 3.0))
    there = resample(ball(grid, at), grid, coarse)
    np.testing.assert_allclose(world_of(there, coarse), world_of(ball(coarse, at), coarse), atol=0.3)
    back = resample(there, coarse, grid)
    assert np.abs(back - ball(grid, at)).max() < 0.1


def test_a_grid_resampled_to_itself_is_the_same() -> None:
    voxels = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    grid = Grid((4, 5, 6), OBLIQUE)
    np.testing.assert_array_equal(resample(voxels, grid, grid), voxels)
    np.testing.assert_array_equal(resample(voxels, grid, with_steps(grid, tuple(grid.voxel_size_mm))), voxels)


@pytest.mark.parametrize("shape", [(1, 9, 9), (9, 1, 1), (1, 1, 1)])
def test_a_side_of_one_voxel_is_resampled_like_any_other(shape: tuple[int, int, int]) -> None:
    voxels = np.random.default_rng(0).random(shape).astype(np.float32)
    grid = Grid(shape, np.diag([1.0, 1.0, 5.0, 1.0]))
    there = with_steps(grid, (3.0, 3.0, 3.0))
    made = resample(resample(voxels, grid, there), there, grid)
    assert made.shape == shape
    assert np.isfinite(made).all()


def test_splines_do_not_overshoot() -> None:
    voxels = np.zeros((12, 12, 12), np.float32)
    voxels[6:] = 1
    grid = Grid((12, 12, 12), np.diag([3.0, 3.0, 3.0, 1.0]))
    fine = resample(voxels, grid, with_steps(grid, (1.0, 1.0, 1.0)))
    assert fine.min() == 0
    assert fine.max() == 1


def test_a_grid_that_no_machine_can_hold_is_refused() -> None:
    with pytest.raises(ModelError, match="voxels is too large") as refusal:
        with_steps(Grid((200, 200, 200), np.eye(4)), (0.01, 0.01, 0.01))
    assert "mm" in refusal.value.remedy
