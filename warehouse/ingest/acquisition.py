"""How an image was acquired: from its sidecars, else from the centre's published protocol, else unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from warehouse.registry import Protocol
from warehouse.vocabulary import manufacturer, scanner_model


def _number(value: object) -> float | None:
    """Return a finite number, or None; text such as "2.5" counts, lists and booleans do not."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _inversion(value: object) -> float | None:
    """Return an inversion time; converters write 0 where there is no inversion."""
    return _number(value) or None


def _text(value: object) -> str | None:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "_".join(value)
    return value.strip() or None if isinstance(value, str) else None


def _vendor(value: object) -> str | None:
    text = _text(value)
    return manufacturer(text) if text else None


def _model(value: object) -> str | None:
    text = _text(value)
    return scanner_model(text) if text else None


def _sequence(value: object) -> str | None:
    text = _text(value)
    return text.replace("\\", "_") if text else None


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}.get(
        str(value).strip().lower()
    )


@dataclass(frozen=True)
class Field:
    """A column of `core.acquisition`, and the sidecar keys that it is read from, in order."""

    column: str
    keys: tuple[str, ...]
    read: Callable[[object], object]


FIELDS = (
    Field("manufacturer", ("Manufacturer",), _vendor),
    Field("manufacturers_model_name", ("ManufacturersModelName", "ManufacturerModelName"), _model),
    Field("magnetic_field_strength_t", ("MagneticFieldStrength",), _number),
    Field("repetition_time_s", ("RepetitionTime",), _number),
    Field("repetition_time_excitation_s", ("RepetitionTimeExcitation",), _number),
    Field("repetition_time_preparation_s", ("RepetitionTimePreparation", "RepetitionTimeInversion"), _number),
    Field("echo_time_s", ("EchoTime",), _number),
    Field("inversion_time_s", ("InversionTime",), _inversion),
    Field("flip_angle_deg", ("FlipAngle",), _number),
    Field("is_flip_angle_variable", ("VariableFlipAngleFlag",), _flag),
    Field("slice_thickness_mm", ("SliceThickness",), _number),
    Field("mr_acquisition_type", ("MRAcquisitionType",), _text),
    Field("scanning_sequence", ("ScanningSequence",), _sequence),
)


def read_acquisition(
    sidecar: Mapping[str, object], contrast: str | None, facts: Mapping[str, str], protocols: list[Protocol]
) -> dict[str, object]:
    """Return the columns of `core.acquisition` with their provenance.

    Parameters
    ----------
    sidecar : mapping
        All sidecars that apply, merged, the nearest winning.
    contrast : str or None
        Label of the contrast; post-contrast T1w is ceT1w.
    facts : mapping
        Entities and the layout's own facts, which protocols may ask for.
    protocols : list of Protocol
    """
    default = _protocol(contrast, facts, protocols)
    values: dict[str, object] = {}
    for field in FIELDS:
        found = next((value for key in field.keys if (value := field.read(sidecar.get(key))) is not None), None)
        source = "sidecar"
        if found is None:
            found, source = default.get(field.column), "center_default"
        values[field.column] = found
        values[f"{field.column}_provenance"] = source if found is not None else None
    return values


def _protocol(contrast: str | None, facts: Mapping[str, str], protocols: list[Protocol]) -> dict[str, object]:
    """Merge the protocols that fit; one with more conditions wins."""
    fitting = [
        p for p in protocols if p.contrast == contrast and all(facts.get(key) == value for key, value in p.when.items())
    ]
    merged: dict[str, object] = {}
    for protocol in sorted(fitting, key=lambda p: len(p.when)):
        merged |= protocol.values
    return merged
