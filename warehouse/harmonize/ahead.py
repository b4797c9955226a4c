"""Sessions of several centres in one set of processes, which begin the next centre while one is committed.

Processes that end with each centre would load the network, the template and all libraries anew for a handful of
sessions, and wait for the last session of every centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import TumsynError
from warehouse.harmonize.center import Progress, SessionTask, each_done, gathered, tasks_of, work_tasks
from warehouse.harmonize.plan import sessions
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import HarmonizedRows
from warehouse.lake.home import Home

SPARE = 2  # sessions a process can go on with while a centre is committed


class SessionQueue:
    """Who does the sessions of all centres: the `work` of `harmonize_center`, centre after centre.

    Parameters
    ----------
    tasks : list of SessionTask
        Of all centres, in the order in which the centres will be asked for.
    results : iterator of (SessionTask, HarmonizedRows)
        What becomes of them, in any order.
    """

    def __init__(self, tasks: list[SessionTask], results: Iterator[tuple[SessionTask, HarmonizedRows]]) -> None:
        self.known = {_key(task): task for task in tasks}
        self.results = results
        self.finished: dict[tuple[str, str], HarmonizedRows] = {}

    def __call__(
        self,
        tasks: list[SessionTask],
        *,
        workers: int | None = None,
        memory_gb: float | None = None,
        progress: Progress | None = None,
    ) -> HarmonizedRows:
        """Return the rows of one centre's tasks; those that were not foreseen are done now."""
        if any(self.known.get(_key(task)) != task for task in tasks):
            return work_tasks(tasks, workers=workers, memory_gb=memory_gb, progress=progress)
        return gathered(((task, self._wait(task)) for task in tasks), tasks, progress)

    def _wait(self, task: SessionTask) -> HarmonizedRows:
        while _key(task) not in self.finished:
            done, made = next(self.results)
            self.finished[_key(done)] = made
        return self.finished[_key(task)]


@contextmanager
def ahead(
    home: Home,
    registrations: Iterable[RegisteredCenter],
    recipe: Recipe,
    *,
    workers: int | None = None,
    memory_gb: float | None = None,
    force: bool = False,
) -> Iterator[SessionQueue]:
    """Open the processes for several centres; they end with the context, however it ends.

    A centre that was not ingested is left out: who asks for it is told.

    Parameters
    ----------
    home, recipe, workers, memory_gb, force
        As `harmonize_center` takes them.
    registrations : iterable of RegisteredCenter
        In the order in which they will be asked for.
    """
    tasks: list[SessionTask] = []
    for registration in registrations:
        try:
            found = sessions(home, registration)
        except TumsynError:
            continue
        tasks += tasks_of(home, registration.center.center_id, found, recipe, force)
    results = each_done(tasks, workers=workers, memory_gb=memory_gb, spare=SPARE)
    try:
        work = SessionQueue(tasks, results)
        yield work
        if len(work.finished) == len(work.known):
            next(results, None)  # all is done: the processes are let go, not ended
    finally:
        results.close()


def _key(task: SessionTask) -> tuple[str, str]:
    return task.center_id, task.session_id
