from __future__ import annotations

import numpy as np
import pytest

from model.simulation.structures import (
    BLOOD,
    NUCLEI,
    OUTER,
    SCALP_MM,
    SKULL_MM,
    courses,
    nuclei,
    skin_level,
    surroundings,
    vessels,
)
from model.simulation.template import intracranial_level, template_grid

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


STEP_MM = 3.0


def _share_at(maps: np.ndarray, name: str, *point_mm: float) -> float:
    grid = template_grid(STEP_MM)
    i, j, k = (round(float(value)) for value in (np.linalg.inv(grid.affine) @ [*point_mm, 1])[:3])
    return float(maps[OUTER.index(name), i, j, k])


@pytest.mark.slow
def test_skin_follows_the_vertex_at_the_thickness_of_skull_and_scalp() -> None:
    skin, inner = skin_level(STEP_MM), intracranial_level(STEP_MM)
    _, _, z = template_grid(STEP_MM).axes_mm()
    top = (np.abs(inner) < 1.5) & (z > 50)
    assert abs(float(skin[top].mean()) - SKULL_MM - SCALP_MM) < 2.0


@pytest.mark.slow
def test_the_face_reaches_landmarks_of_heads_in_mni_space() -> None:
    grid, inside = template_grid(STEP_MM), skin_level(STEP_MM) > 0
    x, y, z = (np.broadcast_to(axis, grid.shape)[inside] for axis in grid.axes_mm())
    level = np.abs(z + 40) < 3
    assert abs(y[level & (np.abs(x) < 4)].max() - 86) < 8  # nasion
    assert abs(y[np.abs(z + 23) < 3].min() + 118) < 9  # inion
    assert abs(np.abs(x[(np.abs(y + 20) < 3) & (np.abs(z + 30) < 3)]).max() - 86) < 10  # before the ears
    assert y.max() > 96  # nose


def test_air_fat_bone_and_eyes_are_where_they_belong() -> None:
    maps = surroundings(STEP_MM)
    for side in (-1, 1):
        assert _share_at(maps, "air", side * 32, 48, -68) > 0.9
        assert _share_at(maps, "vitreous", side * 33, 60, -40) > 0.9
        assert _share_at(maps, "fat", side * 22, 42, -46) > 0.5
    assert _share_at(maps, "white_matter", 0, -43, -105) > 0.9  # cord
    assert _share_at(maps, "marrow", 0, -25, -104) > 0.9  # vertebra
    assert maps.min() >= 0
    assert maps.sum(axis=0).max() <= 1 + 1e-5
