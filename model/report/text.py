"""How numbers are written in a report, and the few marks that are drawn beside them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from model.evaluation.statistics import Estimate

DECIMALS = {"psnr_db": 2, "ssim": 3, "mae": 3}
NAMES = {"psnr_db": "PSNR, dB", "ssim": "SSIM", "mae": "MAE"}
LOWER_IS_BETTER = ("mae",)
SPLITS = {
    "test_internal": "Internal test people",
    "test_external": "External centres",
    "val": "Validation people",
    "acceptance": "Acceptance set",
}
FLOOR_NAMES = {
    "baseline:identity": "source as it is",
    "baseline:intensity_map_train": "intensity map, fitted on training pairs",
    "baseline:intensity_map_oracle": "intensity map, fitted on the test volume itself",
}
WHISKER_PX, WHISKER_HEIGHT_PX = 130, 16
CURVE_PX, CURVE_HEIGHT_PX, CURVE_LEFT_PX = 420, 170, 60


def number(value: float, decimals: int, sign: bool = False) -> str:
    """Return a number with a true minus sign, and a plus where it is asked for; what rounds to zero has neither."""
    text = f"{abs(value):,.{decimals}f}"
    if not float(text.replace(",", "")):
        return text
    return ("−" if value < 0 else "+" if sign else "") + text


def interval(found: Estimate, decimals: int, sign: bool = False) -> str:
    """Return ``[low, high]``; empty where there is none."""
    if found.low is None or found.high is None:
        return ""
    return f"[{number(found.low, decimals, sign)}, {number(found.high, decimals, sign)}]"


def task_name(task: str) -> str:
    """Return a task as people write it."""
    return escape(task.replace("_to_", " → "))


def cell(key: tuple[str, ...], value: float, decimals: int) -> str:
    """Return a figure that says in its attributes what it is, so that a page can be held against the catalogue."""
    name = escape("|".join(key), quote=True)
    return f'<span data-cell="{name}" data-value="{value!r}">{number(value, decimals)}</span>'


def verdict(found: Estimate, metric: str) -> str:
    """Return better or worse; empty where the interval holds zero or there is none."""
    if not found.excludes_zero:
        return ""
    return "worse" if (found.mean < 0) != (metric in LOWER_IS_BETTER) else "better"


def gain(found: Estimate | None, metric: str, span: tuple[float, float]) -> str:
    """Return a table's cell with a difference, its interval, and both as a drawing.

    Parameters
    ----------
    found : Estimate or None
    metric : str
    span : (float, float)
        Lowest and highest value of the drawing; all rows of a column share it.
    """
    if found is None:
        return '<td class="none">–</td>'
    decimals = DECIMALS[metric]
    text = f'<span class="number">{number(found.mean, decimals, sign=True)}</span>'
    bounds = interval(found, decimals, sign=True) or "too few people"
    drawn = _whisker(found, span)
    return f'<td class="gain {verdict(found, metric)}">{text}{drawn}<span class="interval">{bounds}</span></td>'


def _whisker(found: Estimate, span: tuple[float, float]) -> str:
    low, high = span
    middle = WHISKER_HEIGHT_PX / 2

    def x(value: float) -> float:
        return 4 + (WHISKER_PX - 8) * (value - low) / (high - low)

    line = ""
    if found.low is not None and found.high is not None:
        ends = f'x1="{x(found.low):.1f}" x2="{x(found.high):.1f}"'
        line = f'<line class="whisker" {ends} y1="{middle}" y2="{middle}" stroke-width="2"/>'
    zero = f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{WHISKER_HEIGHT_PX}"/>'
    dot = f'<circle class="whisker" cx="{x(found.mean):.1f}" cy="{middle}" r="3.5"/>'
    size = f'width="{WHISKER_PX}" height="{WHISKER_HEIGHT_PX}"'
    return f'<svg {size} aria-hidden="true">{zero}{line}{dot}</svg>'


def span_of(found: Sequence[Estimate]) -> tuple[float, float]:
    """Return the range that a column of differences needs, zero included, with a little room."""
    ends = [0.0]
    for each in found:
        ends += [value for value in (each.mean, each.low, each.high) if value is not None]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    return min(ends) - room, max(ends) + room


def curve(points: dict[str, list[tuple[int, float]]], name: str) -> str:
    """Return a training curve as SVG.

    Parameters
    ----------
    points : dict of str to list of (int, float)
        Step and value, by split: train, val.
    name : str
        What was measured.
    """
    everything = [point for each in points.values() for point in each]
    last = max(step for step, _ in everything) or 1
    low, high = min(value for _, value in everything), max(value for _, value in everything)
    room = (high - low) or 1.0

    def place(step: int, value: float) -> str:
        x = CURVE_LEFT_PX + (CURVE_PX - CURVE_LEFT_PX - 10) * step / last
        return f"{x:.1f},{12 + (CURVE_HEIGHT_PX - 40) * (high - value) / room:.1f}"

    lines = "".join(
        f'<polyline class="{split}" points="{" ".join(place(*point) for point in sorted(each))}"/>'
        for split, each in sorted(points.items())
    )
    bottom = CURVE_HEIGHT_PX - 28
    axis = f'<line class="zero" x1="{CURVE_LEFT_PX}" x2="{CURVE_PX - 10}" y1="{bottom}" y2="{bottom}"/>'
    labels = (
        f'<text x="{CURVE_LEFT_PX - 6}" y="16" text-anchor="end">{high:.3g}</text>'
        f'<text x="{CURVE_LEFT_PX - 6}" y="{bottom}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{CURVE_LEFT_PX}" y="{bottom + 16}">0</text>'
        f'<text x="{CURVE_PX - 10}" y="{bottom + 16}" text-anchor="end">step {last:,}</text>'
    )
    view = f'viewBox="0 0 {CURVE_PX} {CURVE_HEIGHT_PX}" width="100%"'
    return f'<svg {view} role="img" aria-label="{escape(name, quote=True)} by step">{axis}{lines}{labels}</svg>'
