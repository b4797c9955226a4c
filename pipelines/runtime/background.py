"""Do work that may outlast a tick of a sensor: a later tick of the same process takes its result.

Dagster drops what a tick found if it takes too long, and other sensors wait for it meanwhile. A folder on a disk that
hangs cannot be interrupted, so the thread that waits for it is left alone until it answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


class StillWorkingError(Exception):
    """The work has not ended yet.

    Parameters
    ----------
    seconds : float
        Since it began.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"it goes on for {seconds:.0f} s")


@dataclass
class _Task:
    about: object
    began: float = field(default_factory=time.monotonic)
    has_ended: threading.Event = field(default_factory=threading.Event)
    value: object = None
    error: Exception | None = None


class Background:
    """Work in threads that may outlast the call that began it; each piece has a key."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, _Task] = {}

    def result(self, key: Hashable, about: object, work: Callable[[], T], patience_s: float) -> T:
        """Return the result of a piece of work; it is started unless it is already running.

        Parameters
        ----------
        key : hashable
            Identifies the work; of each key one piece runs at a time.
        about : object
            Inputs of the work. If they differ from those of the running piece, that is abandoned and a new one started.
        work : callable
        patience_s : float
            How long to wait for work that this call started, s; work that was already running is only looked at.

        Raises
        ------
        StillWorkingError
            When it has not ended by then; ask for it again later.
        Exception
            Whatever the work raised.
        """
        task, wait_s = self._tasks.get(key), 0.0
        if task is None or task.about != about:
            task, wait_s = self._begun(key, about, work), max(0.0, patience_s)
        if not task.has_ended.wait(wait_s):
            raise StillWorkingError(time.monotonic() - task.began)
        del self._tasks[key]
        if task.error is not None:
            raise task.error
        return task.value  # type: ignore[return-value]

    def goes_on(self, key: Hashable) -> bool:
        """Return whether work with this key was started and its result not yet returned."""
        return key in self._tasks

    def _begun(self, key: Hashable, about: object, work: Callable[[], object]) -> _Task:
        task = self._tasks[key] = _Task(about)

        def run() -> None:
            try:
                task.value = work()
            except Exception as error:  # noqa: BLE001 - `result` raises it
                task.error = error
            finally:
                task.has_ended.set()

        threading.Thread(target=run, name=f"background {key}", daemon=True).start()
        return task
