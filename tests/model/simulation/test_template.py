from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from model.simulation.template import HeadGrid, brain_maps, resampled, template_grid
from warehouse.errors import PhantomError


@pytest.mark.parametrize("step_mm", [1.0, 1.5, 3.0])
def test_grids_of_all_sizes_begin_at_the_same_outer_face(step_mm: float) -> None:
    grid = HeadGrid(step_mm)
    assert np.allclose(grid.affine[:3, 3] - step_mm / 2, [-100.0, -122.0, -124.0])
    assert np.all(np.array(grid.shape) * step_mm >= [200.0, 240.0, 226.0])


def test_a_fine_grid_divides_into_the_voxels_of_the_coarse_one() -> None:
    assert HeadGrid(1.5, block=2).shape == tuple(2 * size for size in HeadGrid(3.0).shape)


@pytest.mark.parametrize("step_mm", [0.5, 7.0])
def test_voxels_that_a_head_cannot_have_are_refused(step_mm: float) -> None:
    with pytest.raises(PhantomError, match="cannot be made of voxels"):
        HeadGrid(step_mm)


def test_points_are_voxel_centres_in_the_world() -> None:
    grid = HeadGrid(6.0)
    assert np.allclose(grid.points_mm()[:, 3, 4, 5], (grid.affine @ [3, 4, 5, 1])[:3])


def test_maps_are_shares_and_nothing_rings_outside_the_brain() -> None:
    maps = brain_maps(3.0)
    for values in (maps.t1w, maps.grey, maps.white):
        assert 0.0 <= values.min() <= values.max() <= 1.0
    _, n_pieces = ndimage.label(maps.t1w > 0.01)
    assert n_pieces == 1
    assert maps.t1w[:8].max() == 0.0


def test_resampling_interpolates_linearly_and_keeps_places() -> None:
    source, target = HeadGrid(6.0), template_grid(3.0)
    x, y, z = (axis.astype(np.float64) for axis in source.axes_mm())
    ramp = np.asarray(2 * x - y + 0.5 * z, np.float32)
    there = resampled(ramp, source.affine, target)
    x, y, z = (axis.astype(np.float64) for axis in target.axes_mm())
    inside = (slice(8, -8),) * 3
    assert np.allclose(there[inside], (2 * x - y + 0.5 * z)[inside], atol=1e-3)
