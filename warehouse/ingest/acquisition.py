"""Reads how an image was acquired: from its sidecars, else from the centre's published protocol, else null.

A value must be one number, alone or with a known unit. A zero that stands for unknown and an impossible value become
null and a finding; the image is kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from warehouse.centers.registry import PublishedProtocol
from warehouse.ingest.findings import Finding, is_replaced
from warehouse.ingest.privacy import clean_text
from warehouse.prompts.vocabulary import manufacturer, scanner_model

MISSING = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown", "unk", "unspecified", "not available", "-"})
NUMBER = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\W\d_]*|°)")
SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3}
SECONDS |= {"millisecond": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "usec": 1e-6}
DEGREES = {"": 1.0, "deg": 1.0, "degs": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0, "rad": 180 / math.pi}
TESLA = {"": 1.0, "t": 1.0, "tesla": 1.0, "mt": 1e-3, "g": 1e-4, "gauss": 1e-4}
MILLIMETRES = {"": 1.0, "mm": 1.0, "cm": 10.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3}
HINTS = {"s": ("ms", 1e-3), "T": ("gauss", 1e-4)}  # likely units of values that are too large


class ValueNotReadError(ValueError):
    """A value that cannot be read; `kind` is the kind of its finding."""

    def __init__(self, kind: str, why: str) -> None:
        self.kind = kind
        super().__init__(why)


@dataclass(frozen=True)
class Measure:
    """Reads a number in one unit, between two limits.

    Parameters
    ----------
    unit : str
        Unit of the column.
    units : dict of str to float
        Units in lower case, with their size in the unit of the column.
    high : float
        Upper limit; the lower limit is 0, exclusive.
    is_high_included : bool
        Whether the upper limit is itself possible.
    """

    unit: str
    units: Mapping[str, float]
    high: float
    is_high_included: bool = False

    def __call__(self, value: object) -> float | None:
        """Return the value in the column's unit, or None where it is missing.

        Raises
        ------
        ValueNotReadError
            When it is no number of this unit, zero, or outside the limits.
        """
        if isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < self.high:
            return float(value)
        number = self._number(value)
        if number is None:
            return None
        if number == 0:
            raise ValueNotReadError("value_unknown", "A zero stands for an unknown value and is null.")
        if self._is_possible(number):
            return number
        what = f"{number:g} {self.unit} is not possible; the value is null."
        hint, factor = HINTS.get(self.unit, ("", 0.0))
        if hint and number > 0 and self._is_possible(number * factor):
            what += f" {number:g} {hint} would be {number * factor:g} {self.unit}."
        raise ValueNotReadError("value_not_read", what)

    def _is_possible(self, number: float) -> bool:
        return 0 < number < self.high or (self.is_high_included and number == self.high)

    def _number(self, value: object) -> float | None:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, float | int) and not isinstance(value, bool):
            return float(value) if math.isfinite(value) else None
        if value is None:
            return None
        if isinstance(value, list):
            raise ValueNotReadError(
                "value_not_read", f"A list of {len(value)} values is not one number; the value is null."
            )
        if not isinstance(value, str):
            raise ValueNotReadError("value_not_read", f"{type(value).__name__} is not a number; the value is null.")
        text = clean_text(value)
        if text.lower() in MISSING:
            return None
        match = NUMBER.fullmatch(text)
        if match and (factor := self.units.get(match[2].lower())) is not None:
            number = float(match[1])
            return float(f"{number * factor:.12g}") if math.isfinite(number) else None
        raise ValueNotReadError(
            "value_not_read", f"It is no number with a unit such as {self.unit}; the value is null."
        )


def _text(value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "_".join(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueNotReadError("value_not_read", f"{type(value).__name__} is not a text; the value is null.")
    text = clean_text(value)
    if is_replaced(text):  # by `privacy`: too long, with a date, or no text
        raise ValueNotReadError("value_not_read", "It is no short text; the value is null.")
    return None if text.lower() in MISSING else text


def _text_as(spelling: Callable[[str], str | None]) -> Callable[[object], str | None]:
    """Return a reader of texts in another spelling."""

    def read(value: object) -> str | None:
        text = _text(value)
        return spelling(text) if text else None

    return read


def _dimensions(value: object) -> str | None:
    text = _text(value)
    if text is None or text.upper() in {"1D", "2D", "3D"}:
        return text.upper() if text else None
    raise ValueNotReadError("value_not_read", "The text is neither 1D, 2D nor 3D; the value is null.")


def _flag(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    known = {"y": True, "yes": True, "true": True, "1": True, "n": False, "no": False, "false": False, "0": False}
    if text in MISSING or text in known:
        return known.get(text)
    raise ValueNotReadError("value_not_read", "The text is neither yes nor no; the value is null.")


@dataclass(frozen=True)
class Field:
    """A column of `core.acquisition`, and the sidecar keys that it is read from, in order."""

    column: str
    keys: tuple[str, ...]
    read: Callable[[object], object]


REPETITION_TIME = Measure("s", SECONDS, 60.0)
FIELDS = (
    Field("manufacturer", ("Manufacturer",), _text_as(manufacturer)),
    Field("manufacturers_model_name", ("ManufacturersModelName", "ManufacturerModelName"), _text_as(scanner_model)),
    Field("magnetic_field_strength_t", ("MagneticFieldStrength",), Measure("T", TESLA, 25.0, True)),
    Field("repetition_time_s", ("RepetitionTime",), REPETITION_TIME),
    Field("repetition_time_excitation_s", ("RepetitionTimeExcitation",), REPETITION_TIME),
    Field("repetition_time_preparation_s", ("RepetitionTimePreparation", "RepetitionTimeInversion"), REPETITION_TIME),
    Field("echo_time_s", ("EchoTime",), Measure("s", SECONDS, 1.0)),
    Field("inversion_time_s", ("InversionTime",), Measure("s", SECONDS, 10.0)),
    Field("flip_angle_deg", ("FlipAngle",), Measure("deg", DEGREES, 360.0, True)),
    Field("is_flip_angle_variable", ("VariableFlipAngleFlag",), _flag),
    Field("slice_thickness_mm", ("SliceThickness",), Measure("mm", MILLIMETRES, 100.0)),
    Field("mr_acquisition_type", ("MRAcquisitionType",), _dimensions),
    Field("scanning_sequence", ("ScanningSequence",), _text_as(lambda text: text.replace("\\", "_"))),
)
TIMES = ("repetition_time_s", "repetition_time_excitation_s", "repetition_time_preparation_s", "inversion_time_s")
KEYS = {field.column: field.keys[0] for field in FIELDS}


def read_acquisition(
    sidecar: Mapping[str, object], contrast: str | None, facts: Mapping[str, str], protocols: list[PublishedProtocol]
) -> tuple[dict[str, object], list[Finding]]:
    """Return the columns of `core.acquisition` with their provenance, and findings about unread values.

    Parameters
    ----------
    sidecar : mapping
        All applicable sidecars merged; the nearest takes precedence.
    contrast : str or None
        Label of the contrast; post-contrast T1w is ceT1w.
    facts : mapping
        Entities and the layout's named groups, which select protocols.
    protocols : list of PublishedProtocol

    Returns
    -------
    columns : dict
    findings : list of Finding
        Without a path: `field` is the key of the sidecar.
    """
    found, findings = _from_sidecar(sidecar)
    _drop_times_of_unknown_unit(found, findings)
    default = _protocol(contrast, facts, protocols) if protocols else {}
    values: dict[str, object] = {}
    for field in FIELDS:
        value, source = found.get(field.column), "sidecar"
        if value is None:
            value, source = default.get(field.column), "center_default"
        values[field.column] = value
        values[f"{field.column}_provenance"] = source if value is not None else None
    _drop_contradicting_times(values, findings)
    return values, findings


def _from_sidecar(sidecar: Mapping[str, object]) -> tuple[dict[str, object], list[Finding]]:
    found: dict[str, object] = {}
    findings: list[Finding] = []
    for field in FIELDS:
        for key in field.keys:
            if key not in sidecar:
                continue
            try:
                value = field.read(sidecar[key])
            except ValueNotReadError as error:
                remedy = "correct the value in the sidecar" if error.kind == "value_not_read" else ""
                findings.append(Finding(error.kind, None, None, key, sidecar[key], str(error), remedy))
                continue
            if value is not None:
                found[field.column] = value
                break
    return found, findings


def _drop_times_of_unknown_unit(found: dict[str, object], findings: list[Finding]) -> None:
    """Drop the other times of a sidecar whose echo time is in milliseconds; their unit is unknown."""
    wrong = next(
        (finding for finding in findings if finding.field == "EchoTime" and "would be" in finding.detail), None
    )
    if wrong is None:
        return
    for column in TIMES:
        if (value := found.pop(column, None)) is not None:
            detail = "The echo time beside it is in milliseconds, so the unit of this time is uncertain; it is null."
            findings.append(Finding("value_not_read", None, None, KEYS[column], value, detail, "write seconds"))


def _drop_contradicting_times(values: dict[str, object], findings: list[Finding]) -> None:
    """Drop both TE and TR where TE is not shorter than TR, because it is unknown which one is wrong."""
    echo, repetition = values["echo_time_s"], values["repetition_time_s"]
    if not isinstance(echo, float) or not isinstance(repetition, float) or echo < repetition:
        return
    detail = f"TE ({echo:g} s) is not shorter than TR ({repetition:g} s); both are null."
    for column in ("echo_time_s", "repetition_time_s"):
        remedy = "correct whichever is wrong; BIDS has seconds"
        findings.append(Finding("value_not_read", None, None, KEYS[column], values[column], detail, remedy))
        values[column] = values[f"{column}_provenance"] = None


def _protocol(contrast: str | None, facts: Mapping[str, str], protocols: list[PublishedProtocol]) -> dict[str, object]:
    """Return the values of the protocols that fit; one with more conditions takes precedence."""
    fitting = [
        p for p in protocols if p.contrast == contrast and all(facts.get(key) == value for key, value in p.when.items())
    ]
    merged: dict[str, object] = {}
    for protocol in sorted(fitting, key=lambda p: len(p.when)):
        merged |= protocol.values
    return merged
