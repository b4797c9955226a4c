"""Pictures that compare volumes, read back pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from model.evaluation.comparison import DIFFERENCE_COLOURS, GAP_PX, TITLES, Compared, compare, grey, window
from tests.model.evaluation.pictures import SHAPE, ball, blob, pixels
from warehouse.imaging.brain_scale import soften
from warehouse.quality.slices import LEFT, PLANES, RIGHT, View, png

WIDTH_PX = 880
COLUMN_PX = (WIDTH_PX - 5 * GAP_PX) / 4


def drawn(note: str = "", n_rows: int = 1, **volumes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw flat brains, except the given volumes, in an axial slice."""
    flat, view = ball() * 0.2, View.around([ball()], SHAPE, np.full(3, 3.0), 12.0)
    row = replace(Compared(flat, flat, flat, view, "T1w → T2w"), **volumes)  # type: ignore[arg-type]
    return pixels(png(compare([row] * n_rows, (PLANES[0],), WIDTH_PX, note)))


def column(picture: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """Return the part of a picture that shows one volume, without head and foot."""
    start = GAP_PX + number * (COLUMN_PX + GAP_PX)
    return picture[36:-36, round(start) : round(start + COLUMN_PX)]


def middle_column(found: NDArray[np.bool_]) -> float:
    columns = np.flatnonzero(found.any(axis=0))
    return float(columns.min() + columns.max()) / 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2], ids=TITLES[:3])
@pytest.mark.parametrize(("side", "letter"), [("left", LEFT), ("right", RIGHT)])
def test_a_spot_is_drawn_on_the_side_that_bears_its_letter(number: int, side: str, letter: str) -> None:
    shown = column(drawn(**{("source", "made", "target")[number]: blob(side)}), number)
    spot = middle_column(shown.min(axis=2) > 0.95)
    letters = middle_column(np.abs(shown - to_rgb(letter)).max(axis=2) < 0.05)
    middle = shown.shape[1] / 2
    assert (spot < middle) == (letters < middle) == (side == "left")


def like(shown: NDArray[np.float64], place: float) -> NDArray[np.bool_]:
    """Return the pixels of the colour that a difference has: 0 is too dark, 0.5 is none, 1 is too bright."""
    return np.asarray(np.abs(shown - colormaps[DIFFERENCE_COLOURS](place)[:3]).max(axis=2) < 0.02)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("name", "end"), [("made", 1.0), ("target", 0.0)], ids=["added", "missing"])
def test_what_was_added_or_is_missing_has_its_colour_on_its_side(side: str, name: str, end: float) -> None:
    shown = column(drawn(**{name: blob(side)}), 3)
    half = shown.shape[1] // 2
    here, there = (shown[:, :half], shown[:, half:]) if side == "left" else (shown[:, half:], shown[:, :half])
    assert like(here, end).sum() > 250
    assert like(there, end).sum() == 0
    assert like(there, 0.5).mean() > 0.9
    assert like(shown, 1 - end).sum() == 0


@pytest.mark.slow
def test_comparisons_stand_below_each_other_with_captions_where_there_is_a_note() -> None:
    one, two, captioned = drawn(), drawn(n_rows=2), drawn(note="of nobody")
    assert one.shape[1] == two.shape[1] == captioned.shape[1] == WIDTH_PX
    assert 1.6 * one.shape[0] < two.shape[0] < 2 * one.shape[0]
    assert captioned.shape[0] == one.shape[0] + 30


def test_percentiles_of_the_brain_are_black_and_white_and_what_lies_between_is_linear_in_the_signal() -> None:
    linear = np.where(ball(), np.linspace(-4, 4, SHAPE[0])[:, None, None], 9.0)
    network = soften(linear)
    low, high = window(network, ball())
    shown = grey(network, low, high)
    black, white = np.percentile(linear[ball()], (0.5, 99.5))
    np.testing.assert_allclose(shown, np.clip((linear - black) / (white - black), 0, 1), atol=1e-3)
    assert shown[~ball()].min() == 1  # brighter than the brain
    assert np.isfinite(grey(np.zeros(SHAPE), 0.0, 0.0)).all()
