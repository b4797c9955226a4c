"""The words that prompts use: contrasts, vendors, sexes, and the many ways in which people write them.

Belongs here: fixed lists and aliases. Their order is part of every trained text encoder: append, never reorder.
"""

from __future__ import annotations

import re

CONTRAST_LABELS = ("T1w", "T2w", "PDw", "FLAIR", "T2starw", "SWI", "angio", "ceT1w")  # as prompts write them
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

_SPELLINGS = {
    "T1w": ("t1w", "t1", "t1 weighted", "mprage", "mp rage"),
    "T2w": ("t2w", "t2", "t2 weighted"),
    "PDw": ("pdw", "pd", "pd weighted", "proton density", "proton density weighted"),
    "FLAIR": ("flair", "t2 flair", "t2w flair", "t2 weighted flair", "fluid attenuated inversion recovery"),
    "T2starw": ("t2starw", "t2star", "t2*w", "t2*", "t2* weighted", "t2 star", "t2 star weighted"),
    "SWI": ("swi", "susceptibility weighted", "susceptibility weighted imaging"),
    "angio": ("angio", "mra", "tof", "tof mra", "angiography", "angiogram"),
    "ceT1w": ("cet1w", "t1ce", "t1c", "t1gd", "t1w gd", "t1wce", "t1 gd", "ce t1w", "ce t1"),
}
CONTRAST_WORDS = {spelling: label for label, spellings in _SPELLINGS.items() for spelling in spellings}

TIME_UNITS_S = {
    "ms": "0.001",
    "msec": "0.001",
    "millisecond": "0.001",
    "milliseconds": "0.001",
    "s": "1",
    "sec": "1",
    "second": "1",
    "seconds": "1",
    "us": "0.000001",
    "\u03bcs": "0.000001",  # the letter mu; the sign of micro (U+00B5) becomes it
}


# Planes, dimensions and the organ, as people write them beside a contrast: voxel sizes say more, or all share it.
SHAPES = r"axial|sagittal|coronal|transversal|transverse|tra|sag|cor|ax|[23][\s-]?d|brain|head|mri|mr"
ENHANCED = r"c\+(?!\w)|\+\s*(?:c|ce|gd|gad)\b|\b(?:post|with)?[\s-]*(?:gadolinium|gad|gd)\b|\bpost(?:[\s-]*contrast)?\b"


def plain(text: str) -> str:
    """Return words in lower case, with blanks for hyphens and underscores.

    Examples
    --------
    >>> plain("T2-Weighted "), plain("T2_FLAIR")
    ('t2 weighted', 't2 flair')
    """
    return re.sub(r"[\s_-]+", " ", text).strip().lower()


def contrast(text: str) -> tuple[str, bool] | None:
    """Return the contrast that a word means, and whether after an agent; None for an unknown word.

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
