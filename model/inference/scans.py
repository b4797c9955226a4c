"""Prepare arbitrary scans for a network: its grid, and the intensities of its training data.

`warehouse.imaging` reads scans and refuses unusable ones.
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
    """Return a scan on its own grid, read as by ingest and harmonisation.

    Raises
    ------
    ModelError
        When the scan cannot be used; the message names reason and remedy.
    """
    name = str(image) if isinstance(image, (str, Path)) else "the image"
    if isinstance(image, (str, Path)) and not Path(image).is_file():
        raise ModelError(f"there is no file {image}", "give the path of a NIfTI file, .nii or .nii.gz")
    try:
        return read_scan(image)
    except RefusedError as error:
        raise ModelError(f"{name}: {error.detail}", error.remedy) from error
    except NotFetchedError as error:
        raise ModelError(f"{name}: its content is in git-annex and was not fetched", f"git annex get {name}") from error


def prepare(voxels: Voxels, grid: Grid, network_grid: Grid, preparation: Mapping[str, Any]) -> Voxels:
    """Resample a scan to the network's grid and scale it to [0, 1], as the recipe of its training data does.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
    grid, network_grid : Grid
        Grid of the scan, and grid of the network, whose axes are those of the scan reordered to RAS.
    preparation : mapping
        `percentiles`, `n4` and `whole_head` of the recipe; absent ones are those of the standard recipe.

    Raises
    ------
    ModelError
        When the brain is needed and not found, or the head has constant intensity.
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
    prepared = scale.normalise(resample_along_axes(image.voxels, turned, network_grid))
    if wanted.whole_head or mask is None:
        return prepared
    inside = resample_along_axes(mask.astype(np.float32), turned, network_grid) >= 0.5
    return np.where(inside, prepared, np.float32(0))


SAME = 0.01  # relative difference below which voxel sizes count as equal
MOST_VOXELS = 1 << 29  # 2 GB of float32


def with_steps(grid: Grid, size_mm: NDArray[np.float64] | tuple[float, float, float]) -> Grid:
    """Return a grid with the given voxel sizes (mm), and the same axes, centre and field of view.

    Raises
    ------
    ModelError
        When it would have more than `MOST_VOXELS` voxels.
    """
    ratio = np.asarray(size_mm, np.float64) / grid.voxel_size_mm
    counts = np.maximum(1, np.ceil(np.asarray(grid.shape) / ratio - 1e-3)).astype(int)
    if float(np.prod(counts.astype(float))) > MOST_VOXELS:
        what = f"a grid of {' × '.join(str(n) for n in counts)} voxels is too large"
        raise ModelError(what, "ask for larger voxels; sizes are in mm")
    steps = np.diag([*ratio, 1.0])
    steps[:3, 3] = (np.asarray(grid.shape) - 1) / 2 - ratio * (counts - 1) / 2  # aligns the centres of both grids
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), grid.affine @ steps)
