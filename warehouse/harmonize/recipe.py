"""What is done to a scan, as named parameters; another parameter is another recipe."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from warehouse.documents import read_yaml, shipped_or_own, validated
from warehouse.provenance import source_hash

SHIPPED = Path(__file__).parent / "recipes"
STEPS_VERSION = 1  # part of every recipe_id since the first one; what the steps do is in `steps_hash`
DECIDES_VOLUMES = ("warehouse.harmonize", "warehouse.imaging", "warehouse.volumes.store")
# Parameters that came later, at the values that do what was done before them: there they change no identity.
LATER = {"mask_network": "fine", "mni_mm": 3, "converged_mm": 0.001}


class Recipe(BaseModel):
    """Parameters of harmonisation.

    `grid_mm`: voxel size of the session grid. `mask_per`: a brain mask from every scan, or one for the session.
    `n4`: bias correction. `percentiles`: intensities that become 0 and 1, inside the head; the defaults are those of
    TUMSyn's published code. `whole_head`: keep scalp and skull, else zeros outside the brain mask; the mask is stored
    in both cases. `mask_network`: both networks of the brain mask, or the coarse one alone. `register_mm`, `mni_mm`:
    resolution at which scans are registered with each other, and with MNI152. `converged_mm`: a registration ends when
    its steps are smaller than this.
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
        """Return the hash of the parameters; the name is none of them."""
        given = self.model_dump(exclude={"name"}) | {"steps": STEPS_VERSION}
        told = {key: value for key, value in given.items() if LATER.get(key) != value}
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def steps_hash() -> str:
    """Return a hash of the source of all steps: volumes that another version made are made again."""
    return source_hash("warehouse.harmonize.session", DECIDES_VOLUMES)


def load_recipe(name_or_path: str) -> Recipe:
    """Read a shipped recipe by its name, or the user's own by its path.

    Raises
    ------
    TumsynError
        Naming file, key and remedy.
    """
    path = shipped_or_own("recipe", name_or_path, SHIPPED)
    return validated(Recipe, read_yaml(path), path, "recipes/standard.yaml")
