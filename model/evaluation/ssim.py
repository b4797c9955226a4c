"""Structural similarity in three dimensions (Wang and others 2004, IEEE TIP 13, 600), in Gaussian windows of σ 1.5.

The definition stands here twice: in NumPy for figures (SciPy's filter is faster on whole volumes in float64) and in
torch for losses, which need its gradient. Tests hold one against the other.

Similarity changes when both volumes are shifted, because its luminance term compares means with their distance from
zero. Shift them so that the darkest tissue is near zero first; `metrics.measure` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

SIGMA_VOXELS, RADIUS = 1.5, 5  # an 11-tap window, as Wang and others have it
K1, K2 = 0.01, 0.03
PLANES = 32

Volume = NDArray[Any]
Map = NDArray[np.float64]


@dataclass(frozen=True)
class WindowMoments:
    """Means, variances and covariance of two volumes in the window around each voxel, all (i, j, k).

    Those of a volume with another gain and offset follow without filtering it again.
    """

    mean_x: Map
    mean_y: Map
    variance_x: Map
    variance_y: Map
    covariance: Map

    @classmethod
    def of(cls, x: Volume, y: Volume) -> WindowMoments:
        """Return the moments of two volumes (i, j, k), which are mirrored beyond their borders."""
        x, y = x.astype(np.float64), y.astype(np.float64)
        mean_x, mean_y = _windowed(x), _windowed(y)
        variance_x, variance_y = _windowed(x * x) - mean_x**2, _windowed(y * y) - mean_y**2
        return cls(mean_x, mean_y, variance_x, variance_y, _windowed(x * y) - mean_x * mean_y)

    @classmethod
    def in_slabs(cls, x: Volume, y: Volume) -> Iterator[tuple[slice, WindowMoments]]:
        """Yield the same in slabs of planes i: on large volumes, fresh memory costs more than the arithmetic."""
        for start in range(0, len(x), PLANES):
            stop = min(start + PLANES, len(x))
            seen = slice(max(0, start - RADIUS), stop + RADIUS)
            own = slice(start - seen.start, stop - seen.start)
            moments = cls.of(x[seen], y[seen])
            yield slice(start, stop), cls(*(one[own] for one in moments.maps))

    @classmethod
    def joined(cls, parts: Sequence[WindowMoments]) -> WindowMoments:
        """Return the moments of parts one after the other."""
        return cls(*(np.concatenate(maps) for maps in zip(*(part.maps for part in parts), strict=True)))

    @property
    def maps(self) -> tuple[Map, ...]:
        """The five maps in the order of the fields."""
        return self.mean_x, self.mean_y, self.variance_x, self.variance_y, self.covariance

    def at(self, mask: NDArray[np.bool_]) -> WindowMoments:
        """Return the moments at the voxels of a mask, each (n,)."""
        return WindowMoments(*(one[mask] for one in self.maps))

    def with_gain_offset(self, gain: float, offset: float) -> WindowMoments:
        """Return the moments that gain · x + offset has with y."""
        return WindowMoments(
            gain * self.mean_x + offset,
            self.mean_y,
            gain**2 * self.variance_x,
            self.variance_y,
            gain * self.covariance,
        )

    def similarity(self, data_range: float) -> Map:
        """Return the structural similarity around each voxel, from −1 to 1."""
        c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
        above = (2 * self.mean_x * self.mean_y + c1) * (2 * self.covariance + c2)
        below = (self.mean_x**2 + self.mean_y**2 + c1) * (self.variance_x + self.variance_y + c2)
        return np.asarray(above / below)


def ssim_map(prediction: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity around each voxel, so that it can be differentiated.

    Parameters
    ----------
    prediction, target : (batch, 1, i, j, k) Tensor
        On one grid and one scale; beyond their borders they are mirrored.
    data_range : float

    Returns
    -------
    (batch, 1, i, j, k) Tensor
        From −1 to 1.
    """
    products = [prediction, target, prediction * prediction, target * target, prediction * target]
    mean_x, mean_y, xx, yy, xy = _blurred(torch.cat(products)).chunk(5)
    covariance, variances = xy - mean_x * mean_y, xx + yy - mean_x**2 - mean_y**2
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return above / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))


def _windowed(volume: Map) -> Map:
    return np.asarray(gaussian_filter(volume, SIGMA_VOXELS, mode="reflect", radius=RADIUS))


def _blurred(volumes: Tensor) -> Tensor:
    """Blur (n, 1, i, j, k) by a Gaussian, one axis after the other, as products of matrices.

    On patches on a CPU they take a tenth of the time of convolutions with one channel.
    """
    with torch.autocast(volumes.device.type, enabled=False):  # variances are small differences of large numbers
        i, j, k = (_blur_matrix(length, volumes) for length in volumes.shape[2:])
        volumes = volumes @ k.T
        volumes = j @ volumes
        return (i @ volumes.flatten(3)).reshape(volumes.shape)


def _blur_matrix(length: int, like: Tensor) -> Tensor:
    """Return the (length, length) matrix that blurs a line, which is mirrored beyond its ends."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=like.device)
    weights = torch.exp(-0.5 * (offsets.to(like.dtype) / SIGMA_VOXELS) ** 2)
    columns = (torch.arange(length, device=like.device)[:, None] + offsets) % (2 * length)
    columns = torch.minimum(columns, 2 * length - 1 - columns)
    matrix = torch.zeros(length, length, device=like.device, dtype=like.dtype)
    return matrix.scatter_add_(1, columns, (weights / weights.sum()).expand(length, -1).contiguous())
