"""Work spread over processes, of which any may die without taking the others along."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
DIED = "its process died, as it does when memory runs out or a library crashes"


@dataclass(frozen=True)
class Lost:
    """What is left of a task that gave no result: why, in words."""

    why: str


def spread(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int, threads: int = 1, spare: int = 0
) -> Generator[tuple[Task, Result | Lost], None, None]:
    """Do all tasks, at most `workers` at once, and yield each as it is finished.

    When a process dies, the tasks in hand are done again, one at a time and alone: only the one that kills its process
    then too is lost.

    Parameters
    ----------
    work : callable
        Importable by its name; is called in a process of its own.
    tasks : sequence
        In the order in which they are begun.
    workers : int
    threads : int
        That a process may use.
    spare : int
        Tasks in hand beyond the number of processes: they go on by themselves while a caller is slow to come back.
    """
    suspects: list[Task] = []
    waiting = list(reversed(tasks))
    while waiting:
        yield from _until_broken(work, waiting, suspects, workers, threads, spare)
    for task in suspects:
        yield task, alone(work, task, threads)


def alone(work: Callable[[Task], Result], task: Task, threads: int = 1) -> Result | Lost:
    """Do one task in a fresh process."""
    suspects: list[Task] = []
    for _, result in _until_broken(work, [task], suspects, 1, threads):
        return result
    return Lost(DIED)


def _until_broken(
    work: Callable[[Task], Result],
    waiting: list[Task],
    suspects: list[Task],
    workers: int,
    threads: int,
    spare: int = 0,
) -> Iterator[tuple[Task, Result | Lost]]:
    """Do what waits until all is done or a process died; what was in hand then is under suspicion."""
    with processes(min(workers, len(waiting)), threads) as pool:
        hand = _Hand(work, pool, workers + spare)
        while waiting or hand.futures:
            hand.fill(waiting)
            done, _ = wait(hand.futures, return_when=FIRST_COMPLETED)
            for future in done:
                task = hand.futures.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    suspects.append(task)
                    hand.is_broken = True
                else:
                    yield task, Lost(f"{type(error).__name__}: {error}") if error else future.result()
            if hand.is_broken:
                suspects.extend(hand.futures.values())
                return


class _Hand(Generic[Task, Result]):
    """The tasks that are being done or are next: hardly more than there are processes, so that a death accuses few."""

    def __init__(self, work: Callable[[Task], Result], pool: ProcessPoolExecutor, size: int) -> None:
        self.work, self.pool, self.size = work, pool, size
        self.futures: dict[Future[Result], Task] = {}
        self.is_broken = False

    def fill(self, waiting: list[Task]) -> None:
        while waiting and len(self.futures) < self.size:
            task = waiting.pop()
            try:
                self.futures[self.pool.submit(self.work, task)] = task
            except BrokenProcessPool:  # it broke since the last look: the task was not begun
                waiting.append(task)
                return


@contextmanager
def processes(workers: int, threads: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Open a pool whose processes end with it, and with this process, however that ends.

    Parameters
    ----------
    workers : int
    threads : int
        That a process may use.
    """
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(theirs, threads))
    try:
        yield pool
        pool.shutdown()
    finally:
        ours.close()  # also when this process is killed: the kernel closes it
        theirs.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: Connection, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the parent decides
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """End this process when the pipe closes: an orphan would go on for hours."""
    parent.poll(None)
    os._exit(1)
