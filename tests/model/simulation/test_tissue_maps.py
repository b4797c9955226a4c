from __future__ import annotations

import numpy as np
import pytest

from model.simulation.template import template_grid
from model.simulation.tissue_maps import Levels, brain_levels, signed_distance_mm

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
