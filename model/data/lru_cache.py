"""A cache of arrays that were read from disk: the most recently used ones, up to a size in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Sized(Protocol):
    """Anything that can say how much memory it takes."""

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""


Read = TypeVar("Read", bound=Sized)


@dataclass
class LruCache(Generic[Read]):
    """A least-recently-used cache by number, bounded by bytes; it holds the last entry even if that alone is larger.

    Parameters
    ----------
    most_bytes : int
        Of all entries together.
    """

    most_bytes: int
    _entries: OrderedDict[int, Read] = field(default_factory=OrderedDict, repr=False)

    def get(self, number: int, read: Callable[[], Read]) -> Read:
        """Return an entry, which is read if it is not in the cache."""
        if number in self._entries:
            self._entries.move_to_end(number)
            return self._entries[number]
        found = self._entries[number] = read()
        while len(self._entries) > 1 and sum(entry.size_bytes for entry in self._entries.values()) > self.most_bytes:
            self._entries.popitem(last=False)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything behind: another process reads its own."""
        return self.__dict__ | {"_entries": OrderedDict()}
