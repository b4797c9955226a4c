from __future__ import annotations

import numpy as np
import pytest

from model.simulation.nuclei import NUCLEI, nuclei
from model.simulation.template import template_grid

STEP_MM = 2.0
# Volumes of both sides in the template, millilitres: as atlases have them, in the larger brain of MNI space.
VOLUMES_ML = {"thalamus": (9, 19), "striatum": (15, 27), "pallidum": (2, 5), "nigra": (1.5, 5)}


@pytest.mark.parametrize("name", list(VOLUMES_ML))
def test_each_nucleus_has_its_volume_and_is_the_same_on_both_sides(name: str) -> None:
    share = nuclei(STEP_MM)[NUCLEI.index(name)]
    low, high = VOLUMES_ML[name]
    assert low < share.sum() * STEP_MM**3 / 1000 < high
    x, _, _ = template_grid(STEP_MM).axes_mm()
    assert (share * (x > 0)).sum() == pytest.approx((share * (x < 0)).sum(), rel=0.03)


def test_the_pallidum_lies_between_thalamus_and_putamen() -> None:
    maps, grid = nuclei(STEP_MM), template_grid(STEP_MM)
    x, y, z = (np.broadcast_to(axis, grid.shape) for axis in grid.axes_mm())
    slab = (np.abs(z - 2) < 3) & (np.abs(y + 2) < 22) & (x > 0)
    side = {name: float(np.average(x[slab], weights=maps[NUCLEI.index(name)][slab])) for name in NUCLEI[1:4]}
    assert side["thalamus"] < side["pallidum"] < side["striatum"] + 4


def test_shares_are_shares() -> None:
    maps = nuclei(STEP_MM)
    assert maps.min() >= 0
    assert maps.sum(axis=0).max() <= 1 + 1e-5
