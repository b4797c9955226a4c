from __future__ import annotations

import numpy as np
import pytest

from warehouse.imaging.geometry import session_grid


def test_the_grid_at_one_millimetre_is_mni152s_box() -> None:
    grid = session_grid(1.0)
    assert grid.shape == (182, 218, 182)
    np.testing.assert_allclose(grid.affine, [[1, 0, 0, -90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])


@pytest.mark.parametrize("voxel_mm", [0.8, 1.0, 2.0, 3.0])
def test_the_grids_outer_faces_stay_in_place_whatever_the_voxel_size(voxel_mm: float) -> None:
    grid = session_grid(voxel_mm)
    low = grid.affine[:3, 3] - voxel_mm / 2
    high = low + np.array(grid.shape) * voxel_mm
    np.testing.assert_allclose(low, [-90.5, -126.5, -72.5])
    assert np.all(high >= [91.5, 91.5, 109.5])
    assert np.all(high < np.array([91.5, 91.5, 109.5]) + voxel_mm)


def test_the_grids_axes_are_right_anterior_and_superior() -> None:
    rotation = session_grid(2.0).affine[:3, :3]
    np.testing.assert_allclose(rotation, np.diag(np.diag(rotation)))
    assert np.all(np.diag(rotation) > 0)
