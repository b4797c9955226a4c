"""Page of an evaluation of a text encoder: self-contained, with plots, a table of every figure, and the gates."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from model.evaluation.retrieval import Retrieval
from model.report.encoder_plots import FIELD_NAMES, NAMES, SPLITS, plots
from model.report.page import ENVIRONMENT, PARTS
from model.report.words import number
from warehouse.lake import atomic

PAGE = "text_encoder.html"
PICTURES = {  # name of the file, heading, and what is seen
    "retrieval": (
        "Who finds whose prompt",
        "Each image is put beside prompts that state the same fields, and each prompt beside images. Equal prompts"
        " count as right. Chance is what guessing gets; for words, what the best constant answer gets.",
    ),
    "single_fields": (
        "One field told from another",
        "The right prompt against the same with one field changed. In the shaded part the change moves the signal of no"
        " tissue by a tenth of white matter's, so that it hardly shows; the headline leaves it out.",
    ),
    "recovery": (
        "What can be read from an image's embedding",
        "A linear probe is fitted within each contrast on scans of training people, and measured on others.",
    ),
    "examples": (
        "Images and candidate prompts",
        "Axial slices in neurological convention: the left of a picture is the person's left; L and R mark both sides.",
    ),
}
Row = dict[str, Any]


def write_page(found: Retrieval, folder: Path, about: Mapping[str, str]) -> Path:
    """Write ``text_encoder.html``, which holds its pictures, and each picture beside it as a PNG.

    Parameters
    ----------
    found : Retrieval
    folder : Path
        Where to write; what is there is replaced.
    about : mapping of str to str
        What is said of the evaluation at the end, by name.

    Returns
    -------
    Path
        The page.
    """
    drawn = plots(found.scores, found.recovered, found.examples)
    for name, picture in drawn.items():
        temporary = atomic.temporary_beside(folder / f"{name}.png")
        temporary.write_bytes(picture)
        atomic.move(temporary, folder / f"{name}.png")
    atomic.write_text(folder / PAGE, render(found, drawn, about))
    return folder / PAGE


def render(found: Retrieval, drawn: Mapping[str, bytes], about: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    found : Retrieval
    drawn : mapping of str to bytes
        PNG by name of `PICTURES`.
    about : mapping of str to str
    """
    pictures = [
        (*PICTURES[name], b64encode(drawn[name]).decode("ascii"), PICTURES[name][0])
        for name in PICTURES
        if name in drawn
    ]
    return ENVIRONMENT.get_template("text_encoder.html.j2").render(
        found=found,
        about=dict(about),
        is_simulated=all(row.get("population") != "real" for row in found.scores),
        style=Markup((PARTS / "report.css").read_text(encoding="utf-8")),
        pictures=pictures,
        tables=tables(found.scores),
    )


def tables(scores: Sequence[Row]) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Return every figure as text, in tables by what is measured.

    Returns
    -------
    list of (str, list of tuple)
        Heading, and rows: what, whose, people (queries), measure, figure, interval, the ideal observer's figure, the
        share of it, chance.
    """
    headings = {
        "Retrieval": tuple(NAMES),
        "One field changed, headline": ("one_field",),
        "Recovery from images, smoothness of prompts": ("recovery", "smoothness"),
        "Prompts written otherwise": ("robustness",),
    }
    found = []
    for heading, tasks in headings.items():
        rows = [row for row in scores if row["task"] in tasks and row.get("change_low") is None]
        if rows:
            found.append((heading, [_line(row) for row in rows]))
    return found


def _line(row: Row) -> tuple[str, ...]:
    place = [SPLITS.get(row["split"], row["split"]), row.get("population"), row.get("form")]
    low, high, ideal = row.get("low"), row.get("high"), row.get("ideal")
    is_share = row["metric"].startswith("recall")
    people = f"{row['n_people']:,} ({row['n_queries']:,})" if row.get("n_people") else f"– ({row['n_queries']:,})"

    def text(value: float | None) -> str:
        if value is None:
            return "–"
        return f"{number(100 * value, 1)} %" if is_share else number(value, 2)

    return (
        _what(row),
        ", ".join(part for part in place if part),
        people,
        row["metric"].replace("_", " "),
        text(row["value"]),
        "" if low is None else f"[{text(low)}, {text(high)}]",
        text(ideal),
        "–" if not ideal or ideal <= 0 else f"{number(100 * row['value'] / ideal, 0)} %",
        text(row["chance"]),
    )


def _what(row: Row) -> str:
    name = NAMES.get(row["task"], row["task"].replace("_", " "))
    if row["task"] in NAMES:
        return f"{name}, 1 of {row['n_candidates']:,}"
    field = str(row.get("field"))
    for column, shown in FIELD_NAMES.items():
        field = field.replace(column, shown)
    return field if row["task"] in ("one_field", "robustness") else f"{name}: {field}"
