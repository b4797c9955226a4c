"""The template head as one table: a row per voxel of the head, a column per map; subjects are interpolated from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.phantom.nuclei import NUCLEI, nuclei
from model.phantom.shells import OUTER, shells
from model.phantom.template import Grid, template_grid
from model.phantom.tissue_maps import brain_levels
from model.phantom.vessels import vessels

LEVELS = ("inner", "skin", "pial", "white", "ventricle")
MARGIN_MM = 5.0  # of air that is kept around the head
COLUMNS = (*LEVELS, *(f"nucleus_{name}" for name in NUCLEI), "artery", "vein", *(f"outer_{name}" for name in OUTER))


@dataclass(frozen=True)
class Atlas:
    """The template on a grid in MNI space.

    Parameters
    ----------
    grid : Grid
    rows : (voxels of the grid,) int64 tensor
        Row of `table` for each voxel; 0 for air far from the head.
    table : (rows, len(COLUMNS)) float16 tensor
        Half precision: levels end at 90 mm, so they are right to 0.03 mm where it matters.
    """

    grid: Grid
    rows: Tensor
    table: Tensor

    def sample(self, points_mm: Tensor) -> dict[str, Tensor]:
        """Return all maps at points by trilinear interpolation.

        Parameters
        ----------
        points_mm : (n, 3) tensor
            In MNI space, RAS+, mm.
        """
        size = torch.tensor(self.grid.shape)
        at = (points_mm - torch.from_numpy(self.grid.affine[:3, 3]).float()) / self.grid.step_mm
        at = torch.minimum(at.clamp(min=0.0), size - 1.001)
        low = at.floor().long()
        part = at - low
        base = (low[:, 0] * size[1] + low[:, 1]) * size[2] + low[:, 2]
        corners, weights = [], []
        for i in (0, 1):
            for j in (0, 1):
                for k in (0, 1):
                    corners.append(self.rows[base + (i * int(size[1]) + j) * int(size[2]) + k])
                    sides = [part[:, a] if one else 1 - part[:, a] for a, one in enumerate((i, j, k))]
                    weights.append(sides[0] * sides[1] * sides[2])
        mixed = functional.embedding_bag(
            torch.stack(corners, 1), self.table, per_sample_weights=torch.stack(weights, 1).half(), mode="sum"
        )
        return dict(zip(COLUMNS, mixed.float().T.contiguous(), strict=True))

    def is_head(self, points_mm: Tensor) -> Tensor:
        """Return which points lie in the head or in the air next to it: (n,) booleans."""
        size = torch.tensor(self.grid.shape)
        origin = torch.from_numpy(self.grid.affine[:3, 3]).float()
        at = ((points_mm - origin) / self.grid.step_mm).round_().long()
        at = torch.minimum(at.clamp_(min=0), size - 1)
        return self.rows[(at[:, 0] * size[1] + at[:, 1]) * size[2] + at[:, 2]] > 0


@lru_cache(maxsize=2)
def atlas(step_mm: float) -> Atlas:
    """Return the template head with voxels of a size; made once."""
    grid = template_grid(step_mm)
    levels, outer = brain_levels(step_mm), shells(step_mm)
    near = outer.skin > -MARGIN_MM
    rows = np.zeros(grid.shape, np.int64)
    rows[near] = np.arange(1, int(near.sum()) + 1)
    table = np.zeros((int(near.sum()) + 1, len(COLUMNS)), np.float16)
    table[0, :5] = (-60.0, -60.0, -6.0, -6.0, -18.0)
    maps = [levels.inner, outer.skin, levels.pial, levels.white, levels.ventricle]
    maps += [*nuclei(step_mm), *vessels(step_mm), *outer.fractions]
    for column, values in enumerate(maps):
        table[1:, column] = values[near]
    for part in (brain_levels, shells, nuclei, vessels):  # the table holds them now
        part.cache_clear()
    return Atlas(grid, torch.from_numpy(rows.ravel()), torch.from_numpy(table))
