"""What assets are handed: the home they work in, and where they report how far they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import dagster as dg

from warehouse.lake.home import Home
from warehouse.lake.migration import migrate

Report = Callable[[int, int, str], None]  # done, total, what


class HomeResource(dg.ConfigurableResource):  # type: ignore[type-arg]  # its parameter is for IO managers
    """The folder that holds an installation.

    Parameters
    ----------
    root : str
        Path of the home; where it is empty, `TUMSYN_HOME` decides.
    """

    root: str = ""

    def open(self) -> Home:
        """Return the home."""
        home = Home(Path(self.root).resolve()) if self.root else Home.default()
        migrate(home)
        return home


class Progress(Protocol):
    """Where work says how far it is."""

    def of(self, name: str, log: dg.DagsterLogManager) -> Report:
        """Return what the work on a centre, or whatever has this name, calls."""
        ...


class LoggedProgress:
    """The run's log, at every tenth of the work."""

    def of(self, name: str, log: dg.DagsterLogManager) -> Report:
        """Return what the work on a centre, or whatever has this name, calls."""
        tenths = -1

        def report(done: int, total: int, what: str) -> None:
            nonlocal tenths
            if total and done * 10 // total > tenths:
                tenths = done * 10 // total
                log.info("%s: %s, %d of %d", name, what, done, total)

        return report
