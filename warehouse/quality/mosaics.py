"""Draws one picture per visit: every contrast in three planes, with its brain mask and the reference's outline.

It shows wrong registrations, masks that leak and mirrored scans. Neurological convention: the left of the picture is
the person's left; both sides are marked.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import TumsynError
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.quality.slices import GROUND, INK, PLANES, QUIET, View, mark_sides, png, show
from warehouse.volumes.volume import open_store

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MASK, OUTLINE = "#ffd23f", "#35c9ff"
PASS, FLAG = "#3ecf8e", "#ff9f45"

WIDTH_PX, DPI = 1200, 100
HEAD_PX, FOOT_PX, TITLE_PX, GAP_PX = 52, 34, 50, 8


@dataclass(frozen=True)
class Panel:
    """One scan of a mosaic.

    Parameters
    ----------
    title : str
        Contrast, and what else names the scan.
    voxels : (i, j, k) array
        On the session's grid (RAS, along the axes), in [0, 1].
    mask : (i, j, k) array, optional
        The scan's own brain mask.
    reference_outline : (i, j, k) array, optional
        Brain mask of the session's reference.
    verdict : str
        "pass", or "flag: why".
    """

    title: str
    voxels: NDArray[Any]
    mask: NDArray[Any] | None = None
    reference_outline: NDArray[Any] | None = None
    verdict: str = "pass"


class RecipeName(Protocol):
    """What pictures show of the recipe that made the volumes."""

    name: str

    @property
    def recipe_id(self) -> str:
        """Return the identity of the parameters."""
        ...


def pictures_folder(home: Home, center_id: str, recipe: RecipeName) -> Path:
    """Return the folder of a centre's pictures by one recipe."""
    return home.quality / center_id / f"{recipe.name}-{recipe.recipe_id}"


def slug(session_id: str) -> str:
    """Return a session's identifier as a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", session_id)


def slug_of(path: str | Path) -> str:
    """Return the slug of the session that a mosaic shows."""
    return Path(path).stem.rpartition("-")[0]


def draw_session(home: Home, session_id: str, recipe: RecipeName, volumes: Sequence[dict[str, Any]]) -> Path | None:
    """Draw a session's mosaic from its stores and return its path; an existing one of the same voxels is kept.

    Parameters
    ----------
    volumes : sequence of dict
        Rows of `core.volume` of this session, of both forms.

    Returns
    -------
    Path or None
        None where the session has no volume.
    """
    rows = sorted((row for row in volumes if row["form"] == "session"), key=lambda row: not row["is_reference"])
    if not rows:
        return None
    content = "".join(f"{row['image_id']}{row['voxels_sha256']}{row['verdict']}{row['verdict_reason']}" for row in rows)
    name = f"{slug(session_id)}-{hashlib.sha256(content.encode()).hexdigest()[:8]}.png"
    path = pictures_folder(home, rows[0]["center_id"], recipe) / "sessions" / name
    if not path.exists():
        first = open_store(home.root / rows[0]["path"])
        outline = None if first.mask is None else np.asarray(first.mask[...])
        panels = [_panel(home, row, outline) for row in rows]
        draw(panels, first.voxel_size_mm, path, f"{session_id}, recipe {recipe.name}")
    return path


def _panel(home: Home, row: dict[str, Any], outline: NDArray[Any] | None) -> Panel:
    volume = open_store(home.root / row["path"])
    verdict = row["verdict"] if row["verdict"] == "pass" else f"{row['verdict']}: {row['verdict_reason']}"
    mask = None if volume.mask is None else np.asarray(volume.mask[...])
    voxels = np.asarray(volume[...], np.float32)
    return Panel(str(volume.attributes.get("contrast")), voxels, mask, outline, verdict)


def draw(panels: Sequence[Panel], voxel_size_mm: Sequence[float] | NDArray[Any], path: Path, title: str) -> Path:
    """Draw a mosaic as PNG and return its path.

    Parameters
    ----------
    panels : sequence of Panel
        One row each; the reference first. All on one grid.
    voxel_size_mm : (3,) sequence of float
        Of that grid; pictures keep true proportions.
    path : Path
        Of the PNG; replaced atomically.
    title : str
        Names the visit.

    Raises
    ------
    TumsynError
        For no scan at all, differing grids, or voxels that are not finite.
    """
    _check(panels, title)
    masks = [m for panel in panels for m in (panel.reference_outline, panel.mask) if m is not None]
    view = View.around(masks, panels[0].voxels.shape, np.asarray(voxel_size_mm, np.float64))
    atomic.write_bytes(path, png(_draw(panels, view, title)))
    return path


def _check(panels: Sequence[Panel], title: str) -> None:
    if not panels:
        raise TumsynError(f"{title}: there is no scan to draw", "draw a visit that has volumes")
    shape = panels[0].voxels.shape
    for panel in panels:
        for name in ("voxels", "mask", "reference_outline"):
            volume = getattr(panel, name)
            if volume is not None and volume.shape != shape:
                what = f"{title}, {panel.title}: {name} is {volume.shape}, the first scan {shape}"
                raise TumsynError(what, "resample all scans to the session's grid first")
        if not np.isfinite(panel.voxels).all():
            raise TumsynError(f"{title}, {panel.title}: voxels that are NaN or infinite", "harmonise the scan again")


def _draw(panels: Sequence[Panel], view: View, title: str) -> Figure:
    from matplotlib.figure import Figure

    sizes = [(view.size_mm(across), view.size_mm(up)) for _, across, up in PLANES]
    px_per_mm = (WIDTH_PX - 4 * GAP_PX) / sum(width for width, _ in sizes)
    picture_px = max(height for _, height in sizes) * px_per_mm
    row_px = TITLE_PX + picture_px + GAP_PX
    height_px = HEAD_PX + len(panels) * row_px + FOOT_PX
    figure = Figure(figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, facecolor=GROUND)
    _write(figure, GAP_PX * 2, height_px - 32, _short(title, 96), height_px, size=15, weight="bold")
    for row, panel in enumerate(panels):
        top = height_px - HEAD_PX - row * row_px
        _write_title(figure, panel, top, height_px)
        left = float(GAP_PX)
        for plane, (width, height) in zip(PLANES, sizes, strict=True):
            width_px, plane_px = width * px_per_mm, height * px_per_mm
            bottom = top - TITLE_PX - (picture_px + plane_px) / 2
            place = (left / WIDTH_PX, bottom / height_px, width_px / WIDTH_PX, plane_px / height_px)
            _draw_plane(figure.add_axes(place), panel, view, plane)
            left += width_px + GAP_PX
    _write_key(figure, height_px)
    return figure


def _draw_plane(axes: Axes, panel: Panel, view: View, plane: tuple[int, int, int]) -> None:
    across, horizontal, vertical = plane
    extent = (0.0, view.size_mm(horizontal), 0.0, view.size_mm(vertical))
    show(axes, panel.voxels, view, plane, cmap="gray", vmin=0, vmax=_bright(panel))
    for volume, colour, style in ((panel.reference_outline, OUTLINE, "dashed"), (panel.mask, MASK, "solid")):
        if volume is not None:
            shape = view.cut(volume, across) > 0
            if shape.any() and not shape.all():
                lines: dict[str, Any] = {"colors": [colour], "linewidths": 1.0, "linestyles": style}
                axes.contour(shape.astype(np.float32), levels=[0.5], origin="lower", extent=extent, **lines)
    mark_sides(axes, plane)


def _bright(panel: Panel) -> float:
    """Return the intensity shown as white, from the brain alone, because scalp and vessels may be brighter."""
    inside = panel.voxels if panel.mask is None or not np.any(panel.mask) else panel.voxels[np.asarray(panel.mask) > 0]
    return max(float(np.percentile(inside.astype(np.float32), 99.5)), 1e-3)


def _write_title(figure: Figure, panel: Panel, top: float, height_px: float) -> None:
    title = panel.title if panel.mask is not None else f"{panel.title} (no brain mask)"
    is_pass = panel.verdict.split(":")[0].strip() == "pass"
    _write(figure, GAP_PX * 2, top - 20, _short(title, 60), height_px, size=13, weight="bold")
    verdict = ("✔ " if is_pass else "⚠ ") + panel.verdict
    colour = PASS if is_pass else FLAG
    _write(figure, GAP_PX * 2, top - 40, _short(verdict, 150), height_px, size=10.5, color=colour)


def _write_key(figure: Figure, height_px: float) -> None:
    for x, colour, text in (
        (GAP_PX * 2, MASK, "— brain mask of the scan"),
        (260, OUTLINE, "- - outline of the reference's brain"),
        (560, QUIET, "left of the picture = left of the person (L, R)"),
    ):
        _write(figure, x, 12, text, height_px, size=10, color=colour)


def _write(figure: Figure, x: float, y: float, text: str, height_px: float, size: float, **style: Any) -> None:
    figure.text(x / WIDTH_PX, y / height_px, text, fontsize=size, **({"color": INK} | style), parse_math=False)


def _short(text: str, n_letters: int) -> str:
    return textwrap.shorten(text, n_letters, placeholder=" …") if " " in text else text[:n_letters]
