"""Vocabulary of prompts and sidecars: canonical names, units and spellings (`codes/*.csv` for scanners)."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

CODES = Path(__file__).parent / "codes"


def manufacturer(text: str) -> str:
    """Return the vendor's canonical name; an unknown one is returned trimmed.

    Examples
    --------
    >>> manufacturer("SIEMENS"), manufacturer("GE MEDICAL SYSTEMS"), manufacturer("Acme ")
    ('Siemens', 'GE', 'Acme')
    """
    return _codes("manufacturer").get(_key(text), text.strip())


def scanner_model(text: str) -> str:
    """Return the model's canonical name; an unknown one is returned with single spaces.

    Examples
    --------
    >>> scanner_model("MAGNETOM Prisma Fit"), scanner_model("Prisma_fit"), scanner_model("TrioTim")
    ('Prisma fit', 'Prisma fit', 'Trio')
    """
    plain = re.sub(r"^magnetom\s+", "", _key(text))
    return _codes("scanner_model").get(plain, re.sub(r"[\s_]+", " ", text).strip())


def spellings(name: str) -> dict[str, str]:
    """Return the canonical name of every known spelling, which is in lower case with single spaces.

    Parameters
    ----------
    name : {"manufacturer", "scanner_model"}
    """
    return dict(_codes(name))


def _key(text: str) -> str:
    return re.sub(r"[\s_,]+", " ", text).strip().lower()


@lru_cache
def _codes(name: str) -> dict[str, str]:
    with (CODES / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return {_key(alias): canonical for alias, canonical in rows}


CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR", "T2starw", "SWI", "angio")  # BIDS suffixes
CONTRAST_LABELS = (*CONTRASTS, "ceT1w")  # with the prefix ce after a contrast agent
VENDORS = (
    "Siemens",
    "GE",
    "Philips",
    "Canon",
    "Hitachi",
    "United Imaging",
    "Hyperfine",
    "Mediso",
    "Bruker",
    "Fonar",
    "Marconi",
    "Picker",
)
SEXES = ("M", "F", "O")

NOTHING = ("none", "null", "nan", "unknown", "n/a", "na", "-", "?")  # a value that is missing
VARIABLE = ("t2var", "var", "variable")  # a flip angle that varies along the echo train
VARIABLE_TRAINS = r"space|cube|vista"  # 3-D echo trains whose flip angle varies, of Siemens, GE and Philips

SEX_WORDS = {
    "m": "M",
    "male": "M",
    "man": "M",
    "boy": "M",
    "f": "F",
    "female": "F",
    "woman": "F",
    "girl": "F",
    "o": "O",
    "other": "O",
}

_WEIGHTED = ("", "w", " w", "wi", " wi", "weighted", " weighted", " weighted imaging")
_SPELLINGS = {
    "T1w": (*(f"t1{ending}" for ending in _WEIGHTED), "mprage", "mp rage", "bravo", "spgr", "fspgr", "ir fspgr"),
    "T2w": tuple(f"t2{ending}" for ending in _WEIGHTED),
    "PDw": (*(f"pd{ending}" for ending in _WEIGHTED), "proton density", "proton density weighted"),
    "FLAIR": (
        *(f"{before}flair" for before in ("", "t2 ", "t2", "t2w ", "t2 weighted ")),
        *("flair t2", "flair t2w", "dark fluid", "fluid attenuated inversion recovery"),
    ),
    "T2starw": (
        *(f"t2*{ending}" for ending in _WEIGHTED),
        *(f"t2 star{ending}" for ending in _WEIGHTED),
        *("t2star", "t2starw", "t2 gre", "t2* gre", "t2*w gre", "t2* weighted gre", "gre t2*", "t2* gradient echo"),
    ),
    "SWI": ("swi", "susceptibility weighted", "susceptibility weighted imaging"),
    "angio": ("angio", "mra", "tof", "tof mra", "tof angiography", "angiography", "angiogram", "time of flight"),
    "ceT1w": ("cet1w", "t1ce", "t1c", "t1c+", "t1gd", "t1wce", "ce t1w", "ce t1"),
}
CONTRAST_WORDS = {spelling: label for label, spellings in _SPELLINGS.items() for spelling in spellings}

TIME_UNITS_S = {
    **dict.fromkeys(
        ("ms", "msec", "msecs", "millisec", "millisecs", "millisecond", "milliseconds"),
        "0.001",
    ),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "1"),
    # The letter mu (U+03BC), to which the micro sign (U+00B5) is normalised.
    **dict.fromkeys(("us", "usec", "usecs", "microsecond", "microseconds", "\u03bcs", "\u03bcsec"), "0.000001"),
}
LENGTH_UNITS_MM = {
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetre", "millimetres"), "1"),
    **dict.fromkeys(("um", "\u03bcm", "micron", "microns", "micrometer", "micrometers", "micrometre"), "0.001"),
}
# By the first letters of a unit of age; m alone is not one, as it may mean male.
AGE_UNITS_YEARS = {"y": 1.0, "mo": 1 / 12, "mt": 1 / 12, "mn": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}

# Words beside a contrast that no field of a record holds and the parser ignores: planes and dimensions (the voxel sizes
# are more precise), the organ (always the brain), spin echo (implied by T1w, T2w and PDw), and requests.
SHAPES = (
    r"axial|sagittal|coronal|oblique|transversal|transverse|axi|tra|sag|cor|ax|planes?|views?|orientation|[23][\s-]?d"
    r"|whole|brain|head|mri|mr|scans?|images?|imaging|volumes?|sequence|acquisition|patient|subject|person|participant"
    r"|tse|fse|se|(?:turbo|fast)[\s-]spin[\s-]echo|spin[\s-]echo"
    r"|please|synthesi[sz]e|generate|make|create|show|and|with|at|on|in|of|a|an|the"
)
AGENT = (
    r"(?:contrast(?:[\s-]+(?:agent|medium|media|material|dye))?|gado\w{0,20}|gad|gbca|gd(?:[\s-]*(?:dtpa|dota|bopta))?)"
)


def plain(text: str) -> str:
    """Return words in lower case, with spaces for hyphens and underscores.

    Examples
    --------
    >>> plain("T2-Weighted "), plain("T2_FLAIR")
    ('t2 weighted', 't2 flair')
    """
    return re.sub(r"[\s_-]+", " ", text).strip().lower()


def contrast(text: str) -> tuple[str, bool] | None:
    """Return the contrast that a word names, and whether it is post-contrast; None for an unknown word.

    Examples
    --------
    >>> contrast("T1-weighted"), contrast("T1Gd"), contrast("ceFLAIR"), contrast("CT")
    (('T1w', False), ('T1w', True), ('FLAIR', True), None)
    """
    word = plain(text)
    label = CONTRAST_WORDS.get(word)
    if label is not None:
        return label.removeprefix("ce"), label.startswith("ce")
    enhanced = CONTRAST_WORDS.get(word.removeprefix("ce").strip()) if word.startswith("ce") else None
    return (enhanced.removeprefix("ce"), True) if enhanced else None
