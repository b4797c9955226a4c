"""The map of centres: the land is where it is, and no name covers another."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Annotation, Text

from model.report.world import _rings, draw_centers, spread_out
from warehouse.centers.registry import shipped

HEIGHTS = st.lists(st.floats(-60, 80), max_size=12).map(lambda values: sorted(values, reverse=True))


@given(HEIGHTS)
def test_names_keep_their_order_and_their_distance(heights: list[float]) -> None:
    placed = spread_out(heights, 9.0)
    assert len(placed) == len(heights)
    assert all(above - below >= 9.0 - 1e-6 for above, below in pairwise(placed))


@given(HEIGHTS)
def test_names_together_stay_where_their_cities_are(heights: list[float]) -> None:
    assert sum(spread_out(heights, 9.0)) == pytest.approx(sum(heights), abs=1e-6)


def test_names_that_have_room_are_not_moved() -> None:
    assert spread_out([60.0, 40.0, -20.0], 9.0) == [60.0, 40.0, -20.0]


@pytest.mark.parametrize(
    ("place", "is_land"),
    [
        pytest.param((12.4, 51.3), True, id="Leipzig"),
        pytest.param((-90.2, 38.6), True, id="St. Louis"),
        pytest.param((144.9, -37.0), True, id="near Melbourne"),
        pytest.param((-40.0, 30.0), False, id="the Atlantic"),
        pytest.param((80.0, -30.0), False, id="the Indian Ocean"),
    ],
)
def test_land_is_land_and_sea_is_sea(place: tuple[float, float], is_land: bool) -> None:
    assert any(Path(ring).contains_point(place) for ring in _rings()) == is_land


def test_every_shipped_centre_with_a_city_is_near_land() -> None:
    for center in shipped().values():
        if center.latitude_deg is not None and center.longitude_deg is not None:
            place = (center.longitude_deg, center.latitude_deg)
            assert any(Path(ring).contains_point(place, radius=r) for ring in _rings() for r in (-1.0, 1.0)), (
                center.title
            )


def test_no_name_covers_another_where_all_shipped_centres_are_drawn() -> None:
    centers = [center for center in shipped().values() if center.latitude_deg is not None]
    cities = pd.DataFrame(
        {
            "latitude_deg": [center.latitude_deg for center in centers],
            "longitude_deg": [center.longitude_deg for center in centers],
            "label": [f"{center.city}: {center.center_id}" for center in centers],
            "n_images": range(len(centers)),
            "color": "#2f6fb0",
        }
    )
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    axes = figure.subplots()
    draw_centers(axes, cities)
    figure.draw_without_rendering()
    boxes = [
        Text.get_window_extent(text) for text in axes.texts if isinstance(text, Annotation)
    ]  # of the words, without the line to the city
    assert len(boxes) == len(centers)
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
