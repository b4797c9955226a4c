"""What every synthesis network has in common, and how one is chosen and kept.

A network sees scans of one head on one grid, and what is wanted. It makes a latent map on that grid once, and decodes
it at the voxels of any grid. An architecture is one file of this package.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.data.target_voxels import TargetVoxels
from model.networks.synthesis.physics import Maps, Settings
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import USUAL_SPREAD

ARCHITECTURES = ("compact", "reference")
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Scans:
    """Scans of some heads, those of one head on one grid: axes R, A, S, isotropic voxels.

    Parameters
    ----------
    voxels : (batch, n, i, j, k) float32 Tensor
        Network intensities; that of no signal outside a scan's field of view.
    seen : (batch, n, i, j, k) float32 Tensor
        1 in the field of view of a scan, 0 outside it, and everywhere for a scan that is not there.
    sizes_mm : (batch, n, 3) float32 Tensor
        Extents of a scan's own voxels along i, j, k: thick slices have one that is larger.
    embeddings : (batch, n, e) float32 Tensor
        Of the prompts of the scans, by the frozen text encoder.
    there : (batch, n) bool Tensor, optional
        Whether a scan is there; None: where it has a field of view. A piece keeps what is true of the whole.
    spreads : (batch, n) float32 Tensor, optional
        Spread of each scan's brain as a part of its median signal, by which intensities are signals; None: usual ones.
    """

    voxels: Tensor
    seen: Tensor
    sizes_mm: Tensor
    embeddings: Tensor
    there: Tensor | None = None
    spreads: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        i, j, k = self.voxels.shape[2:]
        return i, j, k

    @property
    def present(self) -> Tensor:
        """Whether a scan is there, (batch, n) bool."""
        return self.seen.flatten(2).amax(2) > 0 if self.there is None else self.there

    @property
    def relative_spreads(self) -> Tensor:
        """Spread of each scan's brain as a part of its median signal, (batch, n) float32."""
        return self.sizes_mm.new_full(self.sizes_mm.shape[:2], USUAL_SPREAD) if self.spreads is None else self.spreads

    def cut(self, box: Box) -> Scans:
        """Return the scans within slices along i, j, k."""
        return replace(self, voxels=self.voxels[..., *box], seen=self.seen[..., *box], there=self.present)

    def padded(self, step: int) -> Scans:
        """Return the scans with the outermost voxels repeated at the far ends, up to multiples of a step."""
        missing = [-size % step for size in self.shape]
        if not any(missing):
            return self
        pad = (0, missing[2], 0, missing[1], 0, missing[0])
        voxels, seen = (functional.pad(one, pad, mode="replicate") for one in (self.voxels, self.seen))
        return replace(self, voxels=voxels, seen=seen)

    def to(self, device: str | torch.device) -> Scans:
        """Return the same on a device."""
        return Scans(
            self.voxels.to(device),
            self.seen.to(device),
            self.sizes_mm.to(device),
            self.embeddings.to(device),
            None if self.there is None else self.there.to(device),
            None if self.spreads is None else self.spreads.to(device),
        )


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Parameters
    ----------
    embeddings : (batch, e) float32 Tensor
        Of the prompts of the wanted scans, by the frozen text encoder.
    sizes_mm : (batch, 3) float32 Tensor
        Extents of the wanted voxels along i, j, k of the scans' grid.
    settings : Settings, optional
        What the signal equations need; without them, and where they are off, no equation is used.
    """

    embeddings: Tensor
    sizes_mm: Tensor
    settings: Settings | None = None

    def of(self, row: int) -> Wanted:
        """Return what one row of the batch wants."""
        settings = self.settings.of_row(row) if self.settings else None
        return Wanted(self.embeddings[row : row + 1], self.sizes_mm[row : row + 1], settings)

    def to(self, device: str | torch.device) -> Wanted:
        """Return the same on a device."""
        settings = self.settings.to(device) if self.settings else None
        return Wanted(self.embeddings.to(device), self.sizes_mm.to(device), settings)


class SynthesisNetwork(nn.Module, ABC):
    """Turn scans into the one that is wanted.

    Attributes
    ----------
    step : int
        Voxels of the grid to one of the coarsest level; tiles begin and end at multiples of it.
    reach : int
        Voxels from which a voxel of the result is influenced, in each direction; a multiple of `step`.
    max_scans : int
        Most scans of one head.
    """

    step: int
    reach: int
    max_scans: int

    @abstractmethod
    def latent(self, scans: Scans, wanted: Wanted) -> Tensor:
        """Return (batch, c, i, j, k) on the grid of the scans, which may have any size."""

    @abstractmethod
    def decode(self, latent: Tensor, wanted: Wanted, at: TargetVoxels | None = None) -> Tensor:
        """Return network intensities of a latent map, always in float32.

        Parameters
        ----------
        latent : (batch, c, i, j, k) Tensor
        wanted : Wanted
        at : TargetVoxels, optional
            Voxels of one head's own grid, the same for the whole batch; default: those of the latent map.

        Returns
        -------
        (batch, 1, i', j', k') Tensor
        """

    @property
    def has_maps(self) -> bool:
        """Whether `maps` returns any."""
        return False

    def maps(self, latent: Tensor) -> Maps | None:
        """Return the tissue parameters that a latent map stands for; None of a network without equations."""
        return None

    def forward(self, scans: Scans, wanted: Wanted, at: TargetVoxels | None = None) -> Tensor:
        """Return (batch, 1, i', j', k') network intensities; see `decode`."""
        return self.decode(self.latent(scans, wanted), wanted, at)

    def standardise(self, embeddings: Tensor) -> None:
        """Take what (n, e) embeddings of the prompts to be learned have in common; called once, before training."""


def build(architecture: Mapping[str, Any]) -> SynthesisNetwork:
    """Return an untrained network.

    Parameters
    ----------
    architecture : mapping
        `name`, of `ARCHITECTURES`, `embedding_width`, and the sizes of that architecture.

    Raises
    ------
    ModelError
        For an unknown name or size.
    """
    name = architecture.get("name")
    if name not in ARCHITECTURES:
        raise ModelError(f"there is no synthesis network {name!r}", f"architectures are {', '.join(ARCHITECTURES)}")
    sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in architecture.items()}
    del sizes["name"]
    try:
        made: SynthesisNetwork = import_module(f"model.networks.synthesis.{name}").from_sizes(sizes)
    except (TypeError, KeyError) as error:
        raise ModelError(f"these sizes are not of {name!r}: {error}", "train it again") from error
    return made


def describe(name: str, config: Any) -> dict[str, Any]:
    """Return an architecture as a checkpoint keeps it: its name, and the sizes in a dataclass."""
    return {"name": name, **asdict(config)}
