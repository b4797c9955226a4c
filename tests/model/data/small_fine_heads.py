"""Fine heads that are drawn in no time: shells of fluid, white matter and cortex in a skull, and one-sided fat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.data.fine_heads import INTRACRANIAL, N_CHANNELS, WHOLE, FineHead, box_means, brain_places
from model.data.random_pairs import Ranges, random_subject
from model.physics.tissue import TISSUES

SHELLS = (("csf", 0.2), ("white_matter", 0.65), ("cortex", 0.85), ("csf", 0.92), ("bone", 1.0))  # outer radii


@dataclass(frozen=True)
class SmallFineHeads:
    """As `model.data.fine_heads.FineHeads`, without files."""

    n_heads: int = 2
    voxel_mm: float = 4.0
    side: int = 28

    def head(self, number: int) -> FineHead:
        """Return nested spheres with smooth edges; fat lies at the right end only."""
        middle = (self.side - 1) / 2
        radius = np.linalg.norm(np.indices((self.side,) * 3) - middle, axis=0) / (0.8 * self.side / 2)
        maps = np.zeros((self.side,) * 3 + (N_CHANNELS,), np.uint8)
        inner = np.zeros_like(radius)
        for name, outer in SHELLS:
            within = np.clip(0.5 + (outer - radius) * 0.4 * self.side, 0, 1)
            maps[..., TISSUES.index(name)] += np.rint(WHOLE * np.maximum(within - inner, 0)).astype(np.uint8)
            inner = within
        maps[-2:, :, :, TISSUES.index("fat")] = WHOLE
        inside = radius < SHELLS[-2][1]
        maps[..., INTRACRANIAL] = WHOLE * inside
        places = brain_places(inside, number)
        subject = random_subject(Ranges(lesion_share=0.0), "small", number)
        return FineHead(subject, maps, np.diag([self.voxel_mm] * 3 + [1.0]), places, box_means(maps, places))
