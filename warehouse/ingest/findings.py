"""Findings: observations about a centre's files that exclude no image, for `core.finding`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

# Kinds that come from reading a file; they are kept while the file is unchanged.
READ_KINDS = frozenset({"header_corrected", "field_repeated", "field_not_read"})
LONGEST_LIST = 4
LARGEST_INTEGER = 2**53  # readers of JSON hold larger ones inexactly
NUMBER = r"[<>=~+-]*\s*\d{0,6}(?:[.,;:]\d{1,17})?(?:e[+-]?\d{1,3})?"
UNIT = (
    r"(?:[munµμ]?s|m?sec|seconds?|[cmµμ]?m|[mk]?hz|m?t|tesla|g|gauss|deg|degrees?|°"
    r"|[ymwd]|years?|months?|weeks?|days?|yrs?|mos?|%|[+])?"
)
REPLACED = re.compile(r"\(text of \d+ characters\)|\(list of \d+\)|\(object\)|\(number too large\)")
NUMBERS = re.compile(rf"\[{NUMBER}(?:, {NUMBER}){{0,3}}\]")
# One number or range with a unit, or up to three letters; no dates, telephone numbers or names.
HARMLESS = re.compile(rf"{NUMBER}\s*(?:(?:-|–|to)\s*{NUMBER})?\s*{UNIT}|[a-z]{{1,3}}|n/a|nan|true|false", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One observation.

    Parameters
    ----------
    kind : str
        One of `warehouse.tables.core.FINDING_KINDS`.
    path : str or None
        File that it concerns, relative to the centre's root.
    row : int or None
        Line of a table, the first below the header being 1.
    field : str or None
        Column of a table, key of a sidecar or field of a header.
    value : object
        Value as it was read; `finding_rows` removes what may identify a person.
    detail : str
        Observation and consequence. It must not repeat text of the dataset.
    remedy : str
        What the user can change, or empty.
    participant_id : str or None
        Participant that it concerns, without the sub- prefix.
    """

    kind: str
    path: str | None = None
    row: int | None = None
    field: str | None = None
    value: object = None
    detail: str = ""
    remedy: str = ""
    participant_id: str | None = None


def finding_rows(center_id: str, findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Return the rows of `core.finding`; of findings that differ in detail and remedy only, the first is kept."""
    rows: dict[str, dict[str, object]] = {}
    for finding in findings:
        values = asdict(finding) | {"value": shown(finding.value)}
        identity = "\0".join(str(values[name]) for name in ("kind", "path", "row", "participant_id", "field", "value"))
        key = hashlib.sha256(f"{center_id}\0{identity}".encode(errors="replace")).hexdigest()[:16]
        rows.setdefault(key, {"finding_id": key, "center_id": center_id} | values)
    return list(rows.values())


def shown(value: object) -> str | None:
    """Return a value as it may be shown: numbers with a unit and short words; other text is replaced by its length.

    Examples
    --------
    >>> shown(2.5), shown("2.98 ms"), shown("John Smith"), shown([1, 2])
    ('2.5', '2.98 ms', '(text of 10 characters)', '[1, 2]')
    """
    if value is None:
        return None
    if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        return "(number too large)"
    if isinstance(value, dict):
        return "(object)"
    if isinstance(value, list):
        is_short = len(value) <= LONGEST_LIST and all(_is_number(part) for part in value)
        return str(value) if is_short else f"(list of {len(value)})"
    text = str(value)
    if is_replaced(text) or NUMBERS.fullmatch(text) or HARMLESS.fullmatch(text):
        return text
    return f"(text of {len(text)} characters)"


def is_replaced(text: str) -> bool:
    """Return whether a text is what `shown` writes in place of a value."""
    return REPLACED.fullmatch(text) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and HARMLESS.fullmatch(str(value)) is not None
