"""Format what Dagster shows of an asset: Markdown tables, previews of rows, pictures, curves, and scores of models."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from model.training.examples import newest
from pipelines.assets.markdown import escaped
from pipelines.runtime.evaluation import VERDICT_WORDS, Evaluated
from warehouse.catalog import model_registry, verdicts
from warehouse.lake.home import Home
from warehouse.quality.slices import png

METRIC = "core.training_metric"
PLOTTED = {"loss", "l1"}  # curves that are drawn; of all other measures the last value is shown
TABLE_ROWS = 24  # validations that are listed
EXAMPLES_WIDTH_PX = 880
PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 7
CELL_WIDTH = 48  # characters
Metadata = dict[str, Any]


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, with numbers to four digits and long text cut."""
    lines = [
        [escaped(name) for name in names],
        ["---"] * len(names),
        *([_cell(value) for value in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def preview(rows: pa.Table | None) -> str:
    """Return the first rows of the first plain columns as a Markdown table.

    Nested columns and JSON are left out: they are too long to read in a cell.
    """
    if rows is None:
        return ""
    plain = [field.name for field in rows.schema if not pa.types.is_nested(field.type)]
    names = [name for name in plain if name not in ("fields", "entities")][:PREVIEW_COLUMNS]
    head = rows.select(names).slice(0, PREVIEW_ROWS).to_pylist()
    return markdown_table(names, [[row[name] for name in names] for row in head])


def inline_image(path: Path, width_px: int) -> str:
    """Return a picture, reduced to a width, as Markdown that needs no file."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((width_px, 4 * width_px))
        small.save(buffer, "JPEG", quality=80)
    return embedded(buffer.getvalue(), path.stem, "jpeg")


def picture_of_counts(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return bars of counts as Markdown that needs no file.

    Parameters
    ----------
    counts : mapping of str to mapping of str to int
        One bar for each key, of one piece for each key of its value.
    """
    from matplotlib.figure import Figure

    names, kinds = sorted(counts, reverse=True), sorted({kind for bar in counts.values() for kind in bar})
    figure = Figure(figsize=(7.2, 1.0 + 0.28 * len(names)), dpi=110, layout="constrained")
    axes = figure.subplots()
    ends = dict.fromkeys(names, 0)
    for kind in kinds:
        widths = [counts[name].get(kind, 0) for name in names]
        axes.barh(names, widths, left=[ends[name] for name in names], label=kind, height=0.7)
        ends = {name: ends[name] + width for name, width in zip(names, widths, strict=True)}
    axes.set(xlabel="images")
    axes.grid(axis="x", alpha=0.3)
    if kinds:
        axes.legend(frameon=False, fontsize="small", ncols=2, loc="upper left", bbox_to_anchor=(1, 1))
    return embedded(png(figure), "counts", "png")


def training_metadata(home: Home, run_id: str) -> Metadata:
    """Return what a training run measured: last values, validations as a table, curves, and its newest examples."""
    measured = training_curve(home, run_id)
    ends = model_registry.statements(home, model_registry.RUN, run_id=run_id, status="finished")
    last = {f"{row['split']}_{row['metric']}": float(row["value"]) for row in measured}
    metadata: Metadata = {name: float(f"{value:.4g}") for name, value in last.items() if math.isfinite(value)}
    if ends:
        metadata |= {"n_steps": ends[0]["n_steps"], "seconds": round(ends[0]["seconds"], 1)}
    if measured:
        metadata["curves"] = dg.MetadataValue.md(embedded(_plot(measured), "curves", "png"))
    if table := _validations(measured):
        metadata["validations"] = dg.MetadataValue.md(table)
    if picture := newest(home.training / run_id):
        metadata["examples"] = dg.MetadataValue.md(inline_image(picture, EXAMPLES_WIDTH_PX))
    return metadata


def training_curve(home: Home, run_id: str, **equals: str) -> list[dict[str, Any]]:
    """Return the rows of `core.training_metric` of a run whose columns have these values, in the order of steps."""
    rows = model_registry.statements(home, METRIC, run_id=run_id, **equals)
    return sorted(rows, key=lambda row: int(row["step"]))


def evaluation_metadata(evaluated: Evaluated) -> Metadata:
    """Return the identities, gates and scores of an evaluation."""
    scores = _retrieval(evaluated.scores) if evaluated.kind == "text_encoder" else _tasks(evaluated)
    # A list: in a table the sentences would get a narrow column.
    gates = [
        f"- {VERDICT_WORDS[verdicts.verdict_of(row)]}: {escaped(row['gate'])}. {escaped(row['detail'])}"
        for row in evaluated.verdicts
    ]
    metadata: Metadata = {
        "model_id": evaluated.model_id,
        "evaluation_id": evaluated.evaluation_id,
        "data_id": evaluated.verdicts[0]["data_id"],
        "evaluated_snapshot_id": evaluated.snapshot_id,
        "protocol_hash": evaluated.verdicts[0]["protocol_hash"],
        "is_champion": evaluated.is_champion,
        "decision": f"{evaluated.offer.decision}: {evaluated.offer.reason}",
        "gates": dg.MetadataValue.md("\n".join(gates)),
        "figures": dg.MetadataValue.md(scores),
    }
    for one in evaluated.summaries:
        if one.task is None and math.isfinite(one.psnr_db):  # numbers, of which Dagster draws a curve over all runs
            people = "simulated" if one.is_simulated else "real"
            metadata[f"psnr_db: {one.split}, {people}, {one.form}"] = round(one.psnr_db, 3)
    return metadata


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split())
    return escaped(text if len(text) <= CELL_WIDTH else f"{text[: CELL_WIDTH - 1]}…")  # cut first: no half of an escape


def _retrieval(scores: Sequence[Mapping[str, Any]]) -> str:
    names = ("task", "field", "split", "population", "form", "n_candidates", "n_people", "metric")
    figures = ("value", "low", "high", "ideal", "chance")
    shown = [row for row in scores if row["change_low"] is None]  # the curves are drawn
    return markdown_table((*names, *figures), [[row[name] for name in (*names, *figures)] for row in shown])


def _tasks(evaluated: Evaluated) -> str:
    """Return the means of a model by form, population, split and task, those of all tasks last."""
    names = (
        "form",
        "people",
        "split",
        "task",
        "pairs",
        "PSNR, dB",
        "fitted, dB",
        "SSIM",
        "on pooled map, dB",
        "on fitted map, dB",
    )
    ordered = sorted(evaluated.summaries, key=lambda one: (one.form, one.is_simulated, one.split, one.task is None))
    rows = [
        (
            one.form,
            f"{one.n_people} {'simulated' if one.is_simulated else 'real'}",
            one.split,
            one.task or "all tasks",
            one.n_pairs,
            *(one.psnr_db, one.psnr_db_fitted, one.ssim, one.over_pooled_map_db, one.over_fitted_map_db),
        )
        for one in ordered
    ]
    return markdown_table(names, rows)


def _validations(measured: Sequence[Mapping[str, Any]]) -> str:
    """Return the measures of each validation, or nothing; of many, evenly spread ones with the first and the last."""
    values = {(row["step"], row["metric"]): float(row["value"]) for row in measured if row["split"] == "val"}
    steps, metrics = sorted({step for step, _ in values}), sorted({metric for _, metric in values})
    if len(steps) > TABLE_ROWS:
        steps = [steps[place * (len(steps) - 1) // (TABLE_ROWS - 1)] for place in range(TABLE_ROWS)]
    rows = [(step, *(values.get((step, metric)) for metric in metrics)) for step in steps]
    return markdown_table(("step", *metrics), rows) if rows else ""


def _plot(measured: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the curves of a training as a PNG."""
    from matplotlib.figure import Figure

    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in measured:
        if row["metric"] in PLOTTED:
            lines.setdefault((row["metric"], row["split"]), []).append((row["step"], row["value"]))
    figure = Figure(figsize=(6.4, 3.0), dpi=110, layout="constrained")
    axes = figure.subplots()
    for (metric, split), points in sorted(lines.items()):
        axes.plot(*zip(*points, strict=True), label=f"{metric}, {split}", marker="o" if len(points) < 20 else None)
    axes.set(xlabel="step", yscale="log")
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(frameon=False)
    return png(figure)


def embedded(picture: bytes, name: str, kind: str) -> str:
    """Return a picture as Markdown that needs no file; `kind` is png or jpeg."""
    return f"![{escaped(name)}](data:image/{kind};base64,{base64.b64encode(picture).decode()})"
