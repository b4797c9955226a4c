"""Where in the template lesions arise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.simulation.nuclei import NUCLEI, nuclei
from model.simulation.template import template_grid
from model.simulation.tissue_maps import brain_levels

STEP_MM = 3.0


@dataclass(frozen=True)
class Sites:
    """Places of one kind in MNI space, RAS+, mm.

    Parameters
    ----------
    points_mm : (n, 3) array
    away : (n, 3) array
        Unit vectors away from the ventricles.
    """

    points_mm: NDArray[np.float64]
    away: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a random place, and the direction away from the ventricles there."""
        one = int(rng.integers(len(self.points_mm)))
        return self.points_mm[one] + rng.uniform(-STEP_MM / 2, STEP_MM / 2, 3), self.away[one]


@lru_cache(maxsize=1)
def lesion_sites() -> dict[str, Sites]:
    """Return the places of each kind: periventricular, juxtacortical, infratentorial, deep, nuclear."""
    grid, levels = template_grid(STEP_MM), brain_levels(STEP_MM)
    points = grid.points_mm().astype(np.float64)
    x, y, z = points
    white = levels.white > 1.0
    above = z > -4
    deep = white & above & (levels.white > 2.5) & (np.abs(x) > 14)
    lateral = (levels.ventricle > -8) & (np.abs(x) > 9) & above
    grey = nuclei(STEP_MM)[[NUCLEI.index(name) for name in ("thalamus", "striatum", "pallidum")]].sum(axis=0)
    kinds = {
        "periventricular": white & lateral & (levels.ventricle < -2.5),
        "juxtacortical": (np.abs(levels.white - 0.4) < 0.6) & (levels.inner > 5) & (levels.inner < 22) & (z > 0),
        "infratentorial": white & (z < -18) & (z > -48) & (y < -20) & (y > -70) & (np.abs(x) < 30),
        "deep": deep & (levels.ventricle < -5),
        "nuclear": (grey > 0.6) & (levels.ventricle < -2.5),
        "hemispheric": deep & (levels.inner > 26) & (np.abs(x) > 24) & (y > -62) & (y < 48) & (z > 4),
    }
    away = -np.moveaxis(np.asarray(np.gradient(levels.ventricle)), 0, -1)
    away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
    places = np.moveaxis(points, 0, -1)
    return {name: Sites(places[mask], away[mask].astype(np.float64)) for name, mask in kinds.items()}
