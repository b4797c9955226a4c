"""Models whose figures are known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Item, Source
from model.evaluation.protocol import EvaluationProtocol
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Grid, Image
from warehouse.imaging.resampling import resample
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.volumes import open_store

Volume = NDArray[np.float32]
Linear = NDArray[np.float64]
Matrix = NDArray[np.float64]
Asked = tuple[str | None, float | None]
SPLITS = ("train", "val", "test_internal", "test_external")
TASKS = ("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR", "T1w_to_angio")


def protocol(**more: Any) -> EvaluationProtocol:
    """The tiny home's protocol: three tasks that it has, and one that it lacks."""
    small = {"name": "tiny", "recipe": "draft", "tasks": TASKS}
    small |= {"n_resamples": 200, "max_map_pairs": 6, "fidelity": {"n_people": 0}}
    return EvaluationProtocol.model_validate(small | more)


class Fake:
    """A model that takes one source, or two."""

    max_sources = 2

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        raise NotImplementedError

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> Linear:
        """The source's own scale is unknown here: 4 spreads below the median there is no signal."""
        return np.maximum(4 + harden(self.volume(sources, target).astype(np.float64)), 0)

    def scan(
        self,
        images: Sequence[Path],
        source_records: Sequence[PromptRecord],
        target: PromptRecord,
        *,
        like: Grid,
        to_like: Sequence[Matrix],
    ) -> Linear:
        return self.placed(images[0], target, like, to_like[0])

    def placed(self, file: Path, target: PromptRecord, like: Grid, to_like: Matrix) -> Linear:
        """What it makes of a file on another grid."""
        raise NotImplementedError


class Perfect(Fake):
    """Knows every image of the home: it looks the wanted one up by source, contrast and echo time alone."""

    def __init__(self, home: Home, *, spoil: float = 0.0) -> None:
        images = CatalogueImages.open(home, "draft", SPLITS)
        self.spoil = spoil
        self.answers: dict[tuple[bytes, Asked], Volume] = {}
        self.scans: dict[tuple[Path | None, Asked], tuple[Item, Item]] = {}
        for source, item in enumerate(images.items):
            key = _key(images.volume(source).voxels)
            for target, other in enumerate(images.items):
                if other.session_id == item.session_id:
                    self.answers[key, _asked(other.record)] = images.volume(target).voxels
                    self.scans[item.file, _asked(other.record)] = item, other

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        [first, *_] = sources
        answer = self.answers[_key(first.voxels), _asked(target)]
        return (answer + self._noise(answer.shape) * first.mask).astype(np.float32)

    def placed(self, file: Path, target: PromptRecord, like: Grid, to_like: Matrix) -> Linear:
        source, other = self.scans[file, _asked(target)]
        to_source = np.linalg.inv(_to_session(source)) @ _to_session(other)
        store = open_store(other.native_path)
        image = Image(np.asarray(store[...], np.float32), store.affine)
        made = other.scale.linear(resample(image, to_like @ to_source, like).voxels)
        return made + self._noise(made.shape)

    def _noise(self, shape: tuple[int, ...]) -> Linear:
        return self.spoil * np.random.default_rng(0).normal(size=shape)


class Identity(Fake):
    """Gives the first source back, whatever the prompt asks for."""

    def __init__(self, home: Home) -> None:
        self.items = {item.file: item for item in CatalogueImages.open(home, "draft", SPLITS).items}

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        return sources[0].voxels

    def placed(self, file: Path, target: PromptRecord, like: Grid, to_like: Matrix) -> Linear:
        item = self.items[file]
        store = open_store(item.native_path)
        image = Image(np.asarray(store[...], np.float32), store.affine)
        return item.scale.linear(resample(image, to_like, like).voxels)


class Constant(Fake):
    """Gives one network intensity everywhere; one per contrast, where they are named."""

    def __init__(self, value: float = 0.0, by_contrast: Mapping[str, float] | None = None) -> None:
        self.value, self.by_contrast = value, by_contrast or {}

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        return np.full_like(sources[0].voxels, self.by_contrast.get(str(target.contrast), self.value))

    def placed(self, file: Path, target: PromptRecord, like: Grid, to_like: Matrix) -> Linear:
        value = np.full(like.shape, self.by_contrast.get(str(target.contrast), self.value))
        return harden(value)


class Broken(Constant):
    """Gives NaN."""

    def __init__(self) -> None:
        super().__init__(float("nan"))


def _to_session(item: Item) -> Matrix:
    [step] = open_store(item.native_path).attributes["transforms"]
    return np.array(step["matrix"])


def _key(voxels: Volume) -> bytes:
    return hashlib.sha256(voxels.tobytes()).digest()


def _asked(record: PromptRecord) -> Asked:
    return record.contrast, record.echo_time_s
