"""Slices of volumes for pictures: the cut, the marks of both sides, the colours that all pictures share, and the PNG.

Neurological convention: the left of a picture is the person's left, and both sides are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GROUND, INK, QUIET = "#0f1216", "#f2f4f7", "#9aa4b2"
LEFT, RIGHT = "#ff7ad9", "#8dff6a"  # used for nothing else in a picture
PLANES = ((2, 0, 1), (1, 0, 2), (0, 1, 2))  # across, horizontal, vertical: axial, coronal, sagittal
MARGIN_MM = 18.0  # around the brain: the scalp stays in view


@dataclass(frozen=True)
class View:
    """The part of a grid that is drawn, the same for all volumes that are compared.

    Parameters
    ----------
    low, high : tuple of int
        First voxel, and the one after the last, along i, j, k.
    centre : tuple of int
        Voxel that the slices run through.
    voxel_size_mm : (3,) array
        Voxel size, mm.
    """

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    centre: tuple[int, int, int]
    voxel_size_mm: NDArray[np.float64]

    @classmethod
    def around(
        cls,
        masks: Sequence[NDArray[Any]],
        shape: Sequence[int],
        voxel_size_mm: NDArray[np.float64],
        margin_mm: float = MARGIN_MM,
    ) -> View:
        """Return the box around all masks with a margin, centred on the first one; the whole grid without masks.

        Parameters
        ----------
        masks : sequence of (i, j, k) array
            Non-zero voxels are inside; empty masks are ignored.
        shape : sequence of int
            Of the grid, whose axes run along RAS.
        voxel_size_mm : (3,) array
            Voxel size, mm.
        margin_mm : float
        """
        masks = [inside for inside in (np.asarray(mask) > 0 for mask in masks) if inside.any()]
        if not masks:
            middle = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
            return cls((0, 0, 0), (shape[0], shape[1], shape[2]), middle, voxel_size_mm)
        low, high, centre = [], [], []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            taken = np.flatnonzero(np.any([mask.any(axis=others) for mask in masks], axis=0))
            margin = round(margin_mm / voxel_size_mm[axis])
            low.append(max(int(taken[0]) - margin, 0))
            high.append(min(int(taken[-1]) + 1 + margin, shape[axis]))
            first = masks[0].sum(axis=others)
            centre.append(round(float((np.arange(shape[axis]) * first).sum() / first.sum())))
        return cls(
            (low[0], low[1], low[2]), (high[0], high[1], high[2]), (centre[0], centre[1], centre[2]), voxel_size_mm
        )

    def size_mm(self, axis: int) -> float:
        """Return the length of the view along an axis, mm."""
        return float((self.high[axis] - self.low[axis]) * self.voxel_size_mm[axis])

    def cut(self, volume: NDArray[Any], across: int) -> NDArray[Any]:
        """Return a slice as rows from below to above and columns from left (or behind) to right (or front).

        Parameters
        ----------
        volume : (i, j, k) array
            On the view's grid, RAS.
        across : int
            Axis that the slice is cut across.
        """
        index: list[int | slice] = [slice(low, high) for low, high in zip(self.low, self.high, strict=True)]
        index[across] = self.centre[across]
        return np.asarray(volume[tuple(index)]).T


def show(axes: Axes, volume: NDArray[Any], view: View, plane: tuple[int, int, int], **style: Any) -> Any:
    """Draw a slice in true proportions, without frame or ticks, and return matplotlib's image.

    Parameters
    ----------
    axes : Axes
    volume : (i, j, k) array
    view : View
    plane : tuple of int
        One of `PLANES`.
    **style
        Of ``imshow``: cmap, vmin, vmax.
    """
    across, horizontal, vertical = plane
    extent = (0.0, view.size_mm(horizontal), 0.0, view.size_mm(vertical))
    axes.set_axis_off()
    picture = view.cut(volume, across).astype(np.float32)
    image = axes.imshow(picture, origin="lower", extent=extent, **({"interpolation": "nearest"} | style))
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    return image


def mark_sides(axes: Axes, plane: tuple[int, int, int], size: float = 13) -> None:
    """Write L and R, or P and A, into the upper corners of a slice, outlined, since it may be bright there.

    Parameters
    ----------
    axes : Axes
    plane : tuple of int
        One of `PLANES`.
    size : float
        Of the letters, points.
    """
    from matplotlib.patheffects import withStroke

    ends = (("L", LEFT), ("R", RIGHT)) if plane[1] == 0 else (("P", QUIET), ("A", QUIET))
    for (letter, colour), x, align in zip(ends, (0.015, 0.985), ("left", "right"), strict=True):
        style: dict[str, Any] = {"color": colour, "ha": align, "va": "top", "fontsize": size, "weight": "bold"}
        outline = [withStroke(linewidth=2.5, foreground=GROUND)]
        axes.text(x, 0.985, letter, transform=axes.transAxes, path_effects=outline, **style)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG, drawn without a display; the same figure gives the same bytes.

    A dollar sign in a text is a dollar sign: taken for TeX, a name of a scan could keep a page from being drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    FigureCanvasAgg(figure)
    for text in figure.findobj(Text):
        if isinstance(text, Text) and "$" in text.get_text():  # not ticks, whose TeX matplotlib writes while it draws
            text.set_parse_math(False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi="figure", facecolor="auto", metadata={"Software": None})
    return file.getvalue()
