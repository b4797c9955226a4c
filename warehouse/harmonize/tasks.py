"""Harmonises sessions in processes: one task per session, for one centre or for several after each other.

A process that dies costs the scan that killed it; the other scans of its session are kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import psutil

from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import HarmonizeError, TumsynError
from warehouse.harmonize.plan import sessions
from warehouse.harmonize.pool import Failed, n_cpus, run_alone, run_tasks
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import EligibleScan, HarmonizedRows, Row, rejection
from warehouse.harmonize.session import harmonize_session
from warehouse.lake.home import Home
from warehouse.quality.mosaics import draw_session

Progress = Callable[[int, int, str], None]  # scans done, scans in all, name of the session

WORKER_GB = 2.5  # peak of one process on a whole head of 1 mm
DRAFT_WORKER_GB = 1.8  # the network, without bias correction and tissues
FREE_SHARE = 0.8  # of the free memory that is used by default
SPARE_TASKS = 2  # handed out beforehand, so that processes go on while a centre is committed


@dataclass(frozen=True)
class SessionTask:
    """One session to harmonise."""

    home: Home
    center_id: str
    session_id: str
    scans: tuple[EligibleScan, ...]
    recipe: Recipe
    force: bool = False


class Work(Protocol):
    """A callable that harmonises the sessions of a centre: `work_tasks`, or a `SessionQueue` for several centres."""

    def __call__(
        self,
        tasks: list[SessionTask],
        *,
        workers: int | None = None,
        memory_gb: float | None = None,
        progress: Progress | None = None,
    ) -> HarmonizedRows:
        """Harmonise the sessions and return their rows; nothing is committed."""
        ...


def tasks_of(
    home: Home, center_id: str, found: dict[str, tuple[EligibleScan, ...]], recipe: Recipe, force: bool = False
) -> list[SessionTask]:
    """Return one task per session."""
    return [SessionTask(home, center_id, session_id, scans, recipe, force) for session_id, scans in found.items()]


def work_tasks(
    tasks: list[SessionTask],
    *,
    workers: int | None = None,
    memory_gb: float | None = None,
    progress: Progress | None = None,
) -> HarmonizedRows:
    """Harmonise sessions in processes of their own and return their rows; nothing is committed."""
    return _collected(_completed(tasks, workers=workers, memory_gb=memory_gb), tasks, progress)


def _completed(
    tasks: list[SessionTask], *, workers: int | None = None, memory_gb: float | None = None, spare: int = 0
) -> Generator[tuple[SessionTask, HarmonizedRows], None, None]:
    """Harmonise sessions in processes and yield the rows of each as it is completed; `spare` as in `pool.run_tasks`."""
    if not tasks:
        return
    n_workers = min(workers_for(tasks[0].recipe, workers, memory_gb), len(tasks))
    threads = max(1, n_cpus() // n_workers)
    with closing(run_tasks(work_session, tasks, n_workers, threads, spare)) as results:
        for task, result in results:
            yield task, _isolated(task, result, threads) if isinstance(result, Failed) else result


def _collected(
    results: Iterable[tuple[SessionTask, HarmonizedRows]], tasks: list[SessionTask], progress: Progress | None = None
) -> HarmonizedRows:
    """Return the rows of all tasks together, and report progress."""
    rows, n_scans, n_done = HarmonizedRows(), sum(len(task.scans) for task in tasks), 0
    for task, result in results:
        rows.add(result)
        n_done += len(task.scans)
        if progress:
            progress(n_done, n_scans, task.session_id)
    return rows


def work_session(task: SessionTask) -> HarmonizedRows:
    """Harmonise one session and draw its mosaic."""
    if task.force:
        forget(task)
    rows = harmonize_session(task.home.volumes, task.session_id, task.scans, task.recipe)
    rows.rejections = _first_of_each(rows.rejections)
    try:
        picture = draw_session(task.home, task.session_id, task.recipe, rows.volumes)
    except (TumsynError, OSError):  # the volumes are kept without it, and the next run draws it
        picture, rows.is_whole = None, False
    if picture:
        rows.pictures[task.session_id] = picture.relative_to(task.home.root).as_posix()
    return rows


def forget(task: SessionTask) -> None:
    """Remove a session's stores, so that its scans are harmonised again."""
    for scan in task.scans:
        for folder in (task.home.volumes / task.recipe.recipe_id).glob(f"{scan.image_id}-*"):
            shutil.rmtree(folder)


def workers_for(recipe: Recipe, workers: int | None = None, memory_gb: float | None = None) -> int:
    """Return the number of processes: `workers`, by default one per CPU, and no more than fit the memory."""
    each = DRAFT_WORKER_GB if recipe.is_draft else WORKER_GB
    budget = FREE_SHARE * psutil.virtual_memory().available / 1e9 if memory_gb is None else memory_gb
    return max(1, min(workers or n_cpus(), int(budget / each)))


def _isolated(task: SessionTask, failed: Failed, threads: int) -> HarmonizedRows:
    """Harmonise a failed session again by adding one scan at a time; scans that fail it are rejected."""
    rows = HarmonizedRows()
    good: list[EligibleScan] = []
    rejected: list[Row] = []
    remedy = "give it more memory or fewer workers, and run again; `tumsyn --debug harmonize` if it stays"
    for scan in task.scans:
        is_only = len(task.scans) == 1
        result = (
            failed if is_only else run_alone(work_session, replace(task, scans=(*good, scan), force=False), threads)
        )
        if isinstance(result, Failed):
            error = HarmonizeError("worker", "failed", result.reason, remedy)
            rejected.append(rejection(scan.image_id, task.center_id, task.recipe, error))
        else:
            good.append(scan)
            result.n_done += rows.n_done
            rows = result
    rows.is_whole = False
    rows.rejections += rejected
    return rows


def _first_of_each(rejections: Iterable[Row]) -> list[Row]:
    """Return the first rejection of each image."""
    found: dict[str, Row] = {}
    for row in rejections:
        found.setdefault(row["image_id"], row)
    return list(found.values())


class SessionQueue:
    """Results of the sessions of several centres, handed out centre after centre; the `work` of `harmonize_center`.

    Parameters
    ----------
    tasks : list of SessionTask
        Of all centres, in the order in which the centres will be asked for.
    results : iterator of (SessionTask, HarmonizedRows)
        Their results in any order.
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
        """Return the rows of one centre's tasks; tasks that are not in the queue are harmonised now."""
        if any(self.known.get(_key(task)) != task for task in tasks):
            return work_tasks(tasks, workers=workers, memory_gb=memory_gb, progress=progress)
        return _collected(((task, self._wait(task)) for task in tasks), tasks, progress)

    def _wait(self, task: SessionTask) -> HarmonizedRows:
        while _key(task) not in self.finished:
            done, rows = next(self.results)
            self.finished[_key(done)] = rows
        return self.finished[_key(task)]


@contextmanager
def session_queue(
    home: Home,
    registrations: Iterable[RegisteredCenter],
    recipe: Recipe,
    *,
    workers: int | None = None,
    memory_gb: float | None = None,
    force: bool = False,
) -> Iterator[SessionQueue]:
    """Open one set of processes for the sessions of several centres; they end with the context.

    They load network, template and libraries once, and begin the next centre while one is committed. A centre that was
    not ingested is left out, and `harmonize_center` raises its error.

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
    results = _completed(tasks, workers=workers, memory_gb=memory_gb, spare=SPARE_TASKS)
    try:
        queue = SessionQueue(tasks, results)
        yield queue
        if len(queue.finished) == len(queue.known):
            next(results, None)  # lets the generator close its idle processes in order
    finally:
        results.close()


def _key(task: SessionTask) -> tuple[str, str]:
    return task.center_id, task.session_id
