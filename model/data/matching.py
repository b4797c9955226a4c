"""Batches of images and prompts: images of the catalogue, simulated scans, their prompts, and others that are false."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.agreement import ACQUISITION, agreement
from model.data.boxes import BoxedImages
from model.data.changes import change_contrast
from model.data.simulated_scans import SimulatedScan, SimulatedScans
from model.data.words import ALL_WORDS
from model.physics.tissue import TISSUES
from warehouse.prompts.record import PromptRecord

UNKNOWN_SIGNALS = np.full(len(TISSUES), np.nan)
SHIFT_VOXELS = 2  # largest displacement of a catalogue image in its box
CHANGE = (1.05, 3.0)  # range of the factor by which a number is false
GAMMA = 0.05  # largest change of the exponent of its intensities
UNACQUIRED: dict[str, Any] = dict.fromkeys(ACQUISITION) | {"flip_angle_variable": False}
# What is hidden together.
GROUPS: dict[str, dict[str, Any]] = {
    "contrast": {"contrast": None, "post_contrast": False},
    "vendor": {"vendor": None},
    "field_strength": {"field_strength_t": None},
    "age": {"age_years": None},
    "sex": {"sex": None},
    "voxel_size": {"voxel_size_mm": None},
    "repetition_time": {"repetition_time_s": None},
    "echo_time": {"echo_time_s": None},
    "inversion_time": {"inversion_time_s": None},
    "flip_angle": {"flip_angle_deg": None, "flip_angle_variable": False},
}


@dataclass(frozen=True)
class MatchingBatch:
    """Images, prompts, and which belong together.

    Parameters
    ----------
    volumes : (n, 1, i, j, k) float32 tensor
        Network intensities.
    truth : list of PromptRecord
        What is known of each image.
    prompts : list of PromptRecord
        m of them; the first n are those of the images, with fields hidden. The others are further candidates.
    wanted : (n, m) float32 tensor
        How far prompt j is true of image i, 0 to 1; not a number where nobody knows.
    signals : (n, n_tissues) float32 tensor
        True magnitude of the signal of each tissue; not a number for images whose truth is unknown.
    """

    volumes: Tensor
    truth: list[PromptRecord]
    prompts: list[PromptRecord]
    wanted: Tensor
    signals: Tensor


def hide(
    record: PromptRecord, random: np.random.Generator, share: float, bare: float, unacquired: float
) -> PromptRecord:
    """Return a record with some fields left out.

    Parameters
    ----------
    share : float
        Of the fields, each by itself.
    bare : float
        Share of records that keep their contrast alone.
    unacquired : float
        Share of records that lose all parameters of the acquisition.
    """
    draw = random.random()
    if draw < bare:
        return PromptRecord(record.contrast, record.post_contrast)
    hidden: dict[str, Any] = {}
    for changes, is_hidden in zip(GROUPS.values(), random.random(len(GROUPS)) < share, strict=True):
        hidden |= changes if is_hidden else {}
    if draw < bare + unacquired:
        hidden |= UNACQUIRED
    return replace(record, **hidden)


def change_one(record: PromptRecord, random: np.random.Generator) -> PromptRecord:
    """Return a record of which one number of the acquisition, or the field strength, is false; its times still fit.

    The number is multiplied or divided by one of `CHANGE`; the field strength becomes the other common one.
    """
    known = [name for name in (*ACQUISITION, "field_strength_t") if getattr(record, name) is not None]
    if not known:
        return record
    name = str(random.choice(known))
    factor = float(np.exp(random.choice([-1, 1]) * random.uniform(*np.log(CHANGE))))
    value = float(getattr(record, name)) * factor
    if name == "field_strength_t":
        value = 1.5 if float(getattr(record, name)) > 2 else 3.0
    if name == "flip_angle_deg":
        value = min(value, 180.0)
    longest = record.repetition_time_s
    if name in ("echo_time_s", "inversion_time_s") and longest is not None:
        value = min(value, 0.9 * longest)
    if name == "repetition_time_s":
        value = max(value, 1.1 * ((record.echo_time_s or 0.0) + (record.inversion_time_s or 0.0)))
    changes: dict[str, Any] = {name: value}
    return replace(record, **changes)


@dataclass(frozen=True)
class Draws:
    """How batches are drawn.

    Parameters
    ----------
    seed, batch_size : int
    simulated_share : float
        Of the images of a batch; the others are of the catalogue.
    n_uses : int
        Batches in a row that a simulated scan is in, each time beside other prompts: it costs more than a step.
    scans_per_head : int
        Of those that are made for a batch: the maps of a head are read once for them.
    n_candidates : int
        Further prompts of a batch, of images that nobody made.
    n_changed : int
        Copies of each image's prompt in which one number is false.
    field_dropout, bare_prompts, unacquired_share : float
        As `hide` has them.
    word_share : float
        Of the simulated images, whose prompts have words that no field holds; and of the changed prompts, whose words
        are drawn at random.
    """

    seed: int
    batch_size: int
    simulated_share: float = 0.75
    n_uses: int = 2
    scans_per_head: int = 4
    n_candidates: int = 128
    n_changed: int = 3
    field_dropout: float = 0.2
    bare_prompts: float = 0.2
    unacquired_share: float = 0.3
    word_share: float = 0.1

    def complete(self) -> Draws:
        """Return the same with whole prompts, of which none is false: for measuring."""
        return replace(self, field_dropout=0.0, bare_prompts=0.0, unacquired_share=0.0, word_share=0.0, n_changed=0)


class MatchingSource:
    """Batches of catalogue images and simulated scans, each a function of seed and step.

    Parameters
    ----------
    draws : Draws
    boxed : BoxedImages or None
        Images of the catalogue; None for simulated ones alone.
    scans : SimulatedScans or None
        Where `simulated_share` is 0, its protocols alone are drawn.
    """

    def __init__(self, draws: Draws, boxed: BoxedImages | None, scans: SimulatedScans | None) -> None:
        self.draws, self.boxed, self.scans = draws, boxed, scans
        items = boxed.images.items if boxed else []
        labels = np.array([item.contrast_label for item in items])
        self.by_contrast = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        share = draws.simulated_share if scans else 0.0
        self._kept: dict[int, list[MatchedImage]] = {}
        self.n_simulated = round(share * draws.batch_size) if items else draws.batch_size

    def batch(self, step: int) -> MatchingBatch:
        """Return the batch of a step: every contrast is drawn as often as any other."""
        draws, random = self.draws, np.random.default_rng((self.draws.seed, step))
        found = [*self._simulated(step), *self._catalogued(random)]
        truth = [one.record for one in found]
        own = [self._own(one, random) for one in found]
        changed = [self._changed(one, random) for one in truth for _ in range(draws.n_changed)]
        prompts = [*own, *truth, *changed, *self._candidates(step, random)]
        return MatchingBatch(
            volumes=torch.from_numpy(np.stack([one.volume for one in found]))[:, None],
            truth=truth,
            prompts=prompts,
            wanted=agreement(truth, prompts, [one.words for one in found]),
            signals=torch.from_numpy(np.stack([one.signals for one in found]).astype(np.float32)),
        )

    def _simulated(self, step: int) -> Iterator[MatchedImage]:
        """Yield the simulated scans of a step: those that are new in it, and those of the steps before."""
        if self.scans is None or not self.n_simulated:
            return
        n_uses = min(self.draws.n_uses, self.n_simulated)
        for age in range(n_uses):
            count = self.n_simulated // n_uses + (age < self.n_simulated % n_uses)
            yield from self._new(step - age)[:count]

    def _new(self, step: int) -> list[MatchedImage]:
        """Return the scans that are first seen in a step; those of the last steps are kept."""
        if step not in self._kept:
            random = np.random.default_rng((self.draws.seed, step % 2**31, 1))
            scans = self.scans
            assert scans is not None  # whoever asks has them
            count = -(-self.n_simulated // min(self.draws.n_uses, self.n_simulated))
            n_heads = -(-count // self.draws.scans_per_head)
            heads = random.choice(scans.bank.n_heads, n_heads, replace=n_heads > scans.bank.n_heads)
            made: list[MatchedImage] = []
            for place, head in enumerate(heads.tolist()):
                names = [(step, place, number) for number in range(min(self.draws.scans_per_head, count - len(made)))]
                made += [_matched(scan) for scan in scans.scans(head, names)]
            self._kept[step] = made
            for old in sorted(self._kept)[: -self.draws.n_uses - 1]:
                del self._kept[old]
        return self._kept[step]

    def _catalogued(self, random: np.random.Generator) -> Iterator[MatchedImage]:
        if self.boxed is None:
            return
        for contrast in random.integers(len(self.by_contrast), size=self.draws.batch_size - self.n_simulated):
            row = int(random.choice(self.by_contrast[contrast]))
            item = self.boxed.images.items[row]
            volume = vary(self.boxed.volume(row), item.scale.relative_spread, random)
            yield MatchedImage(volume, item.record, UNKNOWN_SIGNALS, frozenset())

    def _own(self, image: MatchedImage, random: np.random.Generator) -> PromptRecord:
        draws = self.draws
        record = hide(image.record, random, draws.field_dropout, draws.bare_prompts, draws.unacquired_share)
        if image.words and random.random() < draws.word_share:
            record = replace(record, words=_some(sorted(image.words), random))
        return record

    def _changed(self, record: PromptRecord, random: np.random.Generator) -> PromptRecord:
        if random.random() < self.draws.word_share:
            return replace(record, words=_some(ALL_WORDS, random))
        return change_one(record, random)

    def _candidates(self, step: int, random: np.random.Generator) -> Iterator[PromptRecord]:
        """Yield prompts of images that nobody made, of all contrasts: those that no image has must be told, too."""
        draws, known = self.draws, self.boxed.images.items if self.boxed else []
        for number in range(draws.n_candidates):
            record = self.scans.record(step, number) if self.scans else known[int(random.integers(len(known)))].record
            yield hide(record, random, draws.field_dropout, draws.bare_prompts, draws.unacquired_share)


@dataclass(frozen=True)
class MatchedImage:
    """One image of a batch: network intensities, what is known of it, its tissues' signals, true words."""

    volume: NDArray[np.float32]
    record: PromptRecord
    signals: NDArray[np.float64]
    words: frozenset[str]


def _matched(scan: SimulatedScan) -> MatchedImage:
    """Return a simulated scan as an image of a batch; parameters that its signals do not follow are unknown."""
    record = scan.record if scan.is_exact else replace(scan.record, **UNACQUIRED)
    return MatchedImage(scan.volume, record, scan.signals, scan.words)


def vary(volume: NDArray[np.float32], relative_spread: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return a volume displaced, perhaps mirrored left to right, with slightly other intensities."""
    shift = random.integers(-SHIFT_VOXELS, SHIFT_VOXELS + 1, size=3)
    exponent = 1 + random.uniform(-GAMMA, GAMMA)
    moved = np.pad(volume, SHIFT_VOXELS, mode="edge")
    start = SHIFT_VOXELS + shift
    moved = moved[tuple(slice(first, first + length) for first, length in zip(start, volume.shape, strict=True))]
    return change_contrast(moved[::-1] if random.random() < 0.5 else moved, relative_spread, exponent)


def _some(words: Sequence[str], random: np.random.Generator) -> tuple[str, ...]:
    """Return one or two words."""
    return tuple(str(word) for word in random.choice(words, int(random.integers(1, 3)), replace=False))
