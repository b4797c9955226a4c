"""Canonical spellings of what sidecars write in many ways (`warehouse/prompts/codes/*.csv`)."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

CODES = Path(__file__).parent / "codes"


def manufacturer(text: str) -> str:
    """Return the vendor's canonical name; an unknown one comes back trimmed.

    Examples
    --------
    >>> manufacturer("SIEMENS"), manufacturer("GE MEDICAL SYSTEMS"), manufacturer("Acme ")
    ('Siemens', 'GE', 'Acme')
    """
    return _codes("manufacturer").get(_key(text), text.strip())


def scanner_model(text: str) -> str:
    """Return the model's canonical name; an unknown one comes back with plain blanks.

    Examples
    --------
    >>> scanner_model("MAGNETOM Prisma Fit"), scanner_model("Prisma_fit"), scanner_model("TrioTim")
    ('Prisma fit', 'Prisma fit', 'Trio')
    """
    plain = re.sub(r"^magnetom\s+", "", _key(text))
    return _codes("scanner_model").get(plain, re.sub(r"[\s_]+", " ", text).strip())


def spellings(name: str) -> dict[str, str]:
    """Return every spelling that is known, in lower case with plain blanks, and the canonical one of each.

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
