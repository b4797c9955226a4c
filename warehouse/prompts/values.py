"""Read the values of fields that the parser found: numbers with units, sizes, sexes, contrasts, scanners."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from warehouse.errors import PromptError
from warehouse.prompts import vocabulary
from warehouse.prompts.fields import ParsedFields, number
from warehouse.prompts.vocabulary import manufacturer, scanner_model

TIMES = {
    "tr": "repetition_time_s",
    "repetition time": "repetition_time_s",
    "te": "echo_time_s",
    "echo time": "echo_time_s",
    "ti": "inversion_time_s",
    "inversion time": "inversion_time_s",
}
NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?"
MISSING = r"(?:none|null|nan|unknown|n/a|na|\?|-(?!\d))"
UNIT = "|".join(sorted(vocabulary.TIME_UNITS_S, key=len, reverse=True))
LENGTH = "|".join(sorted(vocabulary.LENGTH_UNITS_MM, key=len, reverse=True))


def read_number(fields: ParsedFields, field: str, text: str) -> None:
    """Read a plain number, e.g. an age in years."""
    fields.add(field, _number(text))


def read_time(fields: ParsedFields, name: str, text: str, *units: str | None) -> None:
    """Read TR, TE or TI; without a unit it is in milliseconds.

    Raises
    ------
    PromptError
        When there are two units, or none after a name that BIDS (seconds) and DICOM (milliseconds) share.
    """
    factors = {vocabulary.TIME_UNITS_S[unit.lower()] for unit in units if unit}
    if len(factors) > 1:
        raise PromptError(f"{name} {text} has two units", "write one")
    key = re.sub("time$", " time", re.sub(r"[\s_-]*time$", "time", name.lower()))
    if not factors and name.lower().endswith("time") and name.isalpha() and _number(text) is not None:
        raise PromptError(
            f"{name} {text} has no unit: {name} is in seconds in BIDS and in milliseconds in DICOM", "write ms or s"
        )
    fields.add(TIMES[key], _number(text, factors.pop() if factors else vocabulary.TIME_UNITS_S["ms"]))


def read_divided(fields: ParsedFields, names: str, text: str, unit: str | None) -> None:
    """Read values separated by slashes like their names, as in ``TR/TE 5000/90 ms``; the unit is that of all times."""
    named = re.findall(rf"(tr|te|ti|fa)(?:\s*[(\[]({UNIT}))?", names, re.IGNORECASE)
    found = [value.strip() for value in re.sub("n/a", "none", text, flags=re.IGNORECASE).split("/")]
    if len(named) != len(found):
        raise PromptError(f"{names} are {len(named)} names for {len(found)} values ({text})", "give a value for each")
    for (name, own), value in zip(named, found, strict=True):
        if name.lower() == "fa":
            read_angle(fields, value)
        else:
            read_time(fields, name, value, own, unit)


def read_angle(fields: ParsedFields, text: str) -> None:
    """Read a flip angle in degrees, or that it varies."""
    if text.strip().lower() in vocabulary.VARIABLE:
        fields.add("flip_angle_variable", True)
    else:
        fields.add("flip_angle_deg", _number(text))


def read_parameters(fields: ParsedFields, names: str, values: str) -> None:
    """Read values by the list of names before them, e.g. ``TR(ms), TE(ms)`` and ``2500.0, 2.2``."""
    pattern = rf"\b(tr|te|ti|fa)\b(?:\s*\(\s*({UNIT}|degrees?|deg)\s*\))?"
    named = re.findall(pattern, names, re.IGNORECASE) or [("tr", ""), ("te", ""), ("ti", ""), ("fa", "")]
    found = values.split(",")
    if len(named) != len(found):
        what = f"{len(found)} imaging parameters ({values}) for {len(named)} names"
        raise PromptError(what, "give TR, TE, TI and FA in this order, None for what is missing")
    for (name, unit), value in zip(named, found, strict=True):
        if name.lower() == "fa":
            read_angle(fields, value)
        else:
            read_time(fields, name, value, unit)


def read_age(fields: ParsedFields, text: str, unit: str | None = None) -> None:
    """Read an age: a number, in years without a unit, or numbers with units, as in ``1 year and 6 months``.

    Raises
    ------
    PromptError
        When it has two different units, or several ages that differ.
    """
    parts = re.findall(rf"({NUMBER})[\s-]*([a-z]*)", text, re.IGNORECASE)
    if not parts:
        return
    factors = [_years_each(own or unit or "y") for _, own in parts]
    if unit and any(own and _years_each(own) != _years_each(unit) for _, own in parts):
        raise PromptError(f"the age {text} has two units", "write one")
    runs = [0, *(place for place in range(1, len(parts)) if factors[place] >= factors[place - 1]), len(parts)]
    for first, last in pairwise(runs):
        whole = sum(number(parts[place][0]) * factors[place] for place in range(first, last))
        fields.add("age_years", whole if last - first == 1 and factors[first] == 1.0 else round(whole, 4))


def read_dicom_age(fields: ParsedFields, text: str) -> None:
    """Read an age in the form of DICOM, three digits and a letter, as in 006M."""
    digits, letter = text[-4:-1], text[-1].lower()
    fields.add("age_years", round(number(digits) * _years_each("mo" if letter == "m" else letter), 4))


def refuse_age_with_m(text: str) -> None:
    """Refuse a number before m, which may mean male, months or metres.

    Raises
    ------
    PromptError
        Always.
    """
    raise PromptError(
        f"{text} with M may be {text} months, or a male of {text} years", f"write {text} months, or age {text}, sex M"
    )


def read_age_and_sex(fields: ParsedFields, age: str, sex: str) -> None:
    """Read an age in years and a sex in the form of clinical notes, as in 34F or 34/M."""
    fields.add("age_years", number(age))
    read_sex(fields, sex)


def read_size(fields: ParsedFields, text: str, *units_beside: str | None, is_cubed: bool = False) -> None:
    """Read voxel sizes: three, or one for all axes.

    Parameters
    ----------
    *units_beside : str, optional
        Units beside the lengths, which may contain units themselves; without any, lengths are in mm.
    is_cubed : bool
        Whether the unit is one of volume. 1 mm³ has sides of 1 mm; the sides of other volumes are unknown.

    Raises
    ------
    PromptError
        When there are two sizes, a volume other than 1 mm³, or more than one unit.
    """
    written = [*re.findall(LENGTH, text, re.IGNORECASE), *(unit for unit in units_beside if unit)]
    units = {vocabulary.LENGTH_UNITS_MM[unit.lower()] for unit in written}
    if len(units) > 1:
        raise PromptError(f"voxel size {text.strip()!r} has two units", "write one")
    bare = re.sub(rf"[()\[\]]|(?:{LENGTH})|iso(?:tropic)?", " ", text, flags=re.IGNORECASE)
    factor = units.pop() if units else "1"
    sizes = [_number(piece, factor) for piece in re.split(r"[,x*]", bare, flags=re.IGNORECASE)]
    known = [size for size in sizes if size is not None]
    if not known:
        return
    if len(known) != len(sizes) or len(sizes) not in (1, 3):
        raise PromptError(f"voxel size {text.strip()!r} is not understood", "give one length in mm, or three")
    if is_cubed and len(known) == 1 and known[0] != 1:
        what = f"{known[0]:g} mm³ may be a volume, or the side of a cube"
        raise PromptError(what, f"write {known[0]:g} mm, or three lengths")
    fields.add("voxel_size_mm", tuple(known * 3 if len(known) == 1 else known))


def require_size(fields: ParsedFields, text: str) -> None:
    """Accept the word voxel after a size, as in ``1 mm voxels``; without one it is a mere word, or an error.

    Raises
    ------
    PromptError
        When no size was found before, unless the reading is lenient.
    """
    if "voxel_size_mm" in fields.values:
        return
    if fields.is_lenient:
        fields.words.append(text)
    else:
        raise PromptError(f"the prompt contains {text!r} without a size", "write for example: voxel size 1 mm")


def read_sex(fields: ParsedFields, text: str) -> None:
    """Read a sex by any of its words."""
    word = text.strip().rstrip(".!").lower()
    if word in vocabulary.NOTHING:
        return
    if word not in vocabulary.SEX_WORDS:
        raise PromptError(f"sex {text.strip()!r} is not understood", "write M, F, O (other) or None")
    fields.add("sex", vocabulary.SEX_WORDS[word])


def read_contrast(fields: ParsedFields, text: str) -> None:
    """Read a contrast by any of its names; a word for a missing value adds nothing."""
    if text.strip() and text.strip().lower() not in vocabulary.NOTHING:
        fields.add_contrast(text)


def read_variable_train(fields: ParsedFields, contrast: str) -> None:
    """Read a contrast acquired with SPACE, CUBE or VISTA, whose flip angle varies along the echo train."""
    read_contrast(fields, contrast)
    fields.add("flip_angle_variable", True)


def read_agent(fields: ParsedFields, text: str) -> None:
    """Read whether there was a contrast agent.

    Raises
    ------
    PromptError
        When the answer is neither yes, no, the name of an agent, nor that it is unknown.
    """
    word = text.strip().rstrip(".!").lower()
    if word in ("no", "none", "false", "without", "not given", "0"):
        fields.add("post_contrast", False)
    elif word in ("yes", "true", "with", "given", "1") or re.fullmatch(vocabulary.AGENT, word):
        fields.add("post_contrast", True)
    elif word not in vocabulary.NOTHING:
        raise PromptError(f"contrast agent {text.strip()!r} is not understood", "write given, none or unknown")


def read_scanner(fields: ParsedFields, text: str) -> None:
    """Read field strength, vendor and model in any order, as in 3.0 Siemens, GE Signa 1.5T or None None."""
    found = re.search(rf"(?<![\w.])({NUMBER})(?:\s*(?:tesla|t)\b|(?=\s|$))", text, re.IGNORECASE)
    if found:
        fields.add("field_strength_t", _number(found[1]))
        text = f"{text[: found.start()]} {text[found.end() :]}"
    else:
        text = re.sub(rf"^\s*{MISSING}(?=\s|$)", "", text, flags=re.IGNORECASE)
    read_vendor(fields, text)


def read_vendor(fields: ParsedFields, text: str) -> None:
    """Read a vendor, and the model after a known vendor; an unknown vendor is kept as written."""
    for vendor, rest in _divisions(text.strip()):
        if manufacturer(vendor) in vocabulary.VENDORS:
            fields.add("vendor", manufacturer(vendor))
            read_model(fields, rest)
            return
    fields.add("vendor", _text(text, manufacturer))


def read_model(fields: ParsedFields, text: str) -> None:
    """Read the model of a scanner in its canonical spelling."""
    fields.add("model", _text(text, scanner_model))


def _years_each(unit: str) -> float:
    """Return a unit of age in years."""
    return next(years for begin, years in vocabulary.AGE_UNITS_YEARS.items() if unit.lower().startswith(begin))


def _number(text: str, factor: str = "1") -> float | None:
    text = text.strip()
    return None if text.lower() in vocabulary.NOTHING else number(text, factor)


def _text(text: str, canonical: Callable[[str], str]) -> str | None:
    return None if not text.strip() or text.strip().lower() in vocabulary.NOTHING else canonical(text)


def _divisions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the text split at each space, the longest first part first."""
    yield text, ""
    for gap in reversed(list(re.finditer(r"\s+", text))):
        yield text[: gap.start()], text[gap.end() :]
