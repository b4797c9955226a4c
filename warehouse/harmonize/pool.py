"""Runs tasks in processes; a process that dies costs only the task that killed it.

Libraries do not replace this: pebble 5.2.3 waits for ever when a process exits with status 0 during a task, and a loky
executor loses all tasks in flight when a process dies.
"""

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
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
DIED = "its process died, as it does when memory runs out or a library crashes"


@dataclass(frozen=True)
class Failed:
    """A task without a result, and the reason in words."""

    reason: str


def run_tasks(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int, threads: int = 1, spare: int = 0
) -> Generator[tuple[Task, Result | Failed], None, None]:
    """Run all tasks, at most `workers` at once, and yield each as it is completed.

    When a process dies, the tasks in flight run again, each alone in a fresh process; those that kill it again fail.

    Parameters
    ----------
    work : callable
        Importable by its name; called in a process of its own.
    tasks : sequence
        In the order in which they are started.
    workers : int
    threads : int
        That a process may use.
    spare : int
        Tasks in flight beyond the number of processes, which start without waiting for the caller. A crash implicates
        all tasks in flight, so there should be few.
    """
    suspects: list[Task] = []
    waiting = list(reversed(tasks))
    while waiting:
        yield from _until_broken(work, waiting, suspects, workers, threads, spare)
    for task in suspects:
        yield task, run_alone(work, task, threads)


def run_alone(work: Callable[[Task], Result], task: Task, threads: int = 1) -> Result | Failed:
    """Run one task in a fresh process."""
    for _, result in _until_broken(work, [task], [], 1, threads):
        return result
    return Failed(DIED)


def _until_broken(
    work: Callable[[Task], Result],
    waiting: list[Task],
    suspects: list[Task],
    workers: int,
    threads: int,
    spare: int = 0,
) -> Iterator[tuple[Task, Result | Failed]]:
    """Run the waiting tasks until all are completed or a process died; tasks then in flight become suspects."""
    in_flight: dict[Future[Result], Task] = {}
    is_broken = False
    with processes(min(workers, len(waiting)), threads) as pool:
        while not is_broken and (waiting or in_flight):
            try:
                while waiting and len(in_flight) < workers + spare:
                    future = pool.submit(work, waiting[-1])
                    in_flight[future] = waiting.pop()
            except BrokenProcessPool:  # an idle process died; the task was not started
                is_broken = True
            for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                task = in_flight.pop(future)
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    suspects.append(task)
                    is_broken = True
                else:
                    yield task, Failed(f"{type(error).__name__}: {error}") if error else future.result()
        suspects.extend(in_flight.values())


def n_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def processes(workers: int, threads: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Open a pool whose processes end with the context, and with this process even when it is killed.

    Parameters
    ----------
    workers : int
    threads : int
        That a process may use.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(receiver, threads))
    try:
        yield pool
        pool.shutdown()
    finally:
        sender.close()  # the kernel closes it when this process is killed
        receiver.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _start(parent: Connection, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent handles it
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """End this process when the pipe closes, so that none outlives its parent."""
    parent.poll(None)
    os._exit(1)
