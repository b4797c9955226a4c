"""Networks and text encoders that `benchmarks.peers` compares beside those of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from model.data.target_voxels import TargetVoxels
from model.networks.counting import N_COUNTED, measured
from model.networks.pair_encoder import FrozenTextEncoder, build
from model.networks.synthesis import Scans, SynthesisNetwork, Wanted
from model.networks.synthesis.compact import Condition, Film
from model.networks.synthesis.voxels import sample
from model.networks.synthesis.windows import UNBOUNDED, in_windows
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

FEATURES = (32, 32, 64, 128, 256, 32)  # channels, MONAI's default
WIDTHS = (32, 32, 64, 128, 256, 128, 64, 32, 32)  # behind its stages, downwards, then upwards
CONDITION_WIDTH = 96  # as `compact` has it
BACKWARD = 2  # a backward pass takes about twice the operations of a forward pass


def has_monai() -> bool:
    """Return whether MONAI is installed; it is no dependency of this project."""
    return find_spec("monai") is not None


class ConditionedUnet(SynthesisNetwork):
    """MONAI's BasicUNet with the conditioning of `compact`: what follows each stage is scaled and shifted.

    It sees intensities and field of view, and returns intensities; nothing of the scan is added to them. Its instance
    normalisation depends on the patch, so that volumes are computed in windows.

    Parameters
    ----------
    embedding_width : int
        Numbers of a prompt's embedding.

    Raises
    ------
    ModelError
        Where MONAI is not installed.
    """

    step = 16
    reach = UNBOUNDED
    max_scans = 1

    def __init__(self, embedding_width: int) -> None:
        super().__init__()
        if not has_monai():
            raise ModelError("MONAI is not installed", "install monai, which is no part of this project")
        self.unet = import_module("monai.networks.nets").BasicUNet(3, 2, 1, FEATURES)
        self.condition = Condition(embedding_width, CONDITION_WIDTH)
        self.films = nn.ModuleList(Film(CONDITION_WIDTH, channels, 2) for channels in WIDTHS)

    def standardise(self, embeddings: Tensor) -> None:
        """Take mean and spread of each number from embeddings of the prompts to be learned."""
        self.condition.standardise(embeddings)

    def latent(self, scans: Scans, wanted: Wanted) -> Tensor:
        """Return (batch, 1, i, j, k) intensities on the grid of the scan."""
        condition = self.condition(scans, wanted)[:, 0]
        films = iter(self.films)

        def modulated(features: Tensor) -> Tensor:
            scale, shift = next(films)(condition)
            made: Tensor = features * (1 + scale) + shift
            return made

        unet = self.unet  # the order of its own `forward`
        features = modulated(unet.conv_0(torch.cat([scans.voxels, scans.seen], 1)))
        skips = []
        for down in (unet.down_1, unet.down_2, unet.down_3, unet.down_4):
            skips.append(features)
            features = modulated(down(features))
        for up in (unet.upcat_4, unet.upcat_3, unet.upcat_2, unet.upcat_1):
            features = modulated(up(features, skips.pop()))
        made: Tensor = unet.final_conv(features)
        return made

    def decode(self, latent: Tensor, wanted: Wanted, at: TargetVoxels | None = None) -> Tensor:
        """Return the intensities, averaged over the wanted voxels."""
        return (latent if at is None else sample(latent, at)[0]).float()


class InWindows(SynthesisNetwork):
    """A network whose results depend on the patch, computed in windows of the size that it was trained on.

    Windows lie side by side. Published inference lets them overlap by half, which takes eight times the operations.
    They cover what is seen of the scan; around a stripped brain, nothing is computed.

    Parameters
    ----------
    network : SynthesisNetwork
    side : int
        Voxels along each axis of a window.
    """

    step = 1
    reach = 0  # `Synthesizer` need not cut what is cut here

    def __init__(self, network: SynthesisNetwork, side: int) -> None:
        super().__init__()
        self.network, self.side, self.max_scans = network, side, network.max_scans

    def latent(self, scans: Scans, wanted: Wanted) -> Tensor:
        """Return (batch, 1, i, j, k) intensities on the grid of the scan."""
        places = scans.seen[0].amax(0).nonzero()
        low, high = places.amin(0).tolist(), (places.amax(0) + 1).tolist()
        box = slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])
        made = torch.zeros_like(scans.voxels)
        made[..., *box] = in_windows(self.network, scans.cut(box), wanted, side=self.side, stride=self.side)
        return made

    def decode(self, latent: Tensor, wanted: Wanted, at: TargetVoxels | None = None) -> Tensor:
        """Return the intensities, averaged over the wanted voxels."""
        return latent if at is None else sample(latent, at)[0]


def untrained(config: Mapping[str, Any], seed: int) -> FrozenTextEncoder:
    """Return a text encoder of the sizes of a checkpoint, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tensors = build(config["architecture"]).state_dict()
    return FrozenTextEncoder.from_checkpoint({**config, "model_id": f"untrained-{seed}"}, tensors)


class LearningTextEncoder(FrozenTextEncoder):
    """A text encoder that learns on from its weights, as a part of the network that it is put into."""

    def join(self, network: nn.Module) -> None:
        """Become a part of a network, so that its weights are learned, averaged and saved with the others."""
        self.network.requires_grad_(True)
        network.text_encoder = self.network

    def embed(self, records: Sequence[PromptRecord]) -> Tensor:
        """Return (n, width) embeddings, through which the loss reaches the encoder."""
        embedded: Tensor = self.network(self.network.encode(records))
        return embedded.float()


def patch_operations(network: SynthesisNetwork, embedding_width: int, side: int) -> int:
    """Return the operations of learning from one patch of one scan: forward three times, since backward takes two.

    They are counted as `model.networks.synthesis.cost` counts them, by torch's FlopCounterMode, where a multiplication
    and an addition are two. The wanted voxels are taken for those of the patch. Signal equations and the text encoder
    are not counted.

    Parameters
    ----------
    network : SynthesisNetwork
        On the meta device.
    embedding_width, side : int
    """
    with torch.device("meta"):
        voxels = torch.ones(N_COUNTED, 1, side, side, side)
        scans = Scans(voxels, voxels, torch.ones(N_COUNTED, 1, 3), torch.ones(N_COUNTED, 1, embedding_width))
        wanted = Wanted(torch.ones(N_COUNTED, embedding_width), torch.ones(N_COUNTED, 3))
    forward, _ = measured(network.train(), lambda: network(scans, wanted))
    return (1 + BACKWARD) * forward
