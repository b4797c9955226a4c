"""Normalisation of characters that look alike, so that the grammar of prompts needs one form of each."""

from __future__ import annotations

import re
import unicodedata

from warehouse.errors import PromptError

LOOK_ALIKE = str.maketrans(
    {
        "\u00ba": "°",  # masculine ordinal, on keyboards of Romance languages; NFKC would convert it to o
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
# Only for a single value behind a name: in a list of values another comma without a space would follow.
COMMA_BEHIND_NAME = re.compile(
    r"\b(tr|te|ti|fa|time|angle|age|strength|size|resolution|spacing)( ?[:=]? ?)(\d{1,9}),(\d{1,2})(?![\d.]|,\d)",
    re.IGNORECASE,
)
CROSSED = re.compile(r"(?<![\d.,])\d{1,4}(?:[.,]\d{1,4})?(?: ?mm)?(?:x\d{1,4}(?:[.,]\d{1,4})?(?: ?mm)?){2}(?![\d.,x])")
PAIRED_COMMAS = re.compile(
    r"\((?:\d{1,5},\d{1,3}, )+\d{1,5},\d{1,3}\)"
)  # a space follows only the commas that separate values
SEMICOLONS = re.compile(r"\([\d,; ]*;[\d,; ]*\)")


def normal(text: str) -> str:
    """Return a text in which characters that look alike have one form.

    Compatibility forms (NFKC) become plain ones: full-width letters, raised digits, fixed-width spaces; the micro sign
    becomes the letter mu. Digits of any script become ASCII digits, dashes become hyphens, crosses between numbers x,
    and quotes spaces. Characters without width are removed. A decimal comma becomes a point where it cannot separate a
    list: before a unit, behind the name of a single value, between crosses, and in lists with semicolons.

    Raises
    ------
    PromptError
        When the text contains control characters or lone surrogates.

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
    """Return the plain form of one character; empty for a character without width."""
    if one.isascii() and (one.isprintable() or one.isspace()):
        return one
    kind = unicodedata.category(one)
    if kind in ("Cs", "Cc") and not one.isspace():
        raise PromptError(
            f"the prompt contains {one!r}, which is not a text character", "retype it, or copy it as plain text"
        )
    if kind == "Cf" or "\ufe00" <= one <= "\ufe0f":
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(one))
    return "-" if kind == "Pd" else one
