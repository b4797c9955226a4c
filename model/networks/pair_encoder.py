"""What every text encoder with its image tower has in common, and how one is chosen, kept and used.

An architecture is one file. A training sees `PairEncoder`; stage 2 sees `FrozenTextEncoder`, which holds the text tower
alone; evaluation and recognition of contrasts see `Matcher`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

if TYPE_CHECKING:
    from model.data.matching import MatchingBatch

ARCHITECTURES = ("fields", "reference")
PREFIX = "text."  # of the text tower's weights in a checkpoint of both towers
BATCH = 16
Encoded = TypeVar("Encoded", bound="EncodedPrompts")


class EncodedPrompts(Protocol):
    """Prompts as tensors, in the form that one architecture takes."""

    def __len__(self) -> int: ...

    def __getitem__(self: Encoded, rows: Tensor | slice) -> Encoded: ...

    def to(self: Encoded, device: torch.device | str) -> Encoded:
        """Return the same on another device."""
        ...


class TextTower(nn.Module, ABC):
    """Turn prompts into vectors.

    Attributes
    ----------
    width : int
        Numbers of a vector.
    """

    width: int

    @abstractmethod
    def encode(self, records: Sequence[PromptRecord]) -> Any:
        """Return records as tensors on the CPU."""

    @abstractmethod
    def forward(self, prompts: Any) -> Tensor:
        """Return (n, width) float32 vectors, not normalised."""


class PairEncoder(nn.Module, ABC):
    """A text tower and an image tower that meet in one space.

    Attributes
    ----------
    text : TextTower
    image : Module
        From (n, 1, i, j, k) network intensities to (n, f).
    """

    text: TextTower
    image: nn.Module

    @property
    def width(self) -> int:
        """Numbers of a text feature, which a synthesis is conditioned on."""
        return self.text.width

    def encode(self, records: Sequence[PromptRecord]) -> Any:
        """Return records as tensors on the CPU."""
        return self.text.encode(records)

    def text_features(self, prompts: Any) -> Tensor:
        """Return (m, width) float32 vectors of encoded prompts, not normalised."""
        found: Tensor = self.text(prompts)
        return found

    def image_features(self, volumes: Tensor) -> Tensor:
        """Return (n, f) float32 vectors of (n, 1, i, j, k) network intensities."""
        found: Tensor = self.image(volumes)
        return found

    @abstractmethod
    def project_texts(self, features: Tensor) -> Tensor:
        """Return (m, d) vectors of length 1 of text features."""

    @abstractmethod
    def project_images(self, features: Tensor) -> Tensor:
        """Return (n, d) vectors of length 1 of image features."""

    @abstractmethod
    def loss(self, image_features: Tensor, batch: MatchingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and its parts by name."""


def build(architecture: Mapping[str, Any]) -> PairEncoder:
    """Return an untrained pair encoder.

    Parameters
    ----------
    architecture : mapping
        `name`, of `ARCHITECTURES`, and the sizes of that architecture.

    Raises
    ------
    ModelError
        For an unknown name or size.
    """
    sizes = {name: value for name, value in architecture.items() if name != "name"}
    try:
        made = _classes(architecture)[0](sizes)
    except (TypeError, KeyError) as error:
        raise ModelError(f"these sizes are not of {architecture.get('name')!r}: {error}", "train it again") from error
    return made


def describe(name: str, config: Any) -> dict[str, Any]:
    """Return an architecture as a checkpoint keeps it: its name, and the sizes in a dataclass."""
    return {"name": name, **asdict(config)}


def _classes(architecture: Mapping[str, Any]) -> tuple[Callable[..., PairEncoder], Callable[..., TextTower]]:
    """Return what makes both towers, and what makes the text tower, of sizes."""
    name = architecture.get("name")
    if name not in ARCHITECTURES:
        raise ModelError(f"there is no text encoder {name!r}", f"architectures are {', '.join(ARCHITECTURES)}")
    module = import_module(f"model.networks.{name}")  # each imports this one
    return module.from_sizes, module.text_from_sizes


class FrozenTextEncoder:
    """A text tower that is not trained.

    Parameters
    ----------
    model_id : str
        Checkpoint that it is from.
    architecture : mapping
        As `describe` makes it.
    tensors : mapping of str to Tensor
        Weights of the text tower.

    Raises
    ------
    ModelError
        When weights and architecture do not fit.
    """

    def __init__(self, model_id: str, architecture: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self.model_id, self.architecture = model_id, dict(architecture)
        sizes = {name: value for name, value in architecture.items() if name != "name"}
        try:
            self.network = _classes(architecture)[1](sizes)
            self.network.load_state_dict(dict(tensors), strict=True)
        except (RuntimeError, TypeError, KeyError) as error:
            what = f"text encoder {model_id}: weights and configuration do not fit: {error}"
            raise ModelError(what, "use the version of this project that wrote it, or train it again") from error
        self.network.eval().requires_grad_(False)

    @classmethod
    def from_checkpoint(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FrozenTextEncoder:
        """Make it of a checkpoint of kind text_encoder, as `model.networks.checkpoint.read_model` gives it."""
        own = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
        return cls(str(config["model_id"]), config["architecture"], own)

    @classmethod
    def from_parts(cls, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FrozenTextEncoder:
        """Make it of what a synthesis model says of it, and of its weights."""
        return cls(str(facts["model_id"]), facts["architecture"], tensors)

    @property
    def width(self) -> int:
        """Numbers of an embedding."""
        return self.network.width

    def to(self, device: str) -> FrozenTextEncoder:
        """Move it to a device."""
        self.network.to(device)
        return self

    def embed(self, records: Sequence[PromptRecord]) -> Tensor:
        """Return (n, width) embeddings of n records, in float32."""
        device = next(self.network.parameters()).device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            embedded: Tensor = self.network(self.network.encode(records).to(device))
            return embedded.float()


class Matcher:
    """Both towers of a checkpoint of kind text_encoder.

    Parameters
    ----------
    config : mapping
        What the checkpoint says of itself.
    tensors : mapping of str to Tensor

    Raises
    ------
    ModelError
        When weights and configuration do not fit.
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], device: str = "cpu") -> None:
        try:
            self.network = build(config["architecture"])
            self.network.load_state_dict(dict(tensors), strict=True)
        except (KeyError, RuntimeError, TypeError) as error:
            what = f"model {config.get('model_id')} holds no text encoder with its image tower: {error}"
            raise ModelError(what, "use the version of this project that wrote it, or train it again") from error
        self.device = device
        self.network.eval().requires_grad_(False).to(device)

    def embed_records(self, records: Sequence[PromptRecord]) -> NDArray[np.float32]:
        """Return (n, d) vectors of length 1 of n records."""
        batches = (records[first : first + 256] for first in range(0, len(records), 256))
        return self._joined(
            self.network.project_texts(self.network.text_features(self.network.encode(batch).to(self.device)))
            for batch in batches
        )

    def embed_volumes(self, volumes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return (n, d) vectors of length 1 of n volumes in the box that the tower was trained on."""
        return self._joined(
            self.network.project_images(self.network.image_features(self._tensor(batch))) for batch in _batches(volumes)
        )

    def _tensor(self, batch: list[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(batch))[:, None].to(self.device)

    def _joined(self, parts: Iterable[Tensor]) -> NDArray[np.float32]:
        with torch.no_grad():
            found = [part.float().cpu().numpy() for part in parts]
        return np.concatenate(found) if found else np.empty((0, 0), np.float32)


def _batches(volumes: Iterable[NDArray[np.float32]]) -> Iterable[list[NDArray[np.float32]]]:
    batch: list[NDArray[np.float32]] = []
    for volume in volumes:
        batch.append(volume)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
