"""What an evaluation does, as named parameters with one hash: figures of two protocols are never compared.

The eight tasks are ours. The paper reports eight on its internal test sets as bar plots and publishes neither their
values nor its protocol, so no figure of this project stands beside one of the paper's.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from warehouse.documents import read_yaml, shipped_or_own, validated
from warehouse.errors import ModelError

SHIPPED = Path(__file__).parent / "protocols"
MEASURES_VERSION = 2  # raised when a measure or a baseline gives another figure for the same volumes
TASK = r"^[A-Za-z0-9]+_to_[A-Za-z0-9]+$"

TaskName = Annotated[str, StringConstraints(pattern=TASK)]
Split = Literal["val", "test_internal", "test_external", "acceptance"]


class Gates(BaseModel):
    """What a model must reach to be used.

    `better_than_identity_db`: mean brain PSNR above the source's own, dB. `steering_mae`: how much the brain changes
    when the prompt asks for another contrast, as a part of the range from black to white.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    better_than_identity_db: float = 0.0
    steering_mae: float = Field(default=0.01, gt=0, lt=1)


class EvaluationProtocol(BaseModel):
    """Parameters of an evaluation.

    `recipe`: which harmonised volumes. `tasks`: source and target contrast. `splits`: whose images. `percentiles`:
    intensities of the real target, inside its brain, that become 0 and 1; the same scale is applied to whatever is
    compared with it, and what lies beyond is clipped, so that the range of the data is 1.
    `max_pairs_per_task`: of each split, drawn by `seed`, people before second scans. `map_bins`, `max_map_pairs`: steps
    of the intensity map, and training pairs that it is fitted on. `max_steering_pairs`: of each task and split.
    `n_resamples`, `confidence`: of bootstrap intervals. `gates`: what must be reached.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    recipe: str
    tasks: tuple[TaskName, ...] = Field(min_length=1)
    splits: tuple[Split, ...] = Field(default=("test_internal", "test_external"), min_length=1)
    percentiles: tuple[float, float] = (0.5, 99.5)
    max_pairs_per_task: int = Field(default=200, ge=1)
    map_bins: int = Field(default=128, ge=2)
    max_map_pairs: int = Field(default=100, ge=1)
    max_steering_pairs: int = Field(default=20, ge=1)
    n_resamples: int = Field(default=10_000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = Field(default=0, ge=0)
    gates: Gates = Gates()

    @property
    def hash(self) -> str:
        """Return the identity of the parameters, 16 hexadecimal digits; the name is none of them."""
        content = self.model_dump(exclude={"name"}) | {"measures": MEASURES_VERSION}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def load_protocol(name_or_path: str) -> EvaluationProtocol:
    """Read a shipped protocol by its name, or the user's own by its path.

    Raises
    ------
    ModelError
        Naming file, key and remedy.
    """
    path = shipped_or_own("protocol", name_or_path, SHIPPED, error=ModelError)
    return validated(EvaluationProtocol, read_yaml(path, ModelError), path, "protocols/standard.yaml", ModelError)


@dataclass(frozen=True)
class DisplayRange:
    """Which intensities are black and white.

    Parameters
    ----------
    low, high : float
        Become 0 and 1.
    """

    low: float
    high: float

    @classmethod
    def of(cls, voxels: NDArray[Any], mask: NDArray[np.bool_], percentiles: tuple[float, float]) -> DisplayRange:
        """Return the scale of a volume by percentiles inside its mask.

        Raises
        ------
        ModelError
            When the mask is empty, voxels in it are not finite, or all are alike.
        """
        if mask.shape != voxels.shape or not mask.any():
            what = f"a mask of shape {mask.shape} and {np.count_nonzero(mask)} voxels for a volume of {voxels.shape}"
            raise ModelError(what, "harmonise the scan again: a brain mask belongs to it")
        inside = voxels[mask].astype(np.float64)
        if not np.isfinite(inside).all():
            raise ModelError("voxels of the brain are NaN or infinite", "harmonise the scan again")
        low, high = (float(value) for value in np.percentile(inside, percentiles))
        if high - low < 1e-6:
            raise ModelError(f"the whole brain has one intensity, {low:g}", "leave the scan out")
        return cls(low, high)

    def apply(self, voxels: NDArray[Any]) -> NDArray[np.float64]:
        """Return a volume on this scale, clipped to [0, 1]."""
        return np.clip((voxels.astype(np.float64) - self.low) / (self.high - self.low), 0.0, 1.0)
