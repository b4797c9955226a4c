"""Baselines that need no network: the source as it is, and a map of intensities. A useful model must beat them.

A map of intensities gives each source intensity, or pair of two sources' intensities, the mean target intensity that
goes with it, E[target | source]: one map for the brain and one for what surrounds it. It sees no neighbours and no
prompt. Fitted on training pairs it is what a model must beat; fitted on the test volume itself, which nobody could do,
it is the most that such a map can reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import harden

IDENTITY, MAP_TRAIN, MAP_ORACLE = "baseline:identity", "baseline:intensity_map_train", "baseline:intensity_map_oracle"
BASELINES = (IDENTITY, MAP_TRAIN, MAP_ORACLE)
START = "baseline:start"  # the model that a training began with, on the same pairs
RESCAN = "baseline:rescan"  # the ceiling (`model.evaluation.rescan`); few scans have one
BIN_EDGES_AT = 3.0  # bins lie evenly between −3 and 3 network intensities; the outer ones are open
N_BINS = {1: 128, 2: 40}  # along each source; more cells than 40 × 40 would be empty in one brain
# The mean is the best guess for PSNR, but one spike weighs as much as thousands of voxels: a target counts as at most
# 8.4 spreads from its median (± 4 as network intensity), which fluid and lesions do not reach.
FARTHEST = float(harden(np.array(4.0)))

Volume = NDArray[Any]
Mask = NDArray[np.bool_]
Pair = tuple[Sequence[Volume], Volume, Mask]


def identity(source: Volume) -> NDArray[np.float64]:
    """Return a source as it is: linear, in spreads from the median of its own brain.

    Parameters
    ----------
    source : (i, j, k) array
        Network intensities.
    """
    return harden(source.astype(np.float64))


@dataclass(frozen=True)
class IntensityMap:
    """Mean target intensity for each bin of the intensity of one source, or of two.

    Parameters
    ----------
    means : (2, n_bins) or (2, n_bins, n_bins) float64 array
        Outside and inside the brain; linear, in spreads from the median of the target's brain.
    """

    means: NDArray[np.float64]

    @classmethod
    def fit(cls, pairs: Iterable[Pair], n_bins: int | None = None) -> IntensityMap:
        """Fit by counting: the mean of the target's voxels in each bin of the sources.

        Parameters
        ----------
        pairs : iterable of (sources, target, mask)
            One or two sources (i, j, k) in network intensities, in the same order in each pair; the target (i, j, k) on
            their grid, linear, in spreads from the median of its brain; its brain mask.
        n_bins : int, optional
            Along each source; 128 for one source and 40 for two by default.

        Raises
        ------
        ModelError
            When there is no pair, one has no or more than two sources (the histogram of three would be nearly empty) or
            another number of them than the first, shapes differ, or a volume cannot be used.
        """
        total: NDArray[np.float64] | None = None
        for sources, target, mask in pairs:
            _check([*sources, target], mask)
            shape = (2, *[n_bins or _bins_along(len(sources))] * len(sources))
            total = np.zeros((2, *shape)) if total is None else total
            if total.shape[1:] != shape:
                raise ModelError(f"pairs of {total.ndim - 2} and of {len(sources)} sources", "fit a map for each")
            cells = _cells(sources, mask, shape)
            wanted = np.clip(target.ravel().astype(np.float64), -FARTHEST, FARTHEST)
            total[0] += np.bincount(cells, minlength=total[0].size).reshape(shape)
            total[1] += np.bincount(cells, wanted, total[1].size).reshape(shape)
        if total is None:
            raise ModelError("no pair to fit an intensity map on", "give at least one")
        n_voxels, sums = total
        outside, inside = (_filled(*both) for both in zip(sums, n_voxels, strict=True))
        assert inside is not None  # no mask is empty
        # Where no voxel lies outside the brain, its map holds for the surroundings too.
        return cls(np.stack([inside if outside is None else outside, inside]))

    def apply(self, sources: Sequence[Volume], mask: Mask) -> NDArray[np.float64]:
        """Return what the map makes of sources, (i, j, k), linear as the targets that it was fitted on.

        Parameters
        ----------
        sources : sequence of (i, j, k) array
            Network intensities, as many and in the same order as in the fit.
        mask : (i, j, k) bool array
            The target's brain.

        Raises
        ------
        ModelError
            For another number of sources, differing shapes, or voxels that are not finite.
        """
        if len(sources) != self.means.ndim - 1:
            raise ModelError(f"{len(sources)} sources for a map of {self.means.ndim - 1}", "fit a map for this number")
        _check(sources, mask)
        return np.asarray(self.means.ravel()[_cells(sources, mask, self.means.shape)].reshape(mask.shape))


def _check(volumes: Sequence[Volume], mask: Mask) -> None:
    if any(one.shape != mask.shape or not np.isfinite(one).all() for one in volumes):
        what = f"volumes of {[one.shape for one in volumes]} and a mask of {mask.shape}, or voxels that are not finite"
        raise ModelError(what, "harmonise the scans of the visit again")
    if mask.dtype != bool or not mask.any():
        raise ModelError(f"a mask of {mask.dtype} of {np.count_nonzero(mask)} voxels", "give a bool mask with a brain")


def _bins_along(n_sources: int) -> int:
    if n_sources not in N_BINS:
        raise ModelError(f"an intensity map of {n_sources} sources", "give one or two")
    return N_BINS[n_sources]


def _cells(sources: Sequence[Volume], mask: Mask, shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the cell of each voxel, (n,), in the flattened (2, n_bins, …) histogram."""
    bins = [mask.ravel().astype(np.intp)]
    for source, n_bins in zip(sources, shape[1:], strict=True):
        step = np.floor((source.ravel().astype(np.float64) + BIN_EDGES_AT) / (2 * BIN_EDGES_AT) * n_bins)
        bins.append(np.clip(step, 0, n_bins - 1).astype(np.intp))
    return np.asarray(np.ravel_multi_index(tuple(bins), shape))


def _filled(sums: NDArray[np.float64], n_voxels: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the mean of each cell, or None where no cell had a voxel.

    A cell without voxels lies between its neighbours on a line; in a joint histogram it is as the nearest with some.
    """
    is_known = n_voxels > 0
    if not is_known.any():
        return None
    means = sums / np.maximum(n_voxels, 1)
    if means.ndim == 1:
        known = np.flatnonzero(is_known)
        return np.interp(np.arange(len(means)), known, means[known])
    nearest = distance_transform_edt(~is_known, return_distances=False, return_indices=True)
    return np.asarray(means[tuple(nearest)])
