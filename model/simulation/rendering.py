"""The noiseless image of a head by a protocol, and its average over each voxel of an acquisition.

A voxel's value is the integral of the image over its box (trilinear between samples), not a sample at its centre: a
slice of 5 mm mixes what lies in 5 mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.physics.contrast import inflow_signals, signals_of
from model.physics.susceptibility import swi_weight
from model.physics.tissue import TISSUES
from warehouse.errors import PhantomError
from warehouse.imaging.geometry import Grid

if TYPE_CHECKING:
    from model.physics.protocol import SequenceProtocol
    from model.simulation.head import Head

BRAIN = (TISSUES.index("cortex"), TISSUES.index("white_matter"))
B0_AXIS = 2  # superior; the few degrees of the pose are neglected in the field of the susceptibility


@dataclass(frozen=True)
class Rendered:
    """An image without noise.

    Parameters
    ----------
    image : (i, j, k) tensor of float32
        Signed after an inversion: the magnitude is taken after averaging over voxels and adding noise.
    brain_signal : float
        Mean magnitude of cortex and white matter at the nominal flip angle, to which noise is relative.
    """

    image: Tensor
    brain_signal: float


def render(head: Head, protocol: SequenceProtocol, transmit: Tensor) -> Rendered:
    """Return the noiseless image of a head on its own grid: signals of tissues, weighted by their fractions.

    The signal is evaluated at the lowest, nominal and highest flip angle of the transmit field and interpolated by the
    parabola through the three.

    Parameters
    ----------
    transmit : (i, j, k) tensor of float32
        Transmit field on the head's grid, as a share of the nominal.
    """
    tissue = head.tissue(protocol.field_strength_t)
    half = max(float((transmit - 1).abs().max()), 1e-3)
    scales = (1 - half, 1.0, 1 + half)
    signals = torch.cat([signals_of([protocol], tissue, b1=scale, signed=True) for scale in scales])
    image = _parabola(_mixed(signals, head.fractions), (transmit - 1) / half)
    if protocol.sequence == "time_of_flight":
        fresh = torch.cat([inflow_signals([protocol], tissue, b1=scale) for scale in scales])
        image += _parabola(_mixed(fresh, head.fractions), (transmit - 1) / half) * head.inflow
    if protocol.sequence == "swi":
        chi_ppm = _mixed(tissue.chi_ppm[None], head.fractions)[0]
        i, j, k = (float(size) for size in np.linalg.norm(head.affine[:3, :3], axis=0))
        field_t, te_s = protocol.field_strength_t, protocol.echo_time_s
        image *= swi_weight(chi_ppm, (i, j, k), field_t, te_s, B0_AXIS, magnitude=image.abs())
    brain = float(signals[1, list(BRAIN)].abs().mean())
    return Rendered(image, brain)


def _mixed(values: Tensor, fractions: Tensor) -> Tensor:
    """Return values (n, n_tissues) × fractions summed over tissues, (n, i, j, k) float32."""
    flat = values.float() @ fractions.flatten(1)
    return flat.reshape(-1, *fractions.shape[1:])


def _parabola(at_three: Tensor, place: Tensor) -> Tensor:
    """Return the parabola through values at -1, 0 and 1, evaluated at `place` of each voxel."""
    low, middle, high = at_three
    curve: Tensor = middle + place * ((high - low) / 2 + place * ((high + low) / 2 - middle))
    return curve


DIRECTIONS = "RLAPSI"  # along +x, -x, +y, -y, +z, -z
POINTS_AT_ONCE = 2_000_000  # limits the memory of the sampling grid to about 25 MB
# Samples per edge of the image's own voxels. Compared with a dense average of a head, 1.5 gives an error of 1 % of the
# standard deviation and 1 gives 4 %; images finer than 2 mm are sampled by 1 to save time.
FINENESS, FINENESS_OF_FINE, FINE_MM = 1.5, 1.0, 2.0


def rotation(angles_deg: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation about x, then y, then z, degrees, right-handed."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(angles_deg)), np.sin(np.radians(angles_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned: NDArray[np.float64] = about_z @ about_y @ about_x
    return turned


def grid_over(
    shape: Sequence[int],
    affine: NDArray[np.float64],
    pose: NDArray[np.float64],
    voxel_size_mm: Sequence[float],
    axcodes: str,
    tilt_deg: Sequence[float] = (0.0, 0.0, 0.0),
) -> Grid:
    """Return the grid that covers an image as it lies in the scanner, centred on it.

    Parameters
    ----------
    shape, affine
        Of the image; voxel to head, RAS+, mm.
    pose : (4, 4) array
        Head to scanner, RAS+, mm.

    Raises
    ------
    PhantomError
        When `axcodes` does not name three axes, or a voxel size is not positive.
    """
    if len(axcodes) != 3 or len({DIRECTIONS.find(code) // 2 for code in axcodes} - {-1}) != 3:
        raise PhantomError(f"{axcodes!r} does not name three axes", "give one of R/L, A/P and S/I each, e.g. LPS")
    sizes = np.asarray(voxel_size_mm, float)
    if sizes.shape != (3,) or not (sizes > 0).all():
        raise PhantomError(f"{tuple(voxel_size_mm)} mm is not a voxel size", "give three sizes above 0 mm")
    straight = np.zeros((3, 3))
    for axis, code in enumerate(axcodes):
        direction = DIRECTIONS.index(code)
        straight[direction // 2, axis] = 1.0 - 2.0 * (direction % 2)
    extent = np.abs(straight.T) @ np.abs(affine[:3, :3]) @ np.array(shape)
    counts = np.maximum(2, np.ceil(extent / sizes - 1e-6)).astype(int)
    placed = np.eye(4)
    placed[:3, :3] = rotation(tilt_deg) @ straight * sizes
    middle = (pose @ affine @ [*((np.array(shape) - 1) / 2), 1.0])[:3]
    placed[:3, 3] = middle - placed[:3, :3] @ ((counts - 1) / 2)
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), placed)


def average_over_voxels(image: Tensor, affine: NDArray[np.float64], pose: NDArray[np.float64], grid: Grid) -> Tensor:
    """Return the mean of an image over each voxel of a grid; outside the image is air.

    The image is sampled along the axes of the voxels at least as finely as its own voxels (`FINENESS`), and the linear
    interpolation between the samples is integrated exactly: over the piece around a sample, the integral is
    (1, 6, 1) / 8 of it and its neighbours.

    Parameters
    ----------
    image : (i, j, k) tensor of float32
    affine : (4, 4) array
        Its voxels to head, RAS+, mm.
    pose : (4, 4) array
        Head to scanner, RAS+, mm.
    """
    finest = float(np.linalg.norm(affine[:3, :3], axis=0).min())
    per_mm = (FINENESS if finest >= FINE_MM else FINENESS_OF_FINE) / finest
    pieces = [max(1, ceil(per_mm * size - 0.05)) for size in grid.voxel_size_mm]
    to_image = np.linalg.inv(pose @ affine) @ grid.affine @ _pieces_to_voxels(pieces)
    samples = _sample(image, to_image, [n * p + 2 for n, p in zip(grid.shape, pieces, strict=True)])
    for axis, (count, n_pieces) in enumerate(zip(grid.shape, pieces, strict=True)):
        samples = _integrate(samples, axis, count, n_pieces)
    return samples


def _pieces_to_voxels(pieces: Sequence[int]) -> NDArray[np.float64]:
    """Return the affine from indices of pieces, with one more at each border, to indices of voxels."""
    share = 1 / np.array(pieces, float)
    matrix = np.diag([*share, 1.0])
    matrix[:3, 3] = -0.5 + share / 2 - share
    return matrix


def _sample(image: Tensor, to_image: NDArray[np.float64], shape: Sequence[int]) -> Tensor:
    """Return trilinear samples at every index of a grid, computed in slabs."""
    per_slab = max(1, POINTS_AT_ONCE // (shape[1] * shape[2]))
    # grid_sample counts from -1 to 1 between the first and last sample, last axis first
    scale = torch.tensor([2 / (n - 1) for n in image.shape], dtype=torch.float64)
    matrix = (torch.from_numpy(to_image[:3]) * scale[:, None]).flip(0)
    along_i, along_j, along_k, offset = matrix.T
    j, k = (torch.arange(n, dtype=torch.float64) for n in shape[1:])
    plane = (j[:, None, None] * along_j + k[None, :, None] * along_k + offset - 1).float()
    sampled = torch.empty(*shape, dtype=torch.float32)
    for start in range(0, shape[0], per_slab):
        i = torch.arange(start, min(start + per_slab, shape[0]), dtype=torch.float64)
        points = (i[:, None, None, None] * along_i).float() + plane
        slab = torch.nn.functional.grid_sample(
            image[None, None], points[None], mode="bilinear", padding_mode="zeros", align_corners=True
        )
        sampled[start : start + len(i)] = slab[0, 0]
    return sampled


def _integrate(samples: Tensor, axis: int, count: int, n_pieces: int) -> Tensor:
    length = count * n_pieces
    before, here, after = (samples.narrow(axis, start, length) for start in range(3))
    pieces = (before + 6 * here + after) / 8
    if n_pieces == 1:
        return pieces
    shape = (*pieces.shape[:axis], count, n_pieces, *pieces.shape[axis + 1 :])
    return pieces.reshape(shape).mean(axis + 1)
