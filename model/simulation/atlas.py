"""The template head as one table, a row per voxel and a column per map, from which subjects are interpolated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.simulation.structures import NUCLEI, OUTER, nuclei, skin_level, surroundings, vessels
from model.simulation.template import Floats, HeadGrid, brain_levels, brain_maps, template_grid

LEVELS = ("inner", "skin", "pial", "white", "ventricle")
MARGIN_MM = 6.0  # width of the layer of air that is kept around the head
COLUMNS = (*LEVELS, *(f"nucleus_{name}" for name in NUCLEI), "artery", "vein", *(f"outer_{name}" for name in OUTER))


@dataclass(frozen=True)
class Atlas:
    """The template on a grid in MNI space.

    Parameters
    ----------
    grid : HeadGrid
    rows : (voxels of the grid,) int64 tensor
        Row of `table` of each voxel; 0 for air far from the head.
    near : (voxels of the grid,) boolean tensor
        Whether a head can be drawn there, i.e. all neighbours have a row.
    table : (rows, len(COLUMNS)) float16 tensor
        Levels end at 90 mm, so half precision is exact to 0.03 mm near the surfaces.
    """

    grid: HeadGrid
    rows: Tensor
    near: Tensor
    table: Tensor

    def sample(self, points_mm: Tensor) -> dict[str, Tensor]:
        """Return all maps at points, interpolated trilinearly.

        Parameters
        ----------
        points_mm : (n, 3) tensor
            In MNI space, RAS+, mm.
        """
        size = torch.tensor(self.grid.shape)
        at = (points_mm - torch.from_numpy(self.grid.affine[:3, 3]).float()) / self.grid.step_mm
        at = torch.minimum(at.clamp_(min=0.0), size - 1.001)
        low = at.long()
        high = at.sub_(low)
        parts = torch.stack([1 - high, high])  # (2, n, 3)
        plane = (parts[:, None, :, 0] * parts[None, :, :, 1]).reshape(4, -1)
        weights = (plane[:, None] * parts[None, :, :, 2]).reshape(8, -1).T.contiguous()
        base = (low[:, 0] * size[1] + low[:, 1]) * size[2] + low[:, 2]
        ahead = torch.tensor([0, 1, int(size[1]), int(size[1]) + 1]) * size[2]
        # The voxel above has the next row, since rows are numbered along k and the head has a margin of air.
        corners = self.rows[base[:, None] + ahead][:, :, None] + torch.arange(2)
        corners = corners.flatten(1).clamp_(max=len(self.table) - 1)
        mixed = functional.embedding_bag(corners, self.table, per_sample_weights=weights.half(), mode="sum")
        return dict(zip(COLUMNS, mixed.T.contiguous().float(), strict=True))

    def is_head(self, points_mm: Tensor) -> Tensor:
        """Return whether each point lies in the head or in the air next to it, (n,) booleans."""
        size = torch.tensor(self.grid.shape)
        origin = torch.from_numpy(self.grid.affine[:3, 3]).float()
        at = ((points_mm - origin) / self.grid.step_mm).round_().long()
        at = torch.minimum(at.clamp_(min=0), size - 1)
        return self.near[(at[:, 0] * size[1] + at[:, 1]) * size[2] + at[:, 2]]


@lru_cache(maxsize=2)
def atlas(step_mm: float) -> Atlas:
    """Return the template head with voxels of a size; cached."""
    grid = template_grid(step_mm)
    skin = skin_level(step_mm)
    near = skin > -MARGIN_MM
    rows = np.zeros(grid.shape, np.int64)
    rows[near] = np.arange(1, int(near.sum()) + 1)
    table = np.zeros((int(near.sum()) + 1, len(COLUMNS)), np.float16)
    table[0, :5] = (-60.0, -60.0, -6.0, -6.0, -18.0)
    for column, values in enumerate(_maps(step_mm)):
        table[1:, column] = values[near]
    inside = torch.from_numpy((skin > 2.0 * step_mm - MARGIN_MM).ravel())
    return Atlas(grid, torch.from_numpy(rows.ravel()), inside, torch.from_numpy(table))


def _maps(step_mm: float) -> Iterator[Floats]:
    levels = brain_levels(step_mm)
    yield from (levels.inner, skin_level(step_mm), levels.pial, levels.white, levels.ventricle)
    del levels
    brain_maps.cache_clear()  # frees memory: the table holds these maps now
    brain_levels.cache_clear()
    for bodies in (nuclei, vessels, surroundings):
        yield from bodies(step_mm)
