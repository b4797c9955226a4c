"""The grammar of prompts: patterns, each with what it says; at each place of a text the first that fits is taken.

Belongs here: where values stand. Does not belong here: what they mean (`model.prompt.values`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from model.prompt import values, words
from model.prompt.statements import Statements
from model.prompt.values import MISSING, NUMBER, UNIT
from warehouse.vocabulary import spellings

Take = Callable[[Statements, re.Match[str]], None]

VALUE = rf"(?:{NUMBER}|{MISSING})"
SIZE = rf"(?P<value>\([^()]*\)|{VALUE}(?:\s*(?:mm)?\s*[x×*,]\s*{VALUE}){{0,2}})"
REST = r"(?P<value>[^;,\n]*)"
IS = r"\s*(?:[:=]|\b(?:is|of)\b)?\s*"
END = r"(?![^\W_])"  # no letter or digit follows
OLD = r"(?:[\s-]*(?P<old>years?|yrs?|yo|y|months?|mos?|weeks?|wks?|days?)(?:[\s-]*of[\s-]+age|[\s-]*olds?)?(?![^\W_]))"
CUBED = r"(?P<cubed>\s*\^?3(?!\d))?"
ISOTROPIC = rf"(?:[\s,]*iso(?:tropic)?{END})?"


@lru_cache(maxsize=1)
def rules() -> list[tuple[re.Pattern[str], Take]]:
    """Return patterns in the order in which they are tried."""
    found = [*_separators(), *_parameters(), *_labelled(), *_contrasts(), *_bare()]
    return [(re.compile(pattern, re.IGNORECASE), take) for pattern, take in found]


def _separators() -> Iterable[tuple[str, Take]]:
    yield r"[\s;,/|]+|[.!]+(?=[\s;,]|$)|\b(?:and|with|at|on|a|an|the|scan|image)\b(?!\s*[:=])", lambda said, found: None
    yield rf"\b(?:{words.SHAPES})\b(?!\s*[:=])", lambda said, found: None


def _parameters() -> Iterable[tuple[str, Take]]:
    yield (
        r"imaging\s+parameters?(?P<names>[^:=]*?)\s*[:=]\s*\((?P<value>[^()]*)\)",
        lambda said, found: values.take_parameters(said, found["names"], found["value"]),
    )
    name = rf"(?P<name>(?:repetition|echo|inversion)\s+time|tr|te|ti){END}"
    yield (
        rf"{name}(?:\s*[(\[](?P<head>{UNIT})[)\]])?{IS}(?P<value>{VALUE})(?:\s*(?P<unit>{UNIT}){END})?",
        lambda said, found: values.take_time(said, found["name"], found["value"], found["head"], found["unit"]),
    )
    unit = r"(?:degrees?|deg|°)"
    yield (
        rf"(?:flip\s+angle|fa){END}(?:\s*[(\[]\s*{unit}\s*[)\]])?{IS}"
        rf"(?P<value>t2var|var(?:iable)?{END}|{VALUE})(?:\s*{unit})?",
        lambda said, found: values.take_angle(said, found["value"]),
    )


def _labelled() -> Iterable[tuple[str, Take]]:
    yield (
        rf"(?:voxel\s+sizes?|voxels?|resolution|spacing)(?:\s*[(\[]mm[)\]])?{IS}{SIZE}\s*(?:mm{CUBED}{END})?{ISOTROPIC}",
        lambda said, found: values.take_size(said, found["value"], found["cubed"]),
    )
    yield (
        rf"age{END}(?:\s*\((?P<head>years?|y|months?|weeks?|days?)\))?{IS}(?P<value>{VALUE}){OLD}?",
        lambda said, found: values.take_age(said, found["value"], found["head"], found["old"]),
    )
    yield rf"(?:sex|gender){END}{IS}(?P<value>[^\s;,]+)", lambda said, found: values.take_sex(said, found["value"])
    yield (
        rf"(?:(?:magnetic\s+)?field(?:\s+strength)?|b0){END}(?:\s*\((?:t|tesla)\))?{IS}"
        rf"(?P<value>{VALUE})(?:\s*(?:t|tesla){END})?",
        lambda said, found: values.take_number(said, "field_strength_t", found["value"]),
    )
    yield rf"(?:scanner\s+)?model\s*[:=]\s*{REST}", lambda said, found: values.take_model(said, found["value"])
    yield rf"scanner\s*[:=]?\s*{REST}", lambda said, found: values.take_scanner(said, found["value"])
    yield rf"(?:vendor|manufacturer)\s*[:=]\s*{REST}", lambda said, found: values.take_vendor(said, found["value"])


def _contrasts() -> Iterable[tuple[str, Take]]:
    agent = r"(?:contrast\s+agent|contrast|gadolinium|gad|gd)"
    yield rf"contrast\s+agent\s*[:=]\s*{REST}", lambda said, found: values.take_agent(said, found["value"])
    yield (
        rf"(?:no|without)\s+{agent}{END}|pre[\s-]?contrast{END}",
        lambda said, found: said.say("post_contrast", False),
    )
    yield (
        rf"(?:post|after|with)[\s-]?{agent}{END}|contrast[\s-]?enhanced{END}|(?:gadolinium|gad|gd){END}"
        rf"|c\+(?!\w)|\+\s*(?:c|ce|gd|gad|{agent}){END}|post{END}",
        lambda said, found: said.say("post_contrast", True),
    )
    yield (
        rf"(?:modality|contrast|weighting)\s*(?:[:=]|\bis\b)\s*{REST}",
        lambda said, found: values.take_contrast(said, found["value"]),
    )
    spelt = rf"(?:ce[\s-]?)?(?:{_any_of(words.CONTRAST_WORDS)})(?![\w*])"
    yield rf"(?:modality|contrast)\s+(?={spelt})", lambda said, found: None
    yield rf"(?P<value>{spelt})", lambda said, found: values.take_contrast(said, found["value"])


def _bare() -> Iterable[tuple[str, Take]]:
    yield (
        rf"(?P<value>{NUMBER})\s*(?:t|tesla){END}",
        lambda said, found: values.take_number(said, "field_strength_t", found["value"]),
    )
    yield (
        rf"(?P<value>{_any_of(spellings('manufacturer'))}){END}",
        lambda said, found: values.take_vendor(said, found["value"]),
    )
    yield (
        rf"(?P<value>{_any_of(spellings('scanner_model'))}){END}",
        lambda said, found: values.take_model(said, found["value"]),
    )
    yield (
        rf"(?P<value>{NUMBER}){OLD}",
        lambda said, found: values.take_age(said, found["value"], found["old"]),
    )
    yield (
        rf"{SIZE}\s*mm{CUBED}{END}{ISOTROPIC}",
        lambda said, found: values.take_size(said, found["value"], found["cubed"]),
    )
    yield rf"(?P<value>{_any_of(words.SEX_WORDS)}){END}", lambda said, found: values.take_sex(said, found["value"])


def _any_of(spelt: Iterable[str]) -> str:
    """Return alternatives, the longest first; where one has a blank, a hyphen or underscore may stand as well."""
    return "|".join(
        re.escape(word).replace(r"\ ", r"[\s_-]+") for word in sorted(spelt, key=lambda word: (-len(word), word))
    )
