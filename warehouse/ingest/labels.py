"""Which labels of a table are which labels of the folders, where they are written in two ways."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

PREFIX = re.compile(r"^(?:sub|ses)[-_ ]?(?=\w)", re.IGNORECASE)
PADDING = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True)
class Matched:
    """What became of a table's labels.

    Parameters
    ----------
    same : dict of str to str
        Label of the folders by label of the table, for those that differ and were matched.
    ambiguous : frozenset of str
        Labels of the table that fit a folder which another label fits too, or several folders.
    """

    same: dict[str, str] = field(default_factory=dict)
    ambiguous: frozenset[str] = frozenset()

    def of(self, label: str) -> str:
        """Return the label of the folders."""
        return self.same.get(label, label)


def match(table: Iterable[str], folders: Iterable[str]) -> Matched:
    """Match labels that differ in padding with zeros, case or a prefix; an exact match is always its own.

    Examples
    --------
    >>> match(["1", "S2"], ["001", "s02"]).same, match(["1"], ["01", "001"]).ambiguous
    ({'1': '001', 'S2': 's02'}, frozenset({'1'}))
    """
    known = set(folders)
    by_key: dict[str, set[str]] = defaultdict(set)
    for label in known:
        by_key[_key(label)].add(label)
    wanted: dict[str, set[str]] = defaultdict(set)
    for label in table:
        wanted[_key(label)].add(label)
    same, ambiguous = {}, set()
    for key, labels in wanted.items():
        there = by_key.get(key, set())
        unknown = labels - there
        if len(labels) == len(there) == 1 and unknown:
            same[labels.pop()] = next(iter(there))
        elif there:
            ambiguous |= unknown
    return Matched(same, frozenset(ambiguous))


def _key(label: str) -> str:
    return PADDING.sub("", PREFIX.sub("", label).casefold())
