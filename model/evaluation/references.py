"""Figures of the baselines on a scene: the sources as they are, and maps of their intensities.

A map sees all sources of a set together. The identity sees one: of a set, the source that is nearest to the target
counts, so that it is as hard to beat as it can be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from model.data.catalogue import CatalogueImages
from model.evaluation.baselines import IDENTITY, MAP_ORACLE, MAP_TRAIN, IntensityMap
from model.evaluation.metrics import measure
from model.evaluation.pairs import draw_pairs
from model.evaluation.protocol import EvaluationProtocol, contrasts_of
from model.evaluation.scenes import Linear, Scene, linear
from warehouse.imaging.brain_scale import soften

Figures = dict[tuple[str, str], float]  # by measure and mask


@dataclass
class PooledMaps:
    """Maps of intensities, each fitted on the training pairs of a task on the harmonised grid.

    Real people have a map of real people where any were trained on, and simulated ones one of simulated; else the other
    population's. The two are never pooled.

    Parameters
    ----------
    images : CatalogueImages
    protocol : EvaluationProtocol
    """

    images: CatalogueImages
    protocol: EvaluationProtocol
    _fitted: dict[tuple[str, bool], IntensityMap | None] = field(default_factory=dict)

    def of(self, task: str, *, is_simulated: bool) -> IntensityMap | None:
        """Return the map of a task for a population; None where nobody in training has its contrasts."""
        own = self._map(task, is_simulated)
        return own if own is not None else self._map(task, not is_simulated)

    def _map(self, task: str, is_simulated: bool) -> IntensityMap | None:
        if (task, is_simulated) not in self._fitted:
            limit, seed = self.protocol.max_map_pairs, self.protocol.seed
            pairs = draw_pairs(self.images, (task,), "train", limit, is_simulated=is_simulated, seed=seed)
            read = ([self.images.volume(index) for index in (*pair.sources, pair.target)] for pair in pairs)
            volumes = (([one.voxels for one in sources], linear(target), target.mask) for *sources, target in read)
            fitted = IntensityMap.fit(volumes, n_bins(task, self.protocol)) if pairs else None
            self._fitted[task, is_simulated] = fitted
        return self._fitted[task, is_simulated]


def n_bins(task: str, protocol: EvaluationProtocol) -> int:
    """Return the bins of an intensity map along each source of a task."""
    return protocol.map_bins if len(contrasts_of(task)[0]) == 1 else protocol.joint_map_bins


def figures_of_baselines(scene: Scene, pooled: IntensityMap | None, bins: int) -> dict[str, Figures]:
    """Return the figures of every baseline on a scene, by its name.

    Parameters
    ----------
    scene : Scene
    pooled : IntensityMap or None
        The map of training pairs; without one, MAP_TRAIN has no figures.
    bins : int
        Of the map that is fitted on the scene itself, along each source.
    """
    network = [soften(source).astype(np.float32) for source in scene.sources]
    nearest = [figures(source, scene) for source in scene.sources]
    found = {IDENTITY: max(nearest, key=lambda one: one["psnr_db", "brain"])}
    if pooled is not None:
        found[MAP_TRAIN] = figures(pooled.apply(network, scene.brain), scene)
    oracle = IntensityMap.fit([(network, scene.truth, scene.brain)], bins)
    found[MAP_ORACLE] = figures(oracle.apply(network, scene.brain), scene)
    return found


def figures(prediction: Linear, scene: Scene) -> Figures:
    """Return every measure of a prediction on a scene, by measure and mask."""
    return measure(prediction, scene.truth, scene.brain, scene.voxel_size_mm, scene.rim)
