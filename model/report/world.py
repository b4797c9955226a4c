"""A map of the world with centres on it: outlines of the land, a dot for each city, and its name beside the map."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

LAND = Path(__file__).parent / "parts" / "land.json"  # Natural Earth, public domain; the file says how it was made
WEST_OF_DEG = -30.0  # cities west of it have their names on the left
SOUTH_DEG, NORTH_DEG = -57.0, 84.0
GROUND, EDGE, LEADER = "#e4e7ec", "#c3c9d2", "#8b95a3"
LARGEST_DOT = 260.0  # area, square points


def draw_centers(axes: Axes, cities: pd.DataFrame) -> None:
    """Draw a map of the world with a dot for each city.

    Parameters
    ----------
    axes : Axes
        Names are written on both sides of it: leave a quarter of the figure free on each.
    cities : DataFrame
        `latitude_deg`, `longitude_deg`, `label`, `n_images`, to which the area of a dot is proportional, and `color`.
    """
    _draw_land(axes)
    most = max(cities["n_images"].max(), 1) if len(cities) else 1
    sides = cities["longitude_deg"] < WEST_OF_DEG
    for is_west in (True, False):
        side = cities[sides == is_west].sort_values("latitude_deg", ascending=False)
        heights = spread_out(side["latitude_deg"].tolist(), least=9.0)
        for height, city in zip(heights, side.itertuples(index=False), strict=True):
            place: Any = (city.longitude_deg, city.latitude_deg)
            style: dict[str, Any] = {"color": LEADER, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
            axes.annotate(
                str(city.label),
                place,
                xytext=(-184 if is_west else 184, height),
                ha="right" if is_west else "left",
                va="center",
                fontsize=8.5,
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "relpos": (1 if is_west else 0, 0.5), **style},
                parse_math=False,
            )
            area = max(LARGEST_DOT * float(city.n_images) / most, 14.0)  # type: ignore[arg-type]
            axes.scatter(
                place[0],
                place[1],
                s=area,
                color=str(city.color),
                alpha=0.85,
                linewidth=0.6,
                edgecolor="white",
                zorder=3,
            )
    axes.set(xlim=(-180, 180), ylim=(SOUTH_DEG, NORTH_DEG), aspect=1.25, yticks=[])
    axes.set_xlabel("longitude, °; dotted: latitudes", fontsize=9)
    axes.set_xticks(range(-180, 181, 60))
    axes.tick_params(labelsize=8, color=EDGE)
    axes.spines[:].set_color(EDGE)


def spread_out(heights: Sequence[float], least: float) -> list[float]:
    """Return falling heights with at least this distance between neighbours, near the given ones and centred on them.

    Parameters
    ----------
    heights : sequence of float
        Falling.
    least : float
    """
    groups: list[list[float]] = []  # neighbours that touch move together: the ideal top of each member
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _bottom(groups[-2], least) - _top(groups[-1]) < least:
            last = groups.pop()
            groups[-1] += [one + least * len(groups[-1]) for one in last]
    return [_top(group) - least * place for group in groups for place in range(len(group))]


def _top(group: Sequence[float]) -> float:
    return float(np.mean(group))


def _bottom(group: Sequence[float], least: float) -> float:
    return _top(group) - least * (len(group) - 1)


@lru_cache(maxsize=1)
def _rings() -> list[Any]:
    rings: list[Any] = json.loads(LAND.read_text(encoding="utf-8"))["rings"]
    return rings


def _draw_land(axes: Axes) -> None:
    from matplotlib.collections import PolyCollection

    for latitude in range(-30, 61, 30):  # names of cities stand where an axis would have its numbers
        axes.axhline(latitude, color=EDGE, linestyle=":", linewidth=0.8, zorder=0)
        axes.text(-178, latitude, f"{latitude}°".replace("-", "−"), color=LEADER, fontsize=7.5, va="bottom")
    axes.add_collection(PolyCollection(_rings(), facecolor=GROUND, edgecolor=EDGE, linewidth=0.5, zorder=0))
