"""Whether an embedding stays where it is when the prompt is written otherwise, or says less.

Units and order pass through the parser, so that they must change nothing. A field that is left out, a vendor that
nobody knows and a misspelt word may move the embedding; what counts is whether images still find their prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.evaluation.scorers import Encoder
from warehouse.errors import PromptError
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.read import read_prompt
from warehouse.prompts.record import PromptRecord, contrast_label

LEFT_OUT = (
    *("contrast", "vendor", "model", "field_strength_t", "age_years", "sex", "voxel_size_mm"),
    *("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg"),
)
UNKNOWN_VENDOR = "Acme"
Reader = Callable[[str], PromptRecord]


@dataclass(frozen=True)
class Variant:
    """Prompts written otherwise.

    Parameters
    ----------
    name : str
        E.g. units, or `without echo_time_s`.
    records : list of PromptRecord
        As they are understood, in the order of the originals.
    """

    name: str
    records: list[PromptRecord]


def variants(records: Sequence[PromptRecord]) -> Iterator[Variant]:
    """Yield every way to write the prompts."""
    yield Variant("other units", [_read(parse_prompt, written(record, in_seconds=True)) for record in records])
    yield Variant("other order", [_read(parse_prompt, written(record, is_reversed=True)) for record in records])
    for name in LEFT_OUT:
        if any(getattr(record, name) is not None for record in records):
            yield Variant(f"without {name}", [_without(record, name) for record in records])
    yield Variant("unknown vendor", [replace(record, vendor=UNKNOWN_VENDOR) for record in records])
    yield Variant("misspelt", [_read(_leniently, misspelt(written(record))) for record in records])


def cosine(encoder: Encoder, records: Sequence[PromptRecord], variant: Variant) -> float:
    """Return the mean cosine of the embeddings of prompts before and after."""
    before, after = encoder.vectors(records), encoder.vectors(variant.records)
    return float(np.clip((before.astype(float) * after).sum(1), -1, 1).mean())


def written(record: PromptRecord, *, in_seconds: bool = False, is_reversed: bool = False) -> str:
    """Return a prompt as a person may type it: fields with units, separated by commas.

    Parameters
    ----------
    record : PromptRecord
    in_seconds : bool
        Times in seconds instead of milliseconds.
    is_reversed : bool
        The last field first.
    """

    def time(name: str, value: float | None) -> str | None:
        if value is None:
            return None
        return f"{name} {value:.9g} s" if in_seconds else f"{name} {1000 * value:.9g} ms"

    sizes = record.voxel_size_mm
    scanner = " ".join(filter(None, (record.vendor, record.model)))
    angle = "FA variable" if record.flip_angle_variable else f"FA {record.flip_angle_deg}°"
    parts = [
        contrast_label(record.contrast, record.post_contrast),
        scanner or None,
        None if record.field_strength_t is None else f"{record.field_strength_t:g} T",
        None if record.age_years is None else f"{record.age_years:.9g} years",
        {"M": "male", "F": "female"}.get(record.sex or ""),
        None if sizes is None else f"voxel size {' x '.join(f'{size:.9g}' for size in sizes)} mm",
        time("TR", record.repetition_time_s),
        time("TE", record.echo_time_s),
        time("TI", record.inversion_time_s),
        angle if record.flip_angle_variable or record.flip_angle_deg is not None else None,
    ]
    kept = [part for part in parts if part is not None]
    return ", ".join(reversed(kept) if is_reversed else kept)


def misspelt(text: str) -> str:
    """Return a text whose longest word has two letters swapped."""
    words = text.split(" ")
    place = max(range(len(words)), key=lambda at: sum(letter.isalpha() for letter in words[at]))
    word = words[place]
    words[place] = word[0] + word[2] + word[1] + word[3:] if len(word) > 3 else word
    return " ".join(words)


def _leniently(text: str) -> PromptRecord:
    return read_prompt(text).record


def _read(reader: Reader, text: str) -> PromptRecord:
    """Return what a prompt is read as; nothing at all where it is refused."""
    try:
        return reader(text)
    except PromptError:
        return PromptRecord()


def _without(record: PromptRecord, name: str) -> PromptRecord:
    changed: dict[str, Any] = {name: None}
    if name == "flip_angle_deg":
        changed["flip_angle_variable"] = False
    return replace(record, **changed)
