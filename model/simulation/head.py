"""One subject's head: which share of each voxel is which tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.physics.tissue import TISSUES, Properties, properties
from model.simulation.ageing import age_effects, relaxation_scale
from model.simulation.atlas import atlas
from model.simulation.deform import deformation
from model.simulation.draw import Drawing
from model.simulation.lesions import lesions_of
from model.simulation.subject import Subject
from model.simulation.template import HeadGrid

FINE_MM = 1.6  # coarser heads are drawn finer and averaged: a sulcus is 2 mm wide
CHUNK = 131_072  # points at a time: what fits the cache


@dataclass(frozen=True)
class Head:
    """A simulated head with all that is true about it.

    Parameters
    ----------
    subject : Subject
    fractions : (n_tissues, i, j, k) float32 tensor
        Share of each of `TISSUES`; what is missing to 1 is air.
    affine : (4, 4) array
        Voxel to world, RAS+, mm; isotropic.
    lesion_masks : dict of (i, j, k) boolean arrays
        By kind; empty for a subject without.
    displacement_mm : (3, i, j, k) float32 array
        Added to a point of the subject it gives the point of the template (MNI space) that came here; RAS+, mm.
    properties_scale : dict
        What the tabulated T1, T2, T2* and PD of each tissue are multiplied by.
    inflow : (i, j, k) float32 tensor
        Share of fresh arterial blood, 0 to 1.
    intracranial : (i, j, k) boolean array
        The space inside the dura: the brain with the fluid in and around it.
    """

    subject: Subject
    fractions: Tensor
    affine: NDArray[np.float64]
    lesion_masks: Mapping[str, NDArray[np.bool_]]
    displacement_mm: NDArray[np.float32]
    properties_scale: Mapping[str, tuple[float, float, float, float]]
    inflow: Tensor
    intracranial: NDArray[np.bool_]

    def tissue(self, field_strength_t: float) -> Properties:
        """Return relaxation, density and susceptibility of this subject's tissues."""
        table = properties(field_strength_t)
        scale = torch.tensor([self.properties_scale[name] for name in TISSUES], dtype=table.t1_s.dtype)
        names = ("t1_s", "t2_s", "t2star_s", "pd")
        scaled = {name: getattr(table, name) * scale[:, column] for column, name in enumerate(names)}
        scaled["t2_s"] = torch.minimum(scaled["t2_s"], scaled["t1_s"])
        scaled["t2star_s"] = torch.minimum(scaled["t2star_s"], scaled["t2_s"])
        return replace(table, **scaled)

    def labels(self) -> NDArray[np.uint8]:
        """Return the largest share's tissue: 0 for air, else its place in `TISSUES` plus one."""
        air = 1.0 - self.fractions.sum(dim=0, keepdim=True)
        return np.asarray(torch.cat([air, self.fractions]).argmax(dim=0).to(torch.uint8).numpy())

    def maps(self, field_strength_t: float) -> dict[str, Tensor]:
        """Return T1, T2, T2*, PD and susceptibility: means over what a voxel holds, 0 in air; (i, j, k) each."""
        table = self.tissue(field_strength_t)
        total = self.fractions.sum(dim=0)
        known = total.clamp(min=1e-3)
        result = {}
        for name in ("t1_s", "t2_s", "t2star_s", "chi_ppm"):
            result[name] = torch.einsum("t,tijk->ijk", getattr(table, name).float(), self.fractions) / known
        result["pd"] = torch.einsum("t,tijk->ijk", table.pd.float(), self.fractions)
        return result


def make_head(subject: Subject, resolution_mm: float = 1.0) -> Head:
    """Return the head of a subject; the same subject gives the same bytes.

    Parameters
    ----------
    resolution_mm : float
        Size of the isotropic voxels, 0.8 to 6 mm.
    """
    grid, times = HeadGrid(resolution_mm), int(np.ceil(resolution_mm / FINE_MM))
    fine = HeadGrid(resolution_mm / times, block=times)
    age, lesions = age_effects(subject), lesions_of(subject)
    warp = deformation(subject.seed, age.scale, subject.deformation_mm, age.face, lesions.push)
    where = warp.to_template(fine)
    drawn = _draw(where, fine, Drawing(age, lesions, subject.seed, fine.step_mm), times)
    inflow, intracranial, *kinds = drawn[len(TISSUES) :]
    return Head(
        subject=subject,
        fractions=drawn[: len(TISSUES)],
        affine=grid.affine,
        lesion_masks={name: (share > 0.5).numpy() for name, share in zip(lesions.kinds, kinds, strict=True)},
        displacement_mm=_averaged(where, times).numpy() - grid.points_mm(),
        properties_scale=relaxation_scale(subject),
        inflow=inflow,
        intracranial=(intracranial > 0.5).numpy(),
    )


def _draw(where: Tensor, fine: HeadGrid, drawing: Drawing, times: int) -> Tensor:
    """Return all channels, averaged over blocks of `times` voxels along each axis; air is skipped."""
    template = atlas(round(fine.step_mm, 4))
    noise = drawing.noise(fine)
    shape = tuple(size // times for size in fine.shape)
    result = torch.zeros((drawing.n_channels, int(np.prod(shape))))
    for start in np.ndindex(times, times, times):
        pick = (slice(None), *(slice(first, None, times) for first in start))
        points, texture = where[pick].flatten(1), noise[pick].flatten(1)
        near = [template.is_head(part.T) for part in torch.split(points, CHUNK, dim=1)]
        for part in torch.split(torch.cat(near).nonzero()[:, 0], CHUNK):
            at = points[:, part]
            channels = drawing.channels(at, template.sample(at.T), texture[:, part])
            result[:, part] = channels if times == 1 else result[:, part] + channels / times**3
    return result.reshape(-1, *shape)


def _averaged(values: Tensor, times: int) -> Tensor:
    return values if times == 1 else functional.avg_pool3d(values[None], times)[0]
