"""Simulated heads as shares of tissues at the resolution of a working grid, kept on disk: what patches are made of.

The people are those of a `HeadBank` of the same seed. A patch is read through a memory map, in which all the shares of
a voxel lie side by side.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.data.head_bank import Told, make_missing
from model.data.random_pairs import Ranges, random_subject
from model.physics.tissue import N_TISSUES, TISSUES
from model.simulation.head import Head, make_head
from model.simulation.people import Subject
from model.simulation.seeds import stream
from warehouse.errors import ModelError
from warehouse.lake import atomic

Integers = Sequence[int] | NDArray[np.int64]
INTRACRANIAL, N_CHANNELS = N_TISSUES, N_TISSUES + 1  # the intracranial space is the last channel
WHOLE = 255  # what a voxel that is full of one tissue is stored as
UNKNOWN = 1  # in the channel of the intracranial space: there is something, but no tissue that is simulated
MARGIN_MM = 16.0  # around the intracranial space: it holds skull and scalp, but neither face nor neck
N_PLACES = 20_000  # brain voxels: percentiles of so many are off by a percent of the brain's spread
SIDES = (1, 3, 5, 7)  # of the boxes over slices; those over cubes end at the second
BOXES = (
    (1, 1, 1),
    *(tuple(side if axis == at else 1 for at in range(3)) for side in SIDES[1:] for axis in range(3)),
    (SIDES[1],) * 3,
)
"""Sizes, in voxels, of the boxes over which shares are averaged around the places of a brain.

A scan's scale is that of its own voxels: on slices of 5 mm, tissues and fluid are mixed and the spread of a brain is up
to 30 % less than at 1 mm.
"""
SLICE_RATIO = 1.5  # of the longest side of a voxel to the next one: beyond it, a voxel is a slice
VERSION = 1  # raised when the same settings give other files


@dataclass(frozen=True)
class FineHead:
    """One head around its intracranial space.

    Parameters
    ----------
    subject : Subject
    maps : (i, j, k, n_channels) uint8 array
        Shares of `TISSUES`, in 255ths, then 255 where a voxel lies in the intracranial space, or `UNKNOWN`; R, A, S.
        What is missing to 255 is air. Do not write to it.
    affine : (4, 4) array
        Voxel to world, RAS+, mm; isotropic.
    places : (n, 3) int16 array
        Voxels (i, j, k) of the intracranial space, at most `N_PLACES` drawn at random.
    brain : (n_boxes, n, n_tissues) uint8 array
        Shares of tissues there, each averaged over `BOXES`: what the scale of the whole brain is computed from.
    unstated : tuple of str
        Fields of a record that are unknown of this person.
    """

    subject: Subject
    maps: NDArray[np.uint8]
    affine: NDArray[np.float64]
    places: NDArray[np.int16]
    brain: NDArray[np.uint8]
    unstated: tuple[str, ...] = ()

    def block(self, corner: Integers, shape: Integers) -> NDArray[np.uint8]:
        """Return a block of the maps, (i, j, k, n_channels); outside of them is air.

        Parameters
        ----------
        corner : 3 int
            First voxel; may lie outside.
        shape : 3 int
        """
        low, high = np.asarray(corner), np.asarray(corner) + np.asarray(shape)
        first, last = np.maximum(low, 0), np.minimum(high, self.maps.shape[:3])
        inside = tuple(slice(a, max(a, b)) for a, b in zip(first, last, strict=True))
        if (first == low).all() and (last == high).all():
            return np.array(self.maps[inside])
        made = np.zeros((*shape, self.maps.shape[3]), np.uint8)
        made[tuple(slice(a - c, max(a, b) - c) for a, b, c in zip(first, last, low, strict=True))] = self.maps[inside]
        return made

    def brain_shares(self, size: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return shares of tissues in voxels of a size at the places of the brain, (n, n_tissues), in 255ths.

        They are interpolated between the averages that are kept; voxels are taken for cubes, or for slices across
        their longest side.

        Parameters
        ----------
        size : (3,) array
            Along i, j, k, in voxels of the head.
        """
        *_, second, longest = (int(axis) for axis in np.argsort(size))
        is_slice = size[longest] > SLICE_RATIO * max(size[second], 1)
        sides = SIDES if is_slice else SIDES[:2]
        upper = int(np.clip(np.searchsorted(sides, size[longest]), 1, len(sides) - 1))
        boxes = [tuple(side if axis == longest or not is_slice else 1 for axis in range(3)) for side in sides]
        low, high = (self.brain[BOXES.index(boxes[at])] for at in (upper - 1, upper))
        share = np.clip((size[longest] - sides[upper - 1]) / (sides[upper] - sides[upper - 1]), 0, 1).astype(np.float32)
        return np.asarray((1 - share) * low + share * high)


class Heads(Protocol):
    """Heads by number, as `FineHeads` has them."""

    @property
    def n_heads(self) -> int:
        """How many there are."""

    @property
    def voxel_mm(self) -> float:
        """Of their isotropic grid."""

    def head(self, number: int) -> FineHead:
        """Return a head."""
        ...


@dataclass(frozen=True)
class FineHeads:
    """Heads that are a function of seed and number.

    At 1 mm, one takes 16 s of a core, 4 GB of memory while it is drawn, and 110 MB on disk.

    Parameters
    ----------
    folder : Path
        Where they are kept; made where absent.
    seed : int
        Names the people, as in a `HeadBank`: two seeds have nobody in common.
    n_heads : int
    voxel_mm : float
        0.8 to 6 mm.
    margin_mm : float
        Around the intracranial space.
    """

    folder: Path
    seed: int
    n_heads: int
    voxel_mm: float
    margin_mm: float = MARGIN_MM

    def fill(self, n_workers: int | None = 1, told: Told = lambda done, total: None) -> None:
        """Make the heads that are not there yet.

        Parameters
        ----------
        n_workers : int or None
            Processes, each of which takes the memory of a head; None is one for each CPU, up to `MOST_WORKERS`.
        told : callable, optional
            Called with heads done and in all.
        """
        make_missing(self.make, [self._path(number) for number in range(self.n_heads)], n_workers, told)

    def make(self, number: int) -> None:
        """Draw one head and keep it."""
        head = around_brain(make_head(self._subject(number), self.voxel_mm), self.margin_mm)
        write_head(self._path(number), head)

    def head(self, number: int) -> FineHead:
        """Return a head, which is made if it is not there; its maps are read from disk as they are used.

        Parameters
        ----------
        number : int
            From 0 to `n_heads` − 1.
        """
        path = self._path(number)
        if not path.is_file():
            self.make(number)
        return read_head(path, self._subject(number))

    def _subject(self, number: int) -> Subject:
        return random_subject(Ranges(), "bank", self.seed, number)

    def _path(self, number: int) -> Path:
        settings = {
            "version": VERSION,
            "voxel_mm": self.voxel_mm,
            "margin_mm": self.margin_mm,
            "seed": self.seed,
            "tissues": TISSUES,
            "n_places": N_PLACES,
            "boxes": BOXES,
        }
        identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        return self.folder / f"fine-{identity}" / f"head-{number:05}.npy"


@dataclass(frozen=True)
class JoinedHeads:
    """The heads of several banks, one bank after the other.

    Parameters
    ----------
    banks : sequence of Heads

    Raises
    ------
    ModelError
        When there are no banks, or their voxels differ.
    """

    banks: Sequence[Heads]

    def __post_init__(self) -> None:
        if len({round(bank.voxel_mm, 4) for bank in self.banks}) != 1:
            what = f"heads of {[bank.voxel_mm for bank in self.banks]} mm cannot be joined"
            raise ModelError(what, "give banks of one voxel size")

    @property
    def n_heads(self) -> int:
        """How many there are in all."""
        return sum(bank.n_heads for bank in self.banks)

    @property
    def voxel_mm(self) -> float:
        """Of their isotropic grid."""
        return self.banks[0].voxel_mm

    def head(self, number: int) -> FineHead:
        """Return a head."""
        for bank in self.banks:
            if number < bank.n_heads:
                return bank.head(number)
            number -= bank.n_heads
        raise IndexError(number)


def around_brain(head: Head, margin_mm: float) -> FineHead:
    """Return the part of a head that surrounds its intracranial space."""
    fractions, inside = head.fractions.numpy(), head.intracranial
    margin = round(margin_mm / float(np.linalg.norm(head.affine[:3, 0])))
    found = np.argwhere(inside)
    low = np.maximum(found.min(0) - margin, 0)
    high = np.minimum(found.max(0) + margin + 1, inside.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    maps = np.zeros((*(high - low), N_CHANNELS), np.uint8)
    for channel in range(N_TISSUES):  # one after the other: float32 copies of all would take gigabytes
        maps[..., channel] = np.rint(fractions[channel][box].clip(0, 1) * WHOLE)
    maps[..., INTRACRANIAL] = WHOLE * inside[box]
    affine = head.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    places = brain_places(inside[box], head.subject.seed)
    return FineHead(head.subject, maps, affine, places, box_means(maps, places))


def brain_places(inside: NDArray[np.bool_], seed: int) -> NDArray[np.int16]:
    """Return voxels (i, j, k) of a mask, at most `N_PLACES` drawn at random, (n, 3); the same seed draws the same."""
    found = np.flatnonzero(inside)
    if len(found) > N_PLACES:
        found = np.sort(stream(seed, "places").choice(found, N_PLACES, replace=False))
    return np.stack(np.unravel_index(found, inside.shape), axis=1).astype(np.int16)


def box_means(maps: NDArray[np.uint8], places: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return shares of tissues averaged over `BOXES` around places, (n_boxes, n, n_tissues)."""
    means = np.zeros((len(BOXES), len(places), N_TISSUES), np.uint8)
    for row, box in enumerate(BOXES):
        total = np.zeros(means.shape[1:], np.float32)
        for offset in product(*(range(-(side // 2), side // 2 + 1) for side in box)):
            at = np.clip(places + np.array(offset), 0, np.array(maps.shape[:3]) - 1)
            total += maps[tuple(at.T)][:, :N_TISSUES]
        means[row] = np.rint(total / np.prod(box))
    return means


def write_head(path: Path, head: FineHead) -> None:
    """Write a head; its maps come last, so that where they are, all is."""
    files: dict[str, NDArray[Any]] = {"affine": head.affine, "places": head.places, "brain": head.brain}
    for target, array in (*((_beside(path, name), one) for name, one in files.items()), (path, head.maps)):
        temporary = atomic.temporary_beside(target)
        with temporary.open("wb") as file:
            np.save(file, array)
        atomic.move(temporary, target)


def read_head(path: Path, subject: Subject, unstated: tuple[str, ...] = ()) -> FineHead:
    """Return a head of `write_head`; its maps, and the shares in its brain, are mapped into memory."""
    maps, brain = np.load(path, mmap_mode="r"), np.load(_beside(path, "brain"), mmap_mode="r")
    return FineHead(subject, maps, np.load(_beside(path, "affine")), np.load(_beside(path, "places")), brain, unstated)


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.stem}-{name}.npy")
