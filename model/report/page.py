"""One file that says how good a model is: figures, baselines, verdicts and pictures, without a network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from model.data.catalogue import CatalogueImages
from model.evaluation.baselines import IDENTITY, MAP_TRAIN
from model.evaluation.evaluate import SynthesisModel
from model.evaluation.gates import gated_split
from model.evaluation.protocol import EvaluationProtocol
from model.evaluation.statistics import Estimate
from model.report.data import Figures, read_figures
from model.report.gallery import Example, draw_example, draw_overview, make_examples
from model.report.tables import (
    SPLITS,
    curve,
    everything_table,
    interval,
    number,
    retrieval_table,
    task_name,
    tasks_table,
)
from warehouse.lake import atomic
from warehouse.lake.home import Home

if TYPE_CHECKING:
    import duckdb

PARTS = Path(__file__).parent / "parts"
PAGE, OVERVIEW = "report.html", "gallery.png"
N_OVERVIEW = 4  # examples in the picture for a README
N_CURVES = 2
HEADLINE_SPLITS = ("test_internal", "test_external", "val", "acceptance")


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
    page = _part("report.html", **_parts(figures, examples))
    draw_overview(examples[:N_OVERVIEW], folder / OVERVIEW)
    atomic.write_text(folder / PAGE, page)
    return folder / PAGE


def _parts(figures: Figures, examples: Sequence[Example]) -> dict[str, str]:
    """Return every part of the page by its name in the template."""
    return {
        "title": f"Evaluation of {escape(figures.model_id)}",
        "style": (PARTS / "report.css").read_text(encoding="utf-8"),
        "subtitle": _subtitle(figures),
        "banner": _banner(figures),
        "cards": "\n".join(_cards(figures)),
        "gates": "\n".join(_gates(figures)),
        "least": _least(figures),
        "splits": "\n".join(_split(figures, split) for split in figures.protocol.splits),
        "gallery": "\n".join(_picture(example) for example in examples),
        "retrieval": _retrieval(figures),
        "curves": _curves(figures),
        "everything": everything_table(figures),
        "method": _method(figures),
        "provenance": "\n".join(_provenance(figures)),
    }


def _subtitle(figures: Figures) -> str:
    about = figures.about
    centers = about["centers"] or []
    return (
        f"Model <code>{escape(figures.model_id)}</code>, {about['n_people']:,} people of {len(centers)} "
        f"{'centre' if len(centers) == 1 else 'centres'}, {about['n_targets']:,} target images, "
        f"protocol {escape(figures.protocol.name)}; evaluated {about['evaluated_at']:%d %B %Y}."
    )


def _banner(figures: Figures) -> str:
    n_simulated, n_images = figures.about["n_simulated"], figures.about["n_images"]
    if not n_simulated:
        return ""
    share = "every image" if n_simulated == n_images else f"{n_simulated:,} of {n_images:,} images"
    return _part("banner.html", share=share)


def _headline_split(figures: Figures) -> str:
    """Return the split that the gates are measured on; where it has no pair, the first that has one."""
    splits = (gated_split(figures.protocol.splits), *HEADLINE_SPLITS)
    return next((s for s in splits if figures.line(s, None, "psnr_db").model), figures.protocol.splits[0])


def _least(figures: Figures) -> str:
    found = figures.line(_headline_split(figures), None, "psnr_db").gains.get(MAP_TRAIN)
    said = found and beyond_gates(found)
    return f'<p class="least">{said}</p>' if said else ""


def beyond_gates(found: Estimate) -> str:
    """Return what gates do not say: whether the model is better than what needs no model.

    Parameters
    ----------
    found : Estimate
        Gain in brain PSNR on the intensity map of training pairs, dB.
    """
    baseline = "an intensity map of training pairs, which sees neither neighbours nor prompt"
    said = f"{baseline}, is as good or better"
    if found.low is None:
        said = f"there are too few people to tell whether the model is better than {baseline}"
    elif found.mean > 0 and found.excludes_zero:
        said = f"the model is better than {baseline}"
    by = f"{number(found.mean, 2, sign=True)} dB {interval(found, 2, sign=True)}".strip()
    return f"Gates are the least that is asked for. Beyond them, {said}: {by} in brain PSNR."


def _cards(figures: Figures) -> list[str]:
    split = _headline_split(figures)
    line = figures.line(split, None, "psnr_db")
    where = f"{SPLITS[split].lower()}, all tasks"
    steered = figures.line(split, None, "steering_mae").model
    cards = [_card("Brain PSNR", line.model, 2, "dB", where)]
    cards += [
        _card(title, line.gains.get(baseline), 2, "dB", where, sign=True)
        for title, baseline in (("Gain on the source as it is", IDENTITY), ("Gain on an intensity map", MAP_TRAIN))
    ]
    cards.append(_card("Brain SSIM", figures.line(split, None, "ssim").model, 3, "", where))
    said = "of the range; what the brain changes when the prompt asks for another contrast"
    cards.append(_card("Prompt steers", _percent(steered), 1, "%", said))
    found = [row for row in figures.retrieval if row["task"] == "image_to_contrast" and row["metric"] == "recall_at_1"]
    for row in sorted(found, key=lambda row: row["split"] != split)[:1]:
        value = Estimate(row["value"], row["low"], row["high"], row["n_people"] or 0)
        said = f"chance is {number(100 * row['chance'], 1)} %, {row['n_queries']} images"
        cards.append(_card("Image finds its contrast", _percent(value), 1, "%", said))
    return [card for card in cards if card]


def _percent(found: Estimate | None) -> Estimate | None:
    if found is None:
        return None
    low, high = (None if bound is None else 100 * bound for bound in (found.low, found.high))
    return Estimate(100 * found.mean, low, high, found.n_people)


def _card(title: str, found: Estimate | None, decimals: int, unit: str, note: str, sign: bool = False) -> str:
    if found is None:
        return ""
    around = interval(found, decimals, sign)
    value = f"{number(found.mean, decimals, sign)} {unit}".strip()
    said = " ".join(part for part in (around, note) if part)
    return f'<div class="card"><h3>{title}</h3><div class="value">{value}</div><p>{escape(said)}</p></div>'


VERDICT_MARKS = {
    "passed": ("passed", "✔ passed"),
    "failed": ("failed", "✖ failed"),
    "not_enough_data": ("open", "○ not enough data"),
}


def _gates(figures: Figures) -> list[str]:
    made = []
    for row in figures.gates:
        kind, mark = VERDICT_MARKS[row["verdict"]]
        name = escape(row["gate"].replace("_", " "))
        owner = "" if row["model_id"] == figures.model_id else " (text encoder)"
        value, threshold = ("–" if row[key] is None else number(row[key], 3) for key in ("value", "threshold"))
        measured = "mean" if row["verdict"] == "not_enough_data" else "lower bound"
        said = f'{escape(row["detail"])} <span class="quiet">({measured} {value}, threshold {threshold})</span>'
        made.append(f'<li><span class="{kind}">{mark}</span><b>{name}{owner}</b><span>{said}</span></li>')
    return made or ['<li><span class="failed">none</span><b>no verdict</b><span>nothing was judged</span></li>']


def _split(figures: Figures, split: str) -> str:
    tables = "\n".join(f"<p></p>{tasks_table(figures, split, metric)}" for metric in ("psnr_db", "ssim"))
    note = {
        "test_internal": "Centres that the model was trained on, people whom it has not seen.",
        "test_external": "Centres that the model has never seen.",
        "acceptance": "Simulated people on whom nothing is trained: the gates are measured on them.",
    }.get(split, "")
    return f"<section><h2>{SPLITS[split]}</h2><p>{note}</p>{tables}</section>"


def _picture(example: Example) -> str:
    png = b64encode(draw_example(example)).decode("ascii")
    said = f"{task_name(example.task)}: source, made, real and difference; axial above, coronal below"
    return (
        f'<figure><img src="data:image/png;base64,{png}" alt="{said}">'
        f"<figcaption><b>{task_name(example.task)}</b> · brain PSNR {number(example.psnr_db, 2)} dB, "
        f"SSIM {number(example.ssim, 3)} · {escape(example.center_id)}, {SPLITS[example.split].lower()}"
        f"<code>{escape(example.prompt)}</code></figcaption></figure>"
    )


def _retrieval(figures: Figures) -> str:
    if not figures.retrieval:
        return ""
    note = "An image is put beside prompts, or beside the words for contrasts, and the nearest one is counted."
    return (
        f"<section><h2>Images and prompts in one space</h2><p>{note}</p>{retrieval_table(figures.retrieval)}</section>"
    )


def _curves(figures: Figures) -> str:
    points: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for row in figures.curve:
        points.setdefault(row["metric"], {}).setdefault(row["split"], []).append((row["step"], row["value"]))
    shown = [name for name, splits in points.items() if max(map(len, splits.values())) > 1]
    shown = sorted(shown, key=lambda name: (name != "loss", name))[:N_CURVES]
    if not shown:
        return ""
    key = '<span class="key-train">— train</span> <span class="key-val">— validation</span>'
    drawn = "".join(
        f"<figure>{curve(points[name], name)}<figcaption>{escape(name)} · {key}</figcaption></figure>" for name in shown
    )
    return f'<section><h2>Training</h2><div class="curves">{drawn}</div></section>'


def _method(figures: Figures) -> str:
    protocol = figures.protocol
    return _part(
        "method.html",
        low=f"{protocol.percentiles[0]:g}",
        high=f"{protocol.percentiles[1]:g}",
        map_bins=protocol.map_bins,
        confidence=f"{100 * protocol.confidence:g}",
        n_resamples=f"{protocol.n_resamples:,}",
        max_pairs=f"{protocol.max_pairs_per_task:,}",
        flagged="Scans that harmonisation flagged are left out, in training as well.",
    )


def _part(name: str, **values: object) -> str:
    return Template((PARTS / name).read_text(encoding="utf-8")).substitute(values)


def _provenance(figures: Figures) -> list[str]:
    about = figures.about
    trained = (
        None
        if about["n_steps"] is None
        else f"{about['n_steps']:,} steps, {about['seconds']:,.0f} s on {about['device']}"
    )
    facts = {
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
    return [
        f"<dt>{name}</dt><dd><code>{escape(str(value if value is not None else 'not on record'))}</code></dd>"
        for name, value in facts.items()
    ]
