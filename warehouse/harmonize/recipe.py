"""Recipes: the parameters of harmonisation. Any other parameter gives another recipe identifier."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from warehouse.documents import read_yaml, shipped_or_own, validated
from warehouse.provenance import source_hash

SHIPPED = Path(__file__).parent / "recipes"
STEPS_VERSION = 1  # part of every recipe_id, kept so that identifiers stay; the code is hashed by `steps_hash`
DECIDES_VOLUMES = ("warehouse.harmonize", "warehouse.imaging", "warehouse.volumes.store")
# Parameters that were added later, with the values of the earlier behaviour, which do not change a recipe_id.
LATER = {"mask_network": "fine", "mni_mm": 3, "converged_mm": 0.001}


class Recipe(BaseModel):
    """Parameters of harmonisation.

    `grid_mm`: voxel size of the session grid. `mask_per`: a brain mask from every scan, or one for the session.
    `n4`: bias correction. `percentiles`: intensities that become 0 and 1, inside the head; the defaults are those of
    TUMSyn's published code. `whole_head`: keep scalp and skull, else zeros outside the brain mask; the mask is stored
    in both cases. `mask_network`: both networks of the brain mask, or the coarse one alone. `register_mm`, `mni_mm`:
    resolution of the registration of scans with each other, and with MNI152. `converged_mm`: step size below which a
    registration ends.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    is_draft: bool = False
    grid_mm: float = Field(default=1.0, gt=0.3, le=10)
    mask_per: Literal["scan", "session"] = "scan"
    n4: bool = True
    percentiles: tuple[float, float] = (0.01, 99.9)
    whole_head: bool = True
    mask_network: Literal["fine", "coarse"] = "fine"
    register_mm: float = Field(default=1.5, ge=1, le=4)
    mni_mm: int = Field(default=3, ge=2, le=6)
    converged_mm: float = Field(default=0.001, gt=0, le=0.1)

    @property
    def recipe_id(self) -> str:
        """Return the hash of the parameters, without the name."""
        given = self.model_dump(exclude={"name"}) | {"steps": STEPS_VERSION}
        hashed = {key: value for key, value in given.items() if LATER.get(key) != value}
        text = json.dumps(hashed, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def steps_hash() -> str:
    """Return a hash of the source of all steps; volumes with another hash are made again."""
    return source_hash("warehouse.harmonize.session", DECIDES_VOLUMES)


def load_recipe(name_or_path: str) -> Recipe:
    """Return a shipped recipe by its name, or the user's own by its path.

    Raises
    ------
    TumsynError
        When it is absent or invalid; the error names file and key.
    """
    path = shipped_or_own("recipe", name_or_path, SHIPPED)
    return validated(Recipe, read_yaml(path), path, "recipes/standard.yaml")
