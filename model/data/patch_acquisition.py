"""The signal of a patch, and what a scanner does to it: shading, averages over voxels, noise, interpolation back.

Everything is separable or evaluated in the patch alone: a whole head is never imaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from model.data.fine_heads import WHOLE, Integers
from model.data.target_voxels import TargetVoxels
from model.physics.tissue import N_TISSUES, Properties
from model.simulation.rendering import average_over_voxels
from model.simulation.scanner import FIELD_POINTS, smooth_field
from warehouse.imaging.geometry import Grid

Floats = NDArray[np.float32]
AROUND_SLICES = 2.5  # slices beyond a patch that cubic interpolation into it needs
CHUNK = 16_384  # voxels at a time, to fit the cache: three times as fast as all at once
AIR = 1e-3  # proton density below which a voxel has no tissue whose times could be seen


@dataclass(frozen=True)
class SmoothField:
    """A smooth field over a whole head, evaluated where it is needed.

    Parameters
    ----------
    values : (n, n, n) float32 array
        From the first to the last voxel of the head; trilinear between.
    shape : tuple of 3 int
        Of the head.
    """

    values: Floats
    shape: tuple[int, int, int]

    @classmethod
    def random(cls, shape: Sequence[int], random: np.random.Generator, share: float) -> SmoothField:
        """Return a field that ranges from 1 − share / 2 to 1 + share / 2 over the head, as `smooth_field` does."""
        i, j, k = (int(n) for n in shape)
        return cls(smooth_field((FIELD_POINTS,) * 3, random, share).numpy(), (i, j, k))

    def block(self, corner: Integers, shape: Integers) -> Floats:
        """Return the field in a block of voxels, (i, j, k); beyond the head, that of its border."""
        field = self.values
        for axis, (first, n) in enumerate(zip(corner, shape, strict=True)):
            place = self._places(first + np.arange(n), axis)
            hats = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(FIELD_POINTS))).astype(np.float32)
            field = along(hats, field, axis)
        return field

    def at(self, voxels: NDArray[np.int16]) -> Floats:
        """Return the field at voxels (n, 3), (n,)."""
        places = [self._places(voxels[:, axis], axis) for axis in range(3)]
        return np.asarray(ndimage.map_coordinates(self.values, places, order=1), np.float32)

    def _places(self, voxels: NDArray[np.integer], axis: int) -> NDArray[np.float64]:
        last = max(self.shape[axis] - 1, 1)
        return np.asarray(np.clip(voxels / last, 0, 1) * (FIELD_POINTS - 1))


@dataclass(frozen=True)
class Slices:
    """Voxels of another size along one axis of a patch.

    Parameters
    ----------
    size : float
        In voxels of the patch.
    first : float
        Centre of the first one; 0 is the first voxel of the patch.
    n : int
    order : {1, 3}
        Of the interpolation between them.
    """

    size: float
    first: float
    n: int
    order: int = 3

    @classmethod
    def random(cls, size: float, side: int, random: np.random.Generator) -> Slices:
        """Return slices at a random offset that cover a patch, for cubic or linear interpolation into it."""
        first = -np.ceil(AROUND_SLICES) * size + random.uniform(-0.5, 0.5) * size
        n = int(np.ceil((side - 1 - first) / size + AROUND_SLICES)) + 1
        return cls(size, float(first), n, 3 if random.random() < 0.5 else 1)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the slices in the patch, (n,)."""
        return np.asarray(self.first + self.size * np.arange(self.n), np.float64)

    @property
    def around(self) -> tuple[int, int]:
        """First voxel that the averages need, and the one after the last, in the patch."""
        last = self.first + (self.n - 1) * self.size
        return int(np.floor(self.first - self.size / 2)), int(np.ceil(last + self.size / 2)) + 1

    @cached_property
    def averages(self) -> Floats:
        """Weights of the voxels from `around` in the mean over each slice, (n, voxels)."""
        start, end = self.around
        return means(self.centres - start, self.size, end - start)

    def back(self, side: int) -> Floats:
        """Return the weights of the slices in each voxel of the patch, (side, n)."""
        spline = make_interp_spline(self.centres, np.eye(self.n), k=self.order)
        return np.asarray(spline(np.arange(side)), np.float32)


def means(centres: NDArray[np.float64], size: float, n: int) -> Floats:
    """Return the weights of n samples in the mean over intervals of a size, (intervals, n).

    The linear interpolation between the samples is integrated, as `average_over_voxels` does.
    """
    from_sample = centres[:, None] - np.arange(n)
    return ((_hat_integral(from_sample + size / 2) - _hat_integral(from_sample - size / 2)) / size).astype(np.float32)


def _hat_integral(to: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral of the hat function max(0, 1 − |x|) from −∞."""
    below, above = np.clip(to + 1, 0, 1) ** 2 / 2, np.clip(1 - to, 0, 1) ** 2 / 2
    return np.where(to < 0, below, 1 - above)


def along(weights: Floats, image: Floats, axis: int) -> Floats:
    """Return an image (i, j, k) whose axis is multiplied by (m, n) weights."""
    product = torch.tensordot(torch.from_numpy(weights), torch.from_numpy(image), dims=([1], [axis]))
    return np.asarray(product.movedim(0, axis).contiguous().numpy())


def noisy(signal: Floats, sigma: float, random: np.random.Generator) -> Floats:
    """Return the magnitude of a signal with complex Gaussian noise of a standard deviation in each channel."""
    if sigma <= 0:
        return np.abs(signal)
    real, imaginary = (np.float32(sigma) * random.standard_normal(signal.shape, np.float32) for _ in range(2))
    return np.asarray(np.hypot(signal + real, imaginary))


def mixed(shares: NDArray[np.uint8] | Floats, signals: Floats) -> Floats:
    """Return the signals of voxels: those of tissues times their shares.

    Parameters
    ----------
    shares : (..., n_tissues or more) array
        In 255ths; channels after the tissues are left out.
    signals : (n, n_tissues) float32 array

    Returns
    -------
    (n, ...) float32 array
    """
    weights = torch.zeros(len(signals), shares.shape[-1])
    weights[:, :N_TISSUES] = torch.from_numpy(signals) / WHOLE
    flat = torch.from_numpy(shares.reshape(-1, shares.shape[-1]))
    result = torch.empty(len(signals), len(flat))
    for start in range(0, len(flat), CHUNK):
        part = slice(start, start + CHUNK)
        result[:, part] = weights @ flat[part].float().T
    return np.asarray(result.reshape(-1, *shares.shape[:-1]).numpy())


def at_angles(signals: Floats, place: Floats) -> Floats:
    """Return the parabola through signals at −1, 0 and 1, (3, ...), at a place of each voxel, (...)."""
    low, middle, high = signals
    curve: Floats = middle + place * ((high - low) / 2 + place * ((high + low) / 2 - middle))
    return curve


def averaged(image: Floats, at: TargetVoxels, around: int) -> Floats:
    """Return the mean of an image over the voxels of a block.

    Parameters
    ----------
    image : (i, j, k) float32 array
        A patch with some voxels around it.
    at : TargetVoxels
        Of the patch. Along axes that keep the grid of the patch, voxels are copied.
    around : int
        Voxels around the patch, at each face.
    """
    steps, first = at.matrix[:3, :3], at.matrix[:3, 3] + around
    if not np.allclose(steps, np.diag(np.diag(steps))):
        moved = np.eye(4)
        moved[:3, 3] = -around
        return average_over_voxels(torch.from_numpy(image), moved, np.eye(4), Grid(at.shape, at.matrix)).numpy()
    for axis, (step, n) in enumerate(zip(np.diag(steps), at.shape, strict=True)):
        if np.isclose(step, 1) and np.isclose(first[axis], round(first[axis])):
            start = round(first[axis])
            image = image[tuple(slice(start, start + n) if one == axis else slice(None) for one in range(3))]
        else:
            image = along(means(first[axis] + step * np.arange(n), float(step), image.shape[axis]), image, axis)
    return image


def parameters(shares: NDArray[np.uint8], tissue: Properties) -> Floats:
    """Return PD, T1, T2 and T2* of voxels without contrast agent, (4, ...).

    PD is the mean over tissues weighted by their shares, so that it is 0 in air. Of times, logarithms are averaged,
    weighted by shares and PD; in voxels without tissue they are 1 s, and nothing shows them.

    Parameters
    ----------
    shares : (..., n_tissues or more) uint8 array
        In 255ths.
    tissue : Properties
    """
    times = torch.stack([tissue.t1_s, tissue.t2_s, tissue.t2star_s])
    found = mixed(shares, torch.cat([tissue.pd[None], tissue.pd * times.log()]).float().numpy())
    has_tissue = found[0] > AIR
    logs = np.where(has_tissue, found[1:] / np.maximum(found[0], AIR), 0)
    return np.concatenate([found[:1], np.exp(logs)]).astype(np.float32)
