"""Simulated heads as maps of tissue fractions in a box, kept on disk: a scan of one is a matrix product."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.boxes import Box, resampled
from model.data.random_pairs import Ranges, random_subject
from model.physics.contrast import signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.susceptibility import swi_weight
from model.physics.tissue import TISSUES
from model.simulation.head import Head, make_head
from model.simulation.people import Subject
from warehouse.lake import atomic

HEAD_MM = 3.0  # of the heads before they are resampled; drawn at 1.5 mm, as `make_head` does
# Products of field strength and echo time, tesla seconds, at which the phase mask of SWI is kept; it is interpolated
# between them. 1.5 T × 17 ms to 3 T × 30 ms.
SWI_TESLA_S = (0.02, 0.05, 0.09)
SWI_MAGNITUDE = SequenceProtocol("SWI", "swi", 3.0, 0.03, 0.02, None, 15.0)  # weights the filter of the phase
CHANNELS = (*TISSUES, "intracranial", "fresh_blood", *(f"swi_{number}" for number in range(len(SWI_TESLA_S))))
TRAINING_PEOPLE, VALIDATION_PEOPLE, TEST_PEOPLE = 1, 2, 3  # seeds of banks, which have nobody in common
MOST_WORKERS = 8
VERSION = 1  # raised when the same settings give other maps
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class BankedHead:
    """One head in the box.

    Parameters
    ----------
    subject : Subject
    maps : (n_channels, i, j, k) float16 tensor
        In the order of `CHANNELS`: shares of tissues, of the intracranial space and of unsaturated arterial blood, and
        phase masks. R, A, S.
    """

    subject: Subject
    maps: Tensor


@dataclass(frozen=True)
class HeadBank:
    """Heads that are a function of seed and number.

    Parameters
    ----------
    folder : Path
        Where maps are kept; made where absent.
    seed : int
        Names the people: two seeds have nobody in common.
    n_heads : int
    box : Box
    """

    folder: Path
    seed: int
    n_heads: int
    box: Box

    def fill(self, n_workers: int | None = None, told: Told = lambda done, total: None) -> None:
        """Make the heads that are not there yet.

        Parameters
        ----------
        n_workers : int, optional
            Processes; default: one for each CPU, up to `MOST_WORKERS`.
        told : callable, optional
            Called with heads done and in all.
        """
        make_missing(self.make, [self._path(number) for number in range(self.n_heads)], n_workers, told)

    def make(self, number: int) -> None:
        """Draw one head and keep it."""
        subject = random_subject(Ranges(), "bank", self.seed, number)
        path = self._path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = atomic.temporary_beside(path)
        with temporary.open("wb") as file:
            np.save(file, in_box(make_head(subject, HEAD_MM), self.box))
        atomic.move(temporary, path)

    def head(self, number: int) -> BankedHead:
        """Return a head; its maps are read from disk as they are used.

        Parameters
        ----------
        number : int
            From 0 to `n_heads` − 1.
        """
        if not self._path(number).is_file():
            self.make(number)
        maps: NDArray[np.float16] = np.load(self._path(number), mmap_mode="c")  # private, so that torch may write
        return BankedHead(random_subject(Ranges(), "bank", self.seed, number), torch.from_numpy(maps))

    def _path(self, number: int) -> Path:
        settings: dict[str, Any] = {"version": VERSION, "head_mm": HEAD_MM, "box": asdict(self.box), "seed": self.seed}
        identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / identity / f"head-{number:05}.npy"


def make_missing(
    make: Callable[[int], None], paths: Sequence[Path], n_workers: int | None, told: Told = lambda done, total: None
) -> None:
    """Call `make` with the place of every path that is no file, in processes.

    Parameters
    ----------
    make : callable
        Travels to the processes by pickle.
    paths : sequence of Path
    n_workers : int or None
        None: one for each CPU, up to `MOST_WORKERS`.
    told : callable, optional
        Called with paths done and in all.
    """
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    told(len(paths) - len(missing), len(paths))
    n_workers = n_workers or min(os.cpu_count() or 1, MOST_WORKERS)
    if n_workers == 1 or len(missing) < 2:
        for done, number in enumerate(missing, len(paths) - len(missing) + 1):
            make(number)
            told(done, len(paths))
        return
    context = multiprocessing.get_context("spawn")  # forked threads of torch would hang
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_one_thread) as pool:
        waiting = [pool.submit(make, number) for number in missing]
        for done, future in enumerate(as_completed(waiting), len(paths) - len(missing) + 1):
            future.result()
            told(done, len(paths))


def in_box(head: Head, box: Box) -> NDArray[np.float16]:
    """Return the maps of a head in a box around its intracranial space, (n_channels, i, j, k)."""
    tissue = head.tissue(SWI_MAGNITUDE.field_strength_t)
    chi_ppm = torch.einsum("t,tijk->ijk", tissue.chi_ppm.float(), head.fractions)
    magnitude = torch.einsum("t,tijk->ijk", signals_of([SWI_MAGNITUDE], tissue)[0].float(), head.fractions)
    i, j, k = (float(size) for size in np.linalg.norm(head.affine[:3, :3], axis=0))
    masks = [swi_weight(chi_ppm, (i, j, k), 1.0, tesla_s, magnitude=magnitude) for tesla_s in SWI_TESLA_S]
    fresh = head.fractions[TISSUES.index("artery")] * head.inflow
    inside = torch.from_numpy(head.intracranial.astype(np.float32))
    channels = [*head.fractions, inside, fresh, *masks]
    boxed = [resampled(one.numpy(), head.affine, head.intracranial, box, 0.0) for one in channels]
    return np.stack(boxed).astype(np.float16)


def _one_thread() -> None:
    torch.set_num_threads(1)
