"""Plots of what a catalogue contains, as SQL has counted it: centres, contrasts, people, parameters, measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SEX_COLOURS = {"F": "#c2578f", "M": "#2f6fb0", "O": "#5a9e6f", "unknown": "#a7b0bb"}
VENDOR_COLOURS = {"Siemens": "#0a8f8f", "GE": "#7a4fb5", "Philips": "#d1662a", "unknown": "#a7b0bb"}
OTHERS = ("#8c6d31", "#4c6b2f", "#ad494a", "#3182bd")
PARAMETERS = {  # columns of out.image_catalog: name with unit, and scale
    "repetition_time_s": ("TR, s", "log"),
    "echo_time_s": ("TE, s", "log"),
    "inversion_time_s": ("TI, s", "linear"),
    "flip_angle_deg": ("flip angle, °", "linear"),
}
MARKERS = "osD^vP*X"


def draw_table(
    axes: Axes, table: pd.DataFrame, *, colours: str = "YlGnBu", number: str = "{:.0f}", high: float = 0.0
) -> Any:
    """Draw a table as coloured fields with their numbers, and return matplotlib's image; missing fields stay empty.

    Parameters
    ----------
    axes : Axes
    table : DataFrame
        Names of rows and columns are written at the sides.
    colours : str
        Name of a colour map.
    number : str
        Format of a number; empty: no numbers.
    high : float
        Value of the darkest colour; 0: the largest one of the table.
    """
    values = table.to_numpy(dtype=float)
    most = high or (float(np.nanmax(values)) if np.isfinite(values).any() else 1.0) or 1.0
    image = axes.imshow(values, cmap=colours, aspect="auto", vmin=0, vmax=most)
    for (row, column), value in np.ndenumerate(values):
        if number and np.isfinite(value):
            colour = "white" if value > 0.55 * most else "black"
            axes.text(column, row, number.format(value), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(table.shape[1]), [str(name) for name in table.columns])
    axes.set_yticks(range(table.shape[0]), [str(name) for name in table.index], parse_math=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image


def draw_bars(axes: Axes, counts: pd.Series, colour: str = "#2f6fb0") -> None:
    """Draw counts as horizontal bars with their numbers, the first one on top; the index names them."""
    values = counts.to_numpy(float)
    bars = axes.barh(range(len(values)), values, color=colour, height=0.72)
    axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=3, fontsize=8.5)
    axes.set_yticks(range(len(values)), [str(name) for name in counts.index], parse_math=False)
    axes.set(ylim=(len(values) - 0.4, -0.6), xlim=(0, 1.18 * max(values, default=1)))
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.tick_params(axis="y", length=0, labelsize=9)


def draw_ages(axes: Axes, people: pd.DataFrame, width_years: int = 5) -> None:
    """Draw a histogram of ages, stacked by sex.

    Parameters
    ----------
    axes : Axes
    people : DataFrame
        `years`, which may be missing, and `sex`.
    width_years : int
        Of a bar.
    """
    known = people.dropna(subset="years")
    sexes = [sex for sex in SEX_COLOURS if (known["sex"] == sex).any()]
    edges = np.arange(0, 100 + 2 * width_years, width_years)
    if sexes:
        values = [known.loc[known["sex"] == sex, "years"].to_numpy() for sex in sexes]
        colours = [SEX_COLOURS[sex] for sex in sexes]
        axes.hist(values, edges, stacked=True, label=sexes, color=colours, rwidth=0.9)  # type: ignore[arg-type]
        axes.legend(title="sex", frameon=False, fontsize=9)
    else:
        axes.text(0.5, 0.5, "no age is known", transform=axes.transAxes, ha="center", va="center")
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set(xlabel=f"age, years (bars of {width_years})", ylabel="people", xlim=(0, 105))


def parameters_figure(scans: pd.DataFrame, contrasts: Sequence[str], title: str, *, seed: int = 0) -> Figure:
    """Draw TR, TE, TI and flip angle of each scan, a row of dots for each contrast, coloured by vendor.

    Parameters
    ----------
    scans : DataFrame
        Columns `contrast_label`, `manufacturer` and those of `PARAMETERS`.
    contrasts : sequence of str
        Rows, from above.
    title : str
    seed : int
        Of the vertical shifts that keep equal values apart.
    """
    from matplotlib.figure import Figure

    vendors = sorted(set(scans["manufacturer"]), key=lambda vendor: (vendor == "unknown", vendor))
    colours = colours_of(vendors, VENDOR_COLOURS)
    rows = {contrast: -number for number, contrast in enumerate(contrasts)}
    rng = np.random.default_rng(seed)
    figure = Figure(figsize=(11, 0.4 * len(rows) + 1.7), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(PARAMETERS), sharey=True))
    for axes, (parameter, (label, scale)) in zip(panels, PARAMETERS.items(), strict=True):
        for number, vendor in enumerate(vendors):
            group = scans[(scans["manufacturer"] == vendor) & scans[parameter].notna()]
            heights = group["contrast_label"].map(rows).to_numpy(float) + rng.uniform(-0.25, 0.25, len(group))
            style: dict[str, Any] = {"marker": MARKERS[number % len(MARKERS)], "color": colours[vendor], "alpha": 0.65}
            axes.scatter(group[parameter], heights, s=15, linewidths=0, **style)
            if axes is panels[0]:
                axes.scatter([], [], s=28, linewidths=0, label=vendor, **style)
        axes.set(xlabel=label, xscale=scale)
        _plain_ticks(axes, scans[parameter].dropna().to_numpy(float), scale)
        axes.grid(axis="x", alpha=0.3)
        for row in rows.values():
            axes.axhline(row - 0.5, color="#e4e7ec", linewidth=0.8, zorder=0)
    panels[0].set_yticks(list(rows.values()), list(rows))
    panels[0].set(ylabel="contrast", ylim=(-len(rows) + 0.4, 0.6))
    figure.legend(title="vendor", loc="outside right upper", frameon=False)
    figure.suptitle(title)
    return figure


def measures_figure(values: pd.DataFrame, names: Mapping[str, str], title: str) -> Figure:
    """Draw measures of quality: a panel for each, a row for each contrast, a dot for each scan, coloured by centre.

    Parameters
    ----------
    values : DataFrame
        Columns `measure`, `contrast_label`, `center_id`, `value` and `is_flagged`; scans that are flagged have a ring.
    names : mapping of str to str
        Of each measure, in the order of the panels: how it is called, with its unit.
    title : str
    """
    from matplotlib.figure import Figure

    contrasts, centers = sorted(set(values["contrast_label"])), sorted(set(values["center_id"]))
    colours = colours_of(centers, {})
    shown = [measure for measure in names if (values["measure"] == measure).any()]
    n_columns = min(3, len(shown))
    n_rows = -(-len(shown) // max(n_columns, 1))
    figure = Figure(figsize=(3.5 * n_columns + 0.6, n_rows * (0.42 * len(contrasts) + 1.1) + 1.0), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    step = 0.7 / max(len(centers), 1)
    for axes, measure in zip(panels.ravel(), shown, strict=False):
        own = values[values["measure"] == measure]
        for place, center in enumerate(centers):
            group = own[own["center_id"] == center]
            heights = -group["contrast_label"].map(contrasts.index).to_numpy(float) + 0.35 - step * (place + 0.5)
            marker = MARKERS[place % len(MARKERS)]
            axes.scatter(group["value"], heights, s=17, alpha=0.75, linewidths=0, color=colours[center], marker=marker)
            flagged = group["is_flagged"].to_numpy(bool)
            axes.scatter(group["value"][flagged], heights[flagged], s=75, facecolors="none", edgecolors="#c0392b")
        axes.set_xlabel(names[measure])
        axes.grid(axis="x", alpha=0.3)
        axes.set_yticks(range(0, -len(contrasts), -1), contrasts)
        axes.set_ylim(-len(contrasts) + 0.45, 0.55)
    for axes in panels[:, 0]:
        axes.set_ylabel("contrast")
    for axes in panels.ravel()[len(shown) :]:
        axes.set_axis_off()
    for place, center in enumerate(centers):
        panels[0, 0].scatter([], [], s=28, color=colours[center], marker=MARKERS[place % len(MARKERS)], label=center)
    panels[0, 0].scatter([], [], s=75, facecolors="none", edgecolors="#c0392b", label="flagged")
    figure.legend(title="centre", loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(title)
    return figure


def colours_of(names: Sequence[str], known: Mapping[str, str]) -> dict[str, Any]:
    """Return a colour for each name: the known one, else the next of a fixed list."""
    from matplotlib import colormaps

    others = [name for name in names if name not in known]
    found: dict[str, Any] = {name: known[name] for name in names if name in known}
    if known and len(others) <= len(OTHERS):
        return found | dict(zip(others, OTHERS, strict=False))
    palette = colormaps["tab10" if len(others) <= 10 else "tab20"]
    return found | {name: palette(place % palette.N) for place, name in enumerate(others)}


def _plain_ticks(axes: Axes, values: np.ndarray[Any, Any], scale: str) -> None:
    """Write numbers as people do, a few of them, where an axis is logarithmic."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if scale == "log" and len(values):
        low, high = 0.8 * values.min(), 1.25 * values.max()
        steps = (1, 2, 5) if high / low < 50 else (1,)
        ticks = [step * 10.0**power for power in range(-4, 3) for step in steps]
        axes.set_xlim(low, high)
        axes.set_xticks([tick for tick in ticks if low <= tick <= high])
        axes.xaxis.set_minor_formatter(NullFormatter())
