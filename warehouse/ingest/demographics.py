"""Parses the cells for age and sex in tables of participants; nothing is guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from warehouse.ingest.findings import shown
from warehouse.prompts.limits import LIMITS

MISSING = frozenset(
    {"", "n/a", "na", "nan", "none", "null", "unknown", "unk", "-", ".", "?", "missing", "not available"}
)
MALE = frozenset(
    {"m", "male", "males", "man", "men", "boy", "boys", "männlich", "mann", "homme", "hombre", "masculine"}
)
FEMALE = frozenset({"f", "female", "females", "woman", "women", "girl", "girls", "weiblich", "frau", "femme", "mujer"})
OTHER = frozenset({"o", "other", "x", "intersex", "diverse", "divers", "nonbinary", "non-binary"})
SEX = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F", "o": "O", "other": "O", "x": "O"}
PER_YEAR = {"years": 1.0, "months": 12.0, "weeks": 52.1775, "days": 365.25, "bins": 1.0}
UNITS = {
    word: unit
    for unit, words in {
        "years": "y yr yrs yo year years yearsold annum a jahre jahr ans an anni años",
        "months": "mo mos mth mths mon month months monate monat mois mesi meses",
        "weeks": "w wk wks week weeks wochen woche semaines semaine",
        "days": "d dy day days tage tag jours jour",
    }.items()
    for word in words.split()
}
NO_UNITS = frozenset({"", "n/a", "na", "none", "integer", "int", "number", "numeric", "float", "count"})
NOT_SINCE_BIRTH = frozenset(
    {"gestational", "gestation", "postmenstrual", "pma", "corrected", "conception", "post-menstrual"}
)
NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
RANGE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|–|to)\s*(\d+(?:\.\d+)?)")
OPEN = re.compile(r"(?:>=?\s*(\d+(?:\.\d+)?)|(\d+(?:\.\d+)?)\s*\+)")
OLDER = re.compile(r"(\d+(?:\.\d+)?)\s*(?:\w+\s+)?(?:or|and)\s+(?:older|above|over|more)")
WITH_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([^\W\d_]+)(?:\s+old)?")
DURATION = re.compile(r"P(?=\d)(?:(\d+(?:\.\d+)?)Y)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)W)?(?:(\d+(?:\.\d+)?)D)?")
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

    @property
    def text(self) -> str:
        """The age or its range as text, for messages."""
        if self.years is not None:
            return f"{self.years:g}"
        low, high = ("" if bound is None else f"{bound:g}" for bound in (self.low_years, self.high_years))
        return f"{low}–{high}"


def parse_age(text: str, unit: str = "years") -> Age:
    """Return the age in a cell.

    Parameters
    ----------
    text : str
        A number, a range (`55-60`), an open range (`36+`, `>89`), a number with its own unit (`6 months`, `034Y`,
        `P18M`), or a word for missing.
    unit : {"years", "months", "weeks", "days", "bins"}
        Unit of a number without a unit.

    Raises
    ------
    ValueError
        When it is none of these, or no human age.
    """
    plain = text.strip().lower()
    if plain in MISSING:
        return Age()
    per_year = PER_YEAR[unit]
    if NUMBER.fullmatch(plain):
        return _human(Age(years=float(plain) / per_year), text)
    if match := RANGE.fullmatch(plain):
        low, high = (float(bound) / per_year for bound in match.groups())
        if low > high:
            raise ValueError(f"age {shown(text)}: the lower bound is above the upper one")
        return _human(Age(low_years=low, high_years=high), text)
    if match := OPEN.fullmatch(plain):
        return _human(Age(low_years=float(match[1] or match[2]) / per_year), text)
    if (years := _own_unit(plain)) is not None:
        return _human(Age(years=years), text)
    raise ValueError(f"age {shown(text)} is neither a number of {unit} nor a range")


def _own_unit(plain: str) -> float | None:
    """Return the years of an age with its own unit, or None."""
    if match := DICOM_AGE.fullmatch(plain.upper()):
        return float(match[1]) / DICOM_PER_YEAR[match[2]]
    if match := DURATION.fullmatch(plain.upper()):
        return sum(float(part or 0) / per for part, per in zip(match.groups(), DICOM_PER_YEAR.values(), strict=True))
    match = WITH_UNIT.fullmatch(plain)
    unit = UNITS.get(match[2]) if match else None
    return float(match[1]) / PER_YEAR[unit] if match and unit else None


def unit_of(text: str) -> str | None:
    """Return the unit of age in a text; None where it has none or several, or the age is not since birth.

    Examples
    --------
    >>> unit_of("Months"), unit_of("years (integer)"), unit_of("weeks of gestation"), unit_of("score")
    ('months', 'years', None, None)
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    found = {UNITS[word] for word in words if word in UNITS and (len(word) > 1 or len(words) == 1)}
    return found.pop() if len(found) == 1 and not NOT_SINCE_BIRTH & set(words) else None


def age_of_level(text: str, unit: str) -> Age:
    """Return the age in the explanation of a code, such as `16-20 years` or `89 or older`.

    Raises
    ------
    ValueError
        When it is no age.
    """
    unit = unit_of(text) or unit
    plain = text.strip().lower()
    if match := RANGE.search(plain):
        return parse_age(match[0], unit)
    if match := OPEN.search(plain) or OLDER.search(plain):
        return parse_age(next(bound for bound in match.groups() if bound) + "+", unit)
    return parse_age(plain, unit)


def sex_of_level(text: str) -> str | None:
    """Return M, F, O or n/a for the explanation of a code of sex; None where it is ambiguous.

    Examples
    --------
    >>> sex_of_level("male"), sex_of_level("Female (self-reported)"), sex_of_level("male or female")
    ('M', 'F', None)
    """
    if text.strip().lower() in MISSING | {"not reported", "prefer not to say", "missing value", "not recorded"}:
        return "n/a"
    words = set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)?", text.lower()))
    found = [code for code, meant in (("M", MALE), ("F", FEMALE), ("O", OTHER)) if words & meant]
    return found[0] if len(found) == 1 else None


def parse_sex(text: str, values: dict[str, str]) -> str | None:
    """Return the sex in a cell by the table's own codes, else by common words.

    Raises
    ------
    ValueError
        When the code is unknown; 1 and 2 have no meaning unless the centre's definition gives one.
    """
    plain = re.sub(r"\.0$", "", text.strip())
    if plain.lower() in MISSING:
        return None
    code = values.get(plain, values.get(text.strip(), plain))
    if code.lower() in MISSING:
        return None
    if code.lower() not in SEX:
        raise ValueError(f"sex {shown(text)} is not a known code")
    return SEX[code.lower()]


def _human(age: Age, text: str) -> Age:
    for value in (age.years, age.low_years, age.high_years):
        if value is not None and not LIMITS["age_years"].allows(value):
            raise ValueError(f"age {shown(text)} is no human age")
    return Age(*(None if value is None else round(value, 4) for value in (age.years, age.low_years, age.high_years)))
