"""What the scans of a simulated patch are acquired with: protocols, scanners and voxel sizes.

All are drawn independently of the head: what a network can say of a parameter, it must have read in the images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from model.data.patch_acquisition import Floats
from model.data.random_pairs import SCANNERS
from model.data.simulated_scans import Faults
from model.physics.contrast import signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import Properties
from model.simulation.protocols import draw_protocol
from model.simulation.scanner import Scanner

LABELS = ("T1w", "ceT1w", "T2w", "PDw", "FLAIR", "T2starw")  # drawn equally often
WIDE_SHARE = 0.5  # of protocols that are drawn from the whole clinical range
ONE_SCANNER_SHARE = 0.7  # of patches whose scans are of one scanner, as those of a session are
STACKS_SHARE = 0.4  # of patches with several sources: they are of one protocol, with slices across different axes
OWN_VOXELS_SHARE = 0.4  # of wanted scans on voxels of their own; the others have those of the patch
ISOTROPIC_SHARE = 0.4  # of wanted scans on voxels of their own
COARSER = (1.2, 2.5)  # isotropic voxels of wanted scans, in those of the patch


@dataclass(frozen=True)
class Acquisition:
    """What one scan is acquired with.

    Parameters
    ----------
    protocol : SequenceProtocol
    scanner : Scanner
    size_mm : tuple of 3 float
        Of its voxels along the axes of the patch.
    """

    protocol: SequenceProtocol
    scanner: Scanner
    size_mm: tuple[float, float, float]

    def signals(self, tissue: Properties, half: float) -> Floats:
        """Return signed signals of tissues at flip angles of 1 − half, 1 and 1 + half of the nominal, (3, n_tissues).

        With a half of 0, only at the nominal one, (1, n_tissues).
        """
        scales = (1 - half, 1.0, 1 + half) if half else (1.0,)
        return torch.cat([signals_of([self.protocol], tissue, b1=one, signed=True) for one in scales]).float().numpy()


@dataclass(frozen=True)
class Acquisitions:
    """Draws the scans of patches.

    Parameters
    ----------
    faults : Faults
        Sizes of voxels and slices, and the share of thick ones.
    voxel_mm : float
        Of the working grid.
    max_scans : int
        Most sources of a patch.
    several_share : float
        Share of patches with more than one source.
    """

    faults: Faults
    voxel_mm: float
    max_scans: int
    several_share: float

    def draw(self, random: np.random.Generator) -> tuple[list[Acquisition], Acquisition]:
        """Draw what the sources and the wanted scan are acquired with."""
        one = self._scanner(random) if random.random() < ONE_SCANNER_SHARE else None
        n = 1
        if self.max_scans > 1 and random.random() < self.several_share:
            n = int(random.integers(2, self.max_scans + 1))
        sources = [self._acquisition(one, random) for _ in range(n)]
        if n > 1 and random.random() < STACKS_SHARE:
            in_plane, slice_mm = self._in_plane(random), self._slice(random)
            axes = random.permutation(3)[:n]
            sources = [replace(sources[0], size_mm=_across(int(axis), in_plane, slice_mm)) for axis in axes]
        target = self._acquisition(one, random)
        return sources, replace(target, size_mm=self._target_size(random))

    def _scanner(self, random: np.random.Generator) -> Scanner:
        return SCANNERS[int(random.integers(len(SCANNERS)))]

    def _acquisition(self, scanner: Scanner | None, random: np.random.Generator) -> Acquisition:
        scanner = scanner or self._scanner(random)
        label = str(random.choice(LABELS))
        protocol = draw_protocol(
            label.removeprefix("ce"),
            random,
            scanner.field_strength_t,
            label.startswith("ce"),
            is_wide=bool(random.random() < WIDE_SHARE),
        )
        size = [self._in_plane(random)] * 3
        if random.random() < self.faults.thick_share:
            size[int(random.integers(3))] = self._slice(random)
        return Acquisition(protocol, scanner, (size[0], size[1], size[2]))

    def _in_plane(self, random: np.random.Generator) -> float:
        """Draw the side of nearly cubic voxels; on coarse grids they grow with the grid."""
        return round(float(random.uniform(*self.faults.voxel_mm)) * self.voxel_mm, 2)

    def _slice(self, random: np.random.Generator) -> float:
        low, high = self.faults.slice_mm
        return round(float(random.uniform(max(low, 1.5 * self.voxel_mm), max(high, 2 * self.voxel_mm))), 1)

    def _target_size(self, random: np.random.Generator) -> tuple[float, float, float]:
        """Draw voxels of the patch, thick slices of them, or larger isotropic ones."""
        size = [self.voxel_mm] * 3
        if random.random() < OWN_VOXELS_SHARE:
            if random.random() < ISOTROPIC_SHARE:
                size = [round(float(random.uniform(*COARSER)) * self.voxel_mm, 2)] * 3
            else:
                size[int(random.integers(3))] = self._slice(random)
        return size[0], size[1], size[2]


def _across(axis: int, in_plane: float, slice_mm: float) -> tuple[float, float, float]:
    """Return the voxel size of slices across an axis."""
    i, j, k = (slice_mm if at == axis else in_plane for at in range(3))
    return i, j, k
