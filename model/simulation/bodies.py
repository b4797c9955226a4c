"""Small irregular ovoids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RAGGED = 0.16  # how far the outline wanders, as a share of the width


@dataclass(frozen=True)
class Body:
    """An ovoid in the template.

    Parameters
    ----------
    center_mm : (x, y, z)
        RAS+.
    along : (x, y, z)
        Unit vector of its long axis.
    length_mm, width_mm : float
        Half axes.
    """

    center_mm: tuple[float, ...]
    along: tuple[float, ...]
    length_mm: float
    width_mm: float


def body_shares(
    bodies: Sequence[Body], points_mm: Tensor, noise: Tensor, edge_mm: float, wider_mm: float = 0.0
) -> Tensor:
    """Return how much of each point's voxel lies in any of the bodies, (n,).

    Parameters
    ----------
    points_mm : (3, n) tensor
    noise : (at least 2, n) tensor
        Makes outlines irregular.
    edge_mm : float
        Size of a voxel in the template's space.
    wider_mm : float
        Added to the half axes.
    """
    result = torch.zeros(points_mm.shape[1])
    if not points_mm.shape[1]:
        return result
    lowest, highest = points_mm.min(dim=1).values, points_mm.max(dim=1).values
    for body in bodies:
        center, reach = torch.tensor(body.center_mm), 1.6 * (body.length_mm + wider_mm) + edge_mm
        if bool(((center + reach < lowest) | (center - reach > highest)).any()):
            continue
        at = ((points_mm - center[:, None]).abs() < reach).all(dim=0).nonzero()[:, 0]
        if at.numel():
            part = _share(body, points_mm[:, at] - center[:, None], noise[:, at], edge_mm, wider_mm)
            result[at] = torch.maximum(result[at], part)
    return result


def _share(body: Body, offset_mm: Tensor, noise: Tensor, edge_mm: float, wider_mm: float) -> Tensor:
    axis = torch.tensor(body.along)
    along = axis @ offset_mm
    across = (offset_mm - axis[:, None] * along).norm(dim=0)
    width = body.width_mm + wider_mm
    level = width * (1.0 - torch.hypot(along / (body.length_mm + wider_mm), across / width) + RAGGED * noise[1])
    return (0.5 + level / edge_mm).clamp(0.0, 1.0)
