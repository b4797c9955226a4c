"""Examples of a report: pairs of each task with what a model makes of them, as pictures side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages
from model.evaluation.comparison import Compared, compare, shades
from model.evaluation.evaluate import SynthesisModel
from warehouse.errors import ModelError
from warehouse.imaging.geometry import turn
from warehouse.lake import atomic
from warehouse.quality.slices import PLANES, View, png

MARGIN_MM = 12.0
OVERVIEW_WIDTH_PX, PAGE_WIDTH_PX = 1200, 880  # in the page two stand side by side, so that letters must be larger


def draw_example(example: Example) -> bytes:
    """Draw one task: source, made, real and difference, in an axial and a coronal slice; return the PNG."""
    return png(compare([example.compared], (PLANES[0], PLANES[1]), PAGE_WIDTH_PX))


def draw_overview(examples: Sequence[Example], path: Path) -> Path:
    """Draw several tasks below each other, an axial slice each, for a README.

    Parameters
    ----------
    examples : sequence of Example
        At least one.
    path : Path
        Of the PNG; replaced atomically.
    """
    if not examples:
        raise ModelError("there is no example to draw", "evaluate on data that have a pair of some task")
    is_simulated = any(example.is_simulated for example in examples)
    note = "simulated heads, nobody's data;  " if is_simulated else ""
    note += "L, R: the person's left and right"
    rows = [example.compared for example in examples]
    atomic.write_bytes(path, png(compare(rows, (PLANES[0],), OVERVIEW_WIDTH_PX, note)))
    return path


@dataclass(frozen=True)
class Example:
    """One pair of a task with what the model made of it.

    Parameters
    ----------
    task, split, center_id, prompt : str
        Prompt is the sentence that the model was given, in the paper's words.
    source, made, target : (i, j, k) float64 array
        RAS; 0 is drawn black and 1 white, what lies beyond is clipped. The source, the first of several, has its own
        window, the others have the target's.
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
        return self.task.replace("_to_", " → ").replace("+", " + ")

    @property
    def compared(self) -> Compared:
        """What is drawn: the brain with a margin."""
        view = View.around([self.mask], self.mask.shape, self.voxel_size_mm, MARGIN_MM)
        caption = f"{self.title}    {self.psnr_db:.1f} dB, SSIM {self.ssim:.2f}"
        return Compared(self.source, self.made, self.target, view, caption)


def in_order(rows: Sequence[dict[str, Any]], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of ``examples.sql`` as a page shows them: real people first, then by task."""
    return sorted(rows, key=lambda row: (row["is_simulated"], tasks.index(row["task"])))


def make_examples(
    images: CatalogueImages, synthesizer: SynthesisModel, rows: Sequence[dict[str, Any]], recipe: str
) -> list[Example]:
    """Make the pictures' volumes: the model is asked again for each pair.

    Parameters
    ----------
    images : CatalogueImages
        Holding the splits of the rows.
    synthesizer : SynthesisModel
    rows : sequence of dict
        Of ``examples.sql``.
    recipe : str
        By which the images were harmonised.

    Raises
    ------
    ModelError
        When an image is not there any more, or the model makes another shape.
    """
    index = {item.image_id: number for number, item in enumerate(images.items)}
    made = []
    for row in rows:
        wanted = [*row["source_image_ids"], row["target_image_id"]]
        if missing := [image_id for image_id in wanted if image_id not in index]:
            what = f"images {' and '.join(missing)} of task {row['task']} are not among the harmonised ones"
            raise ModelError(what, f"harmonise them by recipe {recipe}, or evaluate again")
        *sources, target = (index[image_id] for image_id in wanted)
        made.append(_example(images, synthesizer, sources, target, row))
    return made


def _example(
    images: CatalogueImages, synthesizer: SynthesisModel, sources: Sequence[int], wanted: int, row: dict[str, Any]
) -> Example:
    target, first = images.volume(wanted), images.volume(sources[0])
    given = [images.source(index) for index in sources]
    made = np.asarray(synthesizer.volume(given, images.items[wanted].record))
    if made.shape != target.voxels.shape:
        what = f"the model made {made.shape} for a target of {target.voxels.shape}"
        raise ModelError(f"{row['task']}: {what}", "train it again")
    shown = shades(first.voxels, made, target.voxels, target.mask)
    turned = [turn(volume, target.affine) for volume in shown]
    facts = {key: row[key] for key in ("task", "split", "center_id", "prompt", "psnr_db", "ssim", "is_simulated")}
    return Example(
        source=turned[0],
        made=turned[1],
        target=turned[2],
        mask=turn(target.mask, target.affine),
        voxel_size_mm=target.grid.turned().voxel_size_mm,
        **facts,
    )
