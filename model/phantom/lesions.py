"""Lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.phantom.subject import Subject


@dataclass(frozen=True)
class Lesions:
    """The lesions of a subject."""

    kinds: tuple[str, ...]
    push: NDArray[np.float32] | None

    def paint(
        self,
        shares: dict[str, Tensor],
        points_mm: Tensor,
        maps: dict[str, Tensor],
        noise: Tensor,
        step_mm: float,
        size: float,
    ) -> list[Tensor]:
        """Change shares in place."""
        return []


def lesions_of(subject: Subject) -> Lesions:
    """Return the lesions of a subject."""
    return Lesions((), None)
