"""The state of a training: one file from which it goes on as if it had never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.networks.device import Precision, PrecisionChoice, choose_precision
from model.training import processes
from warehouse.errors import ModelError
from warehouse.lake import atomic

FILE = "state.safetensors"
FORMAT_VERSION = 1
MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum")  # what AdamW (three) and Muon (one) keep of each parameter


@dataclass
class Record:
    """Progress and settings of a training, which are saved beside its tensors.

    Parameters
    ----------
    step : int
        Steps that were made.
    seconds : float
        Wall time that they took, seconds, over all parts of an interrupted training.
    settings : dict
        Settings of the training; one with others is another training.
    history : list
        What was reported: step, split, measures.
    """

    step: int = 0
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    history: list[tuple[int, str, dict[str, float]]] = field(default_factory=list)


def save_state(
    folder: Path,
    network: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    average: Mapping[str, Tensor],
    record: Record,
) -> None:
    """Write the state in place of an earlier one.

    Parameters
    ----------
    folder : Path
        Made where absent.
    network : Module
    optimizers : sequence of Optimizer
        AdamW and Muon; together they have the network's trainable parameters.
    average : mapping of str to Tensor
        Moving averages of the weights, by their names; empty where there are none.
    record : Record
    """
    from safetensors.torch import save_file

    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.items()}
    for name, parameter in _trainable(network):
        for optimizer in optimizers:
            for moment, tensor in optimizer.state.get(parameter, {}).items():
                tensors[f"{moment}.{name}"] = tensor
    stored = {"format_version": FORMAT_VERSION, **vars(record)}
    temporary = atomic.temporary_beside(folder / FILE)
    # Copies, since safetensors refuses tensors that share memory.
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(copies, temporary, metadata={"record": json.dumps(stored, sort_keys=True)})
    atomic.move(temporary, folder / FILE)


def load_state(
    folder: Path, network: nn.Module, optimizers: Sequence[torch.optim.Optimizer], average: dict[str, Tensor]
) -> Record | None:
    """Put network, optimizers and averages back to where they were; None where there is no state yet.

    Raises
    ------
    ModelError
        When the state cannot be read, or is that of another network.
    """
    file = folder / FILE
    if not file.exists():
        return None
    record, tensors = _read(file)
    try:
        network.load_state_dict(_part(tensors, "network."), strict=True)
        for name, tensor in _part(tensors, "average.").items():
            average[name].copy_(tensor)
        _fill(network, optimizers, tensors)
    except (RuntimeError, KeyError) as error:
        raise _refused(file, f"it is of another network: {error}") from error
    return record


def stored_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings of the training whose state lies in a folder; None where there is none.

    Raises
    ------
    ModelError
        When the state cannot be read.
    """
    file = folder / FILE
    return _read(file)[0].settings if file.exists() else None


def _fill(network: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put the moments back, each where its parameter is; AdamW's step stays on the CPU, where torch keeps it."""
    names = {parameter: name for name, parameter in _trainable(network)}
    for optimizer in optimizers:
        for parameter in (one for group in optimizer.param_groups for one in group["params"]):
            stored = {moment: tensors.get(f"{moment}.{names[parameter]}") for moment in MOMENTS}
            moments = {
                moment: tensor if moment == "step" else tensor.to(parameter.device)
                for moment, tensor in stored.items()
                if tensor is not None
            }
            if moments:
                optimizer.state[parameter] = moments


def _read(file: Path) -> tuple[Record, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            stored = json.loads(opened.metadata()["record"])
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _refused(file, f"it is damaged: {error}") from error
    if stored.pop("format_version", None) != FORMAT_VERSION:
        raise _refused(file, "it was written by another version of this project")
    stored["history"] = [(step, split, measures) for step, split, measures in stored["history"]]
    return Record(**stored), tensors


def _trainable(network: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _refused(file: Path, why: str) -> ModelError:
    return ModelError(f"{file} cannot be gone on from: {why}", f"remove {file.parent} to train from the beginning")


def precision_of_training(choice: PrecisionChoice, device: str, folder: Path) -> Precision:
    """Return the precision of a training: the one in its saved state, else the one that suits this device.

    Parameters
    ----------
    choice : {"auto", "fp32", "bf16"}
        As configured.
    device : str
        cpu or cuda.
    folder : Path
        Where the state of the training lies. A training that is resumed keeps its precision, on another machine too.
    """
    stored = stored_settings(folder)
    # It may be chosen by a time, which differs between processes.
    return stored["precision"] if stored else processes.by_first(lambda: choose_precision(choice, device))
