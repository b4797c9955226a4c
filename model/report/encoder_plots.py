"""Plots of an evaluation of a text encoder: retrieval, single fields, recovery, and images beside candidate prompts.

Every figure stands beside the ideal observer's and chance. Colours and marks are the same in all plots, and safe for
the colour-blind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from model.evaluation.recovery import Recovered, rank_correlation
from model.evaluation.retrieval_examples import Example
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Grid, turn
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.quality.slices import PLANES, View, mark_sides, png, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, Any]
MODEL, IDEAL, CHANCE, QUIET = "#1d5fd1", "#e08a1e", "#7a8594", "#566070"
DPI = 110
WINDOW = (0.5, 99.5)  # percentiles that are drawn black and white
FIELD_NAMES = {
    "repetition_time_s": "TR",
    "echo_time_s": "TE",
    "inversion_time_s": "TI",
    "flip_angle_deg": "flip angle",
    "field_strength_t": "field strength",
    "age_years": "age",
}
UNITS = {
    "repetition_time_s": "s",
    "echo_time_s": "ms",
    "inversion_time_s": "s",
    "flip_angle_deg": "°",
    "field_strength_t": "T",
}
SPLITS = {
    "unseen_protocols": "unseen protocols",
    "test_internal": "internal",
    "test_external": "external",
    "acceptance": "acceptance",
    "val": "validation",
}
RETRIEVAL = ("image_to_prompt", "prompt_to_image", "image_to_contrast", "image_to_agent")
ROUND = (10, 100, 1000)
NAMES = {
    "image_to_prompt": "image → prompt",
    "prompt_to_image": "prompt → image",
    "image_to_contrast": "image → contrast",
    "image_to_contrast_clear": "image → contrast, unambiguous",
    "image_to_contrast_ambiguous": "image → contrast, ambiguous",
    "image_to_agent": "T1w against ceT1w",
}


def retrieval_plot(scores: Sequence[Row]) -> bytes | None:
    """Return `retrieval_figure` as a PNG."""
    figure = retrieval_figure(scores)
    return None if figure is None else png(figure)


def retrieval_figure(scores: Sequence[Row]) -> Figure | None:
    """Draw the share of images that find their own, a panel for each population, beside the observer and chance.

    Parameters
    ----------
    scores : sequence of dict
        Rows of `core.retrieval_score` of one text encoder.

    Returns
    -------
    Figure or None
        None where no row is one of retrieval.
    """
    rows = [row for row in scores if row["task"] in RETRIEVAL and row["metric"] == "recall_at_1" and _is_drawn(row)]
    groups = list(dict.fromkeys((row["split"], row["population"], row["form"]) for row in rows))
    if not groups:
        return None
    listed = [
        sorted((row for row in rows if (row["split"], row["population"], row["form"]) == group), key=_order)
        for group in groups
    ]
    n_columns = min(2, len(groups))
    lines = [max(map(len, listed[start : start + n_columns])) for start in range(0, len(groups), n_columns)]
    figure = _figure(5.6 * n_columns, sum(0.27 * count + 0.62 for count in lines) + 0.4)
    ratios = [count + 1.2 for count in lines]
    panels = figure.subplots(len(lines), n_columns, squeeze=False, height_ratios=ratios).ravel()
    for number, (panel, group, own) in enumerate(zip(panels, groups, listed, strict=False)):
        for place, row in enumerate(own):
            _bar(panel, place, row)
        n_lines = lines[number // n_columns]
        panel.set(yticks=range(len(own)), yticklabels=[_task(row) for row in own], ylim=(n_lines - 0.4, -0.6))
        panel.set_title(_group(group, own), fontsize=9.5, loc="left")
        panel.set_xlim(0, 1.02)
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panel.tick_params(labelsize=8.5, length=0)
        panel.grid(axis="x", alpha=0.3)
        panel.set_axisbelow(True)
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    _legend(figure)
    return figure


def field_plot(scores: Sequence[Row]) -> bytes | None:
    """Draw, for each field, how often the right prompt is preferred, by what the change does to the signals."""
    rows = [row for row in scores if row["task"] == "one_field" and row["split"] == "unseen_protocols"]
    rows = rows or [row for row in scores if row["task"] == "one_field"]
    rows = [row for row in rows if row["form"] != "stripped"] or rows
    rows = [row for row in rows if row["change_low"] is not None]
    fields = [name for name in FIELD_NAMES if any(row["field"] == name for row in rows)]
    if not fields:
        return None
    figure = _figure(2.6 * len(fields) + 0.6, 2.9)
    panels = np.atleast_1d(figure.subplots(1, len(fields), sharey=True))
    split = rows[0]["split"]
    for panel, name in zip(panels, fields, strict=True):
        own = [row for row in rows if (row["field"], row["split"]) == (name, split)]
        own.sort(key=lambda row: row["change_low"])
        places = np.arange(len(own))
        panel.axhline(0.5, color=CHANCE, linestyle=":", linewidth=1.4)
        panel.axvspan(-0.5, sum(row["change_low"] < 0.1 for row in own) - 0.5, color="#000000", alpha=0.05, linewidth=0)
        _line(panel, places, [row["ideal"] for row in own], IDEAL, "D")
        values = np.array([row["value"] for row in own])
        panel.plot(places, values, color=MODEL, marker="o", markersize=4.5)
        bounded = [place for place, row in enumerate(own) if row["low"] is not None]
        ends = ([own[place][end] for place in bounded] for end in ("low", "high"))
        panel.vlines(bounded, *ends, color=MODEL, alpha=0.5)
        ticks = [f"{row['change_low']:g}" for row in own]
        panel.set(xticks=places, xticklabels=ticks, ylim=(-0.03, 1.04), xlim=(-0.5, len(own) - 0.5))
        panel.set_title(FIELD_NAMES[name], fontsize=10)
        panel.tick_params(labelsize=8)
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("right prompt preferred", fontsize=9)
    figure.supxlabel("change of the signal of some tissue, in signals of white matter, from … on", fontsize=9)
    _legend(figure)
    return png(figure)


def recovery_plot(found: Sequence[Recovered], n_shown: int = 400) -> bytes | None:
    """Draw recovered against true numbers, a panel for each, coloured by contrast."""
    numbers = [name for name in FIELD_NAMES if any(one.number == name for one in found)]
    if not numbers:
        return None
    n_columns = min(3, len(numbers))
    n_rows = -(-len(numbers) // n_columns)
    figure = _figure(3.1 * n_columns, 2.9 * n_rows + 0.5)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    contrasts = sorted({one.contrast for one in found})
    colours = dict(zip(contrasts, _palette(len(contrasts)), strict=True))
    for panel, name in zip(panels, numbers, strict=False):
        own = [one for one in found if one.number == name]
        every = np.concatenate([one.true for one in own])
        low, high = float(every.min()), float(every.max())
        room = 0.08 * ((high - low) or 1.0)
        panel.plot([low - room, high + room], [low - room, high + room], color=CHANCE, linewidth=1, linestyle=":")
        for one in own:
            kept = slice(None, None, max(1, len(one.true) * len(own) // n_shown))
            panel.scatter(
                one.true[kept], one.made[kept], s=9, alpha=0.6, linewidths=0, color=colours[one.contrast],
                label=one.contrast,
            )  # fmt: skip
        weights = [len(one.true) for one in own]
        mean = np.average([rank_correlation(one.true, one.made) for one in own], weights=weights)
        best = np.average([rank_correlation(one.true, one.ideal) for one in own], weights=weights)
        beside = f", ideal {best:.2f}" if all(np.isfinite(one.ideal).all() for one in own) else ""
        panel.set(xlim=(low - room, high + room), ylim=(low - room, high + room), aspect="equal")
        _number_ticks(panel, name, low, high)
        panel.set_title(f"{FIELD_NAMES[name]}: ρ = {mean:.2f}{beside}", fontsize=9.5)
        panel.tick_params(labelsize=8)
    for panel in panels[len(numbers) :]:
        panel.set_axis_off()
    figure.supxlabel("true; ρ: rank correlation, averaged over contrasts", fontsize=9)
    figure.supylabel("recovered from the image's embedding", fontsize=9)
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=5, color=colours[name], label=name) for name in contrasts
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8.5)
    return png(figure)


def example_plot(examples: Sequence[Example]) -> bytes | None:
    """Draw images beside their candidate prompts, each with a bar for how well it fits; the right one is marked.

    Axial slices in the convention of all pictures here: the left of a picture is the person's left; both are marked.
    """
    if not examples:
        return None
    figure = _figure(11.0, 2.75 * len(examples) + 0.3)
    grid = figure.add_gridspec(len(examples), 2, width_ratios=(1, 3.4))
    for number, example in enumerate(examples):
        _slice(figure.add_subplot(grid[number, 0]), example)
        panel = figure.add_subplot(grid[number, 1])
        places, scores = np.arange(len(example.scores)), np.array(example.scores)
        is_own = [candidate == example.record for candidate in example.candidates]
        panel.barh(places, scores, color=[MODEL if own else "#c3cad4" for own in is_own], height=0.72)
        panel.set_yticks(places, [_prompt(candidate) for candidate in example.candidates], fontsize=8)
        for label, own in zip(panel.get_yticklabels(), is_own, strict=True):
            label.set_fontweight("bold" if own else "normal")
        panel.set(ylim=(len(places) - 0.4, -0.6), xlim=(min(0.0, float(scores.min())) - 0.02, max(1.0, scores.max())))
        panel.axvline(0, color=CHANCE, linewidth=0.8)
        panel.tick_params(axis="x", labelsize=8)
        panel.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    figure.supxlabel("cosine between image and prompt; bold and blue: the image's own prompt", fontsize=9)
    return png(figure)


def plots(scores: Sequence[Row], found: Sequence[Recovered], examples: Sequence[Example]) -> dict[str, bytes]:
    """Return all plots that there is something to draw for, as PNG by name."""
    drawn = {
        "retrieval": retrieval_plot(scores),
        "single_fields": field_plot(scores),
        "recovery": recovery_plot(found),
        "examples": example_plot(examples),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _bar(panel: Axes, place: int, row: Row) -> None:
    panel.barh(place, row["value"], color=MODEL, height=0.62)
    if row["low"] is not None:
        panel.hlines(place, row["low"], row["high"], color="#0b2a63", linewidth=1.6)
    panel.vlines(row["chance"], place - 0.38, place + 0.38, color=CHANCE, linewidth=2.0)
    if row["ideal"] is not None:
        panel.plot([row["ideal"]], [place], marker="D", color=IDEAL, markersize=5.5, markeredgecolor="white", zorder=3)


def _line(panel: Axes, places: Any, values: Sequence[float | None], colour: str, marker: str) -> None:
    known = [(place, value) for place, value in zip(places, values, strict=True) if value is not None]
    if known:
        panel.plot([place for place, _ in known], [value for _, value in known], color=colour, marker=marker, ms=4.5)


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=MODEL, linewidth=6, label="text encoder, with 95 % interval over people"),
        Line2D([], [], color=IDEAL, marker="D", linestyle="", label="ideal observer of tissue signals"),
        Line2D([], [], color=CHANCE, linewidth=2, label="chance"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=8.5)


def _slice(panel: Axes, example: Example) -> None:
    picture = example.picture
    linear = harden(picture.voxels.astype(np.float64))
    inside = linear[picture.brain] if picture.brain.any() else linear[linear > linear.min()]
    low, high = np.percentile(inside, WINDOW) if inside.size else (0.0, 1.0)
    shown = turn(np.clip((linear - low) / ((high - low) or 1.0), 0.0, 1.0), picture.affine)
    brain = turn(picture.brain, picture.affine)
    i, j, k = picture.voxels.shape
    step = Grid((i, j, k), picture.affine).turned().voxel_size_mm
    view = View.around([brain], shown.shape, step, margin_mm=14.0)
    show(panel, shown, view, PLANES[0], cmap="gray", vmin=0.0, vmax=1.0)
    mark_sides(panel, PLANES[0], size=10)
    who = "simulated" if example.is_simulated else "real"
    panel.set_title(f"{contrast_label(example.record.contrast, example.record.post_contrast)} ({who})", fontsize=9)


def _prompt(record: PromptRecord) -> str:
    """Return what a prompt says, in short."""

    def time(name: str, value: float | None) -> str | None:
        return None if value is None else f"{name} {1000 * value:.0f}" if value >= 0.1 else f"{name} {1000 * value:.1f}"

    scanner = " ".join(
        filter(None, (f"{record.field_strength_t:g} T" if record.field_strength_t else None, record.vendor))
    )
    angle = "FA variable" if record.flip_angle_variable else None
    parts: Iterator[str | None] = iter(
        (
            contrast_label(record.contrast, record.post_contrast),
            scanner or None,
            time("TR", record.repetition_time_s),
            time("TE", record.echo_time_s),
            time("TI", record.inversion_time_s),
            angle or (f"FA {record.flip_angle_deg:.0f}°" if record.flip_angle_deg is not None else None),
            None if record.age_years is None else f"{record.age_years:.0f} y",
            record.sex,
        )
    )
    return " · ".join(part for part in parts if part)


def _number_ticks(panel: Axes, name: str, low: float, high: float) -> None:
    """Label logarithmic axes with the numbers themselves."""
    if name == "age_years":
        panel.set_xlabel("years", fontsize=8)
        return
    scale = 1000.0 if name == "echo_time_s" else 1.0
    steps = (1,) if high - low > np.log(50) else (1, 2, 5)
    values = np.array([a * 10.0**b for b in range(-2, 5) for a in steps])
    if name == "field_strength_t":
        values = np.array([1.5, 3.0])
    logs = np.log(values / scale)
    kept = (logs >= low - 0.1) & (logs <= high + 0.1)
    labels = [f"{value:g}" for value in values[kept]]
    panel.set_xticks(logs[kept], labels)
    panel.set_yticks(logs[kept], labels)
    panel.set_xlabel(UNITS[name], fontsize=8)


def _is_drawn(row: Row) -> bool:
    """Leave out a number of candidates that only says how many there happened to be."""
    return not row["task"].endswith(("_prompt", "_image")) or row["n_candidates"] <= 10 or row["n_candidates"] in ROUND


def _task(row: Row) -> str:
    name = NAMES[row["task"]]
    return name if row["task"] in ("image_to_contrast", "image_to_agent") else f"{name}, 1 of {row['n_candidates']:,}"


def _order(row: Row) -> tuple[int, int]:
    return (RETRIEVAL.index(row["task"]), row["n_candidates"])


def _group(group: tuple[str, str, str], rows: Any) -> str:
    split, population, form = group
    n_people = max(row["n_people"] for row in rows)
    head = "whole heads" if form == "whole" else "stripped"
    return f"{SPLITS.get(split, split)}, {population}, {head} ({n_people} {'person' if n_people == 1 else 'people'})"


def _palette(n: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["tab10"](place % 10) for place in range(n)]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
