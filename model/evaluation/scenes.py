"""A test pair on one grid: the real target, its brain, and the sources, all in spreads from their brains' medians.

In form native the grid is that of the target's file, and a model gets the sources' files: the path of a user. In form
session it is the harmonised grid, on which networks learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Sample, Source
from model.data.natives import to_session
from model.evaluation.baselines import identity
from model.evaluation.metrics import rim
from model.evaluation.pairs import TestPair
from model.evaluation.protocol import Form
from warehouse.errors import ModelError, TumsynError
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Grid, Image
from warehouse.imaging.itk import inverse
from warehouse.imaging.resampling import resample
from warehouse.prompts.record import PromptRecord
from warehouse.volumes import open_store

Linear = NDArray[np.float64]
Matrix = NDArray[np.float64]


class RefusedScanError(ModelError):
    """A user's scan would be refused, e.g. because no brain is found; its pair is counted as one without a figure."""


class SynthesisModel(Protocol):
    """What is evaluated: anything that makes a volume of sources and a prompt, as `Synthesizer` does."""

    @property
    def max_sources(self) -> int:
        """How many sources it takes at most."""

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float32]:
        """Return the target (i, j, k) in network intensities, on the sources' grid."""

    def scan(
        self,
        images: Sequence[Path],
        source_records: Sequence[PromptRecord],
        target: PromptRecord,
        *,
        like: Grid,
        to_like: Sequence[Matrix],
    ) -> Linear:
        """Return the target (i, j, k) in spreads from the median of its brain, on the grid `like`.

        `to_like` maps the world of each image to the world of `like`; RAS+, mm.
        """

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> Linear:
        """Return the target (i, j, k) as signal, 0 where there is none and with any gain, on the sources' grid."""


@dataclass(frozen=True)
class Scene:
    """A test pair on one grid.

    Parameters
    ----------
    form : {"native", "session"}
    truth : (i, j, k) float64 array
        The real target, linear in its signal: spreads from the median of its brain.
    brain : (i, j, k) bool array
        Its brain mask.
    grid : Grid
        Of the target.
    sources : tuple of (i, j, k) float64 array
        Resampled once on the target's grid, each on its own scale.
    given : tuple of Source
        What a network gets; empty in form native.
    files : tuple of Path
        What a user gives; empty in form session.
    to_target : tuple of (4, 4) array
        World of each source's file to world of the target's; RAS+, mm.
    records : tuple of PromptRecord
        Of the sources.
    """

    form: Form
    truth: Linear
    brain: NDArray[np.bool_]
    grid: Grid
    sources: tuple[Linear, ...]
    records: tuple[PromptRecord, ...]
    given: tuple[Source, ...] = ()
    files: tuple[Path, ...] = ()
    to_target: tuple[Matrix, ...] = ()

    @property
    def voxel_size_mm(self) -> tuple[float, float, float]:
        """Along i, j, k, mm."""
        i, j, k = (float(size) for size in self.grid.voxel_size_mm)
        return i, j, k

    @cached_property
    def rim(self) -> NDArray[np.bool_]:
        """The outer part of the brain: a distance transform, computed once for all predictions of the scene."""
        return rim(self.brain, self.voxel_size_mm)


def synthesise(
    model: SynthesisModel, scene: Scene, asked: PromptRecord, records: Sequence[PromptRecord] | None = None
) -> Linear:
    """Return what a model makes of the sources of a scene when asked for a record, (i, j, k), linear.

    Parameters
    ----------
    model : SynthesisModel
    scene : Scene
    asked : PromptRecord
    records : sequence of PromptRecord, optional
        What the sources are said to be; default: what they are.

    Raises
    ------
    RefusedScanError
        When a file cannot be used.
    ModelError
        When the result is of another shape or holds voxels that are not finite.
    """
    told = list(records or scene.records)
    if scene.form == "native":
        try:
            made = model.scan(list(scene.files), told, asked, like=scene.grid, to_like=list(scene.to_target))
        except TumsynError as error:
            raise RefusedScanError(error.what, error.remedy) from error
    else:
        sources = [replace(one, record=record) for one, record in zip(scene.given, told, strict=True)]
        made = harden(np.asarray(model.volume(sources, asked), np.float64))
    if made.shape != scene.truth.shape or not np.isfinite(made).all():
        what = f"the model made {made.shape} of {scene.truth.shape}, or voxels that are NaN or infinite"
        raise ModelError(what, "train it again")
    return np.asarray(made, np.float64)


def session_scene(images: CatalogueImages, pair: TestPair) -> Scene:
    """Return a pair on the harmonised grid of its visit.

    Raises
    ------
    ModelError
        When its images lie on two grids.
    """
    target, sources = images.volume(pair.target), [images.volume(index) for index in pair.sources]
    if any(source.voxels.shape != target.voxels.shape for source in sources):
        raise ModelError("two images of one visit lie on two grids", "harmonise the visit again")
    records = tuple(images.items[index].record for index in pair.sources)
    return Scene(
        "session",
        linear(target),
        target.mask,
        target.grid,
        tuple(linear(source) for source in sources),
        records,
        given=tuple(images.source(index) for index in pair.sources),
    )


def native_scene(images: CatalogueImages, pair: TestPair) -> Scene:
    """Return a pair on the grid of the target's own file.

    Raises
    ------
    ModelError
        When a native store has no mask or no transform to its session.
    VolumeError
        When a store is absent or damaged.
    """
    target, sources = images.items[pair.target], [images.items[index] for index in pair.sources]
    real, stored = _read(target.native_path), [_read(source.native_path) for source in sources]
    to_target = [inverse(real.to_session) @ source.to_session for source in stored]
    placed = [resample(one.image, matrix, real.image.grid) for one, matrix in zip(stored, to_target, strict=True)]
    return Scene(
        "native",
        target.scale.linear(real.image.voxels),
        real.brain,
        real.image.grid,
        tuple(source.scale.linear(image.voxels) for source, image in zip(sources, placed, strict=True)),
        tuple(source.record for source in sources),
        files=tuple(source.file or Path() for source in sources),
        to_target=tuple(to_target),
    )


def has_files(images: CatalogueImages, pair: TestPair) -> bool:
    """Return whether the files of all sources of a pair are where their centres were ingested from."""
    files = [images.items[index].file for index in pair.sources]
    return all(file is not None and file.is_file() for file in files)


def linear(sample: Sample) -> Linear:
    """Return the voxels of a harmonised image in spreads from the median of its brain, (i, j, k)."""
    return identity(sample.voxels)


@dataclass(frozen=True)
class _Native:
    """A native store in memory: voxels in its own unit, brain, and the transform of its world to the session's."""

    image: Image
    brain: NDArray[np.bool_]
    to_session: Matrix


def _read(path: Path) -> _Native:
    store = open_store(path)
    matrix = to_session(store)
    assert store.mask is not None  # `to_session` refuses a store without one
    image = Image(np.asarray(store[...], np.float32), store.affine)
    return _Native(image, np.asarray(store.mask[...]) > 0, matrix)
