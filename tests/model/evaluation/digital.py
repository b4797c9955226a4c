"""A digital person made of blocks, and models whose fidelity is known beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.data.digital_people import DigitalPerson, Relaxation, Tissue
from model.evaluation import simulator
from model.evaluation.textbook import sequence_of
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord

RELAXATION: dict[Tissue, Relaxation] = {
    "csf": Relaxation(4.0, 1.7, 0.24, 1.0),
    "gm": Relaxation(1.25, 0.078, 0.062, 0.9),
    "wm": Relaxation(0.9, 0.058, 0.046, 0.66),
}
LEFT: dict[Tissue, slice] = {"wm": slice(0, 6), "gm": slice(6, 10), "csf": slice(10, 13)}  # along i; air follows
SHAPE = (14, 6, 5)


def person(label: str = "blocks") -> DigitalPerson:
    """A brain whose tissues lie side by side from left to right, so that its mirror image is another brain."""
    shares: dict[Tissue, NDArray[np.float32]] = {name: np.zeros(SHAPE, np.float32) for name in RELAXATION}
    for name, where in LEFT.items():
        shares[name][where] = 1.0
    brain = np.zeros(SHAPE, bool)
    brain[:13] = True
    voxels = 900.0 * shares["wm"] + 700.0 * shares["gm"] + 200.0 * shares["csf"]
    scale = BrainScale.of(voxels, brain)
    record = PromptRecord("T1w", age_years=40.0, sex="F", voxel_size_mm=(3.0, 3.0, 3.0))
    source = Source(scale.to_network(voxels), brain, record, relative_spread=scale.relative_spread)
    return DigitalPerson(label, source, np.diag([3.0, 3.0, 3.0, 1.0]), scale, shares, RELAXATION)


@dataclass
class Perfect:
    """Knows the person's relaxation times and where the tissues are, and renders by the independent simulator."""

    person: DigitalPerson
    gain: float = 1.0

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        sequence = {"t2star": "gradient_echo"}.get(sequence_of(target), sequence_of(target))
        scan = simulator.Acquisition(
            sequence,  # type: ignore[arg-type]
            target.repetition_time_s or 0.0,
            target.echo_time_s or 0.0,
            target.flip_angle_deg or 0.0,
            target.inversion_time_s,
        )
        image = np.zeros(self.person.source.voxels.shape)
        for name, share in self.person.shares.items():
            image += simulator.signal(scan, self.person.relaxation[name]) * share.astype(np.float64)
        return self.gain * image


@dataclass
class Changed:
    """Another model's image after a change."""

    model: Perfect
    gain: float = 1.0
    offset: float = 0.0
    mirror: bool = False

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        image = self.gain * self.model.signal(sources, target) + self.offset
        return image[::-1] if self.mirror else image


class Deaf:
    """Ignores the prompt: always the same image."""

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        return 3.0 + sources[0].voxels.astype(np.float64)
