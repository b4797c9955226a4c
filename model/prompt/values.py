"""Taking down a value that was found in a prompt: numbers with units, sizes, sexes, contrasts, scanners.

Belongs here: one function for each kind of value. Does not belong here: where in a text values stand
(`model.prompt.rules`), or what is possible (`model.prompt.statements`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from model.prompt import words
from model.prompt.statements import Statements, number
from warehouse.errors import PromptError
from warehouse.vocabulary import manufacturer, scanner_model

TIMES = {
    "tr": "repetition_time_s",
    "repetition time": "repetition_time_s",
    "te": "echo_time_s",
    "echo time": "echo_time_s",
    "ti": "inversion_time_s",
    "inversion time": "inversion_time_s",
}
YEARS = {"y": 1.0, "mo": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}  # by how the unit begins
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
MISSING = r"(?:none|null|nan|unknown|n/a|na|\?|-(?!\d))"
UNIT = "|".join(sorted(words.TIME_UNITS_S, key=len, reverse=True))


def take_number(said: Statements, field: str, text: str) -> None:
    """Take down a plain number, e.g. an age in years."""
    said.say(field, _number(text))


def take_time(said: Statements, name: str, text: str, *units: str | None) -> None:
    """Take down TR, TE or TI; without a unit it is in milliseconds."""
    factors = {words.TIME_UNITS_S[unit.lower()] for unit in units if unit}
    if len(factors) > 1:
        raise PromptError(f"{name} {text} has two units", "write one")
    said.say(TIMES[words.plain(name)], _number(text, factors.pop() if factors else words.TIME_UNITS_S["ms"]))


def take_angle(said: Statements, text: str) -> None:
    """Take down a flip angle in degrees, or that it varies."""
    if text.strip().lower() in words.VARIABLE:
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


def take_age(said: Statements, text: str, *units: str | None) -> None:
    """Take down an age; without a unit it is in years.

    Raises
    ------
    PromptError
        When it has two different units.
    """
    factors = {factor for unit in units if unit for name, factor in YEARS.items() if unit.lower().startswith(name)}
    if len(factors) > 1:
        raise PromptError(f"the age {text} has two units", "write one")
    years = _number(text)
    if years is not None and factors:
        years = round(years * factors.pop(), 4)
    said.say("age_years", years)


def take_size(said: Statements, text: str, cubed: str | None = None) -> None:
    """Take down voxel sizes in mm: three, or one for all axes.

    Parameters
    ----------
    cubed : str, optional
        The exponent behind mm, where there is one. 1 mm³ has sides of 1 mm; of another volume the sides are unknown.
    """
    bare = re.sub(r"[()]|mm", " ", text, flags=re.IGNORECASE)
    sizes = [_number(piece) for piece in re.split(r"[,x×*]", bare)]
    known = [size for size in sizes if size is not None]
    if not known:
        return
    if len(known) != len(sizes) or len(sizes) not in (1, 3):
        raise PromptError(f"voxel size {text.strip()!r} is not understood", "give one length in mm, or three")
    if cubed and len(known) == 1 and known[0] != 1:
        what = f"{known[0]:g} mm³ may be a volume, or the side of a cube"
        raise PromptError(what, f"write {known[0]:g} mm, or three lengths")
    said.say("voxel_size_mm", tuple(known * 3 if len(known) == 1 else known))


def take_sex(said: Statements, text: str) -> None:
    """Take down a sex by any of its words."""
    word = text.strip().lower()
    if word in words.NOTHING:
        return
    if word not in words.SEX_WORDS:
        raise PromptError(f"sex {text.strip()!r} is not understood", "write M, F, O (other) or None")
    said.say("sex", words.SEX_WORDS[word])


def take_contrast(said: Statements, text: str) -> None:
    """Take down a contrast by any of its names, or that it is missing."""
    if not text.strip() or text.strip().lower() in words.NOTHING:
        return
    if words.contrast(text) is None:  # Modality: axial T2w.
        bare = re.sub(rf"\b(?:{words.SHAPES})\b|[.!]+\s*$", " ", text, flags=re.IGNORECASE)
        text = re.sub(words.ENHANCED, " ", bare, flags=re.IGNORECASE)
        if text != bare:
            said.say("post_contrast", True)
    said.say_contrast(text)


def take_agent(said: Statements, text: str) -> None:
    """Take down whether there was a contrast agent."""
    said.say("post_contrast", text.strip().lower() not in ("no", "none", "false", "without", "0"))


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
        if manufacturer(vendor) in words.VENDORS:
            said.say("vendor", manufacturer(vendor))
            take_model(said, rest)
            return
    said.say("vendor", _text(text, manufacturer))


def take_model(said: Statements, text: str) -> None:
    """Take down a scanner's model in its canonical spelling."""
    said.say("model", _text(text, scanner_model))


def _number(text: str, factor: str = "1") -> float | None:
    text = text.strip()
    return None if text.lower() in words.NOTHING else number(text, factor)


def _text(text: str, canonical: Callable[[str], str]) -> str | None:
    return None if not text.strip() or text.strip().lower() in words.NOTHING else canonical(text)


def _divisions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the text divided at each blank, the longest beginning first."""
    yield text, ""
    for gap in reversed(list(re.finditer(r"\s+", text))):
        yield text[: gap.start()], text[gap.end() :]
