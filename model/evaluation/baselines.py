"""What costs nothing: the source as it is, and the best map of intensities. A model that is no better learnt nothing.

A map of intensities gives each source intensity the mean target intensity that goes with it, E[target | source], one
for the brain and one for what surrounds it; it sees no neighbours and no prompt. Fitted on training pairs it is what a
model must beat; fitted on the test volume itself, which nobody could do, it is the most that such a map can reach.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.protocol import DisplayRange
from warehouse.errors import ModelError

IDENTITY, MAP_TRAIN, MAP_ORACLE = "baseline:identity", "baseline:intensity_map_train", "baseline:intensity_map_oracle"
BASELINES = (IDENTITY, MAP_TRAIN, MAP_ORACLE)
SOURCE_PERCENTILES = (0.5, 99.5)  # the steps of the map span the source's brain: scanners differ in scale

Volume = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class IntensityMap:
    """Mean target intensity for each step of source intensity.

    Parameters
    ----------
    means : (2, n_bins) float64 array
        Outside and inside the brain, on the scale of the targets that it was fitted on.
    """

    means: NDArray[np.float64]

    @classmethod
    def fit(cls, pairs: Iterable[tuple[Volume, Volume, Mask]], n_bins: int = 128) -> IntensityMap:
        """Fit by counting: the mean of the target's voxels in each step of the source's.

        Parameters
        ----------
        pairs : iterable of (source, target, mask)
            Volumes (i, j, k) on one grid each, and the target's brain mask.
        n_bins : int
            Steps from the source's darkest to its brightest brain tissue.

        Raises
        ------
        ModelError
            When there is no pair, shapes differ, or a volume cannot be used.
        """
        n_voxels, sums = np.zeros((2, n_bins)), np.zeros((2, n_bins))
        for source, target, mask in pairs:
            if source.shape != target.shape or not np.isfinite(target).all():
                what = f"a source of {source.shape} and a target of {target.shape}, or voxels that are not finite"
                raise ModelError(what, "harmonise both scans of the visit again")
            cells = _cells(source, mask, n_bins)
            n_voxels += np.bincount(cells, minlength=2 * n_bins).reshape(2, n_bins)
            sums += np.bincount(cells, target.ravel().astype(np.float64), 2 * n_bins).reshape(2, n_bins)
        if not n_voxels.any():
            raise ModelError("no pair to fit an intensity map on", "give at least one")
        return cls(np.stack([_filled(*both) for both in zip(sums, n_voxels, strict=True)]))

    def apply(self, source: Volume, mask: Mask) -> NDArray[np.float64]:
        """Return what the map makes of a source, (i, j, k).

        Parameters
        ----------
        source : (i, j, k) array
        mask : (i, j, k) bool array
            The target's brain.
        """
        cells = _cells(source, mask, self.means.shape[1])
        return np.asarray(self.means.ravel()[cells].reshape(source.shape))


def _cells(source: Volume, mask: Mask, n_bins: int) -> NDArray[np.intp]:
    """Return the cell of each voxel: its step of intensity, those inside the brain after those outside."""
    step = (DisplayRange.of(source, mask, SOURCE_PERCENTILES).apply(source) * n_bins).astype(np.intp)
    return np.asarray((np.minimum(step, n_bins - 1) + n_bins * mask).ravel())


def _filled(sums: NDArray[np.float64], n_voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each step; a step that no voxel had lies between its neighbours."""
    known = np.flatnonzero(n_voxels)
    if not len(known):
        return np.zeros_like(sums)
    return np.interp(np.arange(len(sums)), known, sums[known] / n_voxels[known])
