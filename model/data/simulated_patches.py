"""Patches of simulated heads: what `model.data.patches` cuts from real scans, rendered where it is needed.

Protocols are drawn independently of anatomy and scanner, and each patch has relaxation times of its own, so that a few
hundred heads are many more people. Sources have the faults of scans; wanted scans have none but their voxels, and
sometimes a little noise: their signals are those of their equation. Neither flow into the slab nor the phase of SWI is
rendered, so that angiography and SWI are not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.data.changes import Changes, hide
from model.data.fine_heads import INTRACRANIAL, UNKNOWN, WHOLE, FineHead, Heads
from model.data.patch_acquisition import Slices, SmoothField, along, at_angles, averaged, mixed, noisy, parameters
from model.data.patch_protocols import Acquisition, Acquisitions
from model.data.patches import Given, Patch, brain_range
from model.data.random_pairs import record_of
from model.data.simulated_scans import Faults, as_stated
from model.data.target_voxels import Matrix, TargetVoxels, block_for
from model.physics.tissue import N_TISSUES, Properties
from model.simulation.ageing import relaxation_scale
from model.simulation.head import scaled_tissue
from model.simulation.rendering import rotation
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid
from warehouse.prompts.record import PromptRecord

UNSTATED_SHARE = 0.5  # of records without acquisition fields, so that missing does not come to mean real
SAME_SIZE = 1.01  # ratio up to which the voxels of a source are taken for those of the patch
TURNED_SHARE = 0.25  # of wanted scans on voxels of their own: their axes are turned against those of the patch
TURN_DEG = 6.0  # standard deviation of the turn about each axis
NOISY_TARGET_SHARE, TARGET_SNR = 0.3, (50.0, 120.0)
DILATIONS = 3  # a brain mask is loose by less voxels than this


class SimulatedPatches:
    """Random patches of the heads of a bank.

    Parameters
    ----------
    bank : Heads
    side : int
        Voxels along each side of a patch.
    voxel_mm : float
        Of the working grid; that of the bank.
    max_scans : int
        Most sources of a patch.
    changes : Changes
        How many sources are given, and what is hidden of the records. Images are changed by `faults` alone.
    faults : Faults
        Of the sources. Pose, stretch and defacing are left out.

    Raises
    ------
    ModelError
        When the bank has no heads, or heads of other voxels.
    """

    def __init__(
        self,
        bank: Heads,
        *,
        side: int,
        voxel_mm: float,
        max_scans: int = 1,
        changes: Changes | None = None,
        faults: Faults | None = None,
    ) -> None:
        if bank.n_heads < 1:
            raise ModelError("the bank has no heads", "give it one head or more")
        if side < 1 or max_scans < 1:
            raise ModelError(f"patches of {side} voxels and {max_scans} scans cannot be made", "give 1 or more of each")
        if not np.isclose(bank.voxel_mm, voxel_mm):
            what = f"patches of {voxel_mm} mm cannot be cut from heads of {bank.voxel_mm} mm"
            raise ModelError(what, "make a bank of heads at the voxel size of the working grid")
        self.bank, self.side, self.voxel_mm = bank, side, voxel_mm
        self.max_scans, self.changes, self.faults = max_scans, changes or Changes(), faults or Faults()
        self.acquisitions = Acquisitions(self.faults, voxel_mm, max_scans, self.changes.several_share)
        self._heads: dict[int, FineHead] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files behind: another process opens its own."""
        return self.__dict__ | {"_heads": {}}

    def patch(self, random: np.random.Generator) -> Patch:
        """Return a random patch."""
        number = int(random.integers(self.bank.n_heads))
        if number not in self._heads:
            self._heads[number] = self.bank.head(number)
        return self.patch_of(self._heads[number], random)

    def patch_of(self, head: FineHead, random: np.random.Generator) -> Patch:
        """Return a random patch of a head."""
        subject = replace(head.subject, seed=int(random.integers(2**31)))  # its relaxation times alone are drawn anew
        sources, target = self.acquisitions.draw(random)
        corner = self._corner(head, random)
        relaxation = relaxation_scale(subject)
        together = bool(random.random() < self.faults.stripped_share) if random.random() < 0.5 else None
        given = []
        for source in sources:
            is_stripped = bool(random.random() < self.faults.stripped_share) if together is None else together
            tissue = scaled_tissue(source.protocol.field_strength_t, relaxation)
            given.append(self._given(head, source, tissue, corner, is_stripped, random))
        return self._with_target(head, target, relaxation, corner, tuple(given), random)

    def _corner(self, head: FineHead, random: np.random.Generator) -> NDArray[np.int64]:
        """Return the first voxel of a patch around a random voxel of the brain, inside as far as it fits."""
        centre = head.places[random.integers(len(head.places))].astype(np.int64)
        most = np.maximum(np.asarray(head.maps.shape[:3]) - self.side, 0)
        return np.asarray(np.clip(centre - self.side // 2, 0, most))

    def _given(
        self,
        head: FineHead,
        scan: Acquisition,
        tissue: Properties,
        corner: NDArray[np.int64],
        is_stripped: bool,
        random: np.random.Generator,
    ) -> Given:
        """Return a scan with its faults, on the patch."""
        faults, shape, side = self.faults, head.maps.shape[:3], self.side
        ratio = np.asarray(scan.size_mm) / self.voxel_mm
        slices = [Slices.random(float(one), side, random) if one > SAME_SIZE else None for one in ratio]
        ends = np.array([one.around if one else (0, side) for one in slices])
        low, extent = corner + ends[:, 0], ends[:, 1] - ends[:, 0]

        half = max(scan.scanner.transmit_bias / 2, 1e-3)
        transmit = SmoothField.random(shape, random, 2 * half)
        receive = SmoothField.random(shape, random, float(random.uniform(*faults.receive_bias)))
        is_exact = random.random() >= faults.deviating_share
        factors = np.exp(random.normal(0, 1, N_TISSUES) * (0.0 if is_exact else faults.deviation))
        signals = (scan.signals(tissue, half) * factors).astype(np.float32)
        block = head.block(low, extent)
        image = at_angles(mixed(block, signals), (transmit.block(low, extent) - 1) / half) * receive.block(low, extent)
        brain = at_angles(mixed(head.brain_shares(ratio), signals), (transmit.at(head.places) - 1) / half) * receive.at(
            head.places
        )

        for axis, one in enumerate(slices):
            image = along(one.averages, image, axis) if one else image
        level = float(np.abs(brain).mean())
        sigma = level / float(random.uniform(*faults.snr))
        exponent = float(1 + random.uniform(-faults.gamma, faults.gamma)) if random.random() < faults.gamma_share else 1
        image, brain = (level * (noisy(one, sigma, random) / level) ** exponent for one in (image, brain))
        bounds = float(image.min()), float(image.max())
        for axis, one in enumerate(slices):
            image = along(one.back(side), image, axis) if one else image

        inside = tuple(slice(-a, -a + side) for a in ends[:, 0])
        space = block[..., INTRACRANIAL][inside]
        seen = self._seen(shape, corner, random) & (space != UNKNOWN)
        kept = seen & _loose(space == WHOLE, random) if is_stripped else seen
        scale = BrainScale.of(brain, np.ones(brain.shape, bool))
        return Given(
            voxels=scale.to_network(image.clip(*bounds) * kept),
            seen=kept,
            size_mm=scan.size_mm,
            record=self._record(head, scan, random, is_source=True),
            relative_spread=scale.relative_spread,
        )

    def _seen(self, shape: Sequence[int], corner: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.bool_]:
        """Return a field of view on the patch: that of the head, or what is left of it by a cut at one end."""
        seen = np.ones((self.side,) * 3, bool)
        low, high = np.zeros(3), np.array(shape, float)
        if random.random() < self.faults.cut_share:
            axis, share = int(random.integers(3)), random.uniform(0.05, 0.25)
            if random.random() < 0.5:
                low[axis] = share * shape[axis]
            else:
                high[axis] = (1 - share) * shape[axis]
        for axis in range(3):
            place = corner[axis] + np.arange(self.side)
            seen &= ((place >= low[axis]) & (place < high[axis])).reshape([-1 if at == axis else 1 for at in range(3)])
        return seen

    def _with_target(
        self,
        head: FineHead,
        scan: Acquisition,
        relaxation: Mapping[str, tuple[float, float, float, float]],
        corner: NDArray[np.int64],
        given: tuple[Given, ...],
        random: np.random.Generator,
    ) -> Patch:
        """Return the patch with its wanted scan."""
        tissue = scaled_tissue(scan.protocol.field_strength_t, relaxation)
        ratio = np.asarray(scan.size_mm) / self.voxel_mm
        at = None if np.allclose(ratio, 1) else self._voxels(head.maps.shape[:3], ratio, corner, random)
        if at is None:
            scan, ratio = replace(scan, size_mm=(self.voxel_mm,) * 3), np.ones(3)
        signals = scan.signals(tissue, 0)
        around = 0 if at is None else 1  # linear interpolation at the border of the patch needs a voxel more
        block = head.block(corner - around, [self.side + 2 * around] * 3)
        inside = (slice(around, around + self.side),) * 3
        image, brain = mixed(block, signals)[0], mixed(head.brain_shares(ratio), signals)[0]
        mask = block[..., INTRACRANIAL] == WHOLE
        if at is not None:
            image = averaged(image, at, around)
            mask = averaged(mask.astype(np.float32), at, around) > 0.5
        is_noisy, snr = random.random() < NOISY_TARGET_SHARE, float(random.uniform(*TARGET_SNR))
        sigma = float(np.abs(brain).mean()) / snr if is_noisy else 0.0
        brain = np.abs(brain)
        scale = BrainScale.of(brain, np.ones(brain.shape, bool))
        low, span = brain_range(scale.to_network(brain), np.ones(brain.shape, bool))
        i, j, k = scan.size_mm if at is None else (float(one) for one in at.extents * self.voxel_mm)
        return Patch(
            given=given,
            target=scale.to_network(noisy(image, sigma, random)),
            mask=mask,
            at=at,
            size_mm=(i, j, k),
            low=low,
            span=span,
            record=self._record(head, scan, random, is_source=False),
            scale=(scale.median, scale.spread),
            maps=parameters(block[inside], tissue),
        )

    def _voxels(
        self, shape: Sequence[int], ratio: NDArray[np.float64], corner: NDArray[np.int64], random: np.random.Generator
    ) -> TargetVoxels | None:
        """Return voxels of another size in the patch, perhaps turned; None where none lies inside."""
        is_thin = np.isclose(ratio, 1)
        angles = random.normal(0, TURN_DEG, 3) if random.random() < TURNED_SHARE else np.zeros(3)
        shift = random.uniform(-0.5, 0.5, 3)
        counts = np.ceil(1.5 * np.asarray(shape) / ratio).astype(int)  # more than the head, so that the patch is full
        to_head: Matrix = np.eye(4)
        to_head[:3, :3] = rotation(angles) * ratio
        middle = np.rint((np.asarray(shape) - 1) / 2) + np.where(is_thin & ~angles.any(), 0, shift * ratio)
        to_head[:3, 3] = middle - to_head[:3, :3] @ (counts // 2)
        whole = Grid((int(counts[0]), int(counts[1]), int(counts[2])), to_head)
        found = block_for(whole, to_head, corner.tolist(), np.minimum(self.side, shape).tolist())
        return found[0] if found else None

    def _record(
        self, head: FineHead, scan: Acquisition, random: np.random.Generator, *, is_source: bool
    ) -> PromptRecord:
        """Return what is said of a scan."""
        record = as_stated(record_of(head.subject, scan.protocol, scan.scanner, scan.size_mm), scan.protocol, random)
        unstated: dict[str, Any] = dict.fromkeys(head.unstated)
        record = replace(record, **unstated)
        if random.random() < UNSTATED_SHARE:
            record = without_acquisition(record)
        if is_source and random.random() < self.changes.source_dropout:
            return PromptRecord()
        return hide(record, self.changes.field_dropout, random, with_contrast=is_source)


def without_acquisition(record: PromptRecord) -> PromptRecord:
    """Return a record that says nothing of repetition, echo and inversion time and of the flip angle."""
    return replace(
        record,
        repetition_time_s=None,
        echo_time_s=None,
        inversion_time_s=None,
        flip_angle_deg=None,
        flip_angle_variable=False,
    )


def _loose(brain: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """Return a brain mask as loose as those of real tools."""
    times = int(random.integers(DILATIONS))
    return np.asarray(ndimage.binary_dilation(brain, iterations=times)) if times else brain
