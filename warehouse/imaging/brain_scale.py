"""The scale on which networks see and make intensities: median and spread of the brain.

Percentiles of the whole head depend on scalp, fat and the field of view, and those at the brain's own extremes on
vessels and fluid, so that the same tissue gets another number in each scan. `benchmarks/scales.py` compares scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (10.0, 50.0, 90.0)  # of the brain; the outer two lie in ordinary tissue or fluid of every contrast
LINEAR_TO = 2.0  # spreads from the median; what lies beyond, fat or air, is compressed by a logarithm
USUAL = (-3.0, 3.0)  # network intensities of nearly every voxel, air included: what bins of intensity cover
FARTHEST = 6.0  # 55 spreads: no voxel of a scan is so bright, and what a network makes beyond it is not believed
USUAL_SPREAD = 0.4  # of a brain, as a part of its median signal: the middle of real T1w and FLAIR
LEAST_SPREAD = 1e-3  # of the brain's signal; a brain more uniform than that has no contrast


@dataclass(frozen=True)
class BrainScale:
    """Median and spread of a brain's intensities, and where signal is zero; all three in one unit.

    A network intensity is 0 at the median, ± 0.5 near the 10th and 90th percentile, and linear from −2 to 2.

    Parameters
    ----------
    median : float
    spread : float
        Distance from the 10th to the 90th percentile.
    zero : float
        Intensity of no signal, which equations of physics need.

    Raises
    ------
    ValueError
        For a spread that is no positive number, or a median or zero that is not finite.
    """

    median: float
    spread: float
    zero: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.median, self.spread, self.zero]).all() and self.spread > 0):
            raise ValueError(f"median {self.median}, spread {self.spread} and zero {self.zero} are not a scale")

    @classmethod
    def of(cls, voxels: NDArray[Any], brain: NDArray[np.bool_], zero: float = 0.0) -> BrainScale:
        """Return the scale of a scan.

        Parameters
        ----------
        voxels : (i, j, k) array
            In any unit, linear in the signal.
        brain : (i, j, k) bool array
            Brain mask, not empty.
        zero : float
            Intensity of no signal, in the unit of `voxels`.

        Raises
        ------
        ValueError
            When the mask is empty, voxels in it are not finite, or the brain has one intensity.
        """
        inside = voxels[brain].astype(np.float64)
        if not inside.size:
            raise ValueError("the brain mask is empty")
        low, median, high = (float(value) for value in np.percentile(inside, PERCENTILES))
        if not high - low > LEAST_SPREAD * max(abs(median - zero), np.finfo(np.float64).tiny):
            raise ValueError(f"80 % of the brain lie between {low:g} and {high:g}: there is no contrast")
        return cls(median, high - low, zero)

    @property
    def floor(self) -> float:
        """Network intensity of no signal."""
        return float(soften(np.array((self.zero - self.median) / self.spread)))

    @property
    def relative_spread(self) -> float:
        """Spread as a part of the median's signal."""
        return self.spread / (self.median - self.zero)

    def linear(self, voxels: NDArray[Any]) -> NDArray[np.float64]:
        """Return intensities in spreads from the median, not compressed."""
        return (voxels.astype(np.float64) - self.median) / self.spread

    def to_network(self, voxels: NDArray[Any]) -> NDArray[np.float32]:
        """Return network intensities of voxels."""
        return soften(self.linear(voxels)).astype(np.float32)

    def from_network(self, intensities: NDArray[Any]) -> NDArray[np.float64]:
        """Return voxels of network intensities: the inverse of `to_network`."""
        return harden(intensities.astype(np.float64)) * self.spread + self.median

    def in_unit(self, low: float, high: float) -> BrainScale:
        """Return the scale in the unit in which the intensities `low` and `high` are 0 and 1."""
        width = high - low
        return BrainScale((self.median - low) / width, self.spread / width, (self.zero - low) / width)


def soften(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return network intensities of spreads from the median: the same up to ± 2, logarithmic beyond, without a kink."""
    beyond = np.abs(linear) - LINEAR_TO
    return np.where(beyond > 0, np.sign(linear) * (LINEAR_TO + np.log1p(np.maximum(beyond, 0))), linear)


def harden(network: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return spreads from the median of network intensities: the inverse of `soften`."""
    beyond = np.abs(network) - LINEAR_TO
    return np.where(beyond > 0, np.sign(network) * (LINEAR_TO + np.expm1(np.maximum(beyond, 0))), network)
