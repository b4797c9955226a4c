"""Prepare arbitrary scans for a network: its grid, and the intensity scale of the brain.

`warehouse.imaging` reads scans and refuses unusable ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize import mask as brain
from warehouse.harmonize.intensity import correct_bias, find_brain_scale, find_scale
from warehouse.harmonize.recipe import Recipe
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.geometry import Grid, Image, turn
from warehouse.imaging.resampling import resample_along_axes
from warehouse.imaging.scan import Scan, read_scan
from warehouse.quality.resolution import effective_resolution

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


def read_mask(image: str | Path | nib.Nifti1Image, grid: Grid) -> NDArray[np.bool_]:
    """Return a brain mask that lies on a scan's own grid.

    Raises
    ------
    ModelError
        When it cannot be read, lies on another grid, or is empty.
    """
    found = read(image)
    if found.grid.shape != grid.shape or not np.allclose(found.grid.affine, grid.affine, atol=1e-3):
        what = f"the brain mask has {found.grid.shape} voxels, or another place, than the scan's {grid.shape}"
        raise ModelError(what, "resample the mask to the scan's grid, or leave it out")
    if not (found.voxels > 0).any():
        raise ModelError("the brain mask is empty", "give a mask that is positive in the brain, or leave it out")
    return np.asarray(found.voxels > 0)


@dataclass(frozen=True)
class Prepared:
    """A scan as a network is given it.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Network intensities on `grid`.
    mask : (i, j, k) bool array
        Brain mask on `grid`.
    grid : Grid
        Axes of the scan reordered to RAS, isotropic voxels, the scan's field of view.
    is_stripped : bool
        Whether the scan holds a brain and little else.
    own_mask : (i, j, k) bool array
        Brain mask on the grid of `Scan.image`.
    """

    voxels: Voxels
    mask: NDArray[np.bool_]
    grid: Grid
    is_stripped: bool
    own_mask: NDArray[np.bool_]


def prepare(
    scan: Scan, grid_mm: float, preparation: Mapping[str, Any], brain_mask: NDArray[np.bool_] | None = None
) -> Prepared:
    """Find the brain, correct the bias, and bring a scan to a network's grid and intensities, as harmonisation does.

    Parameters
    ----------
    scan : Scan
    grid_mm : float
        Voxel size of the network's grid, mm.
    preparation : mapping
        `percentiles`, `n4`, `whole_head` and `mask_network` of the recipe of the network's training data; absent ones
        are those of the standard recipe.
    brain_mask : (i, j, k) bool array, optional
        On the scan's own grid; default: found by the recipe's network.

    Raises
    ------
    ModelError
        When no brain is found, or it has no contrast.
    """
    wanted = Recipe.model_validate({"name": "prepared", **preparation})
    image, turned = scan.image, scan.grid.turned()
    network_grid = with_steps(turned, (grid_mm,) * 3)
    try:
        mask = _found(image, wanted) if brain_mask is None else turn(brain_mask, scan.grid.affine)
        corrected = correct_bias(image, mask) if wanted.n4 else image
        bounds, scale = find_scale(corrected, wanted.percentiles), find_brain_scale(corrected, mask)
    except HarmonizeError as error:
        raise ModelError(f"the scan cannot be prepared: {error.what}", error.remedy) from error
    bounded = np.clip(corrected.voxels, bounds.low, bounds.high)  # a store holds nothing beyond
    voxels = scale.to_network(resample_along_axes(bounded, turned, network_grid))
    inside = resample_along_axes(mask.astype(np.float32), turned, network_grid) >= 0.5
    if not wanted.whole_head:
        voxels = np.where(inside, voxels, np.float32(scale.floor))
    return Prepared(voxels, inside, network_grid, brain.came_stripped(mask, image), mask)


def acquired_size(scan: Scan, own_mask: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """Return the voxel size of a scan along its own axes (mm), or None where it was interpolated from coarser ones.

    Then the header does not tell what was acquired, and a prompt that repeats it would be wrong.

    Parameters
    ----------
    scan : Scan
    own_mask : (i, j, k) bool array
        Brain mask on the grid of `Scan.image`.
    """
    sizes_mm = scan.image.voxel_size_mm
    found = effective_resolution(scan.image, own_mask).values()
    estimates = zip(sizes_mm, (value for value, _ in found), strict=True)
    if any(value is not None and value > INTERPOLATED * size for size, value in estimates):
        return None
    i, j, k = (float(size) for size in scan.grid.voxel_size_mm)
    return i, j, k


def _found(image: Image, wanted: Recipe) -> NDArray[np.bool_]:
    remedy = "look at the scan; where it does hold a brain, give its mask (--brain-mask)"
    try:
        mask = brain.find_brain(image, wanted.mask_network)
    except HarmonizeError as error:
        raise HarmonizeError(error.stage, error.reason, error.what, remedy) from error
    if doubt := brain.implausible(mask, image):
        raise HarmonizeError("mask", "implausible_brain", doubt, remedy)
    return mask


INTERPOLATED = 1.6  # effective resolution, in voxels, beyond which a scan was interpolated; estimates err by a quarter
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
