"""Figures of volumes in three planes, or beside each other in one, for notebooks.

Neurological convention: the left of a picture is the person's left; both sides are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.geometry import Image
from warehouse.quality.slices import GROUND, INK, PLANES, QUIET, View, mark_sides, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARGIN_MM = 16.0
WINDOW = (0.5, 99.5)  # percentiles of the brain that are drawn black and white
OUTLINE = "#ffd23f"
AXIAL_INCHES = 2.6  # width of an axial slice
SLICES_PER_ROW = 5


@dataclass(frozen=True)
class Shown:
    """One volume of a figure.

    Parameters
    ----------
    title : str
    image : Image
        Axes along RAS, as `warehouse.imaging.scan.read_scan` returns them.
    brain : (i, j, k) bool array, optional
        Sets the view and the window; default: everything above zero.
    window : (float, float), optional
        Intensities that are drawn black and white; default: percentiles of the brain.
    outlined : bool
        Whether the outline of the brain is drawn.
    """

    title: str
    image: Image
    brain: NDArray[np.bool_] | None = None
    window: tuple[float, float] | None = None
    outlined: bool = False

    @property
    def inside(self) -> NDArray[np.bool_]:
        """The brain; without a mask of it, all voxels above zero."""
        if self.brain is not None and self.brain.any():
            return self.brain
        return np.asarray(self.image.voxels > 0)

    @property
    def limits(self) -> tuple[float, float]:
        """Intensities that are drawn black and white."""
        if self.window is not None:
            return self.window
        values = self.image.voxels[self.inside]
        low, high = np.percentile(values, WINDOW) if values.size else (0.0, 1.0)
        return min(float(low), 0.0), max(float(high), float(low) + 1e-6)

    @property
    def view(self) -> View:
        """The brain with a margin."""
        return View.around([self.inside], self.image.voxels.shape, self.image.voxel_size_mm, MARGIN_MM)


def planes_figure(rows: Sequence[Shown], title: str) -> Figure:
    """Draw each volume in an axial, a coronal and a sagittal slice, a row each."""
    return _figure([[(row, plane, "") for plane in PLANES] for row in rows], [row.title for row in rows], title)


def row_figure(volumes: Sequence[Shown], title: str) -> Figure:
    """Draw the axial slice of each volume, at most five side by side."""
    cells = [(one, PLANES[0], one.title) for one in volumes]
    rows = [cells[first : first + SLICES_PER_ROW] for first in range(0, len(cells), SLICES_PER_ROW)]
    return _figure(rows, [], title)


Cell = tuple[Shown, tuple[int, int, int], str]


def _figure(rows: Sequence[Sequence[Cell]], names: Sequence[str], title: str) -> Figure:
    from matplotlib.figure import Figure

    views = [[cell[0].view for cell in row] for row in rows]
    widths = [
        max(seen[place].size_mm(row[place][1][1]) for seen, row in zip(views, rows, strict=True) if place < len(row))
        for place in range(len(rows[0]))
    ]
    heights = [
        max(view.size_mm(cell[1][2]) for view, cell in zip(seen, row, strict=True))
        for seen, row in zip(views, rows, strict=True)
    ]
    inches = AXIAL_INCHES / widths[0]
    name, head = 0.30, 0.42
    width, height = inches * sum(widths), inches * sum(heights) + name * len(rows) + head
    width = max(width, 6.0)
    figure = Figure(figsize=(width, height), dpi=100, facecolor=GROUND, layout="none")  # type: ignore[arg-type]  # slices have places
    figure.text(0.1 / width, 1 - 0.27 / height, title, color=INK, fontsize=12, weight="bold", parse_math=False)
    top = height - head
    for number, (row, seen, tall) in enumerate(zip(rows, views, heights, strict=True)):
        top -= name + inches * tall
        left = 0.0
        for (shown, plane, caption), view, column in zip(row, seen, widths, strict=False):
            place = (left / width, top / height, inches * column / width, inches * tall / height)
            _draw(figure.add_axes(place, label=shown.title), shown, view, plane)
            if caption:
                middle = left + inches * column / 2
                figure.text(middle / width, (top + inches * tall + 0.08) / height, caption, color=INK, fontsize=9.5,
                            ha="center", parse_math=False)  # fmt: skip
            left += inches * column
        if names:
            figure.text(0.1 / width, (top + inches * tall + 0.08) / height, names[number], color=QUIET, fontsize=10,
                        parse_math=False)  # fmt: skip
    return figure


def _draw(axes: Any, shown: Shown, view: View, plane: tuple[int, int, int]) -> None:
    low, high = shown.limits
    show(axes, shown.image.voxels, view, plane, cmap="gray", vmin=low, vmax=high)
    across, horizontal, vertical = plane
    outline = view.cut(shown.inside, across)
    if shown.outlined and outline.any() and not outline.all():
        extent = (0.0, view.size_mm(horizontal), 0.0, view.size_mm(vertical))
        lines: dict[str, Any] = {"colors": [OUTLINE], "linewidths": 1.0, "extent": extent, "origin": "lower"}
        axes.contour(outline.astype(np.float32), levels=[0.5], **lines)
    mark_sides(axes, plane, size=11)
    axes.set_aspect("equal")
