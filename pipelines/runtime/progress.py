"""Progress of long work: a bar on a terminal, a line every few seconds elsewhere, and the run's log in Dagster.

Dagster redirects standard error into the log of a run while a job executes, and a run may start further processes. So
progress is written to a descriptor of its own, whose path child processes find in TUMSYN_TERMINAL.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from pipelines.commands.output import clean

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Report = Callable[[int, int, str], None]  # done, total, what is being done
TERMINAL = "TUMSYN_TERMINAL"
SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def shown_progress() -> Iterator[Callable[[str], Report]]:
    """Open the display of progress; what it yields makes the report of one piece of work, by its name.

    On a terminal each piece of work has a bar; elsewhere it writes a line every five seconds.
    """
    with _opened() as stream:
        if not stream.isatty():
            yield lambda name: Lines(name, stream)
            return
        with _bar(stream) as bar:
            yield lambda name: _on_bar(bar, name)


class Lines:
    """Lines of progress with done, total, rate and remaining time.

    Parameters
    ----------
    name : str
        Of the work.
    stream : TextIO
    seconds : float
        Least time between two lines.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self,
        name: str,
        stream: TextIO,
        seconds: float = SECONDS_BETWEEN_LINES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.stream, self.seconds, self.clock = name, stream, seconds, clock
        self.first: tuple[float, int] | None = None
        self.written = clock()

    def __call__(self, done: int, total: int, what: str) -> None:
        """Write a line if the last one is old enough."""
        now = self.clock()
        if self.first is None or done < self.first[1]:
            self.first = now, done  # a resumed training begins in the middle: the rate counts from here
        if now - self.written < self.seconds:
            return
        self.written = now
        parts = [f"{self.name}: {done} of {total}", clean(what), *self._rate(now, done, total)]
        print(", ".join(part for part in parts if part), file=self.stream, flush=True)

    def _rate(self, now: float, done: int, total: int) -> list[str]:
        assert self.first is not None
        seconds, made = now - self.first[0], done - self.first[1]
        if made <= 0 or seconds <= 0:
            return []
        rate = made / seconds
        return [f"{rate:.2g}/s", f"{max(0, total - done) / rate:.0f} s left"]


class ProgressByName:
    """Progress as assets take it: the report of the work that has a name."""

    def __init__(self, make: Callable[[str], Report]) -> None:
        self.make = make

    def of(self, name: str, log: object) -> Report:
        """Return the report of the work on a centre, or whatever has this name."""
        return self.make(name)


class ProgressInTurn:
    """A display for each piece of a run's work while that piece goes on; child processes show theirs in between."""

    def of(self, name: str, log: object) -> Report:
        """Return the report of the work with this name."""
        opened = ExitStack()
        current: Report | None = None

        def report(done: int, total: int, what: str) -> None:
            nonlocal current
            if current is None:
                current = opened.enter_context(shown_progress())(name)
            current(done, total, what)
            if done >= total - 1:  # some callers say what they begin, others what they have done
                opened.close()
                current = None

        return report


@contextmanager
def shown_waits() -> Iterator[Callable[[str], None]]:
    """Open the display of what this process waits for: pools, through what this yields, and locks of files."""
    with _opened() as stream:
        handler, logger = logging.StreamHandler(stream), logging.getLogger("warehouse.lake.atomic")
        logger.addHandler(handler)
        try:
            yield lambda text: print(clean(text), file=stream, flush=True)
        finally:
            logger.removeHandler(handler)


def show_in_children() -> None:
    """Let the processes that are started from here write their progress to this process's standard error."""
    if TERMINAL in os.environ:
        return
    if sys.stderr.isatty():
        os.environ[TERMINAL] = os.ttyname(sys.stderr.fileno())
    else:
        os.environ[TERMINAL] = f"/proc/{os.getpid()}/fd/{os.dup(_standard_error())}"


@contextmanager
def _opened() -> Iterator[TextIO]:
    """Open a stream to the terminal, or to the standard error of the command that was typed."""
    with os.fdopen(_descriptor(), "w") as stream:
        yield stream


def _descriptor() -> int:
    try:
        return os.open(os.environ[TERMINAL], os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
    except (KeyError, OSError):  # no parent named one, or it cannot be opened, as a socket cannot
        return os.dup(_standard_error())


def _standard_error() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):  # replaced by an object without a descriptor
        return 2


@contextmanager
def _bar(stream: TextIO) -> Iterator[Bar]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        yield bar


def _on_bar(bar: Bar, name: str) -> Report:
    task = bar.add_task(name, total=None)
    return lambda done, total, what: bar.update(task, completed=done, total=total, description=f"{name}: {clean(what)}")
