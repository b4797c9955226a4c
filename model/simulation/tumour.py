"""A malignant glioma: solid rim that enhances, necrotic core, oedema along white matter, and what it pushes aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.simulation.seeds import stream
from model.simulation.sites import lesion_sites
from model.simulation.subject import Subject
from model.simulation.template import template_grid
from model.simulation.tissue_maps import intracranial_level

VELOCITY_STEP_MM = 4.0
EDGE_MM = 1.5  # how sharply oedema ends


@dataclass(frozen=True)
class Tumour:
    """One tumour in the template.

    Parameters
    ----------
    center_mm : (x, y, z)
        RAS+.
    radius_mm, rim_mm, oedema_mm, push_mm : float
        Of the solid part; thickness of its living rim; reach of the oedema beyond it; displacement at its edge.
    """

    center_mm: tuple[float, ...]
    radius_mm: float
    rim_mm: float
    oedema_mm: float
    push_mm: float

    def levels(self, points_mm: Tensor, noise: Tensor, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances to the surfaces of solid part and core, positive inside, and the share of oedema."""
        away = (points_mm - torch.tensor(self.center_mm)[:, None]).norm(dim=0)
        lobes = 0.13 * self.radius_mm * noise[2] + 0.06 * self.radius_mm * noise[1]
        solid = self.radius_mm + lobes - away
        core = solid - self.rim_mm * (1.0 + 0.35 * noise[1].clamp(-2, 2))
        # Water follows the fibres: it fills white matter in fingers and stops at the cortex.
        fingers = self.oedema_mm * (0.55 + 0.25 * maps["white"].clamp(-1, 3) + 0.2 * noise[2])
        return solid, core, torch.sigmoid((solid + fingers) / EDGE_MM)

    def push(self) -> NDArray[np.float32]:
        """Return the velocity of points towards the tumour's centre: what is sampled nearer looks pushed away."""
        grid = template_grid(VELOCITY_STEP_MM)
        offset = grid.points_mm() - np.array(self.center_mm, np.float32)[:, None, None, None]
        away = np.sqrt((offset**2).sum(axis=0))
        speed = self.push_mm * np.exp(-(((away - self.radius_mm) / 20.0) ** 2)) * np.clip(away / self.radius_mm, 0, 1)
        room = np.clip(intracranial_level(VELOCITY_STEP_MM) / 10.0, 0, 1)  # the skull does not give way
        return np.asarray(-offset / np.maximum(away, 1e-3) * speed * room, np.float32)


def tumour_of(subject: Subject) -> Tumour:
    """Return a subject's tumour, in one hemisphere."""
    rng = stream(subject.seed, "tumour")
    center, _ = lesion_sites()["hemispheric"].draw(rng)
    radius = float(rng.uniform(12, 20))
    return Tumour(
        tuple(center.tolist()),
        radius,
        float(rng.uniform(3.5, 5.5)),
        float(rng.uniform(12, 22)),
        float(rng.uniform(4, 8)),
    )
