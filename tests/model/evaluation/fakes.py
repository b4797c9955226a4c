"""Models whose figures are known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Source
from model.evaluation.protocol import EvaluationProtocol
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

Volume = NDArray[np.float32]
SPLITS = ("train", "val", "test_internal", "test_external")
TASKS = ("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR", "T1w_to_angio")


def protocol(**more: Any) -> EvaluationProtocol:
    """The tiny home's protocol: three tasks that it has, and one that it lacks."""
    return EvaluationProtocol(**{"name": "tiny", "recipe": "draft", "tasks": TASKS, "n_resamples": 200} | more)


class Perfect:
    """Knows every image of the home: it looks the wanted one up by source and asked contrast."""

    def __init__(self, home: Home, *, spoil: float = 0.0) -> None:
        images = CatalogueImages.open(home, "draft", SPLITS)
        self.spoil = spoil
        self.answers: dict[tuple[bytes, PromptRecord], Volume] = {}
        for source in range(len(images)):
            key = images.volume(source).voxels.tobytes()
            visit = images.items[source].session_id
            for target in range(len(images)):
                if images.items[target].session_id == visit:
                    self.answers[key, images.items[target].record] = images.volume(target).voxels

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        answer, mask = self.answers[sources[0].voxels.tobytes(), target], sources[0].mask
        noise = self.spoil * np.random.default_rng(0).normal(size=answer.shape)
        return (answer + noise * mask).astype(np.float32)


class Identity:
    """Gives the source back, whatever the prompt asks for."""

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        return sources[0].voxels


class Constant:
    """Gives one intensity everywhere; one per contrast, where they are named."""

    def __init__(self, value: float = 0.5, by_contrast: Mapping[str, float] | None = None) -> None:
        self.value, self.by_contrast = value, by_contrast or {}

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        return np.full_like(sources[0].voxels, self.by_contrast.get(str(target.contrast), self.value))


class Broken:
    """Gives NaN."""

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        return np.full_like(sources[0].voxels, np.nan)
