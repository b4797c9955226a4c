"""What a training says of itself: when it starts, and when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.networks.device import Precision
from warehouse.provenance import source_hash

# What decides the weights besides configuration and data; an edit anywhere else makes no new training.
DECIDES_TRAINING = (
    *(
        "model.training",
        "model.data",
        "model.networks",
        "model.physics",
        "warehouse.prompts",
        "model.evaluation.metrics",
    ),
    *("warehouse.prompts", "warehouse.imaging.geometry", "warehouse.volumes.volume", "warehouse.volumes.readers"),
)


def training_code(kind: str) -> str:
    """Return the version of the source code that decides the weights of a kind of model.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    """
    return source_hash(f"model.training.{kind}", DECIDES_TRAINING)


@dataclass(frozen=True)
class Run:
    """A training that starts, or goes on.

    Parameters
    ----------
    run_id : str
        Hash of kind, configuration, data and code.
    kind : {"text_encoder", "synthesis"}
    data_id, snapshot_id : str
        Data that it sees, and the catalogue that they were read from.
    training_code : str
        Hash of the source code that decides the weights.
    seed : int
    device : {"cpu", "cuda"}
    n_parameters : int
        Numbers that are trained.
    is_resumed : bool
        Whether an earlier process has begun it.
    is_simulated : bool
        Whether every image is simulated.
    precision : {"fp32", "bf16"}
        Of convolutions and matrix products.
    """

    run_id: str
    kind: str
    data_id: str
    snapshot_id: str
    training_code: str
    seed: int
    device: str
    n_parameters: int
    is_resumed: bool
    is_simulated: bool
    precision: Precision


@dataclass(frozen=True)
class Trained:
    """A training that is done.

    Parameters
    ----------
    model_id : str
    path : Path
        Folder of the checkpoint.
    run_id, kind, data_id : str
    n_parameters : int
        Numbers that were trained.
    n_steps : int
    seconds : float
        Wall time, seconds, over all parts of an interrupted training.
    metrics : dict
        As `model.training.loop.Fitted` has them.
    """

    model_id: str
    path: Path
    run_id: str
    kind: str
    data_id: str
    n_parameters: int
    n_steps: int
    seconds: float
    metrics: dict[str, float]
