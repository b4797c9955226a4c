"""Batches of patches: some scans of a head on one working grid, and the voxels of the wanted one on its own grid.

Each batch is a function of seed and step, so that no state is needed to go on. Left and right are never exchanged: a
brain is nearly its own mirror image, but what is one-sided in it matters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.catalogue import Item
from model.data.changes import Changes, changed, hide, with_drawn_settings
from model.data.natives import NativeScan, block_of, working_grid
from model.data.target_voxels import Matrix, TargetVoxels, block_for
from model.physics.expected import typical_median
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import USUAL_SPREAD
from warehouse.imaging.geometry import Grid
from warehouse.imaging.itk import inverse
from warehouse.prompts.record import PromptRecord

SPAN_PERCENTILES = (0.5, 99.5)  # of a target's brain, as the evaluation scales it
LEAST_SPAN = 0.5  # spreads; every brain spans more, as one spread lies between its 10th and 90th percentile
BALANCE = 0.5  # pairs of contrasts that are seen n times are drawn n^0.5 times as often as those seen once
N_CENTRES = 4096  # brain voxels of an image around which its patches lie: 24 KB, and enough to cover a brain
TRIES = 20  # patches that are drawn until one holds a voxel of the target


class ScanSource(Protocol):
    """Scans and their images, as `NativeScans` has them."""

    items: list[Item]

    def scan(self, index: int) -> NativeScan:
        """Return a scan on its own grid."""
        ...


@dataclass(frozen=True)
class Given:
    """A scan in a patch of the working grid.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Network intensities.
    seen : (i, j, k) bool array
        Its field of view; of a stripped scan, its brain.
    size_mm : tuple of 3 float
        Extents of its own voxels along the axes of the patch.
    record : PromptRecord
        What is said of it.
    relative_spread : float
        Spread of its brain as a part of the median's signal.
    """

    voxels: NDArray[np.float32]
    seen: NDArray[np.bool_]
    size_mm: tuple[float, float, float]
    record: PromptRecord
    relative_spread: float = USUAL_SPREAD


@dataclass(frozen=True)
class Patch:
    """Scans in a patch of the working grid, and what is wanted there.

    Parameters
    ----------
    given : tuple of Given
        One scan or more.
    target : (i', j', k') float32 array
        Network intensities of the wanted scan, on its own voxels.
    mask : (i', j', k') bool array
        Its brain.
    at : TargetVoxels or None
        Where these voxels lie in the patch; None where they are those of the patch.
    size_mm : tuple of 3 float
        Extents of the wanted voxels along the axes of the patch.
    low, span : float
        Lowest intensity and range in the target's whole brain.
    record : PromptRecord
        Of the wanted scan.
    scale : tuple of 2 float or None
        Median and spread of the wanted scan's signal in its whole brain, in units of the signal equations; of a real
        scan those of a usual brain (`typical_scale`). None where its equation is unknown.
    maps : (4, i, j, k) float32 array or None
        True PD, T1, T2 and T2* (seconds) of the voxels of the patch, where they are known.
    is_stripped : bool
        Whether the wanted scan shows its brain alone, so that there is nothing to learn around it.
    """

    given: tuple[Given, ...]
    target: NDArray[np.float32]
    mask: NDArray[np.bool_]
    at: TargetVoxels | None
    size_mm: tuple[float, float, float]
    low: float
    span: float
    record: PromptRecord
    scale: tuple[float, float] | None = None
    maps: NDArray[np.float32] | None = None
    is_stripped: bool = False


@dataclass(frozen=True)
class PatchBatch:
    """Patches side by side.

    Parameters
    ----------
    voxels, seen : (batch, n, i, j, k) float32 Tensor
        Of at most n scans each; scans that are not there are unseen everywhere.
    sizes_mm : (batch, n, 3) float32 Tensor
    spreads : (batch, n) float32 Tensor
        Of brains, as parts of their median signals.
    records : list of list of PromptRecord
        n for each patch; empty records stand for scans that are not there.
    patches : list of Patch
        The wanted scans, each on its own grid.
    """

    voxels: Tensor
    seen: Tensor
    sizes_mm: Tensor
    spreads: Tensor
    records: list[list[PromptRecord]]
    patches: list[Patch]


@dataclass(frozen=True)
class BrainFacts:
    """What patches of a scan need to know of its whole brain.

    Parameters
    ----------
    low, span : float
        Lowest intensity and range, as `brain_range` has them.
    centres : (n, 3) int16 array
        Voxels (i, j, k) of the brain, at most `N_CENTRES` drawn at random; of the whole grid where the mask is empty.
    """

    low: float
    span: float
    centres: NDArray[np.int16]

    @classmethod
    def of(cls, voxels: NDArray[Any], mask: NDArray[np.bool_], seed: int) -> BrainFacts:
        """Return the facts of a scan; the same seed draws the same centres."""
        inside = np.flatnonzero(mask) if mask.any() else np.arange(mask.size)
        if len(inside) > N_CENTRES:
            inside = np.sort(np.random.default_rng(seed).choice(inside, N_CENTRES, replace=False))
        centres = np.stack(np.unravel_index(inside, mask.shape), axis=1).astype(np.int16)
        return cls(*brain_range(voxels, mask), centres)


class Patches:
    """Batches of random patches of the pairs of a catalogue.

    Parameters
    ----------
    scans : ScanSource
    pairs : sequence of (int, int)
        Indices of source and target.
    seed : int
    batch_size : int
    side : int
        Voxels along each side of a patch.
    voxel_mm : float
        Of the working grid.
    max_scans : int
        Most scans of a patch.
    changes : Changes

    Raises
    ------
    ModelError
        When there is no pair.
    """

    def __init__(
        self,
        scans: ScanSource,
        pairs: Sequence[tuple[int, int]],
        *,
        seed: int,
        batch_size: int,
        side: int,
        voxel_mm: float,
        max_scans: int = 1,
        changes: Changes | None = None,
    ) -> None:
        if not pairs:
            raise ModelError("there is no pair of images to train on", "harmonise sessions with several contrasts")
        self.scans, self.seed, self.batch_size, self.side = scans, seed, batch_size, side
        self.voxel_mm, self.max_scans, self.changes = voxel_mm, max_scans, changes or Changes()
        self.by_contrast = list(pairs_by_contrast(scans.items, pairs).values())
        weights = np.array([len(group) for group in self.by_contrast], float) ** BALANCE
        self.weights = weights / weights.sum()
        self.sources_of: dict[int, list[int]] = defaultdict(list)
        for source, target in pairs:
            self.sources_of[target].append(source)
        self.facts: dict[int, BrainFacts] = {}

    def batch(self, step: int) -> PatchBatch:
        """Return the batch of a step; the same step gives the same batch, in any order and process."""
        random = np.random.default_rng((self.seed, step))
        return joined([self.patch(random) for _ in range(self.batch_size)])

    def patch(self, random: np.random.Generator) -> Patch:
        """Return a random patch."""
        pairs = self.by_contrast[random.choice(len(self.weights), p=self.weights)]
        first, target = pairs[random.integers(len(pairs))]
        others = [index for index in self.sources_of[target] if index != first]
        n_more = 0
        if others and self.max_scans > 1 and random.random() < self.changes.several_share:
            n_more = int(random.integers(1, min(len(others), self.max_scans - 1) + 1))
        more = [others[place] for place in random.permutation(len(others))[:n_more]]
        return self.patch_of([first, *more], target, random)

    def patch_of(self, sources: Sequence[int], target: int, random: np.random.Generator) -> Patch:
        """Return a random patch of these scans, on the working grid of the first one.

        Raises
        ------
        ModelError
            When source and target do not overlap.
        """
        first = sources[0]
        base, wanted = self.scans.scan(first), self.scans.scan(target)
        grid, facts = working_grid(base.grid, self.voxel_mm), self._facts(target, wanted)
        to_grid = wanted.to(base, grid)
        for _ in range(TRIES):
            corner = [int(at) for at in self._corner(facts, to_grid, grid.shape, random)]
            # A patch may be larger than the first scan: what lies beyond is unseen, and so nothing to learn from.
            found = block_for(wanted.grid, to_grid, corner, np.minimum(self.side, grid.shape).tolist())
            if found is not None:
                break
        else:
            items = self.scans.items
            what = f"{items[first].image_id} and {items[target].image_id} do not overlap in {TRIES} patches"
            raise ModelError(what, "look at the registration of this session, or flag it")
        at, box = found
        given = [self._given(index, base, grid, corner, random) for index in sources]
        record = hide(self._told(target, random), self.changes.field_dropout, random)
        is_own = at.shape == (self.side,) * 3 and np.allclose(at.matrix, np.eye(4), atol=1e-3)
        return Patch(
            given=tuple(given),
            target=wanted.voxels[box].astype(np.float32),
            mask=wanted.mask[box],
            at=None if is_own else at,
            size_mm=_sizes(at.extents * self.voxel_mm),
            low=facts.low,
            span=facts.span,
            record=record,
            scale=typical_scale(record, self.scans.items[target].scale.relative_spread),
            is_stripped=wanted.is_stripped,
        )

    def _corner(
        self, facts: BrainFacts, to_grid: Matrix, shape: Sequence[int], random: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the first voxel of a patch around a random voxel of the target's brain, inside as far as it fits."""
        centre = facts.centres[random.integers(len(facts.centres))]
        at = to_grid[:3, :3] @ centre + to_grid[:3, 3]
        most = np.maximum(np.asarray(shape) - self.side, 0)
        return np.asarray(np.clip(np.rint(at).astype(np.int64) - self.side // 2, 0, most))

    def _given(
        self, index: int, base: NativeScan, grid: Grid, corner: Sequence[int], random: np.random.Generator
    ) -> Given:
        scan, item = self.scans.scan(index), self.scans.items[index]
        to_grid = scan.to(base, grid)
        voxels, seen = block_of(scan, inverse(to_grid), corner, self.side)
        hidden = PromptRecord() if random.random() < self.changes.source_dropout else None
        voxels, relative_spread = changed(voxels, item.scale.relative_spread, self.changes, random)
        return Given(
            voxels=voxels,
            seen=seen,
            size_mm=_sizes(np.linalg.norm(to_grid[:3, :3], axis=1) * self.voxel_mm),
            record=hidden or hide(self._told(index, random), self.changes.field_dropout, random, with_contrast=True),
            relative_spread=relative_spread,
        )

    def _told(self, index: int, random: np.random.Generator) -> PromptRecord:
        return with_drawn_settings(self.scans.items[index].record, self.changes.drawn_settings, random)

    def _facts(self, index: int, scan: NativeScan) -> BrainFacts:
        if index not in self.facts:
            self.facts[index] = BrainFacts.of(scan.voxels, scan.mask, seed=index)
        return self.facts[index]


def joined(patches: Sequence[Patch]) -> PatchBatch:
    """Return patches side by side; scans that are not there have no field of view."""
    n = max(len(patch.given) for patch in patches)
    shape = patches[0].given[0].voxels.shape
    voxels = torch.zeros(len(patches), n, *shape)
    seen, sizes = torch.zeros_like(voxels), torch.ones(len(patches), n, 3)
    spreads = torch.full((len(patches), n), USUAL_SPREAD)
    for row, patch in enumerate(patches):
        for place, one in enumerate(patch.given):
            voxels[row, place] = torch.from_numpy(one.voxels)
            seen[row, place] = torch.from_numpy(one.seen)
            sizes[row, place] = torch.tensor(one.size_mm)
            spreads[row, place] = one.relative_spread
    blank = PromptRecord()
    records = [[*(one.record for one in patch.given), *[blank] * (n - len(patch.given))] for patch in patches]
    return PatchBatch(voxels, seen, sizes, spreads, records, list(patches))


def pairs_by_contrast(
    items: Sequence[Item], pairs: Sequence[tuple[int, int]]
) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return the pairs by source and target contrast, in the order of their names."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for source, target in pairs:
        found[items[source].contrast_label, items[target].contrast_label].append((source, target))
    return {key: found[key] for key in sorted(found)}


def typical_scale(record: PromptRecord, relative_spread: float) -> tuple[float, float] | None:
    """Return median and spread of a scan's signal in units of the signal equations, as of a usual brain.

    Parameters
    ----------
    record : PromptRecord
    relative_spread : float
        Spread of the scan as a part of its median, which does not depend on the scanner's gain.
    """
    median = typical_median(record)
    return None if median is None else (median, relative_spread * median)


def brain_range(voxels: NDArray[Any], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the lowest intensity and the range of intensities in a brain, between percentiles."""
    inside = (voxels[mask] if mask.any() else voxels).astype(np.float32)
    low, high = np.percentile(inside, SPAN_PERCENTILES)
    return float(low), max(float(high - low), LEAST_SPAN)


def _sizes(sizes: NDArray[np.float64]) -> tuple[float, float, float]:
    i, j, k = (float(size) for size in sizes)
    return i, j, k
