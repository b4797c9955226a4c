"""What a text encoder with its image tower costs: parameters, operations and memory, counted without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from model.networks.pair_encoder import PairEncoder, build
from warehouse.prompts.record import PromptRecord

BYTES = 4  # of a float32
# What a training keeps of each parameter: weight, gradient, two moments of AdamW, moving average.
KEPT_IN_TRAINING = 5
N_COUNTED = 2  # rows: batch normalisation of a single position needs more than one
COMPLETE = PromptRecord(
    contrast="T1w",
    vendor="Siemens",
    field_strength_t=3.0,
    age_years=34.1,
    sex="M",
    voxel_size_mm=(1.0, 1.0, 1.0),
    repetition_time_s=2.5,
    echo_time_s=0.0022,
    inversion_time_s=1.0,
    flip_angle_deg=8.0,
)


@dataclass(frozen=True)
class EncoderCost:
    """Cost of a pair encoder in float32.

    Parameters
    ----------
    n_text, n_image, n_parameters : int
        Parameters of the text tower, of the image tower, and of everything.
    prompt_flops, volume_flops : int
        Floating-point operations of the features of one complete prompt, and of one volume; a multiplication and an
        addition are two. The backward pass takes about twice as many.
    weight_bytes, training_bytes : int
        Of the weights alone, and of all that a training keeps of each parameter.
    prompt_bytes, volume_bytes : int
        Activations that a training keeps of one prompt, and of one volume, until the backward pass.
    """

    n_text: int
    n_image: int
    n_parameters: int
    prompt_flops: int
    volume_flops: int
    weight_bytes: int
    training_bytes: int
    prompt_bytes: int
    volume_bytes: int

    def lines(self) -> list[str]:
        """Return the cost in words, to be shown."""
        return [
            f"parameters: {self.n_parameters:,} (text tower {self.n_text:,}, image tower {self.n_image:,})",
            f"operations: {_short(self.prompt_flops)}FLOP a prompt, {_short(self.volume_flops)}FLOP a volume (forward)",
            f"memory in float32: weights {_short(self.weight_bytes)}B; training {_short(self.training_bytes)}B, and "
            f"{_short(self.prompt_bytes)}B a prompt and {_short(self.volume_bytes)}B a volume of a batch",
        ]


def cost_of(architecture: Mapping[str, Any], box_voxels: tuple[int, int, int]) -> EncoderCost:
    """Return the cost of a pair encoder; no weight is made, so any size can be asked for.

    Parameters
    ----------
    architecture : mapping
        As `model.networks.pair_encoder.build` takes it.
    box_voxels : tuple of 3 int
        Shape of the volumes.

    Raises
    ------
    ModelError
        For an unknown architecture or size.
    """
    with torch.device("meta"):
        encoder = build(architecture).train()
        volumes = torch.empty(N_COUNTED, 1, *box_voxels)
    prompts = encoder.encode([COMPLETE] * N_COUNTED).to("meta")
    prompt_flops, prompt_bytes = _measured(encoder, encoder.text_features, prompts)
    volume_flops, volume_bytes = _measured(encoder, encoder.image_features, volumes)
    n_parameters = _count(encoder)
    return EncoderCost(
        n_text=_count(encoder.text),
        n_image=_count(encoder.image),
        n_parameters=n_parameters,
        prompt_flops=prompt_flops,
        volume_flops=volume_flops,
        weight_bytes=BYTES * n_parameters,
        training_bytes=BYTES * KEPT_IN_TRAINING * n_parameters,
        prompt_bytes=prompt_bytes,
        volume_bytes=volume_bytes,
    )


def _measured(encoder: PairEncoder, function: Any, rows: Any) -> tuple[int, int]:
    """Return operations, and bytes that are kept for the backward pass, of one row."""
    own = {parameter.untyped_storage()._cdata for parameter in encoder.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()  # of views of one storage, once
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = function(rows)  # held until everything is counted, so that no storage is given away again
    assert features.requires_grad
    return counter.get_total_flops() // N_COUNTED, sum(kept.values()) // N_COUNTED


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _short(number: float) -> str:
    """Return a number with three digits and a decimal prefix.

    Examples
    --------
    >>> _short(3_990_000_000), _short(512)
    ('3.99 G', '512 ')
    """
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5 or prefix == "T":
            break
        number /= 1000
    return f"{number:.3g} {prefix}"
