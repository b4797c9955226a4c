"""Reading a prompt: the paper's sentence exactly, and the many ways in which people write the same.

A prompt is read from left to right; at each place the first rule that fits takes its piece. Separators are blanks,
punctuation, brackets and lines; fields may stand in any order, and any may be missing. Times without a unit are
milliseconds, as in the paper. A word that no rule knows is an error: a model must not ignore what it was told.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from warehouse.errors import PromptError
from warehouse.prompts import values, vocabulary
from warehouse.prompts.characters import normal
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.statements import Statements
from warehouse.prompts.values import LENGTH, MISSING, NUMBER, UNIT
from warehouse.prompts.vocabulary import spellings

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
        *vocabulary.CONTRAST_LABELS,
        *vocabulary.VENDORS,
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


Take = Callable[[Statements, re.Match[str]], None]

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
# Three numbers that commas divide are sizes; of two, the second belongs to what follows: 1 mm, 3T.
_SIZE = rf"{VALUE}(?:\s*(?:{LENGTH}))?\s*[x*,]\s*"
SIZES = rf"{_SIZE}{_SIZE}{VALUE}(?=\s*(?:{LENGTH})|\W|$)|{VALUE}x{VALUE}"


@lru_cache(maxsize=1)
def rules() -> list[tuple[re.Pattern[str], Take]]:
    """Return patterns in the order in which they are tried."""
    found = [*_agents(), *_parameters(), *_scanners(), *_people(), *_sizes(), *_contrasts(), *_separators()]
    return [(re.compile(pattern, re.IGNORECASE), take) for pattern, take in found]


def _agents() -> Iterable[tuple[str, Take]]:
    agent, enhanced = vocabulary.AGENT, r"(?:enhanced|enhancing|enhancement)"
    given = r"(?:[\s-]+(?:injection|administration|enhancement))?"
    yield (
        rf"contrast\s+(?:agent|medium)\s*[:=]\s*{_rest()}",
        lambda said, found: values.take_agent(said, found["value"]),
    )
    yield (
        rf"(?:no|without|w/?o|before|prior\s+to|pre|non)[\s-]*{agent}{given}(?:[\s-]*{enhanced})?{END}"
        rf"|(?:non|un)[\s-]?{enhanced}{END}|(?:c|gd)-(?!\w)|-c{END}|(?:pre|native){END}",
        lambda said, found: said.say("post_contrast", False),
    )
    yield (
        rf"(?:post|after|following|with|w/|\+)[\s-]*{agent}{given}{END}|(?:{agent}[\s-]*)?{enhanced}{END}"
        rf"|(?:gado\w*|gad|gbca|gd(?:[\s-]*(?:dtpa|dota|bopta))?){END}\+?|c\+(?!\w)|\+\s*(?:c|ce|{agent}){END}"
        rf"|(?:post|ce){END}(?![\s-]*(?:flair|(?:t[12]|pd){NO_LETTER}|t[12]w))",
        lambda said, found: said.say("post_contrast", True),
    )


def _parameters() -> Iterable[tuple[str, Take]]:
    yield (
        r"imaging\s+parameters?(?P<names>[^:=]*?)\s*[:=]\s*\((?P<value>[^()]*)\)",
        lambda said, found: values.take_parameters(said, found["names"], found["value"]),
    )
    short = rf"(?:tr|te|ti|fa)(?:\s*[(\[](?:{UNIT}|{DEGREES})[)\]])?"
    yield (
        rf"(?P<names>{short}(?:\s?/\s?{short})+){IS}(?P<value>{VALUE}(?:\s?/\s?{VALUE})+)(?:\s*(?P<unit>{UNIT}){END})?",
        lambda said, found: values.take_divided(said, found["names"], found["value"], found["unit"]),
    )
    long = r"(?:repetition|echo|inversion)"
    name = (
        rf"(?:(?P<name>{long}[\s_-]+time|tr|te|ti){NO_LETTER}(?:\s*\((?:tr|te|ti|{long}\s+time)\))?"
        rf"|(?P<glued>{long}time){NO_LETTER})"
    )
    yield (
        rf"{name}(?:\s*[(\[](?P<head>{UNIT})[)\]]|\s+in\s+(?P<of>{UNIT}){END})?{IS}(?P<value>{VALUE})"
        rf"(?:\s*-?(?P<unit>{UNIT}){END})?",
        lambda said, found: values.take_time(
            said, found["name"] or found["glued"], found["value"], found["head"], found["of"], found["unit"]
        ),
    )
    yield (
        rf"(?:flip[\s_-]*angle|flip|fa|\u03b1){NO_LETTER}(?:\s*\((?:fa|flip\s+angle)\))?(?:\s*[(\[]\s*{DEGREES}\s*[)\]]|\s+in\s+{DEGREES})?"
        rf"{IS}(?P<value>t2var|var(?:iable)?{END}|{VALUE})(?:\s*{DEGREES})?",
        lambda said, found: values.take_angle(said, found["value"]),
    )


def _scanners() -> Iterable[tuple[str, Take]]:
    yield (
        rf"(?:(?:magnetic\s+)?field(?:\s+strength)?|magneticfieldstrength|b0){END}(?:\s*\({TESLA}\))?{IS}"
        rf"(?P<value>{VALUE})(?:[\s-]*{TESLA}{END})?",
        lambda said, found: values.take_number(said, "field_strength_t", found["value"]),
    )
    yield rf"(?:scanner\s+)?model\s*[:=]\s*{_rest()}", lambda said, found: values.take_model(said, found["value"])
    yield rf"scanner\s*[:=]\s*{_rest()}", lambda said, found: values.take_scanner(said, found["value"])
    yield (
        rf"(?:vendor|manufacturer)\s*[:=]\s*{_rest()}",
        lambda said, found: values.take_vendor(said, found["value"]),
    )
    yield (
        rf"(?P<value>{NUMBER})[\s-]*{TESLA}{END}",
        lambda said, found: values.take_number(said, "field_strength_t", found["value"]),
    )
    yield (
        rf"(?P<value>{_any_of(spellings('manufacturer'))}){END}",
        lambda said, found: values.take_vendor(said, found["value"]),
    )
    yield (
        rf"(?:magnetom[\s_]+)?(?P<value>{_any_of(spellings('scanner_model'))}){END}",
        lambda said, found: values.take_model(said, found["value"]),
    )


def _people() -> Iterable[tuple[str, Take]]:
    parts = rf"(?:[\s,-]*(?:\band\s+)?{NUMBER}[\s-]*{AGE_UNIT}{NO_LETTER})*"
    composed = rf"{NUMBER}[\s-]*{AGE_UNIT}{NO_LETTER}{parts}"
    label = rf"aged?{NO_LETTER}(?:\s*[(\[](?P<head>{AGE_UNIT})[)\]]|\s+in\s+(?P<of>{AGE_UNIT}){END})?{IS}"
    yield rf"(?:{label})?0\d\d(?P<unit>[ymwd]){END}", lambda said, found: values.take_dicom_age(said, found[0])
    yield (
        rf"(?:{label})?(?P<value>{NUMBER})(?:\s*m{END}(?!\s*[:=]))",
        lambda said, found: values.refuse_age_with_m(found["value"]),
    )
    yield (
        rf"{label}(?P<value>{composed}|{NUMBER}[wd]{END}|{VALUE}){OLD}",
        lambda said, found: values.take_age(said, found["value"], found["head"] or found["of"]),
    )
    yield rf"(?P<value>{composed}){OLD}", lambda said, found: values.take_age(said, found["value"])
    yield (
        rf"(?P<age>\d{{1,3}})(?:\s*/\s*(?P<value>[fm])|\s?(?P<only>f)){END}",
        lambda said, found: values.take_age_and_sex(said, found["age"], found["value"] or found["only"]),
    )
    yield rf"(?:sex|gender){END}{IS}(?P<value>[^\s;,()]+)", lambda said, found: values.take_sex(said, found["value"])
    bare = [word for word in vocabulary.SEX_WORDS if word != "o"]  # 34 y/o says nothing of a sex
    yield rf"(?P<value>{_any_of(bare)}){END}", lambda said, found: values.take_sex(said, found["value"])


def _sizes() -> Iterable[tuple[str, Take]]:
    unit = rf"[\s-]*(?P<cube>cubic\s+)?(?P<unit>{LENGTH})(?P<power>{CUBED})?{END}"
    name = r"(?:voxel[\s-]*sizes?|voxels?|resolution|spacing)"
    label = rf"(?:spatial\s+)?{name}{END}(?:\s*[(\[](?P<head>{LENGTH})[)\]])?{IS}"
    yield (
        rf"{label}(?P<value>{BRACKETED}|{SIZES}|{VALUE})(?:{unit})?",
        lambda said, found: values.take_size(
            said, found["value"], found["unit"], found["head"], is_cubed=_is_cubed(found)
        ),
    )
    yield (
        rf"(?P<value>{BRACKETED}|{SIZES}|{NUMBER}){unit}",
        lambda said, found: values.take_size(said, found["value"], found["unit"], is_cubed=_is_cubed(found)),
    )
    yield (
        rf"(?P<value>{NUMBER}(?:x{NUMBER}){{2}}){END}",
        lambda said, found: values.take_size(said, found["value"]),
    )
    yield rf"-?\s*(?:iso(?:tropic)?|cubic){END}", lambda said, found: said.note_isotropic()
    yield (
        rf"{name}{END}(?=\s*(?:$|[;,.)\n]|[^\W\d]))",
        lambda said, found: values.refuse_size_unless_said(said, found[0]),
    )


def _is_cubed(found: re.Match[str]) -> bool:
    return bool(found["cube"] or found["power"])


def _contrasts() -> Iterable[tuple[str, Take]]:
    spelt = _spelt()
    label = r"(?:modality|contrast|weighting|sequence|target)"
    agent = rf"ce|post|pre|native|(?:(?:non|post|pre|un)-?)?(?:{vocabulary.AGENT}|enhanced)"
    before = rf"(?:(?:{vocabulary.SHAPES}|{agent})\b[\s,-]*){{0,6}}"
    yield rf"{label}\s*(?:[:=]|\bis\b)?\s*(?=\(?{before}{spelt})", says_nothing
    yield (
        rf"{label}\s*(?:[:=]|\bis\b)\s*(?P<value>[^;,\n]*)",
        lambda said, found: values.take_contrast(said, found["value"]),
    )
    yield rf"(?P<value>{spelt})", lambda said, found: values.take_contrast(said, found["value"])


def _separators() -> Iterable[tuple[str, Take]]:
    yield r"[\s;,/|()\[\]'\u2018\u2019\u2022]+|[.!?]+(?=[\s;,)]|$)|:\s*$|(?<!\S)-+(?=\s|$)", says_nothing
    yield rf"-?\b(?:{vocabulary.SHAPES}|scanner)\b(?!\s*[:=])-?", says_nothing
    yield r"(?<=[^\W_])[-_](?=[^\W\d_])", says_nothing


def says_nothing(said: Statements, found: re.Match[str]) -> None:
    """Take down nothing: the piece divides others, or no field holds what it says."""


@lru_cache(maxsize=1)
def _spelt() -> str:
    """Return the pattern of a contrast's names."""
    return rf"(?:ce[\s-]?)?(?:{_any_of(vocabulary.CONTRAST_WORDS)})(?![\w*]|(?<=[\s_-]w)/)"  # T1 w/ contrast


@lru_cache(maxsize=1)
def _rest() -> str:
    """Return the pattern of a free text: up to a separator, or to what names another field."""
    name = (
        rf"(?:(?:tr|te|ti|fa|age|sex|gender|voxels?|voxel\s+size|modality|contrast|resolution|scanner)(?=\s*[:=(\d])"
        rf"|{_spelt()}|(?:tr|te|ti|fa|age|sex|gender)\s+{VALUE})"
    )
    return rf"(?P<value>(?:(?!(?<![^\W_]){name})[^;,\n])*)"


def _any_of(spelt: Iterable[str]) -> str:
    """Return alternatives, the longest first; where one has a blank, a hyphen or underscore may stand as well."""
    return "|".join(
        re.escape(word).replace(r"\ ", r"[\s_-]+") for word in sorted(spelt, key=lambda word: (-len(word), word))
    )
