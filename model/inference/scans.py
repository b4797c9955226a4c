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
from scipy import ndimage

from model.inference.placing import field_of_view, place, place_mask
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize import mask as brain
from warehouse.harmonize.intensity import correct_bias, find_brain_scale, find_head, find_scale
from warehouse.harmonize.recipe import Recipe
from warehouse.imaging.brain_scale import USUAL_SPREAD, BrainScale
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.geometry import Grid, Image, turn
from warehouse.imaging.nifti import read_header
from warehouse.imaging.scan import Scan, header_of, read_scan
from warehouse.quality.resolution import effective_resolution

Voxels = NDArray[np.float32]
AROUND_MM = 4.0  # around a brain lies fluid, which is no air


def read(image: str | Path | nib.Nifti1Image) -> Scan:
    """Return a scan on its own grid, read as by ingest and harmonisation.

    Raises
    ------
    ModelError
        When the scan cannot be used; the message names reason and remedy.
    """
    name = str(image) if isinstance(image, (str, Path)) else "the image"
    _refuse_absent(image)
    try:
        return read_scan(image)
    except RefusedError as error:
        raise ModelError(f"{name}: {error.detail}", error.remedy) from error
    except NotFetchedError as error:
        raise ModelError(f"{name}: its content is in git-annex and was not fetched", f"git annex get {name}") from error


def _refuse_absent(image: str | Path | nib.Nifti1Image) -> None:
    if isinstance(image, (str, Path)) and not Path(image).is_file():
        what = f"{image} is a folder" if Path(image).is_dir() else f"there is no file {image}"
        raise ModelError(what, "give the path of a NIfTI file, .nii or .nii.gz")


def read_mask(image: str | Path | nib.Nifti1Image, grid: Grid) -> NDArray[np.bool_]:
    """Return a brain mask that lies on a scan's own grid.

    Raises
    ------
    ModelError
        When it cannot be read, lies on another grid, or is empty.
    """
    try:
        found = read(image)
    except ModelError as error:
        remedy = "give a mask that is positive in the brain and 0 outside, or leave it out"
        raise ModelError(f"the brain mask cannot be used: {error.what}", remedy) from error
    if found.grid.shape != grid.shape or not np.allclose(found.grid.affine, grid.affine, atol=1e-3):
        what = f"the brain mask has {found.grid.shape} voxels, or another place, than the scan's {grid.shape}"
        raise ModelError(what, "resample the mask to the scan's grid, or leave it out")
    if not (found.voxels > 0).any():
        raise ModelError("the brain mask is empty", "give a mask that is positive in the brain, or leave it out")
    return np.asarray(found.voxels > 0)


def read_grid(image: str | Path | nib.Nifti1Image) -> tuple[Grid, int]:
    """Return the grid of a scan by its header, and the code of its forms; its voxels may be of any kind and number.

    Raises
    ------
    ModelError
        When the header cannot be used, or does not place the grid in the world.
    """
    name = str(image) if isinstance(image, (str, Path)) else "the reference"
    _refuse_absent(image)
    try:
        header = read_header(str(image)) if isinstance(image, (str, Path)) else header_of(image)
    except RefusedError as error:
        raise ModelError(f"{name}: {error.detail}", error.remedy) from error
    except NotFetchedError as error:
        raise ModelError(f"{name}: its content was not fetched", f"git annex get {name}") from error
    grid, code = header.grid, header.sform_code or header.qform_code
    if code == 0:
        raise ModelError(f"{name} has no orientation: neither qform nor sform is set", "give another reference")
    if float(np.prod(np.asarray(grid.shape, float))) > MOST_VOXELS:
        raise ModelError(f"{name}: a grid of {grid.shape} voxels is too large", "give a coarser reference")
    return grid, code


@dataclass(frozen=True)
class Cleaned:
    """A scan with its brain found and its bias corrected, on its own voxels.

    Parameters
    ----------
    image : Image
        Bias-corrected and clipped as stores are, axes turned towards RAS.
    mask : (i, j, k) bool array
        Brain mask on the grid of `image`.
    scale : BrainScale
    is_stripped : bool
        Whether the scan holds a brain and little else.
    keeps_head : bool
        Whether what lies outside the brain is kept.
    head : (i, j, k) bool array, optional
        Where the scan is not air; None where that is not known, as of stripped or harmonised scans.
    """

    image: Image
    mask: NDArray[np.bool_]
    scale: BrainScale
    is_stripped: bool
    keeps_head: bool
    head: NDArray[np.bool_] | None = None


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
        Axes of the scan reordered to RAS, isotropic voxels, the field of view of the scan or of the first of several.
    is_stripped : bool
        Whether the scan holds a brain and little else.
    own_mask : (i, j, k) bool array
        Brain mask on the grid of `Scan.image`.
    seen : (i, j, k) bool array, optional
        Field of view of the scan on `grid`; None: all of it.
    size_mm : tuple of 3 floats, optional
        Extents of the scan's own voxels along R, A and S.
    relative_spread : float
        Spread of the brain as a part of the median's signal.
    head : (i, j, k) bool array, optional
        Where the scan is not air, on `grid`; None where that is not known.
    """

    voxels: Voxels
    mask: NDArray[np.bool_]
    grid: Grid
    is_stripped: bool
    own_mask: NDArray[np.bool_]
    seen: NDArray[np.bool_] | None = None
    size_mm: tuple[float, float, float] | None = None
    relative_spread: float = USUAL_SPREAD
    head: NDArray[np.bool_] | None = None


def prepare(
    scan: Scan,
    grid_mm: float,
    preparation: Mapping[str, Any],
    brain_mask: NDArray[np.bool_] | None = None,
    *,
    is_harmonised: bool = False,
) -> Prepared:
    """Find the brain, correct the bias, and bring a scan to a network's grid and intensities, as harmonisation does.

    Parameters
    ----------
    grid_mm : float
        Voxel size of the network's grid, mm.
    scan, preparation, brain_mask, is_harmonised
        As in `clean`.

    Raises
    ------
    ModelError
        When no brain is found, or it has no contrast.
    """
    cleaned = clean(scan, preparation, brain_mask, is_harmonised=is_harmonised)
    return on_grid(cleaned, working_grid(scan.grid, grid_mm))


def working_grid(grid: Grid, grid_mm: float) -> Grid:
    """Return a network's grid over the field of view of a scan: axes nearest to R, A and S, isotropic voxels."""
    return with_steps(grid.turned(), (grid_mm,) * 3)


def clean(
    scan: Scan,
    preparation: Mapping[str, Any],
    brain_mask: NDArray[np.bool_] | None = None,
    *,
    is_harmonised: bool = False,
) -> Cleaned:
    """Find the brain of a scan and correct the bias, as harmonisation does.

    Parameters
    ----------
    scan : Scan
    preparation : mapping
        `percentiles`, `n4`, `whole_head` and `mask_network` of the recipe of the network's training data; absent ones
        are those of the standard recipe.
    brain_mask : (i, j, k) bool array, optional
        On the scan's own grid; default: found by the recipe's network.
    is_harmonised : bool
        Use the voxels as they are: no bias is corrected, nothing is clipped, and the brain is every voxel that is not
        zero unless a mask is given.

    Raises
    ------
    ModelError
        When no brain is found, or it has no contrast.
    """
    wanted = Recipe.model_validate({"name": "prepared", **preparation})
    image = scan.image
    try:
        if brain_mask is not None:
            mask = turn(brain_mask, scan.grid.affine)
        else:
            mask = image.voxels != 0 if is_harmonised else _found(image, wanted)
        corrected = correct_bias(image, mask) if wanted.n4 and not is_harmonised else image
        scale = find_brain_scale(corrected, mask)
        bounds = None if is_harmonised else find_scale(corrected, wanted.percentiles)
    except HarmonizeError as error:
        raise ModelError(f"the scan cannot be prepared: {error.what}", error.remedy) from error
    if bounds is not None:
        corrected = corrected.like(np.clip(corrected.voxels, bounds.low, bounds.high))
    is_stripped = brain.came_stripped(mask, image)
    head = None if is_stripped or is_harmonised else find_head(image) | (_around(mask, image) & (image.voxels > 0))
    return Cleaned(corrected, mask, scale, is_stripped, wanted.whole_head, head)


def on_grid(cleaned: Cleaned, grid: Grid, to_grid: NDArray[np.float64] | None = None) -> Prepared:
    """Bring a scan to a grid and to network intensities.

    Parameters
    ----------
    cleaned : Cleaned
    grid : Grid
        Of the network.
    to_grid : (4, 4) array, optional
        The scan's world to that of the grid; RAS+, mm. Default: they are one world.
    """
    here = cleaned.image.grid
    voxels = cleaned.scale.to_network(place(cleaned.image.voxels, here, grid, to_grid))
    inside = place_mask(cleaned.mask, here, grid, to_grid)
    if not cleaned.keeps_head:
        voxels = np.where(inside, voxels, np.float32(cleaned.scale.floor))
    seen = field_of_view(here, grid, to_grid)
    if cleaned.is_stripped:
        seen &= inside
    r, a, s = (float(size) for size in cleaned.image.voxel_size_mm)
    found, spread = (inside, grid, cleaned.is_stripped, cleaned.mask), cleaned.scale.relative_spread
    head = None if cleaned.head is None else place_mask(cleaned.head, here, grid, to_grid)
    return Prepared(voxels, *found, None if seen.all() else seen, (r, a, s), spread, head)


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


def _around(mask: NDArray[np.bool_], image: Image) -> NDArray[np.bool_]:
    """Return a brain with the fluid around it: where the field of view cuts the head, dark fluid looks like air."""
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    margins = np.ceil(AROUND_MM / image.voxel_size_mm).astype(int)
    wider = tuple(
        slice(max(side.start - margin, 0), side.stop + margin) for side, margin in zip(box, margins, strict=True)
    )
    grown = np.zeros(mask.shape, bool)
    grown[wider] = ndimage.distance_transform_edt(~mask[wider], sampling=image.voxel_size_mm) <= AROUND_MM
    return grown


def with_steps(grid: Grid, size_mm: NDArray[np.float64] | tuple[float, float, float]) -> Grid:
    """Return a grid with the given voxel sizes (mm), and the same axes, centre and field of view.

    Raises
    ------
    ModelError
        When it would have more than `MOST_VOXELS` voxels.
    """
    counts = np.asarray(grid.shape) * grid.voxel_size_mm / np.asarray(size_mm, np.float64)
    if float(np.prod(np.maximum(1.0, counts))) > MOST_VOXELS:
        what = f"a grid of {' × '.join(f'{n:.0f}' for n in counts)} voxels is too large"
        raise ModelError(what, "ask for larger voxels; sizes are in mm")
    return grid.with_voxels(size_mm)
