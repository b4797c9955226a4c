"""One file that says how good a model is: figures, baselines, verdicts and pictures, without a network."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as DecodingError
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from model.data.catalogue import CatalogueImages
from model.evaluation.baselines import BASELINES, MAP_TRAIN
from model.evaluation.evaluate import SynthesisModel
from model.evaluation.gates import gated_split
from model.evaluation.protocol import EvaluationProtocol
from model.evaluation.statistics import Estimate
from model.report.data import ALL_TASKS, COMPARED, Figures, read_figures, rows
from model.report.gallery import draw_example, draw_overview, make_examples
from warehouse.lake import atomic
from warehouse.lake.home import Home

if TYPE_CHECKING:
    import duckdb

PARTS = Path(__file__).parent / "parts"
PAGE, OVERVIEW = "report.html", "gallery.png"
N_OVERVIEW = 4  # examples in the picture for a README
N_CURVES = 2
HEADLINE_SPLITS = ("test_internal", "test_external", "val", "acceptance")
PICTURE = re.compile(r"(?<=data:image/png;base64,)[^\"]*")
PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"

DECIMALS = {"psnr_db": 2, "ssim": 3, "mae": 3}
METRICS = {"psnr_db": "PSNR, dB", "ssim": "SSIM", "mae": "MAE"}
LOWER_IS_BETTER = ("mae",)
SPLITS = {
    "test_internal": "Internal test people",
    "test_external": "External centres",
    "val": "Validation people",
    "acceptance": "Acceptance set",
}
SPLIT_NOTES = {
    "test_internal": "Centres that the model was trained on, people whom it has not seen.",
    "test_external": "Centres that the model has never seen.",
    "acceptance": "Simulated people on whom nothing is trained: the gates are measured on them.",
}
BASELINE_NAMES = {
    "baseline:identity": "source as it is",
    "baseline:intensity_map_train": "intensity map, fitted on training pairs",
    "baseline:intensity_map_oracle": "intensity map, fitted on the test volume itself",
}
VERDICT_MARKS = {
    "passed": ("passed", "✔ passed"),
    "failed": ("failed", "✖ failed"),
    "not_enough_data": ("open", "○ not enough data"),
}


def write_report(
    home: Home,
    connection: duckdb.DuckDBPyConnection,
    evaluation_id: str,
    synthesizer: SynthesisModel,
    folder: Path,
    protocol: EvaluationProtocol | None = None,
) -> Path:
    """Write ``report.html``, which holds its pictures, and ``gallery.png``.

    Parameters
    ----------
    home : Home
        Whose volumes the pictures are drawn of.
    connection : DuckDBPyConnection
        A published catalogue of that home, read-only: the only source of figures.
    evaluation_id : str
    synthesizer : SynthesisModel
        The evaluated model, asked again for the pairs that are drawn.
    folder : Path
        Where to write; what is there is replaced.
    protocol : EvaluationProtocol, optional
        By which it was made; default: the shipped one whose hash the scores bear.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    ModelError
        When the catalogue has no such evaluation, or a volume of it is gone.
    """
    figures = read_figures(connection, evaluation_id, protocol)
    splits = sorted({row["split"] for row in figures.examples})
    images = CatalogueImages.open(home, figures.protocol.recipe, splits, snapshot=figures.about["snapshot_id"])
    examples = make_examples(images, synthesizer, figures.examples, figures.protocol)
    page = render(figures, [b64encode(draw_example(example)).decode("ascii") for example in examples])
    draw_overview(examples[:N_OVERVIEW], folder / OVERVIEW)
    atomic.write_text(folder / PAGE, page)
    return folder / PAGE


def problems(
    page: Path,
    connection: duckdb.DuckDBPyConnection,
    evaluation_id: str,
    protocol: EvaluationProtocol | None = None,
) -> list[str]:
    """Return what is wrong with a report; nothing where it is what the catalogue gives now.

    Parameters
    ----------
    page : Path
        As `write_report` wrote it.
    connection, evaluation_id, protocol
        As `write_report` takes them.

    Returns
    -------
    list of str
        One sentence each: a picture that is missing or damaged, a line of the page that the catalogue does not give,
        a mean that SQL computes otherwise.
    """
    if not page.is_file():
        return [f"{page} is not there"]
    figures = read_figures(connection, evaluation_id, protocol)
    written, n_examples = page.read_text(encoding="utf-8"), len(figures.examples)
    pictures = PICTURE.findall(written)
    found = [f"picture {place} is damaged" for place, data in enumerate(pictures, start=1) if not _is_png(data)]
    if len(pictures) != n_examples:
        found.append(f"{len(pictures)} pictures for {n_examples} tasks with a pair")
    overview = page.with_name(OVERVIEW)
    if not overview.is_file() or not _is_png(b64encode(overview.read_bytes()).decode("ascii")):
        found.append(f"{overview.name} is not there, or damaged")
    shown, expected = PICTURE.sub("", written).splitlines(), render(figures, [""] * n_examples).splitlines()
    for number_, (line, wanted) in enumerate(zip(shown, expected, strict=False), start=1):
        if line != wanted:
            found.append(f"line {number_} of the page is {line[:200]!r}, and {wanted[:200]!r} by the catalogue")
            break
    else:
        if len(shown) != len(expected):
            found.append(f"the page has {len(shown)} lines instead of {len(expected)}")
    return found + list(_differing(figures, rows(connection, "figures", {"evaluation_id": evaluation_id})))


def _is_png(data: str) -> bool:
    try:
        content = b64decode(data, validate=True)
    except DecodingError:
        return False
    return content.startswith(PNG) and content.endswith(PNG_END)


def _differing(figures: Figures, expected: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the means over people that SQL computes otherwise than the page's own figures."""
    for row in expected:
        task = None if row["task"] == ALL_TASKS else row["task"]
        if row["metric"] not in DECIMALS or (task is None and row["model_id"] != figures.model_id):
            continue
        line = figures.line(row["split"], task, row["metric"], row["mask"])
        found = line.model if row["model_id"] == figures.model_id else line.baselines.get(row["model_id"])
        if found is None or abs(found.mean - row["mean"]) > 1e-9 * max(1.0, abs(row["mean"])):
            key = "|".join(str(row[name]) for name in ("model_id", "split", "task", "metric", "mask"))
            yield f"{key} is {found and found.mean!r} in the report, and {row['mean']!r} by SQL"


def render(figures: Figures, pictures: Sequence[str]) -> str:
    """Return the page.

    Parameters
    ----------
    figures : Figures
    pictures : sequence of str
        PNG of each example as base64, in the order of the protocol's tasks.
    """
    split = _headline_split(figures)
    headline, protocol = figures.line(split, None, "psnr_db"), figures.protocol
    gain = headline.gains.get(MAP_TRAIN)
    template = ENVIRONMENT.get_template("report.html.j2")
    return template.render(
        figures=figures,
        about=figures.about | {"centers": figures.about["centers"] or []},
        protocol=protocol,
        style=Markup((PARTS / "report.css").read_text(encoding="utf-8")),
        headline_split=split,
        headline=headline,
        headline_ssim=figures.line(split, None, "ssim").model,
        steering=_in_percent(figures.line(split, None, "steering_mae").model),
        contrast_found=_contrast_found(figures, split),
        beyond=beyond_gates(gain) if gain else "",
        lines_of=lambda split, metric: [figures.line(split, task, metric) for task in (*protocol.tasks, None)],
        span_of=lambda lines, name: span_of([line.gains[name] for line in lines if name in line.gains]),
        tested=[
            (split, task)
            for split in protocol.splits
            for task in protocol.tasks
            if figures.line(split, task, "psnr_db").model is not None
        ],
        examples=sorted(figures.examples, key=lambda row: protocol.tasks.index(row["task"])),
        pictures=pictures,
        makers=(figures.model_id, *BASELINES),
        curves=_curves(figures),
        provenance=_provenance(figures),
    )


def _headline_split(figures: Figures) -> str:
    """Return the split that the gates are measured on; where it has no pair, the first that has one."""
    splits = (gated_split(figures.protocol.splits), *HEADLINE_SPLITS)
    return next((s for s in splits if figures.line(s, None, "psnr_db").model), figures.protocol.splits[0])


def beyond_gates(found: Estimate) -> str:
    """Return what gates do not say: whether the model is better than what needs no model.

    Parameters
    ----------
    found : Estimate
        Gain in brain PSNR on the intensity map of training pairs, dB.
    """
    baseline = "an intensity map of training pairs, which sees neither neighbours nor prompt"
    verdict = f"{baseline}, is as good or better"
    if found.low is None:
        verdict = f"there are too few people to tell whether the model is better than {baseline}"
    elif found.mean > 0 and found.excludes_zero:
        verdict = f"the model is better than {baseline}"
    by = f"{number(found.mean, 2, sign=True)} dB {interval(found, 2, sign=True)}".strip()
    return f"Gates are the least that is asked for. Beyond them, {verdict}: {by} in brain PSNR."


def _in_percent(found: Estimate | None) -> Estimate | None:
    if found is None:
        return None
    low, high = (None if bound is None else 100 * bound for bound in (found.low, found.high))
    return Estimate(100 * found.mean, low, high, found.n_people)


def _contrast_found(figures: Figures, split: str) -> dict[str, Any] | None:
    """Return how often images find their contrast, in the split of the headline where it was measured there."""
    found = [row for row in figures.retrieval if row["task"] == "image_to_contrast" and row["metric"] == "recall_at_1"]
    if not found:
        return None
    row = min(found, key=lambda row: row["split"] != split)
    share = _in_percent(Estimate(row["value"], row["low"], row["high"], row["n_people"] or 0))
    return {"share": share, "chance": number(100 * row["chance"], 1), "n_queries": row["n_queries"]}


def _curves(figures: Figures) -> list[dict[str, Any]]:
    """Return the loss and one more curve of the training, as points of a drawing of 420 × 170 units."""
    points: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in figures.curve:
        points.setdefault(row["metric"], {}).setdefault(row["split"], []).append((row["step"], row["value"]))
    shown = [name for name, splits in points.items() if max(map(len, splits.values())) > 1]
    curves = []
    for name in sorted(shown, key=lambda name: (name != "loss", name))[:N_CURVES]:
        steps, values = zip(*(point for each in points[name].values() for point in each), strict=True)
        last, low, high = max(steps) or 1, min(values), max(values)
        room = (high - low) or 1.0
        lines = [
            (split, " ".join(f"{60 + 350 * s / last:.1f},{12 + 130 * (high - v) / room:.1f}" for s, v in sorted(each)))
            for split, each in sorted(points[name].items())
        ]
        curves.append({"name": name, "lines": lines, "low": f"{low:.3g}", "high": f"{high:.3g}", "last_step": last})
    return curves


def _provenance(figures: Figures) -> dict[str, object]:
    about = figures.about
    trained = (
        None
        if about["n_steps"] is None
        else f"{about['n_steps']:,} steps, {about['seconds']:,.0f} s on {about['device']}"
    )
    return {
        "Model": figures.model_id,
        "Text encoder": about["text_encoder_id"],
        "Numbers in the model": None if about["n_parameters"] is None else f"{about['n_parameters']:,}",
        "Trained": trained,
        "Training run": about["run_id"],
        "Seed": about["seed"],
        "Configuration": about["config"],
        "Code of the training": about["training_code"],
        "Data of the training": about["training_data_id"],
        "Data of the evaluation": about["data_id"],
        "Protocol": f"{figures.protocol.name} ({about['protocol_hash']})",
        "Evaluation": figures.evaluation_id,
        "Catalogue": f"{about['snapshot_id']}, published by {about['catalogue_release']}",
        "Centres": ", ".join(about["centers"] or []),
    }


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


def verdict(found: Estimate, metric: str) -> str:
    """Return better or worse; empty where the interval holds zero or there is none."""
    if not found.excludes_zero:
        return ""
    return "worse" if (found.mean < 0) != (metric in LOWER_IS_BETTER) else "better"


def span_of(found: Sequence[Estimate]) -> tuple[float, float]:
    """Return the range that a column of differences needs, zero included, with a little room."""
    ends = [0.0]
    for each in found:
        ends += [value for value in (each.mean, each.low, each.high) if value is not None]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    return min(ends) - room, max(ends) + room


ENVIRONMENT = Environment(
    loader=FileSystemLoader(PARTS), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
)
ENVIRONMENT.globals.update(
    number=number,
    interval=interval,
    verdict=verdict,
    percent=lambda value: f"{number(100 * value, 1)} %",
    task_name=lambda task: task.replace("_to_", " → "),
    all_tasks=ALL_TASKS,
    decimals=DECIMALS,
    metric_names=METRICS,
    measures=[(metric, mask) for mask in ("brain", "volume") for metric in METRICS],
    split_names=SPLITS,
    split_notes=SPLIT_NOTES,
    baselines=BASELINES,
    baseline_names=BASELINE_NAMES,
    compared=COMPARED,
    verdict_marks=VERDICT_MARKS,
)
