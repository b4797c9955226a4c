"""The text encoder that reads a prompt's fields, with a light image tower: the default.

Both towers are brought together by the loss of SigLIP (Zhai et al. 2023, arXiv 2303.15343): every image is compared
with every prompt by itself. Since many scans share a prompt, and many prompts differ by little, the wanted answer is no
identity matrix but `model.data.agreement.agreement`. Heads read the fields, and the signals of tissues, back from both
embeddings, so that neither tower may forget them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.data.agreement import VISIBLE
from model.data.matching import MatchingBatch
from model.data.prompt_fields import NUMBERS, VOCABULARY, FieldBatch, encode_records
from model.networks.field_tokens import FieldTower, FieldTowerConfig
from model.networks.image_tower import ImageTower, ImageTowerConfig
from model.networks.pair_encoder import PairEncoder, TextTower
from model.physics.tissue import TISSUES

# Of recovering words, in the order of VOCABULARY, beside numbers: the contrast shows best and matters most.
WORD_WEIGHTS = (0.7, 0.2, 0.2, 0.2, 0.2)
LEAST_SIGNAL = 0.03  # of white matter's, below which a tissue is simply dark
WHITE = TISSUES.index("white_matter")


@dataclass(frozen=True)
class FieldsConfig:
    """Both towers, and the weights of the parts of their loss.

    Parameters
    ----------
    text : FieldTowerConfig
    image : ImageTowerConfig
    match_weight : float
        Of the error of comparing every image with every prompt.
    choice_weight : float
        Of the error of choosing an image's prompts among all of a batch.
    recover_weight : float
        Of the errors of reading fields back.
    signal_weight : float
        Of the errors of reading the signals of tissues back.
    """

    text: FieldTowerConfig = field(default_factory=FieldTowerConfig)
    image: ImageTowerConfig = field(default_factory=ImageTowerConfig)
    match_weight: float = 1.0
    choice_weight: float = 1.0
    recover_weight: float = 1.0
    signal_weight: float = 1.0


class FieldsEncoder(PairEncoder):
    """Both towers, their projections into one space, and the heads that read fields and signals back.

    Parameters
    ----------
    config : FieldsConfig
    """

    text: FieldTower

    def __init__(self, config: FieldsConfig) -> None:
        super().__init__()
        self.config = config
        width = config.text.width
        self.text, self.image = FieldTower(config.text), ImageTower(config.image)
        self.to_space_text = nn.Linear(width, width, bias=False)
        self.to_space_image = nn.Linear(config.image.width, width, bias=False)
        self.recover_text, self.recover_image = Recovery(width), Recovery(config.image.width)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-6.0))  # few prompts of a batch are true of an image
        self.choice_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def project_texts(self, features: Tensor) -> Tensor:
        """Return (m, width) vectors of length 1 of text features."""
        return F.normalize(self.to_space_text(features).float(), dim=-1)

    def project_images(self, features: Tensor) -> Tensor:
        """Return (n, width) vectors of length 1 of image features."""
        return F.normalize(self.to_space_image(features).float(), dim=-1)

    def loss(self, image_features: Tensor, batch: MatchingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its parts: matching, choice, and recovery of fields and signals from both embeddings."""
        device, n_images = image_features.device, len(image_features)
        said, truth = encode_records(batch.prompts[:n_images]).to(device), encode_records(batch.truth).to(device)
        text_features = self.text_features(self.encode(batch.prompts).to(device))
        similar = self.project_images(image_features) @ self.project_texts(text_features).T
        wanted = batch.wanted.to(device)
        signals = tissue_targets(batch.signals.to(device))
        own = text_features[:n_images]
        normalise = self.text.numbers.normalise
        fields = [
            self.recover_text(own, said, normalise(said.numbers)),
            self.recover_image(image_features, truth, normalise(truth.numbers)),
        ]
        parts = {
            "matching": matching_loss(self.log_scale.exp() * similar + self.bias, wanted),
            "choice": choice_loss(self.choice_scale.exp() * similar, wanted),
            "recovery_from_text": fields[0],
            "recovery_from_image": fields[1],
            "signals_from_text": self.recover_text.signal_error(own, signals),
            "signals_from_image": self.recover_image.signal_error(image_features, signals),
        }
        config = self.config
        total = (
            config.match_weight * parts["matching"]
            + config.choice_weight * parts["choice"]
            + config.recover_weight * (parts["recovery_from_text"] + parts["recovery_from_image"])
            + config.signal_weight * (parts["signals_from_text"] + parts["signals_from_image"])
        )
        return total, parts


def matching_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return the cross-entropy of every comparison, summed over prompts and averaged over images.

    Parameters
    ----------
    logits, wanted : (n_images, n_prompts) tensor
        What is not a number is not asked.
    """
    asked = ~wanted.isnan()
    each = F.binary_cross_entropy_with_logits(logits, wanted.nan_to_num(), reduction="none")
    # The least possible value of a soft target is its entropy: without it, 0 is perfect.
    soft = wanted.nan_to_num().clamp(1e-6, 1 - 1e-6)
    least = -(soft * soft.log() + (1 - soft) * (1 - soft).log())
    found: Tensor = ((each - least) * asked).sum(1).mean()
    return found


def choice_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return how badly each image chooses among all prompts: the divergence from shares in proportion to agreement."""
    asked = ~wanted.isnan()
    shares = wanted.nan_to_num()
    shares = shares / shares.sum(1, keepdim=True).clamp_min(1e-6)
    chosen = logits.masked_fill(~asked, -1e4).log_softmax(1)
    found: Tensor = (shares * (shares.clamp_min(1e-9).log() - chosen)).sum(1).mean()
    return found


def tissue_targets(signals: Tensor) -> Tensor:
    """Return logarithms of the signals of visible tissues as multiples of white matter's, (n, n_visible).

    Parameters
    ----------
    signals : (n, n_tissues) tensor
        Not a number where unknown.
    """
    floor = LEAST_SIGNAL * signals[:, [WHITE]]
    visible = signals[:, [TISSUES.index(name) for name in VISIBLE]]
    return ((visible + floor) / (signals[:, [WHITE]] + floor)).log().clamp(-3, 3)


class Recovery(nn.Module):
    """Read fields and signals back from an embedding; what is unknown is not asked for.

    Parameters
    ----------
    width : int
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.numbers = nn.Linear(width, len(NUMBERS))
        self.words = nn.ModuleList(nn.Linear(width, 1 + len(known)) for known in VOCABULARY.values())
        self.signals = nn.Linear(width, len(VISIBLE))

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
        wrong = F.smooth_l1_loss(self.numbers(embedding).float(), numbers.nan_to_num(), reduction="none", beta=0.05)
        error = (wrong * known).sum() / known.sum().clamp(min=1)
        for place, head in enumerate(self.words):
            wanted = fields.categories[:, place]
            entropy = F.cross_entropy(head(embedding).float(), wanted, reduction="none")
            is_known = wanted > 0
            error = error + WORD_WEIGHTS[place] * (entropy * is_known).sum() / is_known.sum().clamp(min=1)
        found: Tensor = error
        return found

    def signal_error(self, embedding: Tensor, signals: Tensor) -> Tensor:
        """Return the mean error of (batch, n_visible) logarithms of signals."""
        known = ~torch.isnan(signals)
        wrong = F.smooth_l1_loss(self.signals(embedding).float(), signals.nan_to_num(), reduction="none", beta=0.05)
        found: Tensor = (wrong * known).sum() / known.sum().clamp(min=1)
        return found


def from_sizes(sizes: Mapping[str, Any]) -> FieldsEncoder:
    """Return untrained towers of the sizes that a checkpoint states."""
    given = dict(sizes)
    text, image = FieldTowerConfig(**given.pop("text")), ImageTowerConfig(**given.pop("image"))
    return FieldsEncoder(FieldsConfig(text, image, **given))


def text_from_sizes(sizes: Mapping[str, Any]) -> TextTower:
    """Return the untrained text tower alone."""
    return FieldTower(FieldTowerConfig(**sizes["text"]))
