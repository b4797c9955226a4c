from __future__ import annotations

import numpy as np
import pytest

from model.simulation.shapes import Canvas, ellipsoid_level, smooth_noise, tube_level, union
from model.simulation.template import HeadGrid

GRID = HeadGrid(4.0)
X, Y, Z = GRID.axes_mm()


def test_the_level_of_a_ball_is_the_distance_to_its_surface() -> None:
    exact = 30.0 - np.sqrt((X - 5) ** 2 + (Y + 10) ** 2 + Z**2)
    assert np.allclose(ellipsoid_level(X, Y, Z, (5, -10, 0), (30, 30, 30)), exact, atol=1e-3)


def test_an_ellipsoid_ends_at_its_radii_and_tilts_its_front_upwards() -> None:
    def level(x: float, y: float, z: float, tilt_deg: float = 0.0) -> float:
        at = [np.full((1, 1, 1), value, np.float32) for value in (x, y, z)]
        return float(ellipsoid_level(*at, (0, 0, 0), (10, 30, 5), tilt_deg).item())

    assert level(10, 0, 0) == pytest.approx(0, abs=1e-4)
    assert level(0, 30, 0) == pytest.approx(0, abs=1e-4)
    assert level(0, 20, 10, tilt_deg=30) > 0 > level(0, 20, -10, tilt_deg=30)


def test_a_tube_has_its_radii_at_its_ends() -> None:
    at = [np.array([[[value]]], np.float32) for value in (0.0, 20.0, 6.0)]
    assert tube_level(*at, (0, 0, 0), (0, 20, 0), (2.0, 5.0)).item() == pytest.approx(-1.0)


def test_what_is_painted_later_covers_what_was_there() -> None:
    canvas = Canvas(GRID, ("bone", "air"))
    canvas.ellipsoid("bone", (20, 0, 0), (30, 30, 30), both=True)
    canvas.ellipsoid("air", (20, 0, 0), (12, 12, 12))
    assert canvas.fractions.min() >= 0
    assert canvas.fractions.sum(axis=0).max() <= 1 + 1e-6
    i, j, k = (round(float(value)) for value in (np.linalg.inv(GRID.affine) @ [20, 0, 0, 1])[:3])
    assert canvas.fractions[1, i, j, k] == pytest.approx(1.0)
    assert canvas.fractions[0, GRID.shape[0] - 1 - i, j, k] == pytest.approx(1.0)


def test_a_body_outside_the_grid_paints_nothing() -> None:
    canvas = Canvas(GRID, ("bone",))
    canvas.ellipsoid("bone", (900, 0, 0), (5, 5, 5))
    canvas.tube("bone", [(0, 0, 800), (0, 0, 900)], 3.0)
    assert not canvas.fractions.any()


def test_bodies_grown_together_hold_both_and_fill_the_crease() -> None:
    one = ellipsoid_level(X, Y, Z, (-20, 0, 0), (25, 25, 25))
    other = ellipsoid_level(X, Y, Z, (20, 0, 0), (25, 25, 25))
    both = union([one, other], 10.0)
    assert np.all(both >= np.maximum(one, other) - 1e-6)
    assert (both > 0).sum() > (np.maximum(one, other) > 0).sum()


def test_noise_has_unit_spread_and_is_smooth() -> None:
    noise = smooth_noise((40, 41, 42), np.random.default_rng(1), 6)
    assert noise.shape == (40, 41, 42)
    assert noise.std() == pytest.approx(1.0, abs=0.01)
    assert np.abs(np.diff(noise, axis=0)).mean() < 0.4
