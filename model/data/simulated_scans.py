"""Simulated scans of banked heads: random protocols, scanner faults and fields of view, in the text encoder's box.

Protocols are drawn independently of anatomy and centre: what a network can say of a parameter, it must have read in the
image. Each scan has relaxation times of its own, so that a few hundred heads are many more people.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.data.head_bank import CHANNELS, SWI_TESLA_S, BankedHead, HeadBank
from model.data.random_pairs import SCANNERS, Ranges, random_subject, record_of
from model.data.words import true_words
from model.physics.contrast import inflow_signals, signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import N_TISSUES, TISSUES, Properties
from model.simulation.ageing import relaxation_scale
from model.simulation.head import scaled_tissue
from model.simulation.people import Subject
from model.simulation.protocols import VARIANTS, draw_protocol
from model.simulation.scanner import Scanner, smooth_field
from model.simulation.seeds import stream
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord

LABELS = (*VARIANTS, "ceT1w")  # drawn equally often
INSIDE, FRESH, FIRST_SWI = (CHANNELS.index(name) for name in ("intracranial", "fresh_blood", "swi_0"))
RAYLEIGH = np.pi / 2  # mean square of the noise floor of a magnitude, over the variance of one channel


@dataclass(frozen=True)
class Faults:
    """Ranges of what scanners and people do to an image; pairs of numbers are lowest and highest.

    Parameters
    ----------
    snr : tuple of 2 float
        Brain signal over the noise of one voxel of the acquisition.
    voxels_averaged : tuple of 2 float
        Square root of the acquired voxels in one of the box.
    receive_bias : tuple of 2 float
        As `Scanner` has it, after whatever correction.
    rotation_deg, shift_mm, stretch : float
        Standard deviations of the pose, and of the size as a share.
    stripped_share, cut_share, defaced_share : float
        Share of scans without skull, with a short field of view, without face.
    thick_share : float
        Share of scans with slices of `slice_mm`.
    slice_mm, voxel_mm : tuple of 2 float
    gamma_share, gamma : float
        Share of scans with another exponent of the intensities, and its largest change.
    deviating_share, deviation : float
        Share of scans in which each tissue's signal deviates from its equation, and the standard deviation of the
        logarithm. Equations of this kind differ from scans by up to 19 % at extreme settings (PMC11042016); such a
        scan teaches its contrast, but says nothing of its parameters.
    """

    snr: tuple[float, float] = (10.0, 50.0)
    voxels_averaged: tuple[float, float] = (1.5, 8.0)
    receive_bias: tuple[float, float] = (0.0, 0.4)
    rotation_deg: float = 6.0
    shift_mm: float = 5.0
    stretch: float = 0.04
    stripped_share: float = 0.4
    cut_share: float = 0.3
    defaced_share: float = 0.3
    thick_share: float = 0.4
    slice_mm: tuple[float, float] = (2.5, 6.0)
    voxel_mm: tuple[float, float] = (0.7, 1.3)
    gamma_share: float = 0.2
    gamma: float = 0.1
    deviating_share: float = 0.0
    deviation: float = 0.12


@dataclass(frozen=True)
class SimulatedScan:
    """One scan and its truth.

    Parameters
    ----------
    volume : (i, j, k) float32 array
        Network intensities in the box; R, A, S.
    record : PromptRecord
        Complete.
    protocol : SequenceProtocol
    signals : (n_tissues,) float64 array
        Magnitude of the signal of this person's tissues, in the order of `TISSUES`.
    person : str
    is_stripped : bool
    words : frozenset of str
        Words without a field that are true of it, see `model.data.words`.
    is_exact : bool
        Whether its signals are those of its equation.
    """

    volume: NDArray[np.float32]
    record: PromptRecord
    protocol: SequenceProtocol
    signals: NDArray[np.float64]
    person: str
    is_stripped: bool
    words: frozenset[str] = frozenset()
    is_exact: bool = True


class SimulatedScans:
    """An endless stream of scans of a bank's heads, each a function of seed and name.

    Parameters
    ----------
    bank : HeadBank
    seed : int
    wide_share : float
        Share of protocols from the whole clinical range instead of the usual one of their contrast.
    faults : Faults
    labels : sequence of str
        Contrasts, drawn equally often; ceT1w is after gadolinium.
    """

    def __init__(
        self,
        bank: HeadBank,
        seed: int,
        wide_share: float = 0.5,
        faults: Faults | None = None,
        labels: Sequence[str] = LABELS,
    ) -> None:
        self.bank, self.seed, self.wide_share, self.labels = bank, seed, wide_share, tuple(labels)
        self.faults = faults or Faults()

    def scan(self, head_number: int, name: object) -> SimulatedScan:
        """Return one scan of a head; the same name gives the same scan."""
        return next(self.scans(head_number, [name]))

    def scans(self, head_number: int, names: Sequence[object]) -> Iterator[SimulatedScan]:
        """Yield scans of a head, whose maps are read once."""
        head = self.bank.head(head_number)
        maps = head.maps.float()
        for name in names:
            yield self._scan(head, maps, head_number, name)

    def _scan(self, head: BankedHead, maps: Tensor, head_number: int, name: object) -> SimulatedScan:
        random = stream(self.seed, "scan", head_number, name)
        scanner, protocol = self._acquisition(random)
        subject = replace(head.subject, seed=int(random.integers(2**31)))  # its relaxation times alone are drawn anew
        tissue = scaled_tissue(protocol.field_strength_t, relaxation_scale(subject))
        is_exact = random.random() >= self.faults.deviating_share
        deviation = 0.0 if is_exact else self.faults.deviation
        factors = torch.from_numpy(np.exp(random.normal(0, 1, N_TISSUES) * deviation))
        image = rendered(maps, protocol, tissue, scanner.transmit_bias, random, factors)
        is_stripped = random.random() < self.faults.stripped_share
        voxel_size_mm = self._voxel_size(random)
        volume = self._faulty(image, maps[INSIDE], voxel_size_mm, is_stripped, random)
        return SimulatedScan(
            volume=volume,
            record=as_stated(record_of(head.subject, protocol, scanner, voxel_size_mm), protocol, random),
            protocol=protocol,
            signals=(signals_of([protocol], tissue)[0] * factors).numpy(),
            person=f"simulated_{self.bank.seed}_{head_number}",
            is_stripped=is_stripped,
            words=true_words(_facts(head.subject, protocol, voxel_size_mm, is_stripped)),
            is_exact=is_exact,
        )

    def record(self, *name: object) -> PromptRecord:
        """Return the record of a scan that nobody makes: a prompt among which images look for theirs."""
        random = stream(self.seed, "record", *name)
        subject = random_subject(Ranges(), "nobody", self.seed, *name)
        scanner, protocol = self._acquisition(random)
        return as_stated(record_of(subject, protocol, scanner, self._voxel_size(random)), protocol, random)

    def _acquisition(self, random: np.random.Generator) -> tuple[Scanner, SequenceProtocol]:
        scanner = SCANNERS[int(random.integers(len(SCANNERS)))]
        label = str(random.choice(self.labels))
        protocol = draw_protocol(
            label.removeprefix("ce"),
            random,
            scanner.field_strength_t,
            label.startswith("ce"),
            is_wide=random.random() < self.wide_share,
        )
        return scanner, protocol

    def _voxel_size(self, random: np.random.Generator) -> tuple[float, float, float]:
        """Draw nearly cubic voxels, or slices across an axis."""
        size = [round(float(random.uniform(*self.faults.voxel_mm)), 2)] * 3
        axis, slice_mm = int(random.integers(3)), round(float(random.uniform(*self.faults.slice_mm)), 1)
        if random.random() < self.faults.thick_share:
            size[axis] = slice_mm
        return size[0], size[1], size[2]

    def _faulty(
        self,
        image: Tensor,
        inside: Tensor,
        voxel_size_mm: tuple[float, float, float],
        is_stripped: bool,
        random: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Return network intensities of an image after blur, bias, noise, pose and cuts."""
        faults, brain = self.faults, inside > 0.5
        level = float(image[brain].mean())
        for axis, size_mm in enumerate(voxel_size_mm):
            image = blurred(image, axis, size_mm / self.bank.box.voxel_mm)
        image = image * smooth_field(image.shape, random, float(random.uniform(*faults.receive_bias)))
        sigma = level / float(random.uniform(*faults.snr))
        shape = tuple(image.shape)
        noise = torch.from_numpy(random.standard_normal(shape, np.float32))
        left = float(random.uniform(*faults.voxels_averaged))
        image = (torch.sqrt(image**2 + RAYLEIGH * sigma**2) + sigma / left * noise).clamp_min(0.0)
        if random.random() < faults.gamma_share:
            image = level * (image / level) ** float(1 + random.uniform(-faults.gamma, faults.gamma))
        image, inside = _moved(torch.stack([image, inside]), self._pose(image.shape, random))
        brain = inside > 0.5
        voxels = (image * self._seen(brain, is_stripped, inside, random)).numpy()
        return BrainScale.of(voxels, brain.numpy()).to_network(voxels)

    def _pose(self, shape: Sequence[int], random: np.random.Generator) -> Tensor:
        """Return a random rotation, shift, stretch and perhaps mirroring left to right, (3, 4).

        It is in the coordinates of `grid_sample`, which run from −1 to 1 along k, j and i.
        """
        faults = self.faults
        angles = np.radians(random.normal(0, faults.rotation_deg, 3))
        turn = torch.matrix_exp(torch.tensor(np.cross(np.eye(3), angles), dtype=torch.float32))
        turn = turn * torch.from_numpy(np.exp(random.normal(0, faults.stretch, 3)).astype(np.float32))
        if random.random() < 0.5:
            turn[:, 0] *= -1
        half = torch.tensor(shape, dtype=torch.float32) / 2
        matrix = (turn * half[None, :] / half[:, None]).flip(0, 1)
        shift = (
            torch.from_numpy(random.normal(0, faults.shift_mm, 3).astype(np.float32)) / self.bank.box.voxel_mm / half
        )
        return torch.cat([matrix, shift.flip(0)[:, None]], 1)

    def _seen(self, brain: Tensor, is_stripped: bool, inside: Tensor, random: np.random.Generator) -> Tensor:
        """Return 1 where the scan has signal, 0 where it was stripped, defaced or not imaged."""
        faults, shape = self.faults, brain.shape
        seen = torch.ones(shape)
        if is_stripped:
            seen = (inside > float(random.uniform(0.3, 0.8))).float()
        elif random.random() < faults.defaced_share:
            low, front = brain.nonzero().float().quantile(torch.tensor([0.05, 0.9]), dim=0)[[0, 1], [2, 1]]
            j, k = torch.meshgrid(torch.arange(shape[1]), torch.arange(shape[2]), indexing="ij")
            slope = float(random.uniform(0.2, 1.5))
            seen[:, (j - front) - slope * (k - low) > float(random.uniform(0, 4))] = 0.0
        if random.random() < faults.cut_share:
            axis, from_start = int(random.integers(3)), random.random() < 0.5
            n_cut = int(shape[axis] * random.uniform(0.05, 0.25))
            where = slice(0, n_cut) if from_start else slice(shape[axis] - n_cut, None)
            seen[tuple(where if at == axis else slice(None) for at in range(3))] = 0.0
        return seen


def as_stated(record: PromptRecord, protocol: SequenceProtocol, random: np.random.Generator) -> PromptRecord:
    """Return a record as half of the sidecars have it: with the nominal angle of a train whose angle varies."""
    if protocol.flip_angle_variable and random.random() < 0.5:
        return replace(record, flip_angle_variable=False, flip_angle_deg=protocol.flip_angle_deg)
    return record


def _facts(
    subject: Subject, protocol: SequenceProtocol, voxel_size_mm: tuple[float, float, float], is_stripped: bool
) -> list[str]:
    """Return what holds of a scan, as keys of `model.data.words.MEANINGS`."""
    facts = [protocol.sequence, "stripped" if is_stripped else "with skull", *(subject.lesions or ("healthy",))]
    return [*facts, "thick slices"] if max(voxel_size_mm) > 2 * min(voxel_size_mm) else facts


def rendered(
    maps: Tensor,
    protocol: SequenceProtocol,
    tissue: Properties,
    transmit_bias: float,
    random: np.random.Generator,
    factors: Tensor | float = 1.0,
) -> Tensor:
    """Return the noiseless magnitude of banked maps under a protocol, (i, j, k).

    The flip angle varies as in `model.simulation.rendering`. A voxel of the box holds many voxels of a scan. Where
    these are pure their magnitudes add, where they are mixed their signed signals do: a random share of both is taken.
    Signals of tissues are multiplied by `factors`.
    """
    shape = maps.shape[1:]
    fractions = maps[:N_TISSUES].flatten(1)
    half = max(transmit_bias / 2, 1e-3)
    scales = (1 - half, 1.0, 1 + half)
    signals = torch.cat([signals_of([protocol], tissue, b1=scale, signed=True) for scale in scales])
    signals = (signals * factors).float()
    pure = float(random.random())
    place = (smooth_field(shape, random, 2 * half) - 1).flatten() / half
    low, middle, high = (pure * signals.abs() + (1 - pure) * signals) @ fractions  # the same where nothing is negative
    image = (middle + place * ((high - low) / 2 + place * ((high + low) / 2 - middle))).abs().reshape(shape)
    if protocol.sequence == "time_of_flight":
        artery = TISSUES.index("artery")
        image = image + float(inflow_signals([protocol], tissue)[0, artery]) * maps[FRESH]
    if protocol.sequence == "swi":
        image = image * _phase_mask(maps, protocol.field_strength_t * protocol.echo_time_s)
    magnitude: Tensor = image
    return magnitude


def _moved(channels: Tensor, matrix: Tensor) -> Tensor:
    """Return (n, i, j, k) channels under a pose of `SimulatedScans._pose`; from outside comes 0."""
    grid = F.affine_grid(matrix[None], [1, 1, *channels.shape[1:]], False)
    moved: Tensor = F.grid_sample(channels[None], grid, align_corners=False)[0]
    return moved


def _phase_mask(maps: Tensor, tesla_s: float) -> Tensor:
    """Return the phase mask at a product of field strength and echo time, between those that are kept."""
    place = float(np.interp(tesla_s, SWI_TESLA_S, np.arange(len(SWI_TESLA_S))))
    below = min(int(place), len(SWI_TESLA_S) - 2)
    return torch.lerp(maps[FIRST_SWI + below], maps[FIRST_SWI + below + 1], place - below)


def blurred(image: Tensor, axis: int, size_voxels: float) -> Tensor:
    """Return an image averaged along an axis as by voxels of a size: a kernel of three with the variance of a box."""
    side = min(size_voxels**2 / 24, 1 / 3)
    if side < 0.01:
        return image
    before = torch.cat([image.narrow(axis, 0, 1), image.narrow(axis, 0, image.shape[axis] - 1)], axis)
    after = torch.cat([image.narrow(axis, 1, image.shape[axis] - 1), image.narrow(axis, -1, 1)], axis)
    averaged: Tensor = (1 - 2 * side) * image + side * (before + after)
    return averaged
