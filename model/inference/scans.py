"""Scans of strangers: what may be synthesised from, made into what the network has learned from.

Reading and refusing is done by `warehouse.imaging`; here the intensities are prepared.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize.recipe import Recipe
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.geometry import Grid, Image, turn
from warehouse.imaging.resampling import resample_along_axes
from warehouse.imaging.scan import Scan, read_scan

Voxels = NDArray[np.float32]


def read(image: str | Path | nib.Nifti1Image) -> Scan:
    """Return a scan as it is, by the reader that ingest and harmonisation use.

    Raises
    ------
    ModelError
        When it cannot be used; the message names what is wrong and what to do.
    """
    name = str(image) if isinstance(image, (str, Path)) else "the image"
    if isinstance(image, (str, Path)) and not Path(image).is_file():
        raise ModelError(f"there is no file {image}", "give the path of a NIfTI file, .nii or .nii.gz")
    try:
        return read_scan(image)
    except RefusedError as error:
        raise ModelError(f"{name}: {error.detail}", error.remedy) from error
    except NotFetchedError as error:
        raise ModelError(f"{name}: git-annex holds its content elsewhere", f"git annex get {name}") from error


def prepare(voxels: Voxels, grid: Grid, network_grid: Grid, preparation: Mapping[str, Any]) -> Voxels:
    """Bring a scan to the network's grid and to [0, 1], as the recipe that the network has learned from did.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    grid, network_grid : Grid
        The scan's own, and one with the same axes turned towards RAS.
    preparation : mapping
        `percentiles`, `n4` and `whole_head` of the recipe; what is absent is as in the standard recipe.

    Raises
    ------
    ModelError
        When the brain is needed and not found, or the head has one intensity.
    """
    from warehouse.harmonize import mask as brain
    from warehouse.harmonize.intensity import correct_bias, find_scale

    wanted = Recipe.model_validate({"name": "prepared", **preparation})
    turned = grid.turned()
    image, mask = Image(turn(voxels, grid.affine), turned.affine), None
    try:
        if wanted.n4 or not wanted.whole_head:
            mask = brain.find_brain(image)
        if wanted.n4 and mask is not None:
            image = correct_bias(image, mask)
        scale = find_scale(image, wanted.percentiles)
    except HarmonizeError as error:
        raise ModelError(f"the scan cannot be prepared: {error.what}", error.remedy) from error
    made = scale.normalise(resample_along_axes(image.voxels, turned, network_grid))
    if wanted.whole_head or mask is None:
        return made
    inside = resample_along_axes(mask.astype(np.float32), turned, network_grid) >= 0.5
    return np.where(inside, made, np.float32(0))


SAME = 0.01  # voxel sizes that differ by less than a hundredth are one
MOST_VOXELS = 1 << 29  # 2 GB of float32


def with_steps(grid: Grid, size_mm: NDArray[np.float64] | tuple[float, float, float]) -> Grid:
    """Return a grid of other voxel sizes (mm) with the same axes and centre, that covers the field of view.

    Raises
    ------
    ModelError
        When it would have more voxels than can be held.
    """
    ratio = np.asarray(size_mm, np.float64) / grid.voxel_size_mm
    counts = np.maximum(1, np.ceil(np.asarray(grid.shape) / ratio - 1e-3)).astype(int)
    if float(np.prod(counts.astype(float))) > MOST_VOXELS:
        what = f"a grid of {' × '.join(str(n) for n in counts)} voxels is asked for"
        raise ModelError(what, "ask for larger voxels; sizes are in mm")
    steps = np.diag([*ratio, 1.0])
    steps[:3, 3] = (np.asarray(grid.shape) - 1) / 2 - ratio * (counts - 1) / 2  # both have one centre
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), grid.affine @ steps)
