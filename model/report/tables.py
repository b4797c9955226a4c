"""Tables of a report as HTML: every task beside its baselines, with paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from model.evaluation.baselines import BASELINES, MAP_ORACLE
from model.report.data import ALL_TASKS, COMPARED, Figures, ScoreLine
from model.report.text import DECIMALS, FLOOR_NAMES, NAMES, SPLITS, cell, gain, interval, number, span_of, task_name

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
