"""One spelling for characters that look alike, so that the grammar of prompts needs to know one of each."""

from __future__ import annotations

import re
import unicodedata

from warehouse.errors import PromptError

LOOK_ALIKE = str.maketrans(
    {
        "\u00ba": "°",  # the masculine ordinal, which keyboards of Romance languages offer; NFKC would make it an o
        "\u02da": "°",
        "\u2218": "°",
        "\u2212": "-",
        "\u02d7": "-",
        "\u2217": "*",
        "\u204e": "*",
        "\u3001": ",",
        "\u060c": ",",
        "\u061b": ";",
        "\u3002": ".",
        "\u066b": ".",  # the Arabic decimal separator
        "\u066c": ",",
        "\u2715": "x",
        "\u2716": "x",
        "\u2a09": "x",
        "\u2a2f": "x",
        "\u00d7": "x",
    }
)
QUOTES = re.compile('["\u201c-\u201f\u00ab\u00bb]')
POWER = re.compile("(?<=\\d)(?=[\u00b2\u00b3\u00b9\u2070\u2074-\u2079])")  # 10³ is not 103
RAISED_POINT = re.compile(r"(?<=\d)\u00b7(?=\d)")
TIMES = re.compile(r"(?<=[\dm]) ?(?:[x\u0445\u0425*]|\bby\b) ?(?=[\d.])", re.IGNORECASE)
THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})[ ,'\u2019](\d{3})(?= ?m(?:illi)?s(?:ecs?|econds?)?\b)", re.IGNORECASE)
UNITS = r"ms|msec|s|sec|seconds?|t|tesla|mm|cm|\u03bcm|um|years?|yrs?|y|months?|mos?|weeks?|days?|degrees?|deg"
DECIMAL_COMMA = re.compile(rf"(?<![\d.,])(\d{{1,9}}),(\d{{1,3}})(?= ?(?:(?:{UNITS})\b|°))", re.IGNORECASE)
# One value follows a name; in a list of values a comma without a blank would stand again.
COMMA_BEHIND_NAME = re.compile(
    r"\b(tr|te|ti|fa|time|angle|age|strength|size|resolution|spacing)( ?[:=]? ?)(\d{1,9}),(\d{1,2})(?![\d.]|,\d)",
    re.IGNORECASE,
)
CROSSED = re.compile(r"(?<![\d.,])\d{1,4}(?:[.,]\d{1,4})?(?: ?mm)?(?:x\d{1,4}(?:[.,]\d{1,4})?(?: ?mm)?){2}(?![\d.,x])")
PAIRED_COMMAS = re.compile(r"\((?:\d{1,5},\d{1,3}, )+\d{1,5},\d{1,3}\)")  # a blank stands only where the list divides
SEMICOLONS = re.compile(r"\([\d,; ]*;[\d,; ]*\)")


def normal(text: str) -> str:
    """Return a text with one spelling of characters that look alike.

    Compatibility forms (NFKC) become plain ones: full-width letters, raised digits, blanks of fixed width, and the
    letter mu for the sign of micro. Digits of any script become ASCII digits, dashes hyphens, crosses between numbers
    an x, quotes blanks. What has no width vanishes. A decimal comma becomes a point where it cannot separate a list:
    before a unit, behind the name of a single value, between crosses, and in lists with semicolons.

    Raises
    ------
    PromptError
        When there are characters of control or halves of surrogate pairs, which are no text.

    Examples
    --------
    >>> normal("ＴＥ 90\u00a0ms, 1\u00a0mm³"), normal("TR 3,2 s"), normal("TR 5,000 ms"), normal("0,9 × 0,9 × 3 mm")
    ('TE 90 ms, 1 mm3', 'TR 3.2 s', 'TR 5000 ms', '0.9x0.9x3 mm')
    """
    plain = unicodedata.normalize("NFKC", POWER.sub("^", text.translate(LOOK_ALIKE)))
    plain = "".join(_character(one) for one in QUOTES.sub(" ", plain).translate(LOOK_ALIKE))
    plain = re.sub(r"\s+", lambda found: "\n" if "\n" in found[0] else " ", plain)
    plain = TIMES.sub("x", RAISED_POINT.sub(".", plain))
    plain = THOUSANDS.sub(r"\1\2", plain)
    plain = COMMA_BEHIND_NAME.sub(r"\1\2\3.\4", DECIMAL_COMMA.sub(r"\1.\2", plain))
    plain = CROSSED.sub(lambda found: found[0].replace(",", "."), plain)
    plain = PAIRED_COMMAS.sub(lambda found: re.sub(r",(?! )", ".", found[0]), plain)
    return SEMICOLONS.sub(lambda found: found[0].replace(",", ".").replace(";", ","), plain).strip()


def _character(one: str) -> str:
    """Return the plain form of a single character, or nothing for what has no width."""
    if one.isascii() and (one.isprintable() or one.isspace()):
        return one
    kind = unicodedata.category(one)
    if kind in ("Cs", "Cc") and not one.isspace():
        raise PromptError(
            f"the prompt holds {one!r}, which is no character of a text", "write it anew, or copy it as plain text"
        )
    if kind == "Cf" or "\ufe00" <= one <= "\ufe0f":
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(one))
    return "-" if kind == "Pd" else one
