"""One subject's head: the share of each voxel that each tissue takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.physics.tissue import TISSUES, Properties, properties
from model.simulation.ageing import AgeEffects, age_effects, relaxation_scale
from model.simulation.atlas import atlas
from model.simulation.deform import deformation
from model.simulation.lesions import Lesions, lesions_of
from model.simulation.people import Subject
from model.simulation.seeds import stream
from model.simulation.structures import NUCLEI, OUTER, SKULL_MM
from model.simulation.template import HeadGrid

NOISE_MM = (3.0, 6.0, 14.0)  # scales of the noises that give texture and make outlines irregular
SKIN_MM, DURA_MM, TABLE_MM = 1.9, 0.8, 1.6
FINE_MM = 1.6  # coarser heads are drawn on a finer grid and averaged: a sulcus is 2 mm wide
CHUNK = 131_072  # points at a time, to fit the cache

Shares = dict[str, Tensor]


@dataclass(frozen=True)
class Drawing:
    """The drawing of a subject: shares of tissues at points of the template.

    Parameters
    ----------
    age : AgeEffects
    lesions : Lesions
    seed : int
    step_mm : float
        Size of a voxel, and width of edges.
    """

    age: AgeEffects
    lesions: Lesions
    seed: int
    step_mm: float

    @property
    def n_channels(self) -> int:
        """Return the number of channels: tissues, inflow, intracranial space, and a mask for each kind of lesion."""
        return len(TISSUES) + 2 + len(self.lesions.kinds)

    def noise(self, grid: HeadGrid) -> Tensor:
        """Return smooth noises of about unit standard deviation, one for each of `NOISE_MM`, (n, i, j, k)."""
        extent_mm = np.array(grid.shape) * grid.step_mm
        fields = []
        for every_mm in NOISE_MM:
            size = [int(n) for n in np.ceil(extent_mm / every_mm) + 1]
            values = stream(self.seed, "texture", every_mm).standard_normal((1, 1, *size)).astype(np.float32)
            fields.append(functional.interpolate(torch.from_numpy(values), size=grid.shape, mode="trilinear")[0, 0])
        return torch.stack(fields) * 1.6  # interpolation reduces the standard deviation

    def channels(self, points_mm: Tensor, maps: Shares, noise: Tensor) -> Tensor:
        """Return all channels at points, (n_channels, n).

        Parameters
        ----------
        points_mm : (3, n) tensor
            In the template.
        maps : dict of (n,) tensors
            `Atlas.sample` at the points.
        noise : (len(NOISE_MM), n) tensor
        """
        inside = self.cover(maps["inner"] * self._size)
        result = torch.zeros((self.n_channels, inside.shape[0]))
        for part, is_brain in ((inside > 0, True), (inside < 1, False)):
            at = part.nonzero()[:, 0]
            here = {name: values[at] for name, values in maps.items()}
            if is_brain:
                shares, masks = self._brain(points_mm[:, at], here, noise[:, at], inside[at])
                for mask, channel in zip(masks, range(len(TISSUES) + 2, self.n_channels), strict=True):
                    result[channel, at] = mask
            else:
                shares = self._outside(points_mm[:, at], here, noise[:, at], 1.0 - inside[at])
            for name, share in shares.items():
                result[TISSUES.index(name), at] += share
        tissues = result[: len(TISSUES)].clamp_(min=0.0)
        self._add_blood(tissues, maps)
        tissues /= tissues.sum(dim=0).clamp_(min=1.0)
        result[len(TISSUES)] = self._fresh(points_mm) * tissues[TISSUES.index("artery")]
        result[len(TISSUES) + 1] = inside
        return result

    def _add_blood(self, tissues: Tensor, maps: Shares) -> None:
        """Replace tissue by blood in vessels below the skin, in place."""
        deep = self.cover(maps["skin"] * self._size - 2.0)
        blood = {name: maps[name] * deep for name in ("artery", "vein")}
        tissues *= (1.0 - blood["artery"] - blood["vein"]).clamp_(min=0.0)
        for name, share in blood.items():
            tissues[TISSUES.index(name)] += share

    def cover(self, level_mm: Tensor) -> Tensor:
        """Return the share of a voxel inside a surface, given its distance (positive inside)."""
        return torch.clamp(0.5 + level_mm / self.step_mm, 0.0, 1.0)

    @property
    def _size(self) -> float:
        return float(np.prod(self.age.scale) ** (1 / 3))

    def _brain(self, points_mm: Tensor, maps: Shares, noise: Tensor, inside: Tensor) -> tuple[Shares, list[Tensor]]:
        age, size = self.age, self._size
        tissue = self.cover(torch.minimum(maps["pial"] * size + age.pial_mm, maps["inner"] * size - 0.8))
        beside = 1.0 - self.cover(maps["ventricle"] * size + age.ventricle_mm)
        # Ventricles shrink by thicker walls: fluid far from tissue stays fluid.
        wall = self.cover(maps["pial"] * size + age.pial_mm + 1.3 * max(-age.ventricle_mm, 0.0) + 0.5)
        tissue = (
            torch.where(maps["ventricle"] > -0.6, torch.minimum(beside, wall), torch.minimum(tissue, beside)) * inside
        )
        white = self.cover(maps["white"] * size + age.white_mm + 0.15 * noise[1])
        # Next to the ventricles, partial volumes of fluid and white matter would look like grey matter.
        rim = ((maps["ventricle"] + 3.0) / 1.5).clamp(0.0, 1.0)
        white = torch.minimum(torch.maximum(white, rim), tissue)
        texture = 0.05 * noise[0].clamp(-2.0, 2.0)
        shares = {"cortex": tissue - white, "white_matter": white}
        swap = texture.clamp(min=0.0) * shares["white_matter"] + texture.clamp(max=0.0) * shares["cortex"]
        shares = {"cortex": shares["cortex"] + swap, "white_matter": shares["white_matter"] - swap}
        nuclei = {name: maps[f"nucleus_{name}"] for name in NUCLEI}
        left = 1.0 - torch.stack(list(nuclei.values())).sum(dim=0)
        shares = {name: share * left for name, share in shares.items()}
        for name, share in nuclei.items():
            shares[name] = shares.get(name, torch.zeros_like(tissue)) + share * tissue
        fluid = inside - tissue
        falx = self._falx(points_mm) * fluid
        shares = {**shares, "csf": fluid - falx, "dura": falx}
        walls = {**maps, "ventricle": maps["ventricle"] + age.ventricle_mm / size}  # of this subject
        return shares, self.lesions.paint(shares, points_mm, walls, noise, self.step_mm, size)

    def _falx(self, points_mm: Tensor) -> Tensor:
        """Return the share of the falx, a sheet in the midsagittal plane above the corpus callosum."""
        x, y, z = points_mm
        above = ((y + 10.0) / 62.0) ** 2 + ((z - 5.0) / 38.0) ** 2 > 1.0
        share: Tensor = self.cover(0.5 - x.abs() * self._size) * (above & (z > -8.0))
        return share

    def _outside(self, points_mm: Tensor, maps: Shares, noise: Tensor, outside: Tensor) -> Shares:
        size, age = self._size, self.age
        calvaria = torch.sigmoid((points_mm[2] + 30.0) / 6.0)
        thinner = (SKULL_MM * size - age.skull_mm) * calvaria
        skin = maps["skin"] * size - thinner
        within = self.cover(skin)
        painted = {name: maps[f"outer_{name}"].clamp(0.0, 1.0) for name in OUTER}
        rest = (outside * (1.0 - torch.stack(list(painted.values())).sum(dim=0))).clamp(min=0.0) * within
        shares = self._skull(points_mm, -maps["inner"] * size, noise, rest)
        rest = rest - torch.stack(list(shares.values())).sum(dim=0)
        fat = age.fat_mm * (1.0 + 0.6 * torch.sigmoid((-42.0 - points_mm[2]) / 8.0)) * (1 + 0.15 * noise[2])
        below_skin, below_fat = self.cover(skin - SKIN_MM), self.cover(skin - SKIN_MM - fat)
        soft = {"skin": rest * (1.0 - below_skin / within.clamp(min=1e-3)).clamp(min=0.0)}
        soft["muscle"] = torch.minimum(rest * below_fat / within.clamp(min=1e-3), rest - soft["skin"])
        soft["fat"] = rest - soft["skin"] - soft["muscle"]
        for source in (soft, {name: share * outside * within for name, share in painted.items() if name != "air"}):
            for name, share in source.items():
                shares[name] = shares[name] + share if name in shares else share
        return shares

    def _skull(self, points_mm: Tensor, depth_mm: Tensor, noise: Tensor, rest: Tensor) -> Shares:
        """Return dura, bone (inner and outer table) and marrow (diploe) by distance from the dura."""
        x, _, z = points_mm
        # The bone of the temples is thin and has no diploe.
        squama = torch.sigmoid((x.abs() - 62.0) / 3.0) * torch.sigmoid((16.0 - z) / 4.0)
        whole = self.age.skull_mm * (1.0 + 0.10 * noise[2]) * (1.0 - 0.45 * squama) + DURA_MM
        starts = (
            torch.zeros_like(whole),
            torch.full_like(whole, DURA_MM),
            torch.full_like(whole, DURA_MM + TABLE_MM),
            whole - TABLE_MM,
            whole,
        )
        dura, inner, diploe, outer = (
            (self.cover(depth_mm - start) - self.cover(depth_mm - end)).clamp(min=0.0) * rest
            for start, end in pairwise(starts)
        )
        marrow = diploe * (0.75 + 0.15 * noise[1]).clamp(0.3, 1.0) * (1.0 - squama)
        return {"dura": dura, "bone": inner + diploe - marrow + outer, "marrow": marrow}

    def _fresh(self, points_mm: Tensor) -> Tensor:
        """Return the share of arterial blood that is unsaturated, which falls in the superior direction."""
        return torch.clamp(0.85 - points_mm[2] / 200.0, 0.3, 1.0)


@dataclass(frozen=True)
class Head:
    """A simulated head and its ground truth.

    Parameters
    ----------
    subject : Subject
    fractions : (n_tissues, i, j, k) float32 tensor
        Share of each of `TISSUES`; what is missing to 1 is air.
    affine : (4, 4) array
        Voxel to world, RAS+, mm; isotropic.
    lesion_masks : dict of (i, j, k) boolean arrays
        By kind; empty without lesions.
    displacement_mm : (3, i, j, k) float32 array
        Added to a point of the subject to give the point of the template (MNI space) that it was drawn from; RAS+, mm.
    properties_scale : dict
        Factors of the tabulated T1, T2, T2* and PD of each tissue.
    inflow : (i, j, k) float32 tensor
        Share of unsaturated arterial blood, 0 to 1.
    intracranial : (i, j, k) boolean array
        The space inside the dura: brain and cerebrospinal fluid.
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
        """Return relaxation times, proton density and susceptibility of this subject's tissues."""
        return scaled_tissue(field_strength_t, self.properties_scale)

    def labels(self) -> NDArray[np.uint8]:
        """Return the tissue of the largest share, (i, j, k): 0 for air, else its index in `TISSUES` plus one."""
        air = 1.0 - self.fractions.sum(dim=0, keepdim=True)
        return np.asarray(torch.cat([air, self.fractions]).argmax(dim=0).to(torch.uint8).numpy())

    def maps(self, field_strength_t: float) -> dict[str, Tensor]:
        """Return maps of T1, T2, T2*, PD and susceptibility, (i, j, k) each: means over tissues, 0 in air."""
        table = self.tissue(field_strength_t)
        total = self.fractions.sum(dim=0).clamp(min=1e-3)
        result = {}
        for name in ("t1_s", "t2_s", "t2star_s", "chi_ppm"):
            result[name] = torch.einsum("t,tijk->ijk", getattr(table, name).float(), self.fractions) / total
        result["pd"] = torch.einsum("t,tijk->ijk", table.pd.float(), self.fractions)
        return result


def scaled_tissue(
    field_strength_t: float, properties_scale: Mapping[str, tuple[float, float, float, float]]
) -> Properties:
    """Return the tabulated properties × factors of T1, T2, T2* and PD of each tissue; T2* ≤ T2 ≤ T1 is kept."""
    table = properties(field_strength_t)
    scale = torch.tensor([properties_scale[name] for name in TISSUES], dtype=table.t1_s.dtype)
    names = ("t1_s", "t2_s", "t2star_s", "pd")
    scaled = {name: getattr(table, name) * scale[:, column] for column, name in enumerate(names)}
    scaled["t2_s"] = torch.minimum(scaled["t2_s"], scaled["t1_s"])
    scaled["t2star_s"] = torch.minimum(scaled["t2star_s"], scaled["t2_s"])
    return replace(table, **scaled)


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
    """Return all channels, averaged over blocks of `times` voxels along each axis; air is not computed."""
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
