"""Tables of a report as HTML: every task beside its baselines, with paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from model.evaluation.baselines import BASELINES, MAP_ORACLE
from model.evaluation.statistics import Estimate
from model.report.data import ALL_TASKS, COMPARED, Figures, ScoreLine

Row = dict[str, Any]

HEADS = {
    "psnr_db": "Brain PSNR, dB (higher is better)",
    "ssim": "Brain SSIM (higher is better)",
}
COLUMNS = (
    ("Task", ""),
    ("People<br>(pairs)", "n"),
    ("Model", "n"),
    ("Source<br>as it is", "n"),
    ("Intensity map,<br>training pairs", "n"),
    ("<i>Intensity map,<br>test volume itself</i>", "n"),
    ("Gain on the source as it is", ""),
    ("Gain on the intensity map of training pairs", ""),
)


def tasks_table(figures: Figures, split: str, metric: str) -> str:
    """Return all tasks of a split by one measure in the brain, a last row over all tasks, and what has no pair."""
    lines = [figures.line(split, task, metric) for task in (*figures.protocol.tasks, None)]
    spans = {name: span_of([line.gains[name] for line in lines if name in line.gains]) for name in COMPARED}
    heads = "".join(f'<th scope="col" class="{kind}">{head}</th>' for head, kind in COLUMNS)
    body = "\n".join(_task_row(figures, line, spans) for line in lines)
    return (
        f'<div class="scroll"><table><caption>{HEADS[metric]}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _task_row(figures: Figures, line: ScoreLine, spans: dict[str, tuple[float, float]]) -> str:
    name = f'<th scope="row">{task_name(line.task)}</th>'
    if line.model is None:
        return (
            f'<tr class="untested">{name}<td colspan="{len(COLUMNS) - 1}">no pair in these data: not tested</td></tr>'
        )
    decimals = DECIMALS[line.metric]
    around = interval(line.model, decimals)
    model = _figure(figures, line, figures.model_id, line.model.mean)
    cells = [
        f'<td class="n">{line.n_people} ({line.n_pairs})</td>',
        f'<td class="n"><span class="model">{model}</span> <span class="interval">{around}</span></td>',
    ]
    for baseline in BASELINES:
        kind = "n bound" if baseline == MAP_ORACLE else "n"
        known = line.baselines.get(baseline)
        shown = _figure(figures, line, baseline, known.mean) if known else "–"
        cells.append(f'<td class="{kind}">{shown}</td>')
    cells += [gain(line.gains.get(baseline), line.metric, spans[baseline]) for baseline in COMPARED]
    return f"<tr{' class=sum' if line.task == ALL_TASKS else ''}>{name}{''.join(cells)}</tr>"


def _figure(figures: Figures, line: ScoreLine, name: str, value: float) -> str:
    return cell((name, line.split, line.task, line.metric, line.mask), value, DECIMALS[line.metric])


def everything_table(figures: Figures) -> str:
    """Return every measure in both masks, one row per split and task."""
    kinds = [(metric, mask) for mask in ("brain", "volume") for metric in NAMES]
    names = (figures.model_id, *BASELINES)
    heads = "".join(f'<th scope="col" class="n">{NAMES[metric]}<br>{mask}</th>' for metric, mask in kinds)
    body = []
    for split in figures.protocol.splits:
        for task in figures.protocol.tasks:
            lines = [figures.line(split, task, metric, mask) for metric, mask in kinds]
            if lines[0].model is not None:
                body += [_everything_row(figures, lines, name) for name in names]
    return (
        '<div class="scroll"><table><thead><tr><th scope="col">People</th><th scope="col">Task</th>'
        f'<th scope="col">Made by</th>{heads}</tr></thead><tbody>\n' + "\n".join(body) + "\n</tbody></table></div>"
    )


def _everything_row(figures: Figures, lines: Sequence[ScoreLine], name: str) -> str:
    first, is_model = lines[0], name == figures.model_id
    cells = []
    for line in lines:
        found = line.model if is_model else line.baselines.get(name)
        shown = "–" if found is None else _figure(figures, line, name, found.mean)
        cells.append(f'<td class="n{" model" if is_model else ""}">{shown}</td>')
    words = "<b>model</b>" if is_model else escape(FLOOR_NAMES[name])
    place = f'<td>{SPLITS[first.split]}</td><th scope="row">{task_name(first.task)}</th>'
    return f"<tr>{place}<td>{words}</td>{''.join(cells)}</tr>"


def retrieval_table(rows: Iterable[Row]) -> str:
    """Return how often an image finds its prompt or its contrast, beside chance."""
    body = "".join(
        f'<tr><th scope="row">{escape(row["task"].replace("_to_", " → ").replace("_", " "))}</th>'
        f"<td>{escape(SPLITS.get(str(row['split']), str(row['split'])))}</td>"
        f'<td class="n">{row["n_candidates"]}</td><td class="n">{row["n_people"] or "–"} ({row["n_queries"]})</td>'
        f"<td>{escape(row['metric'].replace('_', ' '))}</td>"
        f'<td class="n"><span class="model">{_percent(row["value"])}</span> '
        f'<span class="interval">{_bounds(row)}</span></td>'
        f'<td class="n">{_percent(row["chance"])}</td></tr>'
        for row in rows
    )
    heads = (
        '<th scope="col">Task</th><th scope="col">Split</th><th scope="col" class="n">Candidates</th>'
        '<th scope="col" class="n">People<br>(images)</th><th scope="col">Measure</th>'
        '<th scope="col" class="n">Found</th><th scope="col" class="n">By chance</th>'
    )
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _bounds(row: Row) -> str:
    return "" if row["low"] is None else f"[{_percent(row['low'])}, {_percent(row['high'])}]"


def _percent(value: float) -> str:
    return f"{number(100 * value, 1)} %"


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
