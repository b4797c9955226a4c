"""Parser of prompts: the paper's sentence, and the many other ways in which people write the same fields.

A prompt is read from left to right; at each position the first matching rule consumes its match. Separators are spaces,
punctuation, brackets and line breaks; fields may be in any order, and any may be missing. Times without a unit are in
milliseconds, as in the paper. A word that matches no rule is an error, so that no part of a prompt is ignored.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from warehouse.errors import PromptError
from warehouse.prompts import values, vocabulary
from warehouse.prompts.characters import normal
from warehouse.prompts.fields import ParsedFields
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.values import LENGTH, MISSING, NUMBER, UNIT
from warehouse.prompts.vocabulary import spellings

EXAMPLE = "T2w; 3T Siemens; TR 3200 ms; TE 90 ms; voxel size 1 mm"

NAMES = (
    *vocabulary.CONTRAST_LABELS,
    *vocabulary.VENDORS,
    *("age", "gender", "scanner", "modality", "voxel size", "TR", "TE", "TI", "FA"),
)

# The vendor may contain any text, including separators of fields; only a match of the whole sentence finds its end.
TEMPLATE = re.compile(
    r"Age: (?P<age>\S+); Gender: (?P<sex>\S+); Scanner: (?P<field>\S+) (?P<vendor>.*); "
    r"Modality: (?P<contrast>\S+); Voxel size: \((?P<size>[^()]*)\); "
    r"Imaging parameter TR\(ms\), TE\(ms\), TI\(ms\), and FA\(degree\): +\((?P<parameters>[^()]*)\)",
    re.DOTALL,
)


def parse_prompt(text: str) -> PromptRecord:
    """Return the record of a prompt.

    Parameters
    ----------
    text : str
        The paper's sentence, or any of its fields in any order, e.g. ``T2w, 3T Siemens, TE 90 ms``. Times are in ms
        where no unit is written, ages in years, sizes in mm, angles in degrees.

    Returns
    -------
    PromptRecord
        Fields that the prompt does not mention are None.

    Raises
    ------
    PromptError
        When a word is not understood, a value is impossible, or two fields contradict each other.

    Examples
    --------
    >>> record = parse_prompt("T2w at 3T Siemens, TR 3.2 s, TE=90")
    >>> record.contrast, record.field_strength_t, record.repetition_time_s, record.echo_time_s
    ('T2w', 3.0, 3.2, 0.09)
    """
    fields, pieces = read_pieces(text)
    if not any(piece.kind == "field" for piece in pieces):
        raise PromptError(
            f"the prompt {text.strip()[:40]!r} does not describe an image", f"write for example: {EXAMPLE}"
        )
    return fields.record()


@dataclass(frozen=True)
class Piece:
    """A part of a prompt: a field, text that no field needs (`ignored`), or a word that no rule matches."""

    kind: Literal["field", "ignored", "word"]
    text: str


def read_pieces(text: str, *, is_lenient: bool = False) -> tuple[ParsedFields, list[Piece]]:
    """Return the fields of a prompt and the pieces it consists of, in order.

    Parameters
    ----------
    text : str
    is_lenient : bool
        Keep words that no rule matches, which otherwise are errors.

    Raises
    ------
    PromptError
        As `parse_prompt`.
    """
    if not isinstance(text, str):
        raise PromptError(f"a prompt is a text, not {type(text).__name__}", f"write for example: {EXAMPLE}")
    text = text.strip().strip("\"'\u201c\u201d").strip()
    plain = normal(text)
    if not plain:
        raise PromptError("the prompt is empty", f"write for example: {EXAMPLE}")
    fields = ParsedFields(is_lenient)
    if whole := TEMPLATE.fullmatch(text):
        _template(fields, whole)
        return fields, [Piece("field", text)]
    pieces: list[Piece] = []
    place = 0
    while place < len(plain):
        piece = _piece(fields, plain, place)
        if piece.kind == "word" and not is_lenient:
            raise not_understood(piece.text)
        pieces.append(piece)
        place += len(piece.text)
    return fields, pieces


def _piece(fields: ParsedFields, text: str, place: int) -> Piece:
    for pattern, action in rules():
        if found := pattern.match(text, place):
            n_words = len(fields.words)
            action(fields, found)
            if len(fields.words) > n_words:
                return Piece("word", found[0])
            return Piece("ignored" if action is ignore else "field", found[0])
    return Piece("word", re.split(r"[\s;,|()\[\]]", text[place:], maxsplit=1)[0])


def _template(fields: ParsedFields, found: re.Match[str]) -> None:
    values.read_number(fields, "age_years", found["age"])
    values.read_sex(fields, found["sex"])
    values.read_number(fields, "field_strength_t", found["field"])
    values.read_vendor(fields, found["vendor"])
    values.read_contrast(fields, found["contrast"])
    values.read_size(fields, normal(f"({found['size']})"))
    values.read_parameters(fields, "TR(ms), TE(ms), TI(ms), FA(degree)", normal(f"({found['parameters']})").strip("()"))


def not_understood(word: str) -> PromptError:
    """Return the error of a word that no rule matches; it suggests the known name of a similar spelling."""
    near = suggestion(word[:40])
    spelt = f"did you mean {near}? " if near else ""
    what = f"the prompt contains {word[:40]!r}, which is not understood"
    return PromptError(what, f"{spelt}write for example: {EXAMPLE}")


def suggestion(word: str) -> str | None:
    """Return the known name whose spelling is most similar to a word's; None when there is none, or it is the word.

    Examples
    --------
    >>> suggestion("siemnes"), suggestion("Prizma"), suggestion("banana")
    ('Siemens', 'Prisma', None)
    """
    known = {name.lower(): name for name in (*spellings("scanner_model").values(), *NAMES)}
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    return known[near[0]] if near and near[0] != word.lower() else None


Action = Callable[[ParsedFields, re.Match[str]], None]

END = r"(?![^\W_])"  # no letter or digit follows
NO_LETTER = r"(?![^\W\d_])"  # TR5000 is TR and 5000
VALUE = rf"(?:{NUMBER}|{MISSING})"
IS = r"\s*(?:[:=~\u2248]|-(?=\s)|\b(?:is|of)\b)?\s*"
DEGREES = r"(?:degrees?|deg|°)"
TESLA = r"(?:teslas?|t)"
AGE_UNIT = r"(?:years?|yrs?|yo|y/o|y\.o\.?|y|months?|mnths?|mths?|mos?|weeks?|wks?|days?)"
OLD = r"(?:[\s-]*of[\s-]+age|[\s-]*olds?)?"
CUBED = r"(?:\s*(?:\^|\*\*)?\s?3(?!\d))"
BRACKETED = r"\([^()]*\)|\[[^\[\]]*\]"
# Three numbers separated by commas are sizes; of two, the second belongs to the next field, as in 1 mm, 3T.
_SIZE = rf"{VALUE}(?:\s*(?:{LENGTH}))?\s*[x*,]\s*"
SIZES = rf"{_SIZE}{_SIZE}{VALUE}(?=\s*(?:{LENGTH})|\W|$)|{VALUE}x{VALUE}"


@lru_cache(maxsize=1)
def rules() -> list[tuple[re.Pattern[str], Action]]:
    """Return patterns in the order in which they are tried."""
    found = [*_agents(), *_parameters(), *_scanners(), *_people(), *_sizes(), *_contrasts(), *_separators()]
    return [(re.compile(pattern, re.IGNORECASE), action) for pattern, action in found]


def _agents() -> Iterable[tuple[str, Action]]:
    agent, enhanced = vocabulary.AGENT, r"(?:enhanced|enhancing|enhancement)"
    given = r"(?:[\s-]+(?:injection|administration|enhancement))?"
    yield (
        rf"contrast\s+(?:agent|medium)\s*[:=]\s*{_rest()}",
        lambda fields, found: values.read_agent(fields, found["value"]),
    )
    yield (
        rf"(?:no|without|w/?o|before|prior\s+to|pre|non)[\s-]*{agent}{given}(?:[\s-]*{enhanced})?{END}"
        rf"|(?:non|un)[\s-]?{enhanced}{END}|(?:c|gd)-(?!\w)|-c{END}|(?:pre|native){END}",
        lambda fields, found: fields.add("post_contrast", False),
    )
    yield (
        rf"(?:post|after|following|with|w/|\+)[\s-]*{agent}{given}{END}|(?:{agent}[\s-]*)?{enhanced}{END}"
        rf"|(?:gado\w*|gad|gbca|gd(?:[\s-]*(?:dtpa|dota|bopta))?){END}\+?|c\+(?!\w)|\+\s*(?:c|ce|{agent}){END}"
        rf"|(?:post|ce){END}(?![\s-]*(?:flair|(?:t[12]|pd){NO_LETTER}|t[12]w))",
        lambda fields, found: fields.add("post_contrast", True),
    )


def _parameters() -> Iterable[tuple[str, Action]]:
    yield (
        r"imaging\s+parameters?(?P<names>[^:=]*?)\s*[:=]\s*\((?P<value>[^()]*)\)",
        lambda fields, found: values.read_parameters(fields, found["names"], found["value"]),
    )
    short = rf"(?:tr|te|ti|fa)(?:\s*[(\[](?:{UNIT}|{DEGREES})[)\]])?"
    yield (
        rf"(?P<names>{short}(?:\s?/\s?{short})+){IS}(?P<value>{VALUE}(?:\s?/\s?{VALUE})+)(?:\s*(?P<unit>{UNIT}){END})?",
        lambda fields, found: values.read_divided(fields, found["names"], found["value"], found["unit"]),
    )
    long = r"(?:repetition|echo|inversion)"
    name = (
        rf"(?:(?P<name>{long}[\s_-]+time|tr|te|ti){NO_LETTER}(?:\s*\((?:tr|te|ti|{long}\s+time)\))?"
        rf"|(?P<glued>{long}time){NO_LETTER})"
    )
    yield (
        rf"{name}(?:\s*[(\[](?P<head>{UNIT})[)\]]|\s+in\s+(?P<of>{UNIT}){END})?{IS}(?P<value>{VALUE})"
        rf"(?:\s*-?(?P<unit>{UNIT}){END})?",
        lambda fields, found: values.read_time(
            fields, found["name"] or found["glued"], found["value"], found["head"], found["of"], found["unit"]
        ),
    )
    yield (
        rf"(?:flip[\s_-]*angle|flip|fa|\u03b1){NO_LETTER}(?:\s*\((?:fa|flip\s+angle)\))?(?:\s*[(\[]\s*{DEGREES}\s*[)\]]|\s+in\s+{DEGREES})?"
        rf"{IS}(?P<value>t2var|var(?:iable)?{END}|{VALUE})(?:\s*{DEGREES})?",
        lambda fields, found: values.read_angle(fields, found["value"]),
    )


def _scanners() -> Iterable[tuple[str, Action]]:
    yield (
        rf"(?:(?:magnetic\s+)?field(?:\s+strength)?|magneticfieldstrength|b0){END}(?:\s*\({TESLA}\))?{IS}"
        rf"(?P<value>{VALUE})(?:[\s-]*{TESLA}{END})?",
        lambda fields, found: values.read_number(fields, "field_strength_t", found["value"]),
    )
    yield (
        rf"(?:scanner\s+)?model\s*[:=]\s*{_rest()}",
        lambda fields, found: values.read_model(fields, found["value"]),
    )
    yield rf"scanner\s*[:=]\s*{_rest()}", lambda fields, found: values.read_scanner(fields, found["value"])
    yield (
        rf"(?:vendor|manufacturer)\s*[:=]\s*{_rest()}",
        lambda fields, found: values.read_vendor(fields, found["value"]),
    )
    yield (
        rf"(?P<value>{NUMBER})[\s-]*{TESLA}{END}",
        lambda fields, found: values.read_number(fields, "field_strength_t", found["value"]),
    )
    yield (
        rf"(?P<value>{_any_of(spellings('manufacturer'))}){END}",
        lambda fields, found: values.read_vendor(fields, found["value"]),
    )
    yield (
        rf"(?:magnetom[\s_]+)?(?P<value>{_any_of(spellings('scanner_model'))}){END}",
        lambda fields, found: values.read_model(fields, found["value"]),
    )


def _people() -> Iterable[tuple[str, Action]]:
    parts = rf"(?:[\s,-]*(?:\band\s+)?{NUMBER}[\s-]*{AGE_UNIT}{NO_LETTER})*"
    composed = rf"{NUMBER}[\s-]*{AGE_UNIT}{NO_LETTER}{parts}"
    label = rf"aged?{NO_LETTER}(?:\s*[(\[](?P<head>{AGE_UNIT})[)\]]|\s+in\s+(?P<of>{AGE_UNIT}){END})?{IS}"
    yield (
        rf"(?:{label})?0\d\d(?P<unit>[ymwd]){END}",
        lambda fields, found: values.read_dicom_age(fields, found[0]),
    )
    yield (
        rf"(?:{label})?(?P<value>{NUMBER})(?:\s*m{END}(?!\s*[:=]))",
        lambda fields, found: values.refuse_age_with_m(found["value"]),
    )
    yield (
        rf"{label}(?P<value>{composed}|{NUMBER}[wd]{END}|{VALUE}){OLD}",
        lambda fields, found: values.read_age(fields, found["value"], found["head"] or found["of"]),
    )
    yield rf"(?P<value>{composed}){OLD}", lambda fields, found: values.read_age(fields, found["value"])
    yield (
        rf"(?P<age>\d{{1,3}})(?:\s*/\s*(?P<value>[fm])|\s?(?P<only>f)){END}",
        lambda fields, found: values.read_age_and_sex(fields, found["age"], found["value"] or found["only"]),
    )
    yield (
        rf"(?:sex|gender){END}{IS}(?P<value>[^\s;,()]+)",
        lambda fields, found: values.read_sex(fields, found["value"]),
    )
    bare = [word for word in vocabulary.SEX_WORDS if word != "o"]  # y/o after an age is no sex
    yield rf"(?P<value>{_any_of(bare)}){END}", lambda fields, found: values.read_sex(fields, found["value"])


def _sizes() -> Iterable[tuple[str, Action]]:
    unit = rf"[\s-]*(?P<cube>cubic\s+)?(?P<unit>{LENGTH})(?P<power>{CUBED})?{END}"
    name = r"(?:voxel[\s-]*sizes?|voxels?|resolution|spacing)"
    label = rf"(?:spatial\s+)?{name}{END}(?:\s*[(\[](?P<head>{LENGTH})[)\]])?{IS}"
    yield (
        rf"{label}(?P<value>{BRACKETED}|{SIZES}|{VALUE})(?:{unit})?",
        lambda fields, found: values.read_size(
            fields, found["value"], found["unit"], found["head"], is_cubed=_is_cubed(found)
        ),
    )
    yield (
        rf"(?P<value>{BRACKETED}|{SIZES}|{NUMBER}){unit}",
        lambda fields, found: values.read_size(fields, found["value"], found["unit"], is_cubed=_is_cubed(found)),
    )
    yield (
        rf"(?P<value>{NUMBER}(?:x{NUMBER}){{2}}){END}",
        lambda fields, found: values.read_size(fields, found["value"]),
    )
    yield rf"-?\s*(?:iso(?:tropic)?|cubic){END}", lambda fields, found: fields.set_isotropic()
    yield (
        rf"{name}{END}(?=\s*(?:$|[;,.)\n]|[^\W\d]))",
        lambda fields, found: values.require_size(fields, found[0]),
    )


def _is_cubed(found: re.Match[str]) -> bool:
    return bool(found["cube"] or found["power"])


def _contrasts() -> Iterable[tuple[str, Action]]:
    spelt = _spelt()
    label = r"(?:modality|contrast|weighting|sequence|target)"
    agent = rf"ce|post|pre|native|(?:(?:non|post|pre|un)-?)?(?:{vocabulary.AGENT}|enhanced)"
    before = rf"(?:(?:{vocabulary.SHAPES}|{agent})\b[\s,-]*){{0,6}}"
    yield rf"{label}\s*(?:[:=]|\bis\b)?\s*(?=\(?{before}{spelt})", ignore
    yield (
        rf"{label}\s*(?:[:=]|\bis\b)\s*(?P<value>[^;,\n]*)",
        lambda fields, found: values.read_contrast(fields, found["value"]),
    )
    # Beside a contrast only: a perivascular space is no sequence.
    train = rf"(?:{vocabulary.VARIABLE_TRAINS}){END}"
    yield (
        rf"(?P<value>{spelt})[\s-]+(?:3-?d[\s-]+)?{train}|{train}[\s-]+(?P<other>{spelt})",
        lambda fields, found: values.read_variable_train(fields, found["value"] or found["other"]),
    )
    yield rf"(?P<value>{spelt})", lambda fields, found: values.read_contrast(fields, found["value"])


def _separators() -> Iterable[tuple[str, Action]]:
    yield r"[\s;,/|()\[\]'\u2018\u2019\u2022]+|[.!?]+(?=[\s;,)]|$)|:\s*$|(?<!\S)-+(?=\s|$)", ignore
    yield rf"-?\b(?:{vocabulary.SHAPES}|scanner)\b(?!\s*[:=])-?", ignore
    yield r"(?<=[^\W_])[-_](?=[^\W\d_])", ignore


def ignore(fields: ParsedFields, found: re.Match[str]) -> None:
    """Record nothing: the text is a separator, or a word that no field of a record holds."""


@lru_cache(maxsize=1)
def _spelt() -> str:
    """Return the pattern of a contrast's names."""
    return rf"(?:ce[\s-]?)?(?:{_any_of(vocabulary.CONTRAST_WORDS)})(?![\w*]|(?<=[\s_-]w)/)"  # T1 w/ contrast


@lru_cache(maxsize=1)
def _rest() -> str:
    """Return the pattern of free text, which ends at a separator or at the name of another field."""
    name = (
        rf"(?:(?:tr|te|ti|fa|age|sex|gender|voxels?|voxel\s+size|modality|contrast|resolution|scanner)(?=\s*[:=(\d])"
        rf"|{_spelt()}|(?:tr|te|ti|fa|age|sex|gender)\s+{VALUE})"
    )
    return rf"(?P<value>(?:(?!(?<![^\W_]){name})[^;,\n])*)"


def _any_of(spelt: Iterable[str]) -> str:
    """Return a pattern of alternatives, the longest first; a space also matches hyphens and underscores."""
    return "|".join(
        re.escape(word).replace(r"\ ", r"[\s_-]+") for word in sorted(spelt, key=lambda word: (-len(word), word))
    )
