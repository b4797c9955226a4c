"""All sessions of a centre: spread over processes, found again where they were finished, committed together."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import TumsynError
from warehouse.harmonize.pace import Pace
from warehouse.harmonize.plan import fingerprint, is_current, sessions
from warehouse.harmonize.pool import Lost, alone, spread
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import HarmonizedRows, commit, rejection
from warehouse.harmonize.scan import EligibleScan
from warehouse.harmonize.session import harmonize_session
from warehouse.lake.home import Home
from warehouse.lake.parts import Manifest, read_manifest, read_table
from warehouse.quality import pictures
from warehouse.tables import HARMONIZED

__all__ = [
    "Harmonized", "SessionTask", "Work", "each_done", "finish", "gathered", "harmonize_center", "is_current",
    "tasks_of", "work_tasks",
]  # fmt: skip

Progress = Callable[[int, int, str], None]  # scans done, scans in all, rate and remaining time

WORKER_GB = 2.5  # peak of one process on a whole head of 1 mm
DRAFT_WORKER_GB = 1.8  # the network, without bias correction and tissues
SHARE = 0.8  # of the memory that is free, where nobody says how much may be taken


@dataclass(frozen=True)
class SessionTask:
    """One session to harmonise, as a process is handed it."""

    home: Home
    center_id: str
    session_id: str
    scans: tuple[EligibleScan, ...]
    recipe: Recipe
    force: bool = False


class Work(Protocol):
    """Who does the sessions of a centre: `work_tasks`, or processes that work for several centres."""

    def __call__(
        self,
        tasks: list[SessionTask],
        *,
        workers: int | None = None,
        memory_gb: float | None = None,
        progress: Progress | None = None,
    ) -> HarmonizedRows:
        """Do tasks and return their rows; nothing is committed."""
        ...


@dataclass(frozen=True)
class Harmonized:
    """What a harmonisation did.

    Parameters
    ----------
    n_scans : int
        Eligible scans whose content is there.
    n_done, n_reused, n_rejected : int
        Worked on; found finished; refused. A scan is one of these, or was rejected before its work was done.
    seconds : float
        Wall time.
    manifest : Manifest
        In force now.
    changed : bool
        False where nothing had changed, and nothing was opened.
    pictures : tuple of Path
        Mosaics of the sessions.
    page : Path or None
        The centre's quality.html.
    """

    center_id: str
    n_scans: int
    n_done: int
    n_reused: int
    n_rejected: int
    seconds: float
    manifest: Manifest
    changed: bool
    pictures: tuple[Path, ...] = ()
    page: Path | None = None


def harmonize_center(
    home: Home,
    registration: RegisteredCenter,
    recipe: Recipe,
    *,
    workers: int | None = None,
    memory_gb: float | None = None,
    progress: Progress | None = None,
    force: bool = False,
    work: Work | None = None,
) -> Harmonized:
    """Harmonise every eligible scan of a centre whose content is there.

    Parameters
    ----------
    home : Home
    registration : RegisteredCenter
        The centre and its folder; it must have been ingested.
    recipe : Recipe
    workers : int, optional
        Processes; default: one per CPU. Memory may allow fewer.
    memory_gb : float, optional
        That all processes together may take; default: most of what is free.
    progress : callable, optional
        Called with scans done, scans in all, and rate with remaining time.
    force : bool
        Do everything again, finished or not.
    work : callable, optional
        Does the sessions; default: `work_tasks`, in processes for this centre alone.

    Raises
    ------
    TumsynError
        When the centre was not ingested.
    """
    start = time.perf_counter()
    center_id = registration.center.center_id
    if not force and is_current(home, registration, recipe):
        return _unchanged(home, center_id, recipe, start)
    found = sessions(home, registration)
    tasks = tasks_of(home, center_id, found, recipe, force)
    made = (work or work_tasks)(tasks, workers=workers, memory_gb=memory_gb, progress=progress)
    n_scans = sum(len(scans) for scans in found.values())
    return finish(home, center_id, recipe, made, fingerprint(found), n_scans, time.perf_counter() - start)


def tasks_of(
    home: Home, center_id: str, found: dict[str, tuple[EligibleScan, ...]], recipe: Recipe, force: bool = False
) -> list[SessionTask]:
    """Return the work to do, one task per session."""
    return [SessionTask(home, center_id, session_id, scans, recipe, force) for session_id, scans in found.items()]


def work_tasks(
    tasks: list[SessionTask],
    *,
    workers: int | None = None,
    memory_gb: float | None = None,
    progress: Progress | None = None,
) -> HarmonizedRows:
    """Do tasks in processes of their own and return their rows; nothing is committed."""
    return gathered(each_done(tasks, workers=workers, memory_gb=memory_gb), tasks, progress)


def each_done(
    tasks: list[SessionTask], *, workers: int | None = None, memory_gb: float | None = None, spare: int = 0
) -> Generator[tuple[SessionTask, HarmonizedRows], None, None]:
    """Do tasks in processes of their own and yield the rows of each as it is finished.

    Parameters
    ----------
    spare : int
        Tasks that are handed out before a process is free for them, so that none waits for who takes the results.
    """
    if not tasks:
        return
    n_workers = min(workers_for(tasks[0].recipe, workers, memory_gb), len(tasks))
    threads = max(1, _cpus() // n_workers)
    with closing(spread(work_session, tasks, n_workers, threads, spare)) as results:
        for task, result in results:
            yield task, _isolated(task, result, threads) if isinstance(result, Lost) else result


def gathered(
    results: Iterable[tuple[SessionTask, HarmonizedRows]], tasks: list[SessionTask], progress: Progress | None = None
) -> HarmonizedRows:
    """Return the rows of all tasks together, and say how far they are."""
    made, total, done = HarmonizedRows(), sum(len(task.scans) for task in tasks), 0
    pace = Pace(total)
    for task, result in results:
        made.add(result)
        done += len(task.scans)
        if progress:
            progress(done, total, f"{task.session_id}: {pace.at(done)}")
    return made


def finish(
    home: Home,
    center_id: str,
    recipe: Recipe,
    made: HarmonizedRows,
    wanted: str,
    n_scans: int,
    seconds: float,
) -> Harmonized:
    """Commit the rows of a whole centre and write its page.

    Parameters
    ----------
    wanted : str
        Fingerprint of what was to be harmonised.
    seconds : float
        Wall time that the work took.
    """
    manifest = commit(home, center_id, recipe, made, wanted)
    n_volumes = len({row["image_id"] for row in made.volumes})
    rows = {table.name: made_rows for table, made_rows in zip(HARMONIZED, made.lists(), strict=True)}
    page = pictures.write_center_page(home, center_id, recipe, rows, made.pictures)
    return Harmonized(
        center_id=center_id,
        n_scans=n_scans,
        n_done=made.n_done,
        n_reused=max(0, n_volumes - made.n_done),
        n_rejected=len(made.rejections),
        seconds=seconds,
        manifest=manifest,
        changed=True,
        pictures=tuple(home.root / path for path in sorted(made.pictures.values())),
        page=page,
    )


def work_session(task: SessionTask) -> HarmonizedRows:
    """Harmonise one session and draw it: what a process does."""
    if task.force:
        forget(task)
    result = harmonize_session(task.home.volumes, task.session_id, task.scans, task.recipe)
    made = HarmonizedRows(result.volumes, result.transforms, result.quality, _first_of_each(result.rejections))
    made.n_done = result.n_done
    try:
        picture = pictures.draw_session(task.home, task.session_id, task.recipe, made.volumes)
    except (TumsynError, OSError):  # a picture less is no reason to lose volumes
        picture, made.is_whole = None, False
    if picture:
        made.pictures[task.session_id] = picture.relative_to(task.home.root).as_posix()
    return made


def forget(task: SessionTask) -> None:
    """Remove a session's stores, so that its scans are done again."""
    for scan in task.scans:
        for folder in (task.home.volumes / task.recipe.recipe_id).glob(f"{scan.image_id}-*"):
            shutil.rmtree(folder)


def workers_for(recipe: Recipe, workers: int | None = None, memory_gb: float | None = None) -> int:
    """Return how many processes run at once: as many as asked for, or as there are CPUs, and as memory holds."""
    each = DRAFT_WORKER_GB if recipe.is_draft else WORKER_GB
    budget = SHARE * _free_gb() if memory_gb is None else memory_gb
    return max(1, min(workers or _cpus(), int(budget / each)))


def _isolated(task: SessionTask, lost: Lost, threads: int) -> HarmonizedRows:
    """Find out which scan a session fails on, by adding one scan at a time; the others are kept."""
    kept = HarmonizedRows()
    good: list[EligibleScan] = []
    bad: dict[str, str] = {}
    for scan in task.scans:
        only = len(task.scans) == 1
        result = lost if only else alone(work_session, replace(task, scans=(*good, scan), force=False), threads)
        if isinstance(result, Lost):
            bad[scan.image_id] = result.why
        else:
            good.append(scan)
            result.n_done += kept.n_done
            kept = result
    kept.is_whole = False
    remedy = "give it more memory or fewer workers, and run again; `tumsyn --debug harmonize` if it stays"
    kept.rejections += [
        rejection(image_id, task.center_id, task.recipe, "failed", why, remedy) for image_id, why in bad.items()
    ]
    return kept


def _first_of_each(rejections: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    found: dict[object, dict[str, object]] = {}
    for row in rejections:
        found.setdefault(row["image_id"], row)
    return list(found.values())


def _unchanged(home: Home, center_id: str, recipe: Recipe, start: float) -> Harmonized:
    manifest = read_manifest(home, center_id, "harmonize")
    assert manifest is not None  # it is current
    count = {}
    for name in ("core.volume", "core.volume_rejection"):
        rows = read_table(home, center_id, name, ["recipe_id", "image_id"])
        mine = [] if rows is None else [row for row in rows.to_pylist() if row["recipe_id"] == recipe.recipe_id]
        count[name] = len({row["image_id"] for row in mine})
    n_volumes, n_rejected = count["core.volume"], count["core.volume_rejection"]
    place = pictures.folder(home, center_id, recipe)
    page = place / "quality.html"
    return Harmonized(
        center_id=center_id,
        n_scans=n_volumes + n_rejected,
        n_done=0,
        n_reused=n_volumes,
        n_rejected=n_rejected,
        seconds=time.perf_counter() - start,
        manifest=manifest,
        changed=False,
        pictures=tuple(sorted((place / "sessions").glob("*.png"))),
        page=page if page.exists() else None,
    )


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def _free_gb() -> float:
    """Return the memory that can be had without swapping; where the system does not say, half of all."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) / 1e6
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2e9
