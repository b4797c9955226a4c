"""What is asked for: the wanted scan's record, completed from the inputs, checked for contradictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from model.inference.known import Known, known_fields
from warehouse.errors import PromptError
from warehouse.prompts.fields import ParsedFields
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.record import PromptRecord, contrast_label, render
from warehouse.prompts.vocabulary import CONTRASTS

PROMPT, GRID = "the prompt", "the grid of the result"
PERSON = ("age_years", "sex", "field_strength_t")  # taken from the inputs where the prompt does not say them
EXCITATION_S = 0.1  # a shorter TR of a T1w is that of the excitations after one inversion, as GE and Philips state it
LABELS = {
    "contrast": "contrast",
    "post_contrast": "contrast agent",
    "vendor": "vendor",
    "model": "scanner model",
    "field_strength_t": "field strength",
    "age_years": "age",
    "sex": "sex",
    "voxel_size_mm": "voxel size",
    "repetition_time_s": "TR",
    "echo_time_s": "TE",
    "inversion_time_s": "TI",
    "flip_angle_deg": "FA",
    "flip_angle_variable": "variable flip angle",
}
NEVER_MISSING = ("post_contrast", "flip_angle_variable", "words", "model")  # no part of the sentence by themselves


@dataclass(frozen=True)
class Request:
    """The wanted scan as it was understood.

    Parameters
    ----------
    record : PromptRecord
    origins : mapping of str to str
        Where each known field is from, by the field's name.
    given : str
        The prompt as the user wrote it, or the sentence of the given record.
    notes : tuple of str
        What the user should be told.
    """

    record: PromptRecord
    origins: Mapping[str, str] = field(default_factory=dict)
    given: str = ""
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Names of the fields that stay unknown."""
        found = [name for name in LABELS if name not in NEVER_MISSING and getattr(self.record, name) is None]
        return [name for name in found if not (name == "flip_angle_deg" and self.record.flip_angle_variable)]


def as_record(prompt: str | PromptRecord, whose: str = PROMPT) -> PromptRecord:
    """Return the record of a sentence, or a record, checked for limits and contradictions.

    Parameters
    ----------
    prompt : str or PromptRecord
    whose : str
        How the error calls it.

    Raises
    ------
    PromptError
        When it cannot be understood, a value is impossible, or two fields contradict each other.
    """
    try:
        record = parse_prompt(prompt) if isinstance(prompt, str) else prompt
        refuse_contradictions(record)
    except PromptError as error:
        if whose == PROMPT:
            raise
        raise PromptError(f"{whose}: {error.what}", error.remedy) from error
    return record


def refuse_contradictions(record: PromptRecord) -> None:
    """Raise `PromptError` for a record that no scan can have.

    As in typed prompts, values must be possible, TE shorter than TR, and the flip angle one number or variable. TI must
    be shorter than TR too, unless TR is that of the excitations after an inversion, as in many T1w.
    """
    if record.contrast is not None and record.contrast not in CONTRASTS:
        raise PromptError(f"there is no contrast {record.contrast!r}", f"contrasts are {', '.join(CONTRASTS)}")
    parsed = ParsedFields()
    for name in known_fields(record):
        if name != "words":
            parsed.add(name, getattr(record, name))
    parsed.record()
    inversion, repetition = record.inversion_time_s, record.repetition_time_s
    if inversion is None or repetition is None or inversion < repetition:
        return
    if record.contrast in (None, "T1w") and repetition < EXCITATION_S:
        return
    what = f"the prompt contradicts physics: TI {1000 * inversion:g} ms is not shorter than TR {1000 * repetition:g} ms"
    raise PromptError(what, "times without a unit are milliseconds; write s after seconds, as in TR 9 s")


def understand(prompt: str | PromptRecord, sources: Sequence[Known], size_mm: tuple[float, float, float]) -> Request:
    """Return the wanted scan's record; what the prompt does not say of person, field and voxels is that of the inputs.

    Parameters
    ----------
    prompt : str or PromptRecord
    sources : sequence of Known
    size_mm : tuple of 3 floats
        Voxel size of the result along its own axes, mm.

    Raises
    ------
    PromptError
        See `as_record`.
    """
    record = as_record(prompt)
    origins = dict.fromkeys(known_fields(record), PROMPT)
    new: dict[str, Any] = {}
    notes: list[str] = []
    for name in PERSON:
        values = [(known.record, known.origins.get(name)) for known in sources]
        there = [(getattr(of, name), origin) for of, origin in values if getattr(of, name) is not None]
        if name in ("age_years", "sex") and len({value for value, _ in there}) > 1:
            listed = " and ".join(_quantity(name, value) for value, _ in there)
            notes.append(f"the inputs state different values of {LABELS[name]}: {listed}; are they of one head?")
        if there and getattr(record, name) is None:
            new[name] = there[0][0]
            origins[name] = f"{there[0][1]} (input)"
    if record.voxel_size_mm is None:
        new["voxel_size_mm"] = tuple(round(size, 4) for size in size_mm)
        origins["voxel_size_mm"] = GRID
    given = prompt if isinstance(prompt, str) else render(prompt)
    return Request(replace(record, **new), origins, given, tuple(notes))


def described(record: PromptRecord, origins: Mapping[str, str]) -> list[str]:
    """Return the known fields of a record by their origin, one line for each: the origin, then name and value."""
    by_origin: dict[str, list[str]] = {}
    for name in LABELS:
        value = getattr(record, name)
        if name not in origins or name == "post_contrast" or value is False:  # an agent is shown as in ceT1w
            continue
        shown = contrast_label(value, record.post_contrast) if name == "contrast" else _quantity(name, value)
        by_origin.setdefault(origins[name], []).append(LABELS[name] if value is True else f"{LABELS[name]} {shown}")
    return [f"from {origin}: {', '.join(parts)}" for origin, parts in by_origin.items()]


def as_json(record: PromptRecord) -> dict[str, Any]:
    """Return the known fields of a record as JSON values, in seconds, degrees, years, tesla and mm."""
    found = {name: getattr(record, name) for name in known_fields(record)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _quantity(name: str, value: Any) -> str:
    if name == "voxel_size_mm":
        return " × ".join(f"{size:g}" for size in value) + " mm"
    if name.endswith("_time_s"):
        return f"{1000 * value:g} ms"
    unit = {"age_years": " years", "field_strength_t": " T", "flip_angle_deg": "°"}.get(name, "")
    return f"{value:g}{unit}" if isinstance(value, float | int) and not isinstance(value, bool) else str(value)
