"""The paper's encoder of prompts and images: CLIP (Radford et al. 2021) on the rendered sentence and whole volumes.

Differences from the published code are corrections of it: the context holds every sentence, a longer one is refused and
never cut; the sentence has no quote marks around it; and training and use make its tokens by one function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from instant_clip_tokenizer import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.data.matching import MatchingBatch
from model.networks.clip_resnet import HEAD_WIDTH, ClipResNet3d, grid_of
from model.networks.pair_encoder import PairEncoder, TextTower
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord, render

VOCABULARY = 49_408  # byte pairs of OpenAI's CLIP, with the marks of start and end
# The longest sentence of a known vendor has 105 tokens with both marks. Tables and sidecars give texts of up to 64
# characters, so another vendor has up to 64 tokens if it is written in ASCII.
CONTEXT = 192
START_SCALE, HIGHEST_SCALE = math.log(1 / 0.07), math.log(100)  # of the logarithm, which is at least 0


@dataclass(frozen=True)
class ReferenceConfig:
    """Size of both towers.

    Parameters
    ----------
    embed_width : int
        Numbers of a feature of either.
    context : int
        Most tokens of a prompt, with the marks of start and end.
    text_width, text_layers, text_heads : int
        Of the transformer.
    image_width : int
        Channels after the stem of the image tower.
    image_blocks : tuple of 4 int
        Bottlenecks of each of its levels.
    stem_stride : {1, 2}
        Of its first convolution. With 1, boxes of 48 voxels give the attention pool the 3 × 3 × 3 positions that those
        of 120 voxels give it with 2.
    box_voxels : tuple of 3 int
        Shape of the volumes.

    Raises
    ------
    ModelError
        When widths and heads do not fit, or the box is too small.
    """

    embed_width: int = 128
    context: int = CONTEXT
    text_width: int = 128
    text_layers: int = 4
    text_heads: int = 4
    image_width: int = 16
    image_blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    stem_stride: int = 2
    box_voxels: tuple[int, int, int] = (48, 56, 48)

    def __post_init__(self) -> None:
        if self.text_width % self.text_heads:
            what = f"text_width {self.text_width} is not divisible by text_heads {self.text_heads}"
            raise ModelError(what, "give a multiple of it")
        if self.image_width < 2 or 32 * self.image_width % HEAD_WIDTH:
            raise ModelError(f"image_width {self.image_width} is odd", "give an even number")
        if self.stem_stride not in (1, 2):
            raise ModelError(f"stem_stride is {self.stem_stride}", "give 1 or 2")
        if min(grid_of(self.box_voxels, self.stem_stride)) < 1:
            least = 16 * self.stem_stride
            raise ModelError(f"box_voxels {self.box_voxels} is too small", f"give at least {least} voxels a side")


PUBLISHED = ReferenceConfig(
    embed_width=768,
    context=90,
    text_width=512,
    text_layers=8,
    text_heads=8,
    image_width=256,
    box_voxels=(120, 120, 120),
)


@dataclass(frozen=True)
class Tokens:
    """Prompts as tokens.

    Parameters
    ----------
    ids : (n, length) int64 tensor
        Each row ends in the mark of the end, and is filled up with zeros behind it.
    ends : (n,) int64 tensor
        Places of the marks of the end.
    """

    ids: Tensor
    ends: Tensor

    def to(self, device: str | torch.device) -> Tokens:
        """Return them on a device."""
        return Tokens(self.ids.to(device), self.ends.to(device))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | Tensor) -> Tokens:
        return Tokens(self.ids[rows], self.ends[rows])

    def are_equal(self) -> Tensor:
        """Return the (n, n) booleans of which prompts are equal."""
        return (self.ids[:, None] == self.ids[None]).all(-1)


def tokens_of(records: Sequence[PromptRecord], context: int) -> Tokens:
    """Return the tokens of the paper's sentence of each record; every digit is a token.

    Rows are as long as the longest of these prompts. Attention looks back only, so what fills them changes no feature.

    Raises
    ------
    ModelError
        When a sentence does not fit in the context; it is never cut.
    """
    tokenizer = _tokenizer()
    rows = [
        [tokenizer.start_of_text(), *tokenizer.encode(render(record)), tokenizer.end_of_text()] for record in records
    ]
    longest = max(map(len, rows), default=0)
    if longest > context:
        sentence = render(max(zip(rows, records, strict=True), key=lambda pair: len(pair[0]))[1])
        remedy = "shorten the name of the vendor, or train a text encoder of a longer context"
        raise ModelError(f"the prompt {sentence!r} has {longest} tokens; {context} fit", remedy)
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
    return Tokens(ids, torch.tensor([len(row) - 1 for row in rows], dtype=torch.int64))


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    """Read the vocabulary once, which takes a tenth of a second."""
    return Tokenizer()


class ReferenceEncoder(PairEncoder):
    """Both towers, and the temperature of their comparison.

    Parameters
    ----------
    config : ReferenceConfig
    """

    def __init__(self, config: ReferenceConfig) -> None:
        super().__init__()
        self.config = config
        self.text = CausalTextTransformer(config)
        self.image = ClipResNet3d(
            config.image_width, config.image_blocks, config.embed_width, config.box_voxels, config.stem_stride
        )
        self.log_scale = nn.Parameter(torch.tensor(START_SCALE))

    def project_texts(self, features: Tensor) -> Tensor:
        """Return features at length 1: the last layer of the text tower projects already."""
        return F.normalize(features, dim=-1)

    def project_images(self, features: Tensor) -> Tensor:
        """Return features at length 1: the attention pool projects already."""
        return F.normalize(features, dim=-1)

    def loss(self, image_features: Tensor, batch: MatchingBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean of both cross-entropies of finding image by prompt and prompt by image.

        Parameters
        ----------
        image_features : (n, width) tensor
        batch : MatchingBatch
            Its first n prompts are compared; equal ones are right for each other's images, with equal shares.

        Returns
        -------
        loss : scalar tensor
        parts : dict of str to scalar tensor
            ``matching``, the same, and ``scale``, by which cosines are multiplied.
        """
        prompts = self.encode(batch.prompts[: len(image_features)]).to(image_features.device)
        texts, images = self.project_texts(self.text_features(prompts)), self.project_images(image_features)
        with torch.no_grad():  # not in the graph, where a value beyond a bound would have no gradient to return by
            self.log_scale.clamp_(0, HIGHEST_SCALE)
        logits = self.log_scale.exp() * images @ texts.T
        wanted = prompts.are_equal().to(logits.dtype)
        wanted = wanted / wanted.sum(1, keepdim=True)
        loss = (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
        return loss, {"matching": loss.detach(), "scale": self.log_scale.detach().exp()}


class CausalTextTransformer(TextTower):
    """CLIP's text transformer: each token sees those before it, and the mark of the end becomes the feature.

    Parameters
    ----------
    config : ReferenceConfig
    """

    def __init__(self, config: ReferenceConfig) -> None:
        super().__init__()
        self.width, self.context = config.embed_width, config.context
        width = config.text_width
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(0.01 * torch.randn(config.context, width))
        self.blocks = nn.ModuleList(_block(width, config.text_heads) for _ in range(config.text_layers))
        self.last_norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, config.embed_width, bias=False)
        self._initialise(width, config.text_layers)

    def encode(self, records: Sequence[PromptRecord]) -> Tokens:
        """Return the tokens of each record's sentence; see `tokens_of`."""
        return tokens_of(records, self.context)

    def forward(self, prompts: Tokens) -> Tensor:
        """Return (n, embed_width) float32 features of n prompts, not normalised."""
        length = prompts.ids.shape[1]
        states = self.tokens(prompts.ids) + self.positions[:length]
        ahead = torch.ones(length, length, dtype=torch.bool, device=states.device).triu(1)
        for block in self.blocks:
            states = block(states, src_mask=ahead, is_causal=True)
        rows = torch.arange(len(prompts), device=states.device)
        features: Tensor = self.project(self.last_norm(states[rows, prompts.ends])).float()
        return features

    def _initialise(self, width: int, n_layers: int) -> None:
        """Draw the weights as CLIP does, the last layers of a block smaller the more blocks there are."""
        last = width**-0.5 * (2 * n_layers) ** -0.5
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.project.weight, std=width**-0.5)
        for block in self.blocks:
            assert isinstance(block, nn.TransformerEncoderLayer)
            nn.init.normal_(block.self_attn.in_proj_weight, std=width**-0.5)
            nn.init.normal_(block.self_attn.out_proj.weight, std=last)
            nn.init.normal_(block.linear1.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(block.linear2.weight, std=last)


def from_sizes(sizes: Mapping[str, Any]) -> ReferenceEncoder:
    """Return an untrained encoder of sizes that were read from JSON or YAML."""
    return ReferenceEncoder(config_of(sizes))


def text_from_sizes(sizes: Mapping[str, Any]) -> TextTower:
    """Return an untrained text tower of the sizes of both towers."""
    return CausalTextTransformer(config_of(sizes))


def config_of(sizes: Mapping[str, Any]) -> ReferenceConfig:
    """Return sizes that were read from JSON or YAML, which have lists for tuples.

    Raises
    ------
    TypeError
        When there is no such size.
    """
    read: dict[str, Any] = {name: tuple(size) if isinstance(size, list) else size for name, size in sizes.items()}
    return ReferenceConfig(**read)


def quick_gelu(values: Tensor) -> Tensor:
    """Return CLIP's approximation of the Gaussian error linear unit."""
    return values * torch.sigmoid(1.702 * values)


def _block(width: int, n_heads: int) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        width, n_heads, 4 * width, dropout=0.0, activation=quick_gelu, batch_first=True, norm_first=True
    )
