"""Batches of real and simulated patches, so that a network learns anatomy from scans and physics from equations."""

from __future__ import annotations

import numpy as np

from model.data.patches import Patch, PatchBatch, Patches, joined
from model.data.simulated_patches import SimulatedPatches
from warehouse.errors import ModelError


class MixedPatches:
    """Batches of real and simulated patches.

    Parameters
    ----------
    real : Patches or None
    simulated : SimulatedPatches or None
    seed, batch_size : int
    simulated_share : float
        Probability of each patch to be simulated, where there are both kinds.

    Raises
    ------
    ModelError
        When there are neither, they differ in size, or the share is none.
    """

    def __init__(
        self,
        real: Patches | None,
        simulated: SimulatedPatches | None,
        *,
        seed: int,
        batch_size: int,
        simulated_share: float,
    ) -> None:
        if real is None and simulated is None:
            raise ModelError("there are neither real nor simulated patches", "give one of them")
        if not 0 <= simulated_share <= 1 or batch_size < 1:
            what = f"a share of {simulated_share} in batches of {batch_size} cannot be drawn"
            raise ModelError(what, "give a share from 0 to 1, and one patch or more")
        if real and simulated and (real.side, real.voxel_mm) != (simulated.side, simulated.voxel_mm):
            what = f"real patches of {real.side} × {real.voxel_mm} mm and simulated ones of {simulated.side} × "
            raise ModelError(f"{what}{simulated.voxel_mm} mm are no batch", "give both the same side and voxel size")
        self.real, self.simulated, self.seed, self.batch_size = real, simulated, seed, batch_size
        self.simulated_share = simulated_share

    def batch(self, step: int) -> PatchBatch:
        """Return the batch of a step; the same step gives the same batch, in any order and process."""
        random = np.random.default_rng((self.seed, step))
        return joined([self._patch(random) for _ in range(self.batch_size)])

    def _patch(self, random: np.random.Generator) -> Patch:
        is_simulated = random.random() < self.simulated_share
        if self.simulated is not None and (is_simulated or self.real is None):
            return self.simulated.patch(random)
        assert self.real is not None
        return self.real.patch(random)
