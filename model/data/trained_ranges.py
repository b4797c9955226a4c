"""Ranges of the prompts that a model was trained on, and the fields of another prompt that lie outside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from warehouse.prompts.record import PromptRecord, contrast_label

OF_CONTRAST = ("repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg")  # differ between contrasts
OF_ALL = ("age_years", "field_strength_t", "voxel_size_mm")
NAMES = {
    "repetition_time_s": ("TR", 1000.0, "ms"),
    "echo_time_s": ("TE", 1000.0, "ms"),
    "inversion_time_s": ("TI", 1000.0, "ms"),
    "flip_angle_deg": ("FA", 1.0, "degrees"),
    "age_years": ("age", 1.0, "years"),
    "field_strength_t": ("field strength", 1.0, "T"),
    "voxel_size_mm": ("voxel size", 1.0, "mm"),
}
ROUNDED = 0.01  # of a bound: prompts are rounded to a decimal
Range = tuple[float, float]


def trained_ranges(records: Iterable[PromptRecord]) -> dict[str, Any]:
    """Return the ranges of the fields of training prompts, for a checkpoint.

    Parameters
    ----------
    records : iterable of PromptRecord
        Of every image that a model is trained on.

    Returns
    -------
    dict
        `contrasts`: for each contrast label, the range [low, high] of each field of `OF_CONTRAST` that is known of an
        image with this contrast. `all`: the range of each field of `OF_ALL`; that of the voxel size is over all three
        sides. Seconds, degrees, years, tesla and mm.
    """
    contrasts: dict[str, dict[str, list[float]]] = {}
    everywhere: dict[str, list[float]] = {}
    for record in records:
        label = contrast_label(record.contrast, record.post_contrast)
        if label is not None:
            own = contrasts.setdefault(label, {})
            for field in OF_CONTRAST:
                _widen(own, field, getattr(record, field))
        for field in OF_ALL:
            _widen(everywhere, field, getattr(record, field))
    return {"contrasts": {label: contrasts[label] for label in sorted(contrasts)}, "all": everywhere}


def widened(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ranges of two trainings together, each as `trained_ranges` returns them."""
    contrasts: dict[str, dict[str, list[float]]] = {}
    everywhere: dict[str, list[float]] = {}
    for ranges in (one, other):
        for label, own in (ranges.get("contrasts") or {}).items():
            into = contrasts.setdefault(label, {})
            for field, bounds in own.items():
                _widen(into, field, tuple(bounds))
        for field, bounds in (ranges.get("all") or {}).items():
            _widen(everywhere, field, tuple(bounds))
    return {"contrasts": {label: contrasts[label] for label in sorted(contrasts)}, "all": everywhere}


def outside_trained(record: PromptRecord, ranges: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each field of a prompt that lies outside the ranges of the training.

    Parameters
    ----------
    record : PromptRecord
    ranges : mapping
        As `trained_ranges` returns them. What it does not mention is not checked.
    """
    found: list[str] = []
    contrasts: Mapping[str, Any] = ranges.get("contrasts") or {}
    label = contrast_label(record.contrast, record.post_contrast)
    if label is not None and contrasts and label not in contrasts:
        found.append(f"the contrast {label} is none of those that the model was trained on: {', '.join(contrasts)}")
    own: Mapping[str, Any] = contrasts.get(label or "") or {}
    for field in OF_CONTRAST if own else ():
        value = getattr(record, field)
        if value is not None and field not in own:
            name, factor, unit = NAMES[field]
            found.append(
                f"{name} is {factor * value:g} {unit}, and no {label} that the model was trained on had a {name}"
            )
        elif value is not None:
            found += _beyond(field, [value], own[field], f" for {label}")
    everywhere: Mapping[str, Any] = ranges.get("all") or {}
    for field in OF_ALL:
        value = getattr(record, field)
        if value is not None and field in everywhere:
            found += _beyond(field, value if isinstance(value, tuple) else [value], everywhere[field], "")
    return found


def states_settings(record: PromptRecord, ranges: Mapping[str, Any]) -> bool:
    """Return whether every setting that a prompt names lies within those of training scans of the contrast.

    Parameters
    ----------
    record : PromptRecord
        It may name none; of flip angles that vary along a train, no range is kept.
    ranges : mapping
        As `trained_ranges` returns them.
    """
    label = contrast_label(record.contrast, record.post_contrast)
    own: Mapping[str, Any] = (ranges.get("contrasts") or {}).get(label or "") or {}
    named = {field: getattr(record, field) for field in OF_CONTRAST if getattr(record, field) is not None}
    if record.flip_angle_variable and not own:
        return False
    return all(field in own and not _beyond(field, [value], own[field], "") for field, value in named.items())


def _widen(ranges: dict[str, list[float]], field: str, value: Any) -> None:
    values = [float(one) for one in (value if isinstance(value, tuple) else (value,)) if one is not None]
    values = [one for one in values if math.isfinite(one)]
    if values:
        low, high = ranges.get(field, [math.inf, -math.inf])
        ranges[field] = [min(low, *values), max(high, *values)]


def _beyond(field: str, values: Sequence[float], bounds: Sequence[float], of: str) -> list[str]:
    """Return one sentence where a value lies beyond the bounds, with the value that lies furthest beyond."""
    low, high = bounds
    worst = max(values, key=lambda value: max(low - value, value - high))
    if low - ROUNDED * abs(low) <= worst <= high + ROUNDED * abs(high):
        return []
    name, factor, unit = NAMES[field]
    span = f"{factor * low:g} to {factor * high:g} {unit}" if high > low else f"{factor * low:g} {unit} only"
    return [f"{name} is {factor * worst:g} {unit}, and the training{of} had {span}"]
