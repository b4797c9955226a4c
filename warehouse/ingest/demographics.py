"""What tables of participants write in the cells for age and sex, and what it means. Never a guess."""

from __future__ import annotations

import re
from dataclasses import dataclass

MISSING = frozenset(
    {"", "n/a", "na", "nan", "none", "null", "unknown", "unk", "-", ".", "?", "missing", "not available"}
)
SEX = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O", "x": "O"}
PER_YEAR = {"years": 1.0, "months": 12.0, "days": 365.25, "bins": 1.0}
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|–|to)\s*(\d+(?:\.\d+)?)")
OPEN = re.compile(r"(?:>=?\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*\+)")
DICOM_AGE = re.compile(r"(\d{3})([YMWD])")
DICOM_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.25}


@dataclass(frozen=True)
class Age:
    """An age, or the range that is published in its place, years."""

    years: float | None = None
    low_years: float | None = None
    high_years: float | None = None

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return not (self.years is None and self.low_years is None and self.high_years is None)


def parse_age(text: str, unit: str = "years", offset_days: float = 0.0) -> Age:
    """Read a cell.

    Parameters
    ----------
    text : str
        A number, a range (`55-60`), an open range (`36+`, `>89`), a DICOM age (`034Y`), or a word for missing.
    unit : {"years", "months", "days", "bins"}
    offset_days : float
        Days since the age was taken.

    Raises
    ------
    ValueError
        When it is none of these, or no human age.
    """
    plain = text.strip().lower()
    if plain in MISSING:
        return Age()
    per_year, later = PER_YEAR[unit], offset_days / 365.25
    if NUMBER.fullmatch(plain):
        return _human(Age(years=float(plain) / per_year + later), text)
    if match := RANGE.fullmatch(plain):
        low, high = (float(bound) / per_year + later for bound in match.groups())
        if low > high:
            raise ValueError(f"age {text!r}: the lower bound is above the upper one")
        return _human(Age(low_years=low, high_years=high), text)
    if match := OPEN.fullmatch(plain):
        return _human(Age(low_years=float(match[1] or match[2]) / per_year + later), text)
    if match := DICOM_AGE.fullmatch(text.strip().upper()):
        return _human(Age(years=float(match[1]) / DICOM_PER_YEAR[match[2]] + later), text)
    raise ValueError(f"age {text!r} is neither a number of {unit} nor a range")


def parse_sex(text: str, values: dict[str, str]) -> str | None:
    """Read a cell by the table's own codes, else by the common words.

    Raises
    ------
    ValueError
        When the code is not known: 1 and 2 mean nothing unless the centre's definition says what they mean.
    """
    plain = re.sub(r"\.0$", "", text.strip())
    if plain.lower() in MISSING:
        return None
    code = values.get(plain, values.get(text.strip(), plain))
    if code.lower() in MISSING:
        return None
    if code.lower() not in SEX:
        raise ValueError(f"sex {text!r} is not a known code")
    return SEX[code.lower()]


def _human(age: Age, text: str) -> Age:
    for value in (age.years, age.low_years, age.high_years):
        if value is not None and not 0 <= value <= 120:
            raise ValueError(f"age {text!r} is no human age")
    return Age(*(None if value is None else round(value, 4) for value in (age.years, age.low_years, age.high_years)))
