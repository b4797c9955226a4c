"""Define `tumsyn prompt`, which shows how a prompt is understood."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.runtime.progress import clean

if TYPE_CHECKING:
    from warehouse.prompts.read import ReadPrompt
    from warehouse.prompts.record import PromptRecord


def prompt(
    words: Annotated[
        list[str], typer.Argument(metavar="PROMPT", help="Prompt in any wording; - reads it from standard input.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, in seconds and degrees.")] = False,
) -> None:
    """Show how a prompt is understood: its fields, the sentence, what is missing, and what is not understood.

    `tumsyn prompt "T2w SPACE, 3T Siemens, TR 3.2 s, TE 563 ms, 0.8 mm isotropic"`
    """
    from warehouse.prompts.parse import not_understood
    from warehouse.prompts.read import read_prompt

    text = sys.stdin.read() if words == ["-"] else " ".join(words)
    read = read_prompt(text)
    if not read.has_field:
        raise not_understood(read.not_understood[0])
    typer.echo(_json(read) if as_json else _text(read))


def _text(read: ReadPrompt) -> str:
    from warehouse.prompts.record import render

    rows = [(name, value) for name, value in _rows(read.record) if value is not None]
    width = max((len(name) for name, _ in rows), default=0)
    parts = ["\n".join(f"{name:{width}}  {clean(value)}" for name, value in rows)] if rows else []
    parts.append(f"Sentence:\n{clean(render(read.record))}")  # one line, so that it can be copied
    missing = [name for name, value in _rows(read.record) if value is None]
    if missing:
        parts.append(_listed("Missing:", missing))
    if read.not_understood:
        parts.append(_listed("Not understood:", [_with_suggestion(read, piece) for piece in read.not_understood]))
    return "\n\n".join(parts)


def _json(read: ReadPrompt) -> str:
    from warehouse.prompts.record import render

    pieces = [{"text": piece, "did_you_mean": read.suggestions.get(piece)} for piece in read.not_understood]
    shown = {
        "record": asdict(read.record),
        "sentence": render(read.record),
        "missing": [name for name, value in _rows(read.record) if value is None],
        "not_understood": pieces,
    }
    return json.dumps(shown, ensure_ascii=False)


def _rows(record: PromptRecord) -> list[tuple[str, str | None]]:
    """Return name and value, with its unit, of every field; None where it is missing."""
    angle = "variable" if record.flip_angle_variable else _quantity(record.flip_angle_deg, "°")
    agent = "given" if record.post_contrast else "not given"
    sizes = record.voxel_size_mm
    rows = [
        ("contrast", record.contrast),
        ("contrast agent", agent if record.contrast or record.post_contrast else None),
        ("vendor", record.vendor),
        ("field strength", _quantity(record.field_strength_t, " T")),
        ("age", _quantity(record.age_years, " years")),
        ("sex", record.sex),
        ("voxel size", None if sizes is None else " × ".join(f"{size:g}" for size in sizes) + " mm"),
        ("TR", _quantity(record.repetition_time_s, " ms", 1000)),
        ("TE", _quantity(record.echo_time_s, " ms", 1000)),
        ("TI", _quantity(record.inversion_time_s, " ms", 1000)),
        ("flip angle", angle),
    ]
    if record.model is not None:  # no part of the sentence, so never missing
        rows.insert(3, ("scanner model", record.model))
    return rows


def _quantity(value: float | None, unit: str, factor: float = 1.0) -> str | None:
    return None if value is None else f"{factor * value:.10g}{unit}"


def _with_suggestion(read: ReadPrompt, piece: str) -> str:
    near = read.suggestions.get(piece)
    return f"{clean(piece)} (did you mean {near}?)" if near else clean(piece)


def _listed(title: str, names: list[str]) -> str:
    return fill(f"{title} {', '.join(names)}", 80, subsequent_indent="  ", break_on_hyphens=False)
