"""Batches of crops from pairs of images: each is a function of seed and step, so that no state is needed to go on.

Only the crops are read from a store, not whole volumes; what depends on the whole brain (its range of intensities,
where it lies) is measured once per image and kept.

Left and right are never exchanged: a brain is nearly its own mirror image, but what is one-sided in it matters.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.catalogue import Item, Sample
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import harden, soften
from warehouse.prompts.record import PromptRecord

Corner = tuple[int, int, int]  # first voxel (i, j, k) of a crop
# Source, target and mask (3, i, j, k); lowest intensity and range of the target's brain; both records.
Crop = tuple[NDArray[np.float32], tuple[float, float], PromptRecord, PromptRecord]

SPAN_PERCENTILES = (0.5, 99.5)  # of a target's brain, as the evaluation scales it
LEAST_SPAN = 0.5  # spreads; every brain spans more, as one spread lies between its 10th and 90th percentile
BALANCE = 0.5  # pairs of contrasts that are seen n times are drawn n^0.5 times as often as those seen once
HIDEABLE = (
    "vendor",
    "model",
    "field_strength_t",
    "age_years",
    "sex",
    "voxel_size_mm",
    "repetition_time_s",
    "echo_time_s",
    "inversion_time_s",
    "flip_angle_deg",
)


N_CENTRES = 4096  # brain voxels of an image around which its crops lie: 24 KB, and enough to cover a brain


class ImageSource(Protocol):
    """Images and the ordered pairs among them, as `CatalogueImages` has them."""

    items: list[Item]
    pairs: list[tuple[int, int]]

    @property
    def fits_in_memory(self) -> bool:
        """Whether all volumes can be kept in memory."""
        ...

    def volume(self, index: int) -> Sample:
        """Return the voxels of an image."""
        ...

    def patch(self, index: int, corner: Corner, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a cube of an image, in network intensities, and of its brain mask."""
        ...


@dataclass(frozen=True)
class BrainFacts:
    """What crops of an image need to know of its whole brain.

    Parameters
    ----------
    low, span : float
        Lowest intensity and range, as `brain_range` has them.
    centres : (n, 3) int16 array
        Voxels (i, j, k) of the brain, at most `N_CENTRES` drawn at random; of the whole grid where the mask is empty.
    shape : tuple of int
        Voxels of the image along i, j, k.
    """

    low: float
    span: float
    centres: NDArray[np.int16]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, sample: Sample, seed: int) -> BrainFacts:
        """Return the facts of an image; the same seed draws the same centres."""
        inside = np.flatnonzero(sample.mask) if sample.mask.any() else np.arange(sample.mask.size)
        if len(inside) > N_CENTRES:
            inside = np.sort(np.random.default_rng(seed).choice(inside, N_CENTRES, replace=False))
        centres = np.stack(np.unravel_index(inside, sample.mask.shape), axis=1).astype(np.int16)
        return cls(*brain_range(sample), centres, sample.voxels.shape)


@dataclass(frozen=True)
class Batch:
    """Sources, targets, and the records of both.

    Parameters
    ----------
    source, target, mask : (batch, 1, i, j, k) float32 Tensor
        Network intensities; the target's brain as 0 or 1.
    low, span : (batch,) Tensor
        Lowest intensity and range in the target's whole brain.
    source_records, target_records : list of PromptRecord
    """

    source: Tensor
    target: Tensor
    mask: Tensor
    low: Tensor
    span: Tensor
    source_records: list[PromptRecord]
    target_records: list[PromptRecord]

    def to(self, device: str | torch.device) -> Batch:
        """Return the same on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("source", "target", "mask", "low", "span")}
        return replace(self, **moved)


class Crops:
    """Batches of random crops.

    Parameters
    ----------
    images : ImageSource
    seed : int
    batch_size : int
    side : int
        Voxels along each side of the cubes.
    field_dropout : float
        Share of a prompt's fields that are hidden; the target's contrast never is.
    source_dropout : float
        Share of source prompts that are hidden altogether.
    intensity_jitter : float
        Largest change of the exponent of the source's signal.

    Raises
    ------
    ModelError
        When there is no pair.
    """

    def __init__(
        self,
        images: ImageSource,
        *,
        seed: int,
        batch_size: int,
        side: int,
        field_dropout: float = 0.0,
        source_dropout: float = 0.0,
        intensity_jitter: float = 0.0,
    ) -> None:
        if not images.pairs:
            raise ModelError("there is no pair of images to train on", "harmonise sessions with several contrasts")
        self.images, self.seed, self.batch_size, self.side = images, seed, batch_size, side
        self.field_dropout, self.source_dropout = field_dropout, source_dropout
        self.intensity_jitter = intensity_jitter
        self.by_contrast = list(pairs_by_contrast(images).values())
        weights = np.array([len(pairs) for pairs in self.by_contrast], float) ** BALANCE
        self.weights = weights / weights.sum()
        self.facts: dict[int, BrainFacts] = {}

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; the same step gives the same batch, in any order and process."""
        random = np.random.default_rng((self.seed, step))
        crops = [self._crop(random) for _ in range(self.batch_size)]
        voxels = np.stack([crop[0] for crop in crops])[:, :, None]
        source, target, mask = (torch.from_numpy(np.ascontiguousarray(voxels[:, n])) for n in range(3))
        low, span = torch.tensor([crop[1] for crop in crops], dtype=torch.float32).unbind(1)
        return Batch(source, target, mask, low, span, [crop[2] for crop in crops], [crop[3] for crop in crops])

    def _crop(
        self, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], tuple[float, float], PromptRecord, PromptRecord]:
        pairs = self.by_contrast[random.choice(len(self.weights), p=self.weights)]
        source, target = pairs[random.integers(len(pairs))]
        facts = self._facts(target)
        corner = random_corner(facts, self.side, random)
        exponent = 1 + self.intensity_jitter * random.uniform(-1, 1)
        given, wanted = self.images.patch(source, corner, self.side), self.images.patch(target, corner, self.side)
        spread = self.images.items[source].scale.relative_spread
        voxels = np.stack([change_contrast(given[0], spread, exponent), wanted[0], wanted[1]])
        records = self.images.items[source].record, self.images.items[target].record
        hidden = PromptRecord() if random.random() < self.source_dropout else None
        source_record = hidden or hide(records[0], self.field_dropout, random, with_contrast=True)
        target_record = hide(records[1], self.field_dropout, random)
        return voxels.astype(np.float32), (facts.low, facts.span), source_record, target_record

    def _facts(self, index: int) -> BrainFacts:
        if index not in self.facts:
            self.facts[index] = BrainFacts.of(self.images.volume(index), seed=index)
        return self.facts[index]


def pairs_by_contrast(images: ImageSource) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return the pairs by source and target contrast, in the order of their names."""
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for source, target in images.pairs:
        found[images.items[source].contrast_label, images.items[target].contrast_label].append((source, target))
    return {key: found[key] for key in sorted(found)}


def change_contrast(intensities: NDArray[np.float32], relative_spread: float, exponent: float) -> NDArray[np.float32]:
    """Return network intensities whose signal was raised to a power; the brain's median stays, and nearly its spread.

    Parameters
    ----------
    intensities : (i, j, k) float32 array
    relative_spread : float
        Of their scale; so the signal is 1 at the median, and 0 where there is none.
    exponent : float
    """
    signal = np.maximum(1 + relative_spread * harden(intensities.astype(np.float64)), 0)
    return soften((signal**exponent - 1) / (relative_spread * exponent)).astype(np.float32)


def brain_range(sample: Sample) -> tuple[float, float]:
    """Return the lowest intensity and the range of intensities in a brain, between percentiles."""
    inside = sample.voxels[sample.mask] if sample.mask.any() else sample.voxels
    low, high = np.percentile(inside, SPAN_PERCENTILES)
    return float(low), max(float(high - low), LEAST_SPAN)


def hide(
    record: PromptRecord, share: float, random: np.random.Generator, *, with_contrast: bool = False
) -> PromptRecord:
    """Return a record some of whose fields are missing."""
    draws = random.random(len(HIDEABLE) + 1)
    changes: dict[str, Any] = {name: None for name, draw in zip(HIDEABLE, draws, strict=False) if draw < share}
    if "flip_angle_deg" in changes:
        changes["flip_angle_variable"] = False
    if with_contrast and draws[-1] < share:
        changes |= {"contrast": None, "post_contrast": False}
    return replace(record, **changes)


def random_corner(facts: BrainFacts, side: int, random: np.random.Generator) -> Corner:
    """Return the first voxel of a cube around a random voxel of the brain, within the image as far as it fits."""
    centre = facts.centres[random.integers(len(facts.centres))]
    i, j, k = (max(0, min(int(at) - side // 2, size - side)) for at, size in zip(centre, facts.shape, strict=True))
    return i, j, k
