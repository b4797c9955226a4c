"""Pairs that a report shows: the volumes of each, made once more by the model and turned to RAS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages
from model.evaluation.evaluate import SynthesisModel, predict
from model.evaluation.protocol import DisplayRange, EvaluationProtocol
from warehouse.errors import ModelError
from warehouse.imaging.geometry import turn


@dataclass(frozen=True)
class Example:
    """One pair of a task with what the model made of it.

    Parameters
    ----------
    task, split, center_id, prompt : str
        Prompt is the sentence that the model was given, in the paper's words.
    source, made, target : (i, j, k) float64 array
        RAS, in [0, 1]: the source on its own scale, the others on the target's.
    mask : (i, j, k) bool array
        Brain of the target.
    voxel_size_mm : (3,) float64 array
    psnr_db, ssim : float
        In the brain, as the catalogue has them.
    is_simulated : bool
    """

    task: str
    split: str
    center_id: str
    prompt: str
    source: NDArray[np.float64]
    made: NDArray[np.float64]
    target: NDArray[np.float64]
    mask: NDArray[np.bool_]
    voxel_size_mm: NDArray[np.float64]
    psnr_db: float
    ssim: float
    is_simulated: bool

    @property
    def title(self) -> str:
        """The task as people write it, e.g. T1w → T2w."""
        return self.task.replace("_to_", " → ")


def make_examples(
    images: CatalogueImages, synthesizer: SynthesisModel, rows: Sequence[dict[str, Any]], protocol: EvaluationProtocol
) -> list[Example]:
    """Make the pictures' volumes: the model is asked again for each pair.

    Parameters
    ----------
    images : CatalogueImages
        Holding the splits of the rows.
    synthesizer : SynthesisModel
    rows : sequence of dict
        Of ``examples.sql``.
    protocol : EvaluationProtocol

    Raises
    ------
    ModelError
        When an image is not there any more, or the model fails.
    """
    index = {item.image_id: number for number, item in enumerate(images.items)}
    made = []
    for row in sorted(rows, key=lambda row: protocol.tasks.index(row["task"])):
        source, target = row["source_image_id"], row["target_image_id"]
        if not {source, target} <= index.keys():
            what = f"images {source} and {target} of task {row['task']} are not among the harmonised ones"
            raise ModelError(what, f"harmonise them by recipe {protocol.recipe}, or evaluate again")
        made.append(_example(images, synthesizer, index[source], index[target], row, protocol))
    return made


def _example(
    images: CatalogueImages,
    synthesizer: SynthesisModel,
    first: int,
    second: int,
    row: dict[str, Any],
    protocol: EvaluationProtocol,
) -> Example:
    source, target = images.volume(first), images.volume(second)
    scale = DisplayRange.of(target.voxels, target.mask, protocol.percentiles)
    own = DisplayRange.of(source.voxels, target.mask, protocol.percentiles)
    prediction = predict(synthesizer, source, images.items[first], images.items[second])
    shown = (own.apply(source.voxels), scale.apply(prediction), scale.apply(target.voxels), target.mask)
    turned = [turn(volume, target.affine) for volume in shown]
    said = {key: row[key] for key in ("task", "split", "center_id", "prompt", "psnr_db", "ssim", "is_simulated")}
    return Example(
        source=turned[0],
        made=turned[1],
        target=turned[2],
        mask=turned[3],
        voxel_size_mm=target.grid.turned().voxel_size_mm,
        **said,
    )
