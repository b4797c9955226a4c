"""Pictures that show what a synthesis network makes while it learns: a slice of some validation patches, side by side.

They lie in the folder of a training's state, one file per step. Torch is not imported: Dagster shows them, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.evaluation.comparison import Compared, compare, grey, window
from warehouse.quality.slices import PLANES, View, png

if TYPE_CHECKING:
    from model.data.patches import Patch

FOLDER = "examples"
MOST = 6  # pairs of contrasts in a picture
WIDTH_PX = 880


def path_of(folder: Path, step: int) -> Path:
    """Return where the picture after a number of steps lies.

    Parameters
    ----------
    folder : Path
        Of a training's state.
    step : int
    """
    return folder / FOLDER / f"step_{step:06d}.png"


def newest(folder: Path) -> Path | None:
    """Return the picture of the latest step; None where a training has drawn none."""
    found = (folder / FOLDER).glob("step_*.png")
    return max(found, key=lambda path: int(path.stem.removeprefix("step_")), default=None)


def chosen(contrasts: Sequence[tuple[str, str]]) -> list[int]:
    """Return the places of those that are shown: the first of each pair of contrasts, at most `MOST`, evenly spread."""
    first = {pair: place for place, pair in reversed(list(enumerate(contrasts)))}
    places = sorted(first.values())
    n_shown = min(MOST, len(places))
    return [places[number * len(places) // n_shown] for number in range(n_shown)]


def compared(patch: Patch, made: NDArray[np.float32], voxel_mm: float, caption: str) -> Compared:
    """Return a patch beside what was made of it: the middle of the wanted voxels, at which its first scan is read.

    Black and white of made and target are the low and high intensity of the target's whole brain; the scan has those of
    the part of the brain that it shows.

    Parameters
    ----------
    patch : Patch
    made : (i', j', k') float32 array
        Network intensities at the wanted voxels.
    voxel_mm : float
        Of the patch.
    caption : str
    """
    matrix = np.eye(4) if patch.at is None else patch.at.matrix
    scan, shape = patch.given[0], patch.target.shape
    source, seen = (
        ndimage.affine_transform(volume, matrix[:3, :3], matrix[:3, 3], shape, order=order, mode="nearest")
        for volume, order in ((scan.voxels, 1), (scan.seen.astype(np.uint8), 0))
    )
    if patch.is_stripped:  # as in the file that a user gets
        made = np.where(patch.mask, made, patch.target)
    inside = patch.mask & (seen > 0)
    low, high = patch.low, patch.low + patch.span
    return Compared(
        source=grey(source, *window(source, inside if inside.any() else np.ones_like(inside))),
        made=grey(made, low, high),
        target=grey(patch.target, low, high),
        view=View.around([], shape, np.linalg.norm(matrix[:3, :3], axis=0) * voxel_mm),
        caption=caption,
    )


def draw(rows: Sequence[Compared], note: str) -> bytes:
    """Return the PNG: an axial slice of each row, in neurological convention."""
    return png(compare(rows, (PLANES[0],), WIDTH_PX, f"{note};  L, R: the person's left and right"))
