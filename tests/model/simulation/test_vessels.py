from __future__ import annotations

import numpy as np
import pytest

from model.simulation.template import template_grid
from model.simulation.vessels import BLOOD, courses, vessels

STEP_MM = 2.0
LARGE = {
    "internal carotid",
    "basilar",
    "middle cerebral",
    "anterior cerebral",
    "posterior cerebral",
    "superior sagittal sinus",
}


def test_the_large_vessels_are_there_with_calibres_of_textbooks() -> None:
    table = {vessel.name: vessel for vessel in courses()}
    assert set(table) >= LARGE
    assert all(0.4 <= radius <= 5.0 for vessel in table.values() for radius in vessel.radii_mm)
    assert {vessel.blood for vessel in table.values()} == set(BLOOD)


def test_the_circle_is_closed() -> None:
    table = {vessel.name: np.array(vessel.points_mm) for vessel in courses()}
    top, basilar = table["internal carotid"][-1], table["basilar"][-1]
    assert np.allclose(top, table["middle cerebral"][0])
    assert np.allclose(top, table["anterior cerebral"][0])
    assert np.linalg.norm(basilar - table["posterior cerebral"][0]) < 2
    for end in (0, -1):
        link = table["posterior communicating"][end]
        assert (
            min(np.linalg.norm(table[name] - link, axis=1).min() for name in ("internal carotid", "posterior cerebral"))
            < 4
        )


def test_blood_is_mirrored_and_lies_where_its_vessels_are() -> None:
    blood, grid = vessels(STEP_MM), template_grid(STEP_MM)
    x, _, _ = grid.axes_mm()
    assert (blood * (x > 3)).sum() == pytest.approx((blood * (x < -3)).sum(), rel=0.08)
    i, j, k = (round(float(value)) for value in (np.linalg.inv(grid.affine) @ [0, -24, -42, 1])[:3])
    assert blood[0, i, j, k] > 0.5
    assert 5 < blood[0].sum() * STEP_MM**3 / 1000 < 30
    assert 15 < blood[1].sum() * STEP_MM**3 / 1000 < 70
