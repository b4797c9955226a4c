"""Digital people with known relaxation times, on whom contrast fidelity is measured.

Their tissues differ from the textbook by up to 15 % each, independently, so that a model that renders textbook values
after a segmentation is wrong by a known amount. Their one scan has no shading: harmonised scans were corrected for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES, Properties
from model.simulation.head import Head, make_head
from model.simulation.people import Subject
from model.simulation.rendering import average_over_voxels
from model.simulation.scanner import Scanner, acquire
from model.simulation.seeds import seed_of, stream
from warehouse.errors import PhantomError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid
from warehouse.prompts.record import PromptRecord

Tissue = Literal["csf", "gm", "wm"]
CHANNEL: dict[Tissue, int] = {
    "csf": TISSUES.index("csf"),
    "gm": TISSUES.index("cortex"),
    "wm": TISSUES.index("white_matter"),
}
PURE = 0.99  # least share of a voxel that counts as free of partial volume
FIELD_T = 3.0
INPUT = SequenceProtocol("T1w", "mprage", FIELD_T, 2.3, 0.003, 0.9, 9.0)
SCANNER = Scanner("Siemens", "Prisma", FIELD_T, snr=40.0, receive_bias=0.0, transmit_bias=0.0)
AGES_YEARS = (20.0, 80.0)
VERSION = 1  # raised when the same settings give other people


class Relaxation(NamedTuple):
    """Relaxation times in seconds, and proton density (1 for water)."""

    t1_s: float
    t2_s: float
    t2star_s: float
    pd: float


@dataclass(frozen=True)
class DigitalPerson:
    """One person, their scan, and the truth.

    Parameters
    ----------
    label : str
    source : Source
        T1w; its brain mask is the intracranial space.
    affine : (4, 4) array
        Voxel to world, RAS+, mm. The world is near that of MNI152.
    scale : BrainScale
        Of the scan, in its stored unit.
    shares : dict of (i, j, k) float32 arrays
        Share of each voxel that a tissue takes: csf, gm (cortex) and wm.
    relaxation : dict of Relaxation
        Of these tissues at `FIELD_T`.
    """

    label: str
    source: Source
    affine: NDArray[np.float64]
    scale: BrainScale
    shares: Mapping[Tissue, NDArray[np.float32]]
    relaxation: Mapping[Tissue, Relaxation]

    @property
    def masks(self) -> dict[Tissue, NDArray[np.bool_]]:
        """Voxels of the brain that hold a single tissue, free of partial volume."""
        return {name: (share >= PURE) & self.source.mask for name, share in self.shares.items()}


@dataclass(frozen=True)
class DigitalCohort:
    """Settings that decide people; equal ones give equal people.

    Parameters
    ----------
    n_people : int
    seed : int
    voxel_mm : float
        Of their isotropic grid.
    spread : float
        T1, T2, T2* and proton density are drawn between 1 − spread and 1 + spread of the textbook's.

    Raises
    ------
    PhantomError
        For no people, or a spread outside 0 to 0.5.
    """

    n_people: int = 12
    seed: int = 0
    voxel_mm: float = 1.0
    spread: float = 0.15

    def __post_init__(self) -> None:
        if self.n_people < 1 or not 0 <= self.spread <= 0.5:
            what = f"{self.n_people} people with a spread of {self.spread} cannot be drawn"
            raise PhantomError(what, "give one person or more, and a spread from 0 to 0.5")

    @property
    def data_id(self) -> str:
        """Hash of the settings, 16 hexadecimal digits."""
        settings = {"digital_people": VERSION, **asdict(self), "input": asdict(INPUT), "scanner": asdict(SCANNER)}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def people(self) -> Iterator[DigitalPerson]:
        """Yield the people one after the other; each takes seconds and some hundred megabytes at 1 mm."""
        for number in range(self.n_people):
            yield self.person(number)

    def person(self, number: int) -> DigitalPerson:
        """Return one person; it does not depend on how many there are."""
        return scanned(self.head(number), f"digital_{self.seed}_{number:03}", seed_of(self.seed, "digital", number))

    def head(self, number: int) -> Head:
        """Return the head of a person, with factors of relaxation times drawn for the three tissues, 1 for others."""
        random = stream(self.seed, "digital person", number)
        sex = cast(Literal["M", "F"], "FM"[int(random.integers(2))])
        subject = Subject(seed_of(self.seed, "digital anatomy", number), round(random.uniform(*AGES_YEARS), 1), sex)
        return replace(make_head(subject, self.voxel_mm), properties_scale=drawn_factors(random, self.spread))


def drawn_factors(random: np.random.Generator, spread: float) -> dict[str, tuple[float, float, float, float]]:
    """Return factors of T1, T2, T2* and PD: drawn for cerebrospinal fluid, cortex and white matter, 1 for others."""
    factors = dict.fromkeys(TISSUES, (1.0, 1.0, 1.0, 1.0))
    for channel in CHANNEL.values():
        t1, t2, t2star, pd = (float(value) for value in random.uniform(1 - spread, 1 + spread, 4))
        factors[TISSUES[channel]] = (t1, t2, t2star, pd)
    return factors


def scanned(head: Head, label: str, seed: int) -> DigitalPerson:
    """Return a head as a person: its scan on its own grid, its masks and its true relaxation times.

    T2 is at most T1, and T2* at most T2, as `Head.tissue` has it.
    """
    i, j, k = (float(size) for size in np.linalg.norm(head.affine[:3, :3], axis=0))
    acquired = acquire(head, INPUT, SCANNER, voxel_size_mm=(i, j, k), axcodes="RAS", seed=seed)
    shape = cast(tuple[int, int, int], tuple(head.fractions.shape[1:]))
    if acquired.voxels.shape == shape and np.allclose(acquired.affine, head.affine, atol=1e-4):
        voxels = acquired.voxels.astype(np.float32)  # another interpolation would only blur
    else:
        stored = torch.from_numpy(acquired.voxels.astype(np.float32))
        voxels = average_over_voxels(stored, acquired.affine, np.eye(4), Grid(shape, head.affine)).numpy()
    scale = BrainScale.of(voxels, head.intracranial)
    tissue = head.tissue(FIELD_T)
    record = PromptRecord(
        contrast=INPUT.contrast,
        vendor=SCANNER.manufacturer,
        model=SCANNER.model,
        field_strength_t=FIELD_T,
        age_years=head.subject.age_years,
        sex=head.subject.sex,
        voxel_size_mm=(i, j, k),
        repetition_time_s=INPUT.repetition_time_s,
        echo_time_s=INPUT.echo_time_s,
        inversion_time_s=INPUT.inversion_time_s,
        flip_angle_deg=INPUT.flip_angle_deg,
    )
    return DigitalPerson(
        label=label,
        source=Source(
            scale.to_network(voxels),
            head.intracranial,
            record,
            relative_spread=scale.relative_spread,
            affine=np.asarray(head.affine, np.float64),
        ),
        affine=head.affine,
        scale=scale,
        shares={name: head.fractions[channel].numpy() for name, channel in CHANNEL.items()},
        relaxation=relaxation_of(tissue),
    )


def relaxation_of(tissue: Properties) -> dict[Tissue, Relaxation]:
    """Return the relaxation times of fluid, grey and white matter from those of all tissues."""
    return {
        name: Relaxation(*(float(getattr(tissue, field)[channel]) for field in Relaxation._fields))
        for name, channel in CHANNEL.items()
    }
