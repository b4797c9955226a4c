"""Pairs of simulated images made while a model trains: random heads × random protocols × random scanners, no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from model.data.changes import with_settings_of
from model.physics.protocol import SequenceProtocol
from model.simulation.head import Head, make_head
from model.simulation.people import LESIONS, Subject
from model.simulation.protocols import VARIANTS, draw_protocol
from model.simulation.rendering import average_over_voxels
from model.simulation.scanner import CENTER_SCANNERS, Scanner, acquire
from model.simulation.seeds import seed_of, stream
from warehouse.errors import PhantomError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid
from warehouse.prompts.record import PromptRecord

SCANNERS = tuple(scanner for scanners in CENTER_SCANNERS.values() for scanner in scanners)


class RandomPair(TypedDict):
    """Network intensities (1, i, j, k) float32 on one grid, RAS+; mask (1, i, j, k) bool, the intracranial space."""

    source: Tensor
    target: Tensor
    mask: Tensor
    affine: Tensor
    source_record: PromptRecord
    target_record: PromptRecord


@dataclass(frozen=True)
class Ranges:
    """What is drawn from what; pairs of numbers are lowest and highest.

    Parameters
    ----------
    age_years, deformation_mm : tuple of 2 float
    lesion_share : float
        Share of heads with lesions of one kind.
    contrasts : tuple of str
        Source and target are drawn from these, each by itself; a T1w is after gadolinium in `post_contrast_share`.
    thick_share : float
        Share of images with slices of `slice_mm`; the others are isotropic at the grid's size.
    snr, receive_bias : tuple of 2 float
        As `Scanner` has them.
    """

    age_years: tuple[float, float] = (6.0, 95.0)
    deformation_mm: tuple[float, float] = (2.0, 6.0)
    lesion_share: float = 0.4
    contrasts: tuple[str, ...] = tuple(VARIANTS)
    post_contrast_share: float = 0.2
    thick_share: float = 0.4
    slice_mm: tuple[float, float] = (3.0, 6.0)
    snr: tuple[float, float] = (10.0, 50.0)
    receive_bias: tuple[float, float] = (0.0, 0.3)


class RandomPairs(IterableDataset[RandomPair]):
    """An endless, reproducible stream of pairs.

    Head n of a seed is the same on any number of workers; worker w of W makes heads w, w + W, w + 2W …
    A `DataLoader` needs a `collate_fn` that leaves the records alone.

    Parameters
    ----------
    seed : int
    resolution_mm : float
        Of the grid, isotropic.
    pairs_per_head : int
        A head costs more than a scan, so that it is scanned several times.
    n_heads : int or None
        The stream ends after so many; None never does.
    ranges : Ranges

    Raises
    ------
    PhantomError
        For counts below one or a contrast that is not simulated.
    """

    def __init__(
        self,
        seed: int,
        resolution_mm: float = 2.0,
        pairs_per_head: int = 8,
        n_heads: int | None = None,
        ranges: Ranges | None = None,
    ) -> None:
        self.ranges = ranges or Ranges()
        if pairs_per_head < 1 or (n_heads is not None and n_heads < 1):
            raise PhantomError(f"{pairs_per_head} pairs of {n_heads} heads are no stream", "give counts of 1 or more")
        if unknown := set(self.ranges.contrasts) - set(VARIANTS):
            raise PhantomError(f"no such contrasts: {sorted(unknown)}", f"choose from {', '.join(VARIANTS)}")
        self.seed, self.resolution_mm, self.pairs_per_head, self.n_heads = seed, resolution_mm, pairs_per_head, n_heads

    def __iter__(self) -> Iterator[RandomPair]:
        """Yield the pairs of this worker's heads."""
        worker = get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        while self.n_heads is None or number < self.n_heads:
            yield from self.pairs_of(number)
            number += step

    def pairs_of(self, number: int) -> Iterator[RandomPair]:
        """Yield the pairs of head `number`."""
        head = make_head(random_subject(self.ranges, self.seed, number), self.resolution_mm)
        for pair in range(self.pairs_per_head):
            yield make_pair(head, self.ranges, (self.seed, number, pair))


def random_subject(ranges: Ranges, *names: object) -> Subject:
    """Draw who is imaged; the same names give the same person."""
    random = stream("subject", *names)
    has_lesions = random.random() < ranges.lesion_share
    return Subject(
        seed=seed_of("anatomy", *names) % 2**31,
        age_years=round(float(random.uniform(*ranges.age_years)), 1),
        sex="F" if random.random() < 0.5 else "M",
        deformation_mm=float(random.uniform(*ranges.deformation_mm)),
        lesions=(str(random.choice(LESIONS)),) if has_lesions else (),
    )


def make_pair(head: Head, ranges: Ranges, names: Sequence[object]) -> RandomPair:
    """Scan a head twice on one scanner of random faults; the same names give the same pair."""
    random = stream("pair", *names)
    scanner = replace(
        SCANNERS[int(random.integers(len(SCANNERS)))],
        snr=float(random.uniform(*ranges.snr)),
        receive_bias=float(random.uniform(*ranges.receive_bias)),
    )
    source, source_record = _scan(head, ranges, scanner, random, seed_of("source", *names))
    target, target_record = _scan(head, ranges, scanner, random, seed_of("target", *names))
    return RandomPair(
        source=source,
        target=target,
        mask=torch.from_numpy(head.intracranial)[None],
        affine=torch.from_numpy(head.affine),
        source_record=source_record,
        target_record=target_record,
    )


def _scan(
    head: Head, ranges: Ranges, scanner: Scanner, random: np.random.Generator, seed: int
) -> tuple[Tensor, PromptRecord]:
    contrast = str(random.choice(ranges.contrasts))
    is_post_contrast = contrast == "T1w" and random.random() < ranges.post_contrast_share
    protocol = draw_protocol(contrast, random, scanner.field_strength_t, is_post_contrast)
    size_mm = _voxel_size(head, ranges, random)
    acquired = acquire(head, protocol, scanner, voxel_size_mm=size_mm, axcodes="RAS", seed=seed)
    i, j, k = head.fractions.shape[1:]
    here = average_over_voxels(
        torch.from_numpy(acquired.voxels.astype(np.float32)), acquired.affine, np.eye(4), Grid((i, j, k), head.affine)
    )
    return _scaled(here, head.intracranial)[None], record_of(head.subject, protocol, scanner, size_mm)


def _voxel_size(head: Head, ranges: Ranges, random: np.random.Generator) -> tuple[float, float, float]:
    """Draw isotropic voxels of the head's own size, or slices across a random axis."""
    size = [round(float(step), 2) for step in np.linalg.norm(head.affine[:3, :3], axis=0)]
    axis, slice_mm = int(random.integers(3)), float(random.uniform(*ranges.slice_mm))
    if random.random() < ranges.thick_share:
        size[axis] = round(max(slice_mm, size[axis]), 1)
    return size[0], size[1], size[2]


def _scaled(image: Tensor, mask: NDArray[np.bool_]) -> Tensor:
    """Return network intensities."""
    voxels = image.numpy()
    return torch.from_numpy(BrainScale.of(voxels, mask).to_network(voxels))


def record_of(
    subject: Subject, protocol: SequenceProtocol, scanner: Scanner, size_mm: tuple[float, float, float]
) -> PromptRecord:
    """Return what a complete prompt says of a simulated scan."""
    record = PromptRecord(
        contrast=protocol.contrast,
        post_contrast=protocol.is_post_contrast,
        vendor=scanner.manufacturer,
        model=scanner.model,
        field_strength_t=scanner.field_strength_t,
        age_years=subject.age_years,
        sex=subject.sex,
        voxel_size_mm=size_mm,
    )
    return with_settings_of(record, protocol)
