"""Show the progress of long work: a bar on a terminal, a line every few seconds elsewhere.

Dagster redirects standard error into the log of a run while a job executes, and a run may start further processes. So
progress is written to a descriptor of its own, whose path child processes find in TUMSYN_TERMINAL.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

Report = Callable[[int, int, str], None]  # done, total, current item
TERMINAL = "TUMSYN_TERMINAL"
SECONDS_BETWEEN_LINES = 5.0
RATE_S = 600.0  # the rate is that of the last ten minutes: some items take minutes


@contextmanager
def shown_progress() -> Iterator[Callable[[str], Report]]:
    """Open the display of progress; the yielded function returns the report of one piece of work, by its name.

    On a terminal each piece of work has a bar; elsewhere it has a line every five seconds.
    """
    with _opened() as stream:
        progress = progress_on(stream)
        with progress if stream.isatty() else nullcontext():
            yield lambda name: report_to(progress, name)


def progress_on(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return Rich's progress for a stream, which shows bars once it is started."""
    from rich import progress as rich
    from rich.console import Console

    return rich.Progress(
        rich.TextColumn("{task.description}", markup=False),
        *(rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn(), rich.TimeRemainingColumn()),
        console=Console(file=stream),
        transient=True,
        get_time=clock,
        speed_estimate_period=RATE_S,
    )


def report_to(progress: Progress, name: str, seconds: float = SECONDS_BETWEEN_LINES) -> Report:
    """Return the report of one piece of work; where no bars are shown it writes a line after so many seconds."""
    progress.add_task(name, total=None)
    task = progress.tasks[-1]
    progress.update(task.id, completed=-0.5)  # Rich measures the rate from the first increase: that of the first report
    written = progress.get_time()

    def report(done: int, total: int, item: str) -> None:
        nonlocal written
        progress.update(task.id, completed=done, total=total, description=f"{name}: {clean(item)}")
        if progress.live.is_started or progress.get_time() - written < seconds:
            return
        written = progress.get_time()
        parts = [f"{name}: {done} of {total}", clean(item)]
        if task.speed:
            parts += [f"{task.speed:.2g}/s", f"{task.time_remaining or 0:.0f} s left"]
        print(", ".join(filter(None, parts)), file=progress.console.file, flush=True)

    return report


def display_in_turn(name: str, log: object) -> Report:
    """Return a report that opens its display at the first item and closes it at the last.

    Before and after, child processes can show the progress of other steps.
    """
    display = ExitStack()
    current: Report | None = None

    def report(done: int, total: int, item: str) -> None:
        nonlocal current
        if current is None:
            current = display.enter_context(shown_progress())(name)
        current(done, total, item)
        if done >= total - 1:  # some callers report the item that they begin, others the one that they finished
            display.close()
            current = None

    return report


@contextmanager
def shown_waits() -> Iterator[Callable[[str], None]]:
    """Open the display of what this process waits for: pools, through the yielded function, and locks of files."""
    with _opened() as stream:
        handler, logger = logging.StreamHandler(stream), logging.getLogger("warehouse.lake.atomic")
        logger.addHandler(handler)
        try:
            yield lambda text: print(clean(text), file=stream, flush=True)
        finally:
            logger.removeHandler(handler)


def show_in_children() -> None:
    """Make the processes that are started from here write their progress to this process's standard error."""
    if TERMINAL in os.environ:
        return
    if sys.stderr.isatty():
        os.environ[TERMINAL] = os.ttyname(sys.stderr.fileno())
    else:
        os.environ[TERMINAL] = f"/proc/{os.getpid()}/fd/{os.dup(_standard_error())}"


def clean(text: str) -> str:
    """Return text with the control characters that steer a terminal escaped: names in a dataset may hold any."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _opened() -> TextIO:
    """Return a stream to the terminal, or to the standard error of the command that was typed."""
    try:
        descriptor = os.open(os.environ[TERMINAL], os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
    except (KeyError, OSError):  # no parent named one, or it cannot be opened, as a socket cannot
        descriptor = os.dup(_standard_error())
    return os.fdopen(descriptor, "w")


def _standard_error() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError):  # replaced by an object without a descriptor
        return 2
