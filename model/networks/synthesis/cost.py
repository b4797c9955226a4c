"""What a synthesis network costs: parameters, operations and memory, counted without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch

from model.networks.counting import BYTES, KEPT_IN_TRAINING, N_COUNTED, measured, n_parameters, short
from model.networks.synthesis import Scans, SynthesisNetwork, Wanted, build
from model.networks.synthesis.windows import SIDE, UNBOUNDED, windows

VOLUME_VOXELS = (182, 218, 182)  # a head at 1 mm


@dataclass(frozen=True)
class SynthesisCost:
    """Cost of a synthesis network in float32.

    Parameters
    ----------
    n_parameters : int
    voxel_flops, volume_flops : int
        Floating-point operations of the forward pass for one voxel of a patch, and for a volume of `VOLUME_VOXELS` as
        inference computes it (in one piece, or in windows where the result depends on the patch); a multiplication
        and an addition are two. The backward pass takes about twice as many.
    n_windows : int
        Windows of a volume; 1 where it is computed in one piece.
    weight_bytes, training_bytes : int
        Of the weights alone, and of all that a training keeps of each parameter.
    patch_bytes : int
        Activations that a training keeps of one patch until the backward pass.
    """

    n_parameters: int
    voxel_flops: int
    volume_flops: int
    n_windows: int
    weight_bytes: int
    training_bytes: int
    patch_bytes: int

    def lines(self) -> list[str]:
        """Return the cost in words, to be shown."""
        pieces = "in one piece" if self.n_windows == 1 else f"in {self.n_windows} windows"
        return [
            f"parameters: {self.n_parameters:,}",
            f"operations: {short(self.voxel_flops)}FLOP a voxel, {short(self.volume_flops)}FLOP a volume of "
            f"{' × '.join(map(str, VOLUME_VOXELS))} voxels, computed {pieces} (forward)",
            f"memory in float32: weights {short(self.weight_bytes)}B; training {short(self.training_bytes)}B, and "
            f"{short(self.patch_bytes)}B a patch of a batch",
        ]


def cost_of(architecture: Mapping[str, Any], patch_voxels: tuple[int, int, int], n_scans: int = 1) -> SynthesisCost:
    """Return the cost of a synthesis network; no weight is made, so any size can be asked for.

    Parameters
    ----------
    architecture : mapping
        As `model.networks.synthesis.build` takes it.
    patch_voxels : tuple of 3 int
        Shape of the patches in training.
    n_scans : int
        Scans of each head.

    Raises
    ------
    ModelError
        For an unknown architecture or size, or more scans than it takes.
    """
    with torch.device("meta"):
        network = build(architecture).train()
    width = architecture["embedding_width"]
    patch_flops, patch_bytes = _measured(network, width, n_scans, patch_voxels)
    in_windows = network.reach >= UNBOUNDED
    n_windows = len(windows(VOLUME_VOXELS)) if in_windows else 1
    piece = (SIDE, SIDE, SIDE) if in_windows else VOLUME_VOXELS
    piece_flops, _ = _measured(network, width, n_scans, piece)
    n = n_parameters(network)
    return SynthesisCost(
        n_parameters=n,
        voxel_flops=patch_flops // prod(patch_voxels),
        volume_flops=n_windows * piece_flops,
        n_windows=n_windows,
        weight_bytes=BYTES * n,
        training_bytes=BYTES * KEPT_IN_TRAINING * n,
        patch_bytes=patch_bytes,
    )


def _measured(network: SynthesisNetwork, width: int, n_scans: int, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return operations and kept bytes of one head."""
    with torch.device("meta"):
        voxels = torch.ones(N_COUNTED, n_scans, *shape)
        scans = Scans(voxels, voxels, torch.ones(N_COUNTED, n_scans, 3), torch.ones(N_COUNTED, n_scans, width))
        wanted = Wanted(torch.ones(N_COUNTED, width), torch.ones(N_COUNTED, 3))
    return measured(network, lambda: network(scans, wanted))
