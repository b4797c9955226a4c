"""Both trained encoders in use: how well prompts and images fit each other; they learn no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.prompt_fields import encode_records
from model.networks.contrastive import Contrastive, ContrastiveConfig
from model.networks.image_tower import ImageTowerConfig
from model.networks.text_encoder import TextEncoderConfig
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

BATCH = 16


class Matcher:
    """Encoders of a checkpoint of kind text_encoder.

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
            text, image = config["architecture"]["text"], config["architecture"]["image"]
            architecture = ContrastiveConfig(TextEncoderConfig(**text), ImageTowerConfig(**image))
            self.network = Contrastive(architecture)
            self.network.load_state_dict(dict(tensors), strict=True)
        except (KeyError, RuntimeError, TypeError) as error:
            what = f"model {config.get('model_id')} holds no text encoder with its image tower: {error}"
            raise ModelError(what, "use the version of this project that wrote it, or train it again") from error
        self.device = device
        self.network.eval().requires_grad_(False).to(device)

    def embed_records(self, records: Sequence[PromptRecord]) -> NDArray[np.float32]:
        """Return (n, width) vectors of length 1 of n records."""
        batches = (records[first : first + 1024] for first in range(0, len(records), 1024))
        return self._joined(self.network.embed_prompts(encode_records(batch).to(self.device)) for batch in batches)

    def embed_volumes(self, volumes: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return (n, width) vectors of length 1 of n volumes in the box that the tower was trained on, in [0, 1]."""
        return self._joined(self.network.embed_images(self._tensor(batch)) for batch in _batches(volumes))

    def _tensor(self, batch: list[NDArray[np.float32]]) -> Tensor:
        return torch.from_numpy(np.stack(batch))[:, None].to(self.device)

    def _joined(self, parts: Iterable[Tensor]) -> NDArray[np.float32]:
        with torch.no_grad():
            found = [part.float().cpu().numpy() for part in parts]
        width = self.network.config.text.width
        return np.concatenate(found) if found else np.empty((0, width), np.float32)


def _batches(volumes: Iterable[NDArray[np.float32]]) -> Iterable[list[NDArray[np.float32]]]:
    batch: list[NDArray[np.float32]] = []
    for volume in volumes:
        batch.append(volume)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
