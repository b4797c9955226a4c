"""Reading a prompt: the paper's sentence exactly, and the many ways in which people write the same.

A prompt is read from left to right; at each place the first rule that fits takes its piece. Separators are blanks,
punctuation, brackets and lines; fields may stand in any order, and any may be missing. Times without a unit are
milliseconds, as in the paper. A word that no rule knows is an error: a model must not ignore what it was told.
"""

from __future__ import annotations

import difflib
import re

from warehouse.errors import PromptError
from warehouse.prompts import values, words
from warehouse.prompts.characters import normal
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.rules import rules, says_nothing
from warehouse.prompts.statements import Statements

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
    plain = normal(text)
    if not plain:
        raise PromptError("the prompt is empty", f"write for example: {EXAMPLE}")
    said = Statements()
    if whole := TEMPLATE.fullmatch(text):
        _template(said, whole)
    else:
        _read(said, plain)
    return said.record()


def _read(said: Statements, text: str) -> None:
    place, is_field = 0, False
    while place < len(text):
        for pattern, take in rules():
            if found := pattern.match(text, place):
                take(said, found)
                place, is_field = found.end(), is_field or take is not says_nothing
                break
        else:
            raise _not_understood(text, place)
    if not is_field:
        raise PromptError(f"the prompt {text[:40]!r} says nothing of an image", f"write for example: {EXAMPLE}")


def _template(said: Statements, found: re.Match[str]) -> None:
    values.take_number(said, "age_years", found["age"])
    values.take_sex(said, found["sex"])
    values.take_number(said, "field_strength_t", found["field"])
    values.take_vendor(said, found["vendor"])
    values.take_contrast(said, found["contrast"])
    values.take_size(said, normal(f"({found['size']})"))
    values.take_parameters(said, "TR(ms), TE(ms), TI(ms), FA(degree)", normal(f"({found['parameters']})").strip("()"))


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
