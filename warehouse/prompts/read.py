"""Lenient reading of prompts: words that no field holds are kept and reported instead of refused.

A number is never ignored, and never read as what it may not mean: a leftover with a digit is an error, and so is a
length, an age or a number without a unit beside an unknown word, as in ``lesion of 12 mm`` or ``TR 3 sekonds``.
Impossible values and contradictions are errors, as in `parse`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from warehouse.errors import PromptError
from warehouse.prompts.parse import AGE_UNIT, EXAMPLE, OLD, Piece, not_understood, read_pieces, suggestion
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.values import LENGTH

# The name of a quantity announces a value, so TE in "TE ninety" is not a mere word.
QUANTITY = re.compile(r"tr|te|ti|fa|flip|angle", re.IGNORECASE)
# Pieces whose number may belong to a neighbouring word: sizes and ages without a name, or with a name that other
# quantities share (slice spacing, temporal resolution, gestational age).
LOOSE = re.compile(
    rf"(?:[-+.\d(\[].*(?:{LENGTH})\W*\d?|[\d.]+x[\d.x]+|[-+.\d][^(]*{AGE_UNIT}\.?)$"
    rf"|(?:age|resolution|spacing|voxel).*\d",
    re.IGNORECASE,
)
CERTAIN = re.compile(rf"(?:{OLD[:-1]}$)|y/o|yo$", re.IGNORECASE)
BESIDE = re.compile(r"[\s-]*(?:(?:of|at|in|with|and|a|an|the)[\s-]+)*")
GRADE = re.compile(r"(?:high|higher|highest|low|lower|native|nominal|original|standard|clinical)", re.IGNORECASE)


@dataclass(frozen=True)
class ReadPrompt:
    """Fields of a prompt, and what was not understood.

    Parameters
    ----------
    record : PromptRecord
        Its `words` are the words that were not understood, in lower case.
    not_understood : tuple of str
        Pieces of the prompt that no field holds, as written and in order, without duplicates.
    suggestions : dict of str to str
        By piece of `not_understood`: the known name of a similar spelling, where there is one. It is not applied.
    has_field : bool
        Whether the prompt names any field, if only as missing.
    """

    record: PromptRecord
    not_understood: tuple[str, ...] = ()
    suggestions: dict[str, str] = field(default_factory=dict)
    has_field: bool = True


def read_prompt(text: str) -> ReadPrompt:
    """Return the record of a prompt, with the words that no field holds.

    Parameters
    ----------
    text : str
        As for `parse_prompt`, with any other words.

    Raises
    ------
    PromptError
        When the prompt is empty, a number belongs to no field or may belong to an unknown word, a value is missing or
        impossible, or two fields contradict each other.

    Examples
    --------
    >>> read = read_prompt("T2w at 3T Siemnes, TE=90, with a Lesion")
    >>> read.record.echo_time_s, read.record.words, read.suggestions
    (0.09, ('siemnes', 'lesion'), {'Siemnes': 'Siemens'})
    """
    fields, pieces = read_pieces(text, is_lenient=True)
    for piece in pieces:
        if piece.kind == "word" and any(map(str.isnumeric, piece.text)):
            raise not_understood(piece.text)
        if piece.kind == "word" and QUANTITY.fullmatch(_bare(piece.text)):
            raise PromptError(f"the prompt names {_bare(piece.text)} without a number", "write for example TE 90 ms")
    for number, word in _doubtful(pieces):
        what = f"{number!r} beside {word!r}, which is not understood, may be another quantity"
        raise PromptError(what, "name the field and its unit, as in voxel size 1 mm or age 34 years, between commas")
    record = fields.record()
    left = [piece.text for piece in pieces if piece.kind == "word"]
    left += ["isotropic"] if fields.is_isotropic and record.voxel_size_mm is None else []
    written = tuple(dict.fromkeys(_bare(word) or word for word in left))
    words = tuple(dict.fromkeys(_bare(word).lower() for word in left if _bare(word)))
    has_field = any(piece.kind == "field" for piece in pieces)
    if not has_field and not words:
        what = f"the prompt {text.strip()[:40]!r} does not describe an image"
        raise PromptError(what, f"write for example: {EXAMPLE}")
    near = {word: name for word in written if (name := suggestion(word[:40])) is not None}
    return ReadPrompt(replace(record, words=words), written, near, has_field)


def _doubtful(pieces: list[Piece]) -> Iterator[tuple[str, str]]:
    """Yield fields whose number may belong to an unknown word beside them, with that word."""
    for place, piece in enumerate(pieces):
        if piece.kind != "field":
            continue
        is_loose = LOOSE.match(piece.text) is not None and CERTAIN.search(piece.text) is None
        before, after = _neighbour(pieces[:place][::-1]), _neighbour(pieces[place + 1 :])
        if is_loose and before and not GRADE.fullmatch(before):
            yield piece.text, before
        if after and (is_loose or piece.text[-1:].isdigit()):
            yield piece.text, after


def _neighbour(pieces: list[Piece]) -> str | None:
    """Return the unknown word that follows, if only spaces, hyphens and function words stand before it."""
    between = ""
    for piece in pieces:
        if piece.kind == "word":
            return piece.text if BESIDE.fullmatch(f"{between} ") else None
        if piece.kind == "field":
            return None
        between += f" {piece.text}"
    return None


def _bare(word: str) -> str:
    """Return a word without the punctuation around it."""
    return re.sub(r"^[\W_]+|[\W_]+$", "", word)
