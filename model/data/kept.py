"""Arrays that were read from disk, kept in memory up to a size: the last used ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Sized(Protocol):
    """What knows how much memory it takes."""

    @property
    def size_bytes(self) -> int:
        """Bytes in memory."""


Read = TypeVar("Read", bound=Sized)


@dataclass
class Kept(Generic[Read]):
    """The last used things by their number; at least one.

    Parameters
    ----------
    most_bytes : int
        Memory that they may take together.
    """

    most_bytes: int
    _things: OrderedDict[int, Read] = field(default_factory=OrderedDict, repr=False)

    def get(self, number: int, read: Callable[[], Read]) -> Read:
        """Return a thing, which is read where it is not there any more."""
        if number in self._things:
            self._things.move_to_end(number)
            return self._things[number]
        found = self._things[number] = read()
        while len(self._things) > 1 and sum(kept.size_bytes for kept in self._things.values()) > self.most_bytes:
            self._things.popitem(last=False)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave everything behind: another process reads its own."""
        return self.__dict__ | {"_things": OrderedDict()}
