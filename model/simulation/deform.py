"""The map from a subject to the template: size, shape and a smooth invertible deformation.

The deformation is the flow of a stationary velocity field for one unit of time, computed by scaling and squaring
(Arsigny et al. 2006, MICCAI, LNCS 4190, 924), so it cannot fold. The field is smooth noise of two scales plus
the usual asymmetry: the right frontal pole reaches further forward and the left occipital pole further back (petalia;
Toga & Thompson 2003, Nature Reviews Neuroscience 4, 37).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from model.simulation.seeds import stream
from model.simulation.template import HeadGrid, intracranial_level, template_grid

VELOCITY_STEP_MM = 4.0  # of the grid of velocities
WIDE_MM, NARROW_MM, NARROW_SHARE = 30.0, 7.0, 0.12
PETALIA_MM = 3.5
DOUBLINGS = 6


@dataclass(frozen=True)
class Deformation:
    """The map from a subject to the template, both RAS+, mm.

    Parameters
    ----------
    scale : (3,) array
        Size of the subject along x, y, z as a share of the template's.
    shift_mm : (3, i, j, k) tensor on `template_grid(VELOCITY_STEP_MM)`
        Added to a point of the scaled template's space.
    face : float
        Share by which the face is shorter: 0 for adults.
    """

    scale: NDArray[np.float64]
    shift_mm: Tensor
    face: float

    def to_template(self, grid: HeadGrid) -> Tensor:
        """Return the point of the template for each voxel of a subject's grid, mm, (3, i, j, k) float32."""
        points = torch.from_numpy(grid.points_mm()) / torch.from_numpy(self.scale).float()[:, None, None, None]
        points += _upsampled(self.shift_mm, grid, self.scale)
        if self.face > 0:
            points[2] -= self.face * (-38.0 - points[2]).clamp(min=0.0)
        return points


def deformation(
    seed: int, scale: NDArray[np.float64], strength_mm: float, face: float, push: NDArray[np.float32] | None = None
) -> Deformation:
    """Return the deformation of a subject.

    Parameters
    ----------
    strength_mm : float
        Root mean square length of the displacement.
    push : (3, i, j, k) array, optional
        Additional velocity, mm: the mass effect of a tumour.
    """
    velocity = random_velocity(seed, strength_mm) + petalia()
    if push is not None:
        velocity += push
    return Deformation(scale, torch.from_numpy(flow(velocity)), face)


def random_velocity(seed: int, strength_mm: float) -> NDArray[np.float32]:
    """Return smooth noise of a given strength, mm, (3, i, j, k) on the grid of velocities.

    The narrow component varies gyri and is zero outside the brain, since the skull is smooth.
    """
    rng, shape = stream(seed, "deformation"), (3, *template_grid(VELOCITY_STEP_MM).shape)
    total = np.zeros(shape, np.float32)
    brain = np.clip((intracranial_level(VELOCITY_STEP_MM) + 4.0) / 8.0, 0.0, 1.0)
    for width_mm, share, room in ((WIDE_MM, 1.0 - NARROW_SHARE, 1.0), (NARROW_MM, NARROW_SHARE, brain)):
        noise = rng.standard_normal(shape).astype(np.float32)
        smooth = ndimage.gaussian_filter(noise, (0, *[width_mm / VELOCITY_STEP_MM] * 3), mode="wrap")
        total += room * np.sqrt(share) * smooth / np.sqrt((smooth**2).sum(axis=0).mean())
    return np.asarray(total * np.float32(strength_mm), np.float32)


def petalia() -> NDArray[np.float32]:
    """Return the velocity of the usual asymmetry of the poles; it points against growth, since points are sampled."""
    x, y, z = template_grid(VELOCITY_STEP_MM).axes_mm()
    velocity = np.zeros((3, *template_grid(VELOCITY_STEP_MM).shape), np.float32)
    for x_mm, y_mm, ahead in ((22.0, 66.0, 1.0), (-20.0, -96.0, -1.0)):
        near = np.exp(-((x - x_mm) ** 2 + (y - y_mm) ** 2 + (z - 4.0) ** 2) / (2 * 20.0**2))
        velocity[1] -= np.float32(ahead * PETALIA_MM) * near
    return velocity


def flow(velocity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the displacement after following a velocity for one unit of time, mm, (3, i, j, k)."""
    grid = template_grid(VELOCITY_STEP_MM)
    shift = torch.from_numpy(velocity)[None] / 2**DOUBLINGS
    axes = [torch.linspace(-1, 1, size) for size in grid.shape]
    here = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)[None]
    to_unit = torch.tensor([2.0 / (size - 1) / VELOCITY_STEP_MM for size in grid.shape])
    for _ in range(DOUBLINGS):
        there = (here + shift.permute(0, 2, 3, 4, 1) * to_unit).flip(-1)  # grid_sample expects the last axis first
        shift = shift + functional.grid_sample(shift, there, padding_mode="border", align_corners=True)
    return np.asarray(shift[0].numpy())


def _upsampled(shift_mm: Tensor, grid: HeadGrid, scale: NDArray[np.float64]) -> Tensor:
    """Return shifts at the voxels of a grid, interpolated at the scaled coordinates."""
    coarse, result = template_grid(VELOCITY_STEP_MM), shift_mm
    for axis, (line, size) in enumerate(zip(grid.axes_mm(), coarse.shape, strict=True)):
        at = (torch.from_numpy(line.ravel()) / float(scale[axis]) - float(coarse.affine[axis, 3])) / VELOCITY_STEP_MM
        at = at.clamp(0.0, size - 1.001)
        low = at.floor().long()
        part = (at - low).reshape([-1 if dim == axis + 1 else 1 for dim in range(4)])
        result = torch.lerp(result.index_select(axis + 1, low), result.index_select(axis + 1, low + 1), part)
    return result
