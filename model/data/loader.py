"""Batches made ahead of the training step by background processes.

Batches are functions of the step, so workers need no state, and a resumed training gets the batches that it would have
had. torch's DataLoader starts, feeds and ends the workers; they end by themselves when the training process dies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from multiprocessing import util
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, TypeVar

from torch.utils.data import DataLoader, Dataset

Made = TypeVar("Made", covariant=True)
Workers = int | Literal["auto"]
MOST_WORKERS = 8
BATCHES_AHEAD = 2  # of each worker
AFTER_QUEUES = -100  # finalisers of multiprocessing run in falling order; queues are flushed at -5


class BatchSource(Protocol[Made]):
    """What makes the batch of a step; it travels to the workers by pickle."""

    def batch(self, step: int) -> Made:
        """Return the batch of a step."""
        ...


class BatchLoader(Generic[Made]):
    """Batches of consecutive steps, made in this process or by workers: they are the same.

    Parameters
    ----------
    source : BatchSource
    n_steps : int
        Steps of the training.
    n_workers : int
        Background processes; 0 makes each batch when it is asked for.
    """

    def __init__(self, source: BatchSource[Made], n_steps: int, n_workers: int) -> None:
        self.source, self.n_steps, self.n_workers = source, n_steps, n_workers
        self._batches: Iterator[Made] | None = None
        self._next = 0

    def batch(self, step: int) -> Made:
        """Return the batch of a step; out of order, the workers begin anew there."""
        if self.n_workers == 0:
            return self.source.batch(step)
        if self._batches is None or step != self._next:
            self._batches, self._next = self._start(step), step
        self._next += 1
        return next(self._batches)

    def close(self) -> None:
        """End the workers."""
        batches, self._batches = self._batches, None
        if batches is not None:
            batches._shutdown_workers()  # type: ignore[attr-defined]  # DataLoader has no public way

    def __enter__(self) -> BatchLoader[Made]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _start(self, step: int) -> Iterator[Made]:
        self.close()
        loader = DataLoader(
            _Steps(self.source),
            batch_size=None,
            sampler=range(step, self.n_steps),
            num_workers=self.n_workers,
            prefetch_factor=BATCHES_AHEAD,
            multiprocessing_context="spawn",  # tensorstore's threads do not survive a fork
            worker_init_fn=_end_at_once,
        )
        return iter(loader)


def _end_at_once(worker: int) -> None:
    """Let a worker end without the destructors of C++ libraries: tensorstore's threads would abort the process."""
    util.Finalize(None, os._exit, args=(0,), exitpriority=AFTER_QUEUES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the training process ends workers


class _Steps(Dataset[Any]):
    """Batches by their step, as torch's DataLoader asks for them."""

    def __init__(self, source: BatchSource[Any]) -> None:
        self.source = source

    def __getitem__(self, step: int) -> Any:
        return self.source.batch(step)


def n_workers(wanted: Workers, *, fits_in_memory: bool, device: str) -> int:
    """Return how many background processes make batches.

    Parameters
    ----------
    wanted : int or "auto"
        ``auto`` is none where all volumes fit in memory: a crop is then cut in a millisecond, and starting a worker
        takes seconds. Else one beside a training on the CPU, and up to eight beside one on a GPU.
    fits_in_memory : bool
    device : str
    """
    if wanted != "auto":
        return wanted
    if fits_in_memory:
        return 0
    return 1 if device == "cpu" else max(1, min(MOST_WORKERS, (os.cpu_count() or 2) - 1))
