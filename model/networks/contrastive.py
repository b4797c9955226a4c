"""Prompts and images in one space: both encoders, the loss that brings them together, and heads that keep the fields.

The loss is SigLIP's (Zhai et al. 2023): every image is compared with every prompt by itself. Since many scans share a
prompt, and many prompts differ by little, the wanted answer is no identity matrix: it is 1 where all that the prompt
says is true of the image, and falls with the distance between what it says and what is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.data.prompt_fields import FIELDS, NUMBERS, VOCABULARY, FieldBatch, encode_records
from model.networks.image_tower import ImageTower, ImageTowerConfig
from model.networks.text_encoder import TextEncoder, TextEncoderConfig
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

# How far a false statement about a field moves a prompt from an image, as a share of the usual range of its logarithm;
# for words, of being another word. What shows in an image weighs more than what hardly does.
WEIGHTS = {
    "contrast": 10.0,
    "vendor": 0.05,
    "field_strength": 0.3,
    "age": 0.3,
    "sex": 0.05,
    "voxel_size": 0.3,
    "repetition_time": 1.0,
    "echo_time": 1.0,
    "inversion_time": 1.0,
    "flip_angle": 0.5,
}
# Of recovering words, in the order of VOCABULARY, beside numbers: the contrast shows best and matters most.
WORD_WEIGHTS = (0.7, 0.2, 0.2, 0.2, 0.2)


@dataclass(frozen=True)
class ContrastiveConfig:
    """Both encoders.

    Parameters
    ----------
    text : TextEncoderConfig
    image : ImageTowerConfig
        Of the same width.
    """

    text: TextEncoderConfig = field(default_factory=TextEncoderConfig)
    image: ImageTowerConfig = field(default_factory=ImageTowerConfig)


class Contrastive(nn.Module):
    """Both encoders, their projections into one space, and the heads that recover fields.

    Parameters
    ----------
    config : ContrastiveConfig
    """

    def __init__(self, config: ContrastiveConfig) -> None:
        super().__init__()
        self.config = config
        width = config.text.width
        self.text, self.image = TextEncoder(config.text), ImageTower(config.image)
        self.project_text, self.project_image = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.recover_text, self.recover_image = Recovery(width), Recovery(width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-2.0))  # many prompts of a batch are true of many images

    def embed_prompts(self, prompts: FieldBatch) -> Tensor:
        """Return (batch, width) vectors of length 1."""
        return F.normalize(self.project_text(self.text(prompts)).float(), dim=-1)

    def embed_images(self, volumes: Tensor) -> Tensor:
        """Return (batch, width) vectors of length 1 of (batch, 1, i, j, k) network intensities."""
        return F.normalize(self.project_image(self.image(volumes)).float(), dim=-1)

    def forward(self, volumes: Tensor, prompts: FieldBatch, truth: FieldBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return how badly images and prompts are brought together, and how badly fields are recovered.

        Parameters
        ----------
        volumes : (n_images, 1, i, j, k) tensor
            Network intensities.
        prompts : FieldBatch
            Of n_prompts prompts, with fields hidden or changed.
        truth : FieldBatch
            What is known of each image.

        Returns
        -------
        loss : scalar tensor
            Of comparing every image with every prompt.
        recovered : dict of str to scalar tensor
            Errors of recovering fields, ``text`` and ``image``.
        """
        of_text, of_image = self.text(prompts), self.image(volumes)
        texts = F.normalize(self.project_text(of_text).float(), dim=-1)
        images = F.normalize(self.project_image(of_image).float(), dim=-1)
        logits = self.log_scale.exp() * images @ texts.T + self.bias
        wanted = agreement(truth, prompts, self.text.numbers.normalise)
        loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean()
        normalise = self.text.numbers.normalise
        recovered = {
            "text": self.recover_text(of_text, prompts, normalise(prompts.numbers)),
            "image": self.recover_image(of_image, truth, normalise(truth.numbers)),
        }
        return loss, recovered


class Recovery(nn.Module):
    """Read the fields back from an embedding; what is unknown is not asked for.

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.numbers = nn.Linear(width, len(NUMBERS))
        self.words = nn.ModuleList(nn.Linear(width, 1 + len(known)) for known in VOCABULARY.values())

    def forward(self, embedding: Tensor, fields: FieldBatch, numbers: Tensor) -> Tensor:
        """Return the mean error: absolute for numbers, smooth near 0, and cross-entropy for words.

        Parameters
        ----------
        embedding : (batch, width) tensor
        fields : FieldBatch
            What is to be recovered.
        numbers : (batch, n_numbers) tensor
            Its numbers, normalised.
        """
        known = ~torch.isnan(numbers)
        wrong = F.smooth_l1_loss(self.numbers(embedding).float(), numbers.nan_to_num(), reduction="none", beta=0.1)
        error = (wrong * known).sum() / known.sum().clamp(min=1)
        for place, head in enumerate(self.words):
            wanted = fields.categories[:, place]
            entropy = F.cross_entropy(head(embedding).float(), wanted, reduction="none")
            is_known = wanted > 0
            error = error + WORD_WEIGHTS[place] * (entropy * is_known).sum() / is_known.sum().clamp(min=1)
        found: Tensor = error
        return found


@torch.no_grad()
def agreement(
    truth: FieldBatch, prompts: FieldBatch, normalise: Callable[[Tensor], Tensor], tolerance: float = 0.2
) -> Tensor:
    """Return how far each prompt is true of each image: 1 where nothing that it says is false.

    What a prompt does not say, and what is unknown of an image, makes no difference.

    Parameters
    ----------
    truth : FieldBatch
        Of n_images images.
    prompts : FieldBatch
        Of n_prompts prompts.
    normalise : callable
        Of numbers to shares of their usual range, −1 to 1.
    tolerance : float
        Distance at which agreement has fallen to 1/e.

    Returns
    -------
    (n_images, n_prompts) float32 tensor
    """
    apart = (normalise(truth.numbers)[:, None] - normalise(prompts.numbers)[None]).abs() / 2
    numbers = apart.nan_to_num(0.0)
    one, other = truth.categories[:, None], prompts.categories[None]
    words = ((one != other) & (one > 0) & (other > 0)).float()
    distance = numbers.new_zeros(numbers.shape[:2])
    for name, (of_numbers, of_words) in FIELDS.items():
        parts = [numbers[..., column] for column in of_numbers] + [words[..., column] for column in of_words]
        distance = distance + WEIGHTS[name] * torch.stack(parts).mean(0)
    return torch.exp(-distance / tolerance)


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
        """Return (n, width) vectors of length 1 of n volumes in the box that the tower was trained on."""
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
