"""The records of a training: `Run` when it starts or goes on, `Trained` when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.networks.device import Precision
from model.training.config import TrainingConfig, run_id
from model.training.state import precision_of_training
from warehouse.lake.home import Home
from warehouse.provenance import release, source_hash

if TYPE_CHECKING:
    from torch import nn

    from model.data.catalogue import CatalogueImages

# What decides the weights besides configuration and data; an edit anywhere else makes no new training.
DECIDES_TRAINING = (
    *(
        "model.training",
        "model.data",
        "model.networks",
        "model.physics",
        "model.simulation",
        "model.evaluation.metrics",
    ),
    "warehouse.prompts",
    *("warehouse.imaging.geometry", "warehouse.imaging.brain_scale", "warehouse.imaging.resampling"),
    *("warehouse.volumes.volume", "warehouse.volumes.readers"),
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


def new_run(
    home: Home,
    kind: str,
    config: TrainingConfig,
    images: CatalogueImages,
    network: nn.Module,
    device: str,
    *,
    is_simulated: bool,
    **decisive: str,
) -> Run:
    """Return a run that starts or goes on, under the identity of all that decides its weights.

    Parameters
    ----------
    home : Home
    kind : {"text_encoder", "synthesis"}
    config : TrainingConfig
    images : CatalogueImages
        That it learns from.
    network : Module
    device : {"cpu", "cuda"}
    is_simulated : bool
        Whether every image is simulated.
    **decisive : str
        What else decides the weights, e.g. the identity of a text encoder.
    """
    code = training_code(kind)
    facts = {"data_id": images.data_id, "recipe_id": images.recipe_id, "training_code": code, **decisive}
    identity = run_id(kind, config, facts)
    return Run(
        run_id=identity,
        kind=kind,
        data_id=images.data_id,
        snapshot_id=images.snapshot_id,
        training_code=code,
        seed=config.seed,
        device=device,
        n_parameters=sum(one.numel() for one in network.parameters() if one.requires_grad),
        is_simulated=is_simulated,
        precision=precision_of_training(config.precision, device, home.training / identity),
    )


def facts_of(config: TrainingConfig, images: CatalogueImages, run: Run) -> dict[str, Any]:
    """Return what a checkpoint of any kind says of its data and its training."""
    return {
        "training": config.model_dump(mode="json"),
        "data_id": images.data_id,
        "snapshot_id": images.snapshot_id,
        "recipe_id": images.recipe_id,
        "grid_mm": images.grid_mm,
        "training_code": run.training_code,
        "release": release(),
        "seed": config.seed,
        "run_id": run.run_id,
        "is_simulated": run.is_simulated,
        "precision": run.precision,
    }
