"""What a text encoder with its image tower costs: parameters, operations and memory, counted without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from model.networks.counting import BYTES, KEPT_IN_TRAINING, N_COUNTED, measured, n_parameters, short
from model.networks.pair_encoder import build
from warehouse.prompts.record import PromptRecord

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
            f"operations: {short(self.prompt_flops)}FLOP a prompt, {short(self.volume_flops)}FLOP a volume (forward)",
            f"memory in float32: weights {short(self.weight_bytes)}B; training {short(self.training_bytes)}B, and "
            f"{short(self.prompt_bytes)}B a prompt and {short(self.volume_bytes)}B a volume of a batch",
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
    prompt_flops, prompt_bytes = measured(encoder, lambda: encoder.text_features(prompts))
    volume_flops, volume_bytes = measured(encoder, lambda: encoder.image_features(volumes))
    n = n_parameters(encoder)
    return EncoderCost(
        n_text=n_parameters(encoder.text),
        n_image=n_parameters(encoder.image),
        n_parameters=n,
        prompt_flops=prompt_flops,
        volume_flops=volume_flops,
        weight_bytes=BYTES * n,
        training_bytes=BYTES * KEPT_IN_TRAINING * n,
        prompt_bytes=prompt_bytes,
        volume_bytes=volume_bytes,
    )
