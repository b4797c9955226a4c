"""A bank of heads that are drawn in no time: shells of fluid, cortex and white matter in a skull, and one-sided fat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from model.data.boxes import Box
from model.data.head_bank import CHANNELS, BankedHead
from model.data.random_pairs import Ranges, random_subject


@dataclass(frozen=True)
class SmallBank:
    """As `model.data.head_bank.HeadBank`, without files."""

    seed: int = 7
    n_heads: int = 3
    box: Box = field(default_factory=lambda: Box((16, 18, 16), 12.0))

    def head(self, number: int) -> BankedHead:
        """Return a head of nested spheres; fat lies right of the head only."""
        shape = self.box.shape
        radius = np.linalg.norm(np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2, axis=0)
        maps = torch.zeros(len(CHANNELS), *shape)
        for name, inner, outer in (
            ("csf", 0.0, 1.6),
            ("white_matter", 1.6, 4.2),
            ("cortex", 4.2, 5.5),
            ("csf", 5.5, 6.0),
            ("bone", 6.0, 6.6),
            ("skin", 6.6, 7.2),
        ):
            maps[CHANNELS.index(name)] += torch.from_numpy((radius >= inner) & (radius < outer)).float()
        fat = torch.zeros(shape)
        fat[-2:, 6:12, 6:10] = 1.0
        maps[: len(CHANNELS)] *= 1 - fat
        maps[CHANNELS.index("fat")] = fat
        maps[CHANNELS.index("intracranial")] = torch.from_numpy(radius < 6.0).float() * (1 - fat)
        maps[CHANNELS.index("swi_0") :] = 1.0
        return BankedHead(random_subject(Ranges(), "small", self.seed, number), maps.half())
