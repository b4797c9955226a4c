"""Contrast fidelity as a page shows it: curves of a ratio against a field of the prompt, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model.report.data import Figures, Row
from model.report.words import MODEL, number

TEXTBOOK, IDENTITY = "baseline:textbook", "baseline:identity"
TRUTH = "truth"
NAMES = {
    TRUTH: "truth (simulated scan)",
    MODEL: "model",
    TEXTBOOK: "textbook T1 and T2, looked up",
    IDENTITY: "source as it is",
}
CLASSES = {TRUTH: "truth", MODEL: "made", TEXTBOOK: "textbook", IDENTITY: "identity"}
TISSUES = {"gm": "GM / WM", "csf": "CSF / WM"}
FIELDS = {  # name, unit, and how many of the unit one of the record's is
    "echo_time_s": ("TE", "ms", 1000.0),
    "repetition_time_s": ("TR", "s", 1.0),
    "inversion_time_s": ("TI", "ms", 1000.0),
    "flip_angle_deg": ("flip angle", "°", 1.0),
}
Key = tuple[str, str, str]  # sweep, field, tissue

WIDTH, HEIGHT = 300, 180  # of a drawing, in its own units
LEFT, RIGHT, TOP, BOTTOM = 36, 18, 10, 32


@dataclass(frozen=True)
class Curve:
    """One line of a plot: its class in the style sheet, its points, and its values for a reader of the source."""

    kind: str
    points: str
    dots: list[tuple[float, float, str]]


@dataclass(frozen=True)
class Plot:
    """Ratio of a tissue's signal to that of white matter, against a field of the prompt.

    Parameters
    ----------
    title, field : str
    curves : list of Curve
    x_ticks, y_ticks : list of (float, str)
        Place in the drawing, and what stands there.
    """

    title: str
    field: str
    curves: list[Curve]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]


def plots(figures: Figures) -> list[Plot]:
    """Return one plot for each sweep and tissue, grey matter before fluid."""
    found: dict[Key, list[Row]] = {}
    for row in figures.fidelity_curve:
        found.setdefault((row["sweep"], row["field"], row["tissue"]), []).append(row)
    return [_plot(key, found[key], figures.model_id) for key in sorted(found, key=_order)]


def _order(key: Key) -> tuple[str, str, int]:
    return key[0], key[1], list(TISSUES).index(key[2])


def _name(key: Key) -> str:
    sweep, field, tissue = key
    return f"{sweep.replace('_', ' ')}, {FIELDS.get(field, (field,))[0]}: {TISSUES[tissue]}"


def _plot(key: Key, rows: Sequence[Row], model_id: str) -> Plot:
    name, unit, scale = FIELDS.get(key[1], (key[1], "", 1.0))
    lines: dict[str, list[tuple[float, float]]] = {TRUTH: []}
    for row in rows:
        maker = MODEL if row["maker"] == model_id else row["maker"]
        x = scale * row["field_value"]
        lines.setdefault(maker, []).append((x, row["made_ratio"]))
        if maker == MODEL:
            lines[TRUTH].append((x, row["true_ratio"]))
    every = [point for line in lines.values() for point in line]
    x_low, x_high = min(x for x, _ in every), max(x for x, _ in every)
    y_ticks = _ticks(min(0.0, *(y for _, y in every)), max(y for _, y in every))
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        right = (x - x_low) / ((x_high - x_low) or 1.0)
        up = (y - y_low) / ((y_high - y_low) or 1.0)
        return LEFT + right * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    curves = []
    for maker in CLASSES:
        drawn = [
            (*place(x, y), f"{NAMES[maker]}: {y:.2f} at {name} {x:g} {unit}") for x, y in sorted(lines.get(maker, []))
        ]
        if drawn:
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in drawn)
            curves.append(Curve(CLASSES[maker], points, drawn))
    return Plot(
        title=_name(key),
        field=f"{name}, {unit}" if unit else name,
        curves=curves,
        x_ticks=[(place(x, 0)[0], f"{x:g}") for x in _ticks(x_low, x_high) if x_low <= x <= x_high],
        y_ticks=[(place(x_low, y)[1], f"{y:g}") for y in y_ticks],
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers that span a range."""
    from matplotlib.ticker import MaxNLocator

    return [float(tick) for tick in MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)]


def errors(figures: Figures) -> list[dict[str, Any]]:
    """Return a row for each sweep and tissue, with the model's worst one marked.

    Returns
    -------
    list of dict
        `name`, `n_people`, `is_worst`; and by maker (`model`, textbook, identity) its row of ``fidelity_error.sql``.
    """
    found: dict[Key, dict[str, Row]] = {}
    for row in figures.fidelity_error:
        maker = MODEL if row["maker"] == figures.model_id else row["maker"]
        found.setdefault((row["sweep"], row["field"], row["tissue"]), {})[maker] = row
    of_model = {key: found[key] for key in sorted(found, key=_order) if MODEL in found[key]}
    worst = max(of_model, key=lambda key: of_model[key][MODEL]["error"], default=None)
    return [
        {"name": _name(key), "n_people": makers[MODEL]["n_people"], "is_worst": key == worst, "makers": makers}
        for key, makers in of_model.items()
    ]


def verdict(found: Sequence[dict[str, Any]]) -> str:
    """Return in a sentence whether the model follows the prompt better than a look-up does; empty without figures."""
    held = [row["makers"] for row in found if TEXTBOOK in row["makers"]]
    if not held:
        return ""
    better = sum(makers[MODEL]["error"] < makers[TEXTBOOK]["error"] for makers in held)
    [worst] = [row for row in found if row["is_worst"]]
    error = number(worst["makers"][MODEL]["error"], 3)
    return (
        f"The model is nearer to the truth than the textbook look-up in {better} of {len(held)} rows; its worst tissue "
        f"is off by {error} of the white-matter signal ({worst['name']})."
    )
