"""Comparison pictures: source, made image, target and difference, side by side.

Neurological convention: the left of a picture is the person's left; both sides are marked. Intensities are drawn linear
in the signal, not compressed. A percentile of the real target's brain is black and another one white, for the made
image as well; the source has another contrast, and a window of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.brain_scale import harden
from warehouse.quality.slices import GROUND, INK, QUIET, View, mark_sides, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIFFERENCE_RANGE = 0.4  # of black to white; what differs more has the end's colour
DIFFERENCE_COLOURS = (
    "berlin"  # dark where nothing differs, blue and red for less and more, and safe for the colour-blind
)
WINDOW = (0.5, 99.5)  # percentiles of a brain that are drawn black and white
COLUMNS = 4
TITLES = ("source", "made by the model", "target", "made − target")
DPI = 100
GAP_PX, HEAD_PX, FOOT_PX, NAME_PX = 6.0, 34.0, 34.0, 30.0
Plane = tuple[int, int, int]


@dataclass(frozen=True)
class Compared:
    """Three volumes on one grid, RAS.

    Parameters
    ----------
    source, made, target : (i, j, k) float64 array
        0 is drawn black and 1 white.
    view : View
        Part of the grid that is drawn.
    caption : str
        Written above, where the picture has captions.
    """

    source: NDArray[np.float64]
    made: NDArray[np.float64]
    target: NDArray[np.float64]
    view: View
    caption: str = ""


def compare(rows: Sequence[Compared], planes: Sequence[Plane], width_px: int, note: str = "") -> Figure:
    """Draw a grid: one row per comparison and plane, one column per volume.

    Parameters
    ----------
    rows : sequence of Compared
    planes : sequence of tuple of int
        Of `warehouse.quality.slices.PLANES`.
    width_px : int
    note : str
        Written below; with a note, each comparison has its caption above.
    """
    from matplotlib.figure import Figure

    column = (width_px - (COLUMNS + 1) * GAP_PX) / COLUMNS
    heights = [[column * row.view.size_mm(plane[2]) / row.view.size_mm(plane[1]) for plane in planes] for row in rows]
    name_px = NAME_PX if note else 0.0
    height_px = HEAD_PX + FOOT_PX + sum(sum(each) + GAP_PX * len(each) + name_px for each in heights)
    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=GROUND)
    canvas = _Canvas(figure, width_px, height_px)
    for number, title in enumerate(TITLES):
        middle = GAP_PX + number * (column + GAP_PX) + column / 2
        canvas.write(middle, height_px - 23, title, size=12, ha="center")
    top = height_px - HEAD_PX
    for row, tall in zip(rows, heights, strict=True):
        if note:
            canvas.write(GAP_PX + 4, top - 20, row.caption, size=13, weight="bold")
            top -= name_px
        for plane, plane_px in zip(planes, tall, strict=True):
            top -= plane_px
            _row(canvas, row, plane, (column, top, plane_px))
            top -= GAP_PX
    _key(canvas, note)
    return figure


def window(network: NDArray[Any], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the network intensities that are drawn black and white: percentiles of a brain."""
    low, high = np.percentile(network[brain].astype(np.float64), WINDOW)
    return float(low), float(high)


def grey(network: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    """Return network intensities as they are drawn: linear in the signal, 0 at `low` and 1 at `high`, clipped."""
    black, white = (float(value) for value in harden(np.array([low, high])))
    linear = harden(network.astype(np.float64)) - black
    return np.clip(linear / (white - black if white > black else 1.0), 0.0, 1.0)


def shades(
    source: NDArray[Any], made: NDArray[Any], real: NDArray[Any], brain: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return network intensities as they are drawn: the source in its own window, the others in the real scan's."""
    low, high = window(real, brain)
    return grey(source, *window(source, brain)), grey(made, low, high), grey(real, low, high)


@dataclass(frozen=True)
class _Canvas:
    """A figure whose places are pixels, from the lower left corner."""

    figure: Figure
    width_px: float
    height_px: float

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        style = {"color": INK, "fontsize": style.pop("size", 11), "parse_math": False} | style
        self.figure.text(x / self.width_px, y / self.height_px, text, **style)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        place = (x / self.width_px, y / self.height_px, width / self.width_px, height / self.height_px)
        return self.figure.add_axes(place)


def _row(canvas: _Canvas, row: Compared, plane: Plane, place: tuple[float, float, float]) -> None:
    column, bottom, height = place
    greys = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
    ends = {"cmap": DIFFERENCE_COLOURS, "vmin": -DIFFERENCE_RANGE, "vmax": DIFFERENCE_RANGE}
    drawn = ((row.source, greys), (row.made, greys), (row.target, greys), (row.made - row.target, ends))
    for number, (volume, style) in enumerate(drawn):
        axes = canvas.axes(GAP_PX + number * (column + GAP_PX), bottom, column, height)
        show(axes, volume, row.view, plane, **style)
        mark_sides(axes, plane, size=12)


def _key(canvas: _Canvas, note: str) -> None:
    """Write the note, and what the colours of the difference mean, below everything."""
    canvas.write(10, 12, note, size=10.5, color=QUIET)
    width, right = 120.0, canvas.width_px - 138
    ramp = canvas.axes(right - width, 12, width, 10)
    ramp.imshow(np.linspace(-1, 1, 256)[None], aspect="auto", cmap=DIFFERENCE_COLOURS)
    ramp.set_axis_off()
    canvas.write(right - width - 8, 12, f"too dark −{DIFFERENCE_RANGE:g}", size=10.5, color=QUIET, ha="right")
    canvas.write(right + 8, 12, f"+{DIFFERENCE_RANGE:g} too bright", size=10.5, color=QUIET)
