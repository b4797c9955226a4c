from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from model.simulation.template import (
    HeadGrid,
    Levels,
    brain_levels,
    brain_maps,
    resampled,
    signed_distance_mm,
    template_grid,
)
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


STEP_MM = 3.0
ML = STEP_MM**3 / 1000


@pytest.fixture(scope="module")
def levels() -> Levels:
    return brain_levels(STEP_MM)


def _largest_near(values: np.ndarray, *point_mm: float) -> float:
    near = np.abs(template_grid(STEP_MM).points_mm() - np.reshape(point_mm, (3, 1, 1, 1))).max(axis=0) < 5
    return float(values[near].max())


def test_the_distance_to_a_mask_is_right_to_half_a_voxel() -> None:
    grid = template_grid(STEP_MM)
    x, y, z = grid.axes_mm()
    radius = np.sqrt(x**2 + y**2 + z**2)
    distance = signed_distance_mm(radius < 40, STEP_MM, 15.0)
    near = np.abs(radius - 40) < 10
    assert np.abs(distance - (40 - radius))[near].max() < STEP_MM


def test_white_matter_lies_in_parenchyma_and_parenchyma_in_the_dura(levels: Levels) -> None:
    white, tissue = levels.white > 0.5, levels.pial > 0
    assert (white & ~tissue).sum() < 0.01 * white.sum()
    assert (tissue & (levels.inner < -STEP_MM)).sum() == 0


def test_the_template_has_the_proportions_of_a_brain(levels: Levels) -> None:
    whole = (levels.inner > 0).sum() * ML
    assert 1950 < whole < 2200
    assert 0.28 < (levels.white > 0).sum() * ML / whole < 0.38
    assert 0.70 < (levels.pial > 0).sum() * ML / whole < 0.88


def test_ventricles_are_told_from_sulci(levels: Levels) -> None:
    for point in ((12.0, 10.0, 14.0), (-12.0, 10.0, 14.0), (27.0, -46.0, 8.0), (-27.0, -46.0, 8.0)):
        assert _largest_near(levels.ventricle, *point) > 0
    for sulcus in ((0.0, 30.0, 50.0), (40.0, 6.0, -4.0), (0.0, -50.0, 20.0)):
        assert _largest_near(levels.ventricle, *sulcus) < 0
    assert 20 < (levels.ventricle > 0).sum() * ML < 60


def test_nothing_lies_outside_the_box_of_the_brain(levels: Levels) -> None:
    for edge in (levels.white[0], levels.pial[:, 0], levels.ventricle[:, :, -1], levels.inner[-1]):
        assert edge.max() < 0
