"""What Dagster shows of a model: its curves, its figures and its gates, from what was recorded of it."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import dagster as dg

from pipelines.runtime.evaluation import VERDICT_WORDS, Evaluated
from warehouse.catalog import model_registry
from warehouse.lake.home import Home

METRIC = "core.training_metric"
SHOWN = {"loss", "l1"}  # curves that are drawn; the others are figures
GALLERY_WIDTH_PX = 900
Metadata = dict[str, Any]


def of_training(home: Home, told: Mapping[str, Any]) -> Metadata:
    """Return the last of every measure of a run, its length, and its curves as a picture."""
    run_id = getattr(told["run_id"], "value", told["run_id"])
    measured = model_registry.statements(home, METRIC, run_id=run_id)
    ends = model_registry.statements(home, "core.training_run", run_id=run_id, status="finished")
    last = {f"{row['split']}_{row['metric']}": float(row["value"]) for row in by_step(measured)}
    said: Metadata = {name: float(f"{value:.4g}") for name, value in last.items() if math.isfinite(value)}
    if ends:
        said |= {"n_steps": ends[0]["n_steps"], "seconds": round(ends[0]["seconds"], 1)}
    if measured:
        said["curves"] = dg.MetadataValue.md(picture(_curves(measured), "curves"))
    return said


def of_judged(judged: Evaluated) -> Metadata:
    """Return what the gates say of a model, and its figures."""
    return {
        "model_id": judged.model_id,
        "evaluation_id": judged.evaluation_id,
        "data_id": judged.verdicts[0]["data_id"],
        "protocol_hash": judged.verdicts[0]["protocol_hash"],
        "is_champion": judged.is_champion,
        "gates": dg.MetadataValue.md(_gates(judged.verdicts)),
        "figures": dg.MetadataValue.md(_retrieval(judged.scores) if judged.kind == "text_encoder" else _tasks(judged)),
    }


def of_report(path: Path) -> Metadata:
    """Return where a page is, and its gallery."""
    said: Metadata = {"path": dg.MetadataValue.path(path), "size_bytes": path.stat().st_size}
    gallery = path.with_name("gallery.png")
    if gallery.is_file():
        said["gallery"] = dg.MetadataValue.md(picture(_small(gallery), "gallery"))
    return said


def by_step(measured: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return rows of `core.training_metric` in the order of the steps."""
    return sorted(measured, key=lambda row: int(row["step"]))


def picture(png: bytes, name: str) -> str:
    """Return a PNG as Markdown that needs no file."""
    return f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers have three decimals."""
    lines = [head, ["---"] * len(head), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gates(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return a list: in a table the words would have a narrow column."""
    return "\n".join(
        f"- {VERDICT_WORDS[model_registry.verdict_of(row)]}: {row['gate']}. {row['detail']}" for row in verdicts
    )


def _retrieval(scores: Sequence[Mapping[str, Any]]) -> str:
    names = ("task", "split", "n_candidates", "n_queries", "metric", "value", "low", "high", "chance")
    return table(names, [[row[name] for name in names] for row in scores])


def _tasks(judged: Evaluated) -> str:
    """Return the mean brain PSNR of the model and of each baseline, by split and task."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in judged.scores:
        if (row["metric"], row["mask"]) == ("psnr_db", "brain"):
            means = values.setdefault((row["split"], row["task"]), {})
            means.setdefault(row["model_id"], []).append(row["value"])
    baselines = sorted({name for found in values.values() for name in found} - {judged.model_id})
    head = ("split", "task", "pairs", "PSNR in the brain, dB", *(name.removeprefix("baseline:") for name in baselines))
    rows = [
        (split, task, len(found[judged.model_id]), *(_mean(found.get(name)) for name in (judged.model_id, *baselines)))
        for (split, task), found in sorted(values.items(), reverse=True)
    ]
    return table(head, rows)


def _mean(values: Sequence[float] | None) -> float | None:
    return fmean(values) if values else None


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value).replace("|", "\\|")


def _curves(measured: Sequence[Mapping[str, Any]]) -> bytes:
    from matplotlib.figure import Figure

    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in by_step(measured):
        if row["metric"] in SHOWN:
            lines.setdefault((row["metric"], row["split"]), []).append((row["step"], row["value"]))
    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    axes = figure.subplots()
    for (metric, split), points in sorted(lines.items()):
        axes.plot(*zip(*points, strict=True), label=f"{metric}, {split}", marker="o" if len(points) < 20 else None)
    axes.set(xlabel="step", yscale="log")
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(frameon=False)
    return _png(figure)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _small(path: Path) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(path) as whole:
        small = whole.convert("RGB")
        small.thumbnail((GALLERY_WIDTH_PX, 4 * GALLERY_WIDTH_PX))
        small.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
