from __future__ import annotations

import numpy as np

from model.simulation.shells import OUTER, SCALP_MM, SKULL_MM, skin_level, surroundings
from model.simulation.template import template_grid
from model.simulation.tissue_maps import intracranial_level

STEP_MM = 3.0


def _share_at(maps: np.ndarray, name: str, *point_mm: float) -> float:
    grid = template_grid(STEP_MM)
    i, j, k = (round(float(value)) for value in (np.linalg.inv(grid.affine) @ [*point_mm, 1])[:3])
    return float(maps[OUTER.index(name), i, j, k])


def test_skin_follows_the_vertex_at_the_thickness_of_skull_and_scalp() -> None:
    skin, inner = skin_level(STEP_MM), intracranial_level(STEP_MM)
    _, _, z = template_grid(STEP_MM).axes_mm()
    top = (np.abs(inner) < 1.5) & (z > 50)
    assert abs(float(skin[top].mean()) - SKULL_MM - SCALP_MM) < 2.0


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
