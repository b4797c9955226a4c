"""Taking down a value that was found in a prompt: numbers with units, sizes, sexes, contrasts, scanners."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from warehouse.errors import PromptError
from warehouse.prompts import vocabulary
from warehouse.prompts.statements import Statements, number
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


def take_number(said: Statements, field: str, text: str) -> None:
    """Take down a plain number, e.g. an age in years."""
    said.say(field, _number(text))


def take_time(said: Statements, name: str, text: str, *units: str | None) -> None:
    """Take down TR, TE or TI; without a unit it is in milliseconds.

    Raises
    ------
    PromptError
        When there are two units, or none behind a name of BIDS (seconds) and DICOM (milliseconds).
    """
    factors = {vocabulary.TIME_UNITS_S[unit.lower()] for unit in units if unit}
    if len(factors) > 1:
        raise PromptError(f"{name} {text} has two units", "write one")
    key = re.sub("time$", " time", re.sub(r"[\s_-]*time$", "time", name.lower()))
    if not factors and name.lower().endswith("time") and name.isalpha() and _number(text) is not None:
        raise PromptError(
            f"{name} {text} has no unit: {name} is in seconds in BIDS and in milliseconds in DICOM", "write ms or s"
        )
    said.say(TIMES[key], _number(text, factors.pop() if factors else vocabulary.TIME_UNITS_S["ms"]))


def take_divided(said: Statements, names: str, text: str, unit: str | None) -> None:
    """Take down values that slashes divide as their names: ``TR/TE 5000/90 ms``; the unit is that of all times."""
    named = re.findall(rf"(tr|te|ti|fa)(?:\s*[(\[]({UNIT}))?", names, re.IGNORECASE)
    found = [value.strip() for value in re.sub("n/a", "none", text, flags=re.IGNORECASE).split("/")]
    if len(named) != len(found):
        raise PromptError(f"{names} are {len(named)} names for {len(found)} values ({text})", "give a value for each")
    for (name, own), value in zip(named, found, strict=True):
        if name.lower() == "fa":
            take_angle(said, value)
        else:
            take_time(said, name, value, own, unit)


def take_angle(said: Statements, text: str) -> None:
    """Take down a flip angle in degrees, or that it varies."""
    if text.strip().lower() in vocabulary.VARIABLE:
        said.say("flip_angle_variable", True)
    else:
        said.say("flip_angle_deg", _number(text))


def take_parameters(said: Statements, names: str, values: str) -> None:
    """Take down values by the names before them, e.g. ``TR(ms), TE(ms)`` and ``2500.0, 2.2``."""
    pattern = rf"\b(tr|te|ti|fa)\b(?:\s*\(\s*({UNIT}|degrees?|deg)\s*\))?"
    named = re.findall(pattern, names, re.IGNORECASE) or [("tr", ""), ("te", ""), ("ti", ""), ("fa", "")]
    found = values.split(",")
    if len(named) != len(found):
        what = f"{len(found)} imaging parameters ({values}) for {len(named)} names"
        raise PromptError(what, "give TR, TE, TI and FA in this order, None for what is missing")
    for (name, unit), value in zip(named, found, strict=True):
        if name.lower() == "fa":
            take_angle(said, value)
        else:
            take_time(said, name, value, unit)


def take_age(said: Statements, text: str, unit: str | None = None) -> None:
    """Take down an age: a number, in years without a unit, or numbers with units, ``1 year and 6 months``.

    Raises
    ------
    PromptError
        When it has two different units, or parts that do not descend.
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
        said.say("age_years", whole if last - first == 1 and factors[first] == 1.0 else round(whole, 4))


def take_dicom_age(said: Statements, text: str) -> None:
    """Take down an age as DICOM writes it, three digits and a letter: 006M."""
    digits, letter = text[-4:-1], text[-1].lower()
    said.say("age_years", round(number(digits) * _years_each("mo" if letter == "m" else letter), 4))


def refuse_age_with_m(text: str) -> None:
    """Refuse a number before m, which may be a sex, months or metres.

    Raises
    ------
    PromptError
        Always.
    """
    raise PromptError(
        f"{text} with M may be {text} months, or a male of {text} years", f"write {text} months, or age {text}, sex M"
    )


def take_age_and_sex(said: Statements, age: str, sex: str) -> None:
    """Take down an age in years and a sex as clinical notes join them: 34F, 34/M."""
    said.say("age_years", number(age))
    take_sex(said, sex)


def take_size(said: Statements, text: str, *units_beside: str | None, is_cubed: bool = False) -> None:
    """Take down voxel sizes: three, or one for all axes.

    Parameters
    ----------
    *units_beside : str, optional
        Units that stand beside the lengths, which may have units of their own; without any, they are in mm.
    is_cubed : bool
        Whether the unit is one of volume. 1 mm³ has sides of 1 mm; of another volume the sides are unknown.

    Raises
    ------
    PromptError
        When there are two sizes, or one of a volume, or more than one unit.
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
    said.say("voxel_size_mm", tuple(known * 3 if len(known) == 1 else known))


def refuse_size_unless_said(said: Statements, text: str) -> None:
    """Accept the word voxel behind a size, ``1 mm voxels``, and refuse it where there is none.

    Raises
    ------
    PromptError
        When no size was said.
    """
    if "voxel_size_mm" not in said.said:
        raise PromptError(f"the prompt says {text!r} without a size", "write for example: voxel size 1 mm")


def take_sex(said: Statements, text: str) -> None:
    """Take down a sex by any of its words."""
    word = text.strip().rstrip(".!").lower()
    if word in vocabulary.NOTHING:
        return
    if word not in vocabulary.SEX_WORDS:
        raise PromptError(f"sex {text.strip()!r} is not understood", "write M, F, O (other) or None")
    said.say("sex", vocabulary.SEX_WORDS[word])


def take_contrast(said: Statements, text: str) -> None:
    """Take down a contrast by any of its names, or that it is missing."""
    if text.strip() and text.strip().lower() not in vocabulary.NOTHING:
        said.say_contrast(text)


def take_agent(said: Statements, text: str) -> None:
    """Take down whether there was a contrast agent.

    Raises
    ------
    PromptError
        When the answer is neither yes, no, the name of an agent, nor that it is unknown.
    """
    word = text.strip().rstrip(".!").lower()
    if word in ("no", "none", "false", "without", "not given", "0"):
        said.say("post_contrast", False)
    elif word in ("yes", "true", "with", "given", "1") or re.fullmatch(vocabulary.AGENT, word):
        said.say("post_contrast", True)
    elif word not in vocabulary.NOTHING:
        raise PromptError(f"contrast agent {text.strip()!r} is not understood", "write given, none or unknown")


def take_scanner(said: Statements, text: str) -> None:
    """Take down field strength, vendor and model in any order: 3.0 Siemens, GE Signa 1.5T, None None."""
    found = re.search(rf"(?<![\w.])({NUMBER})(?:\s*(?:tesla|t)\b|(?=\s|$))", text, re.IGNORECASE)
    if found:
        said.say("field_strength_t", _number(found[1]))
        text = f"{text[: found.start()]} {text[found.end() :]}"
    else:
        text = re.sub(rf"^\s*{MISSING}(?=\s|$)", "", text, flags=re.IGNORECASE)
    take_vendor(said, text)


def take_vendor(said: Statements, text: str) -> None:
    """Take down a vendor, and the model where it follows a known one; an unknown vendor is kept as it is written."""
    for vendor, rest in _divisions(text.strip()):
        if manufacturer(vendor) in vocabulary.VENDORS:
            said.say("vendor", manufacturer(vendor))
            take_model(said, rest)
            return
    said.say("vendor", _text(text, manufacturer))


def take_model(said: Statements, text: str) -> None:
    """Take down a scanner's model in its canonical spelling."""
    said.say("model", _text(text, scanner_model))


def _years_each(unit: str) -> float:
    """Return how many years a unit of age has."""
    return next(years for begin, years in vocabulary.AGE_UNITS_YEARS.items() if unit.lower().startswith(begin))


def _number(text: str, factor: str = "1") -> float | None:
    text = text.strip()
    return None if text.lower() in vocabulary.NOTHING else number(text, factor)


def _text(text: str, canonical: Callable[[str], str]) -> str | None:
    return None if not text.strip() or text.strip().lower() in vocabulary.NOTHING else canonical(text)


def _divisions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the text divided at each blank, the longest beginning first."""
    yield text, ""
    for gap in reversed(list(re.finditer(r"\s+", text))):
        yield text[: gap.start()], text[gap.end() :]
