"""Fields that the parser has found in a prompt, checked for limits and contradictions."""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any

from warehouse.errors import PromptError
from warehouse.prompts import vocabulary
from warehouse.prompts.limits import LIMITS
from warehouse.prompts.record import PromptRecord

NAMES = {
    "age_years": "the age",
    "field_strength_t": "the field strength",
    "voxel_size_mm": "the voxel size",
    "repetition_time_s": "TR",
    "echo_time_s": "TE",
    "inversion_time_s": "TI",
    "flip_angle_deg": "FA",
    "flip_angle_variable": "a variable flip angle",
    "contrast": "the contrast",
    "post_contrast": "a contrast agent",
    "vendor": "the vendor",
    "model": "the scanner's model",
    "sex": "the sex",
}


AGENT = {True: "given", False: "not given"}


class ParsedFields:
    """Fields of a record, added one by one as they are found; values of one field must agree.

    Parameters
    ----------
    is_lenient : bool
        Whether words about a size without a size, as in ``high resolution``, become `words`; otherwise they are errors.
    """

    def __init__(self, is_lenient: bool = False) -> None:
        self.values: dict[str, Any] = {}
        self.is_lenient = is_lenient
        self.words: list[str] = []
        self.is_isotropic = False

    def add(self, field: str, value: Any) -> None:
        """Add the value of a field; None adds nothing.

        Raises
        ------
        PromptError
            When the value is impossible, or differs from an earlier one.
        """
        if value is None:
            return
        for number in value if field == "voxel_size_mm" else (value,):
            _check_limits(field, number)
        if field in self.values and self.values[field] != value:
            before, now = (
                AGENT.get(one, one) if field == "post_contrast" else one for one in (self.values[field], value)
            )
            what = f"the prompt contradicts itself: {NAMES[field]} is {before} and {now}"
            raise PromptError(what, "give one value")
        self.values[field] = value

    def add_contrast(self, word: str) -> None:
        """Add a contrast by any of its names.

        Raises
        ------
        PromptError
            When there is no contrast of this name.
        """
        found = vocabulary.contrast(word)
        if found is None:
            remedy = f"contrasts are {', '.join(vocabulary.CONTRAST_LABELS)}; after a contrast agent write ce before it"
            raise PromptError(f"there is no contrast {word.strip()!r}", remedy)
        self.add("contrast", found[0])
        if found[1]:
            self.add("post_contrast", True)

    def set_isotropic(self) -> None:
        """Record that voxels have equal sides."""
        self.is_isotropic = True

    def record(self) -> PromptRecord:
        """Return the record of all fields.

        Raises
        ------
        PromptError
            When fields contradict each other.
        """
        record = PromptRecord(**self.values)
        echo, repetition = record.echo_time_s, record.repetition_time_s
        if echo is not None and repetition is not None and echo >= repetition:
            what = (
                f"the prompt contradicts physics: TE {1000 * echo:g} ms is not shorter than TR {1000 * repetition:g} ms"
            )
            raise PromptError(what, "times without a unit are milliseconds; write s after seconds, as in TR 2.5 s")
        if record.flip_angle_variable and record.flip_angle_deg is not None:
            what = f"the prompt contradicts itself: FA is {record.flip_angle_deg:g} and variable"
            raise PromptError(what, "give one of them; the angle of SPACE, CUBE and VISTA is variable")
        if self.is_isotropic and record.voxel_size_mm is None and not self.is_lenient:
            raise PromptError("the prompt contains isotropic without a size", "write for example: 1 mm isotropic")
        if self.is_isotropic and len(set(record.voxel_size_mm or ())) > 1:
            size = " × ".join(f"{length:g}" for length in record.voxel_size_mm or ())
            raise PromptError(f"the prompt contradicts itself: {size} mm and isotropic", "give one of them")
        return record


def number(text: str, factor: str = "1") -> float:
    """Return the decimal number times a factor, exactly rounded: 2.2 ms are 0.0022 s.

    Raises
    ------
    PromptError
        When the text is not a number.
    """
    try:
        return float(Decimal(text) * Decimal(factor))
    except DecimalException as error:
        raise PromptError(
            f"{text!r} is not a number", "write numbers as 2500 or 0.8, and None for what is missing"
        ) from error


def _check_limits(field: str, value: Any) -> None:
    if field not in LIMITS:
        return
    limit = LIMITS[field]
    if not limit.allows(value):
        what = f"{NAMES[field]} cannot be {value:g} {limit.unit}"
        remedy = f"the range is {limit.low:g} to {limit.high:g} {limit.unit}; write None where it is not known"
        if limit.unit == "s":
            remedy += "; times without a unit are milliseconds"
        raise PromptError(what, remedy)
