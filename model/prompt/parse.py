"""Reading a prompt: the paper's sentence exactly, and the many ways in which people write the same.

Belongs here: from text to a record. Does not belong here: from a record to text (`warehouse.prompt.render`), or to
numbers (`model.prompt.fields`).

A prompt is read from left to right; at each place the first rule that fits takes its piece. Separators are blanks,
commas, semicolons, slashes and lines; fields may stand in any order, and any may be missing. Times without a unit
are milliseconds, as in the paper. A word that no rule knows is an error: a model must not ignore what it was told.
"""

from __future__ import annotations

import difflib
import re
import unicodedata

from model.prompt import values, words
from model.prompt.rules import rules
from model.prompt.statements import Statements
from warehouse.errors import PromptError
from warehouse.prompt import PromptRecord

DASHES = re.compile("[\u2010-\u2015\u2212]")
THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3}),(\d{3})(?=\s*m(?:illi)?s(?:ec|econds?)?\b)", re.IGNORECASE)
DECIMAL_COMMA = re.compile(
    r"(?<![\d.,])(\d+),(\d{1,3})(?=\s*(?:ms|msec|s|sec|seconds?|t|tesla|mm|years?|y|deg(?:rees?)?|°)\b)", re.IGNORECASE
)
EXAMPLE = "T2w; 3T Siemens; TR 3200 ms; TE 90 ms; voxel size 1 mm"

# The vendor may hold anything, also what separates fields elsewhere: only the whole sentence tells where it ends.
TEMPLATE = re.compile(
    r"Age: (?P<age>\S+); Gender: (?P<sex>\S+); Scanner: (?P<field>\S+) (?P<vendor>.*); "
    r"Modality: (?P<contrast>\S+); Voxel size: \((?P<size>[^()]*)\); "
    r"Imaging parameter TR\(ms\), TE\(ms\), TI\(ms\), and FA\(degree\): +\((?P<parameters>[^()]*)\)",
    re.DOTALL,
)


def parse_prompt(text: str) -> PromptRecord:
    """Read a prompt into the record that it stands for.

    Parameters
    ----------
    text : str
        The paper's sentence, or any of its fields in any order, e.g. ``T2w, 3T Siemens, TE 90 ms``. Times are in ms
        where no unit is written, ages in years, sizes in mm, angles in degrees.

    Returns
    -------
    PromptRecord
        What is not said is None.

    Raises
    ------
    PromptError
        When a word is not understood, a value is impossible, or two statements contradict each other.

    Examples
    --------
    >>> record = parse_prompt("T2w at 3T Siemens, TR 3.2 s, TE=90")
    >>> record.contrast, record.field_strength_t, record.repetition_time_s, record.echo_time_s
    ('T2w', 3.0, 3.2, 0.09)
    """
    if not isinstance(text, str):
        raise PromptError(f"a prompt is a text, not {type(text).__name__}", f"write for example: {EXAMPLE}")
    text = text.strip().strip("\"'\u201c\u201d").strip()
    if not text:
        raise PromptError("the prompt is empty", f"write for example: {EXAMPLE}")
    said = Statements()
    if whole := TEMPLATE.fullmatch(text):
        _template(said, whole)
    else:
        _read(said, normal(text))
    return said.record()


def normal(text: str) -> str:
    """Return a text with one spelling of characters that look alike.

    Compatibility forms (NFKC) become plain ones: full-width letters, superscript digits, blanks of fixed width, and the
    letter mu for the sign of micro. Dashes become hyphens, and a decimal comma before a unit a point.

    Examples
    --------
    >>> normal("ＴＥ 90\u00a0ms, 1\u00a0mm³"), normal("TR 3,2 s"), normal("TR 5,000 ms")
    ('TE 90 ms, 1 mm3', 'TR 3.2 s', 'TR 5000 ms')
    """
    plain = DASHES.sub("-", unicodedata.normalize("NFKC", text))
    plain = THOUSANDS.sub(r"\1\2", plain)
    return DECIMAL_COMMA.sub(r"\1.\2", plain)


def _read(said: Statements, text: str) -> None:
    place = 0
    while place < len(text):
        for pattern, take in rules():
            if found := pattern.match(text, place):
                take(said, found)
                place = found.end()
                break
        else:
            raise _not_understood(text, place)


def _template(said: Statements, found: re.Match[str]) -> None:
    values.take_number(said, "age_years", found["age"])
    values.take_sex(said, found["sex"])
    values.take_number(said, "field_strength_t", found["field"])
    values.take_vendor(said, found["vendor"])
    values.take_contrast(said, found["contrast"])
    values.take_size(said, found["size"])
    values.take_parameters(said, "TR(ms), TE(ms), TI(ms), FA(degree)", found["parameters"])


def _not_understood(text: str, place: int) -> PromptError:
    word = re.split(r"[\s;,]", text[place:], maxsplit=1)[0][:40]
    known = [
        *words.CONTRAST_LABELS,
        *words.VENDORS,
        "age",
        "gender",
        "scanner",
        "modality",
        "voxel size",
        "TR",
        "TE",
        "TI",
        "FA",
    ]
    near = difflib.get_close_matches(word.lower(), [one.lower() for one in known], n=1)
    spelt = next((f"did you mean {one}? " for one in known if near and one.lower() == near[0] != word.lower()), "")
    return PromptError(f"the prompt says {word!r}, which is not understood", f"{spelt}write for example: {EXAMPLE}")
