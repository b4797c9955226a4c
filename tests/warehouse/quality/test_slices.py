"""Slices: cut where they say, in true proportions, the left of the picture being the person's left."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from warehouse.quality.slices import PLANES, View, png

SHAPE = (7, 9, 8)
STEP = np.array([1.0, 2.0, 3.0])


def volume() -> np.ndarray:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE)


@pytest.mark.parametrize("plane", PLANES, ids=["axial", "coronal", "sagittal"])
def test_a_slice_runs_from_left_to_right_and_from_below_to_above(plane: tuple[int, int, int]) -> None:
    across, horizontal, vertical = plane
    view = View.around([], SHAPE, STEP)
    picture = view.cut(volume(), across)
    for row in range(SHAPE[vertical]):
        for column in range(SHAPE[horizontal]):
            index = [0, 0, 0]
            index[across], index[horizontal], index[vertical] = view.centre[across], column, row
            assert picture[row, column] == volume()[tuple(index)]


def test_the_view_is_the_box_around_all_masks_with_a_margin_in_millimetres() -> None:
    first, second = np.zeros((2, *SHAPE))
    first[2:4, 4, 4] = 1
    second[3, 4:6, 4] = 1
    view = View.around([first, second], SHAPE, STEP, margin_mm=2.0)
    assert (view.low, view.high) == ((0, 3, 3), (6, 7, 6))
    assert view.centre == (2, 4, 4)  # of the first, halves to the even one
    assert [view.size_mm(axis) for axis in range(3)] == [6.0, 8.0, 9.0]


def test_without_a_mask_the_whole_grid_is_in_view() -> None:
    view = View.around([np.zeros(SHAPE)], SHAPE, STEP)
    assert (view.low, view.high, view.centre) == ((0, 0, 0), SHAPE, (3, 4, 4))


def test_a_figure_is_a_png_of_its_own_size_and_ground_and_the_same_each_time() -> None:
    figure = Figure(figsize=(0.5, 0.3), dpi=100, facecolor="#102030")
    picture = Image.open(BytesIO(png(figure)))
    assert (picture.format, picture.size, picture.getpixel((0, 0))) == ("PNG", (50, 30), (16, 32, 48, 255))
    assert png(figure) == png(figure)
    assert "Software" not in picture.info  # matplotlib's version would change the bytes


@pytest.mark.parametrize("text", ["$\\bad{$", "$x", "a $5 and $6 b", "$$"])
def test_a_dollar_sign_in_a_text_is_no_formula(text: str) -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    axes.plot([1, 2], label=text)
    axes.set(title=text, xlabel=text)
    axes.legend()
    figure.suptitle(text)
    assert png(figure).startswith(b"\x89PNG")


def test_powers_of_ten_at_an_axis_stay_formulas() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 1000])
    axes.set(yscale="log", title="$1")
    png(figure)
    assert all(label.get_parse_math() for label in axes.get_yticklabels())
