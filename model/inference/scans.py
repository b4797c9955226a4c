"""Scans of strangers: what may be synthesised from, made into what the network has learned from.

Belongs here: refusing what cannot be right, and the intensities. Does not belong here: grids (`model.inference.grid`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from model.inference.grid import Grid, resample, turn
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize.image import Image
from warehouse.harmonize.recipe import Recipe

Voxels = NDArray[np.float32]


def read_scan(image: str | Path | nib.Nifti1Image) -> tuple[Voxels, Grid, nib.Nifti1Header]:
    """Return voxels and grid of a scan as they are, and its header.

    Raises
    ------
    ModelError
        When it cannot be read, is no single volume, has voxels that are not finite or all the same, or does not say
        which side is left.
    """
    name = str(image) if isinstance(image, (str, Path)) else "the image"
    loaded = _load(Path(image)) if isinstance(image, (str, Path)) else image
    shape = tuple(int(size) for size in loaded.shape)
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or 0 in shape:
        raise ModelError(f"{name} has shape {shape}, and one volume is wanted", "split it into volumes of three axes")
    if loaded.get_data_dtype().kind not in "iufb":
        raise ModelError(f"{name} has voxels of type {loaded.get_data_dtype()}", "give one number a voxel")
    grid = Grid((shape[0], shape[1], shape[2]), np.asarray(loaded.affine, np.float64))
    _refuse_affine(name, loaded, grid)
    try:
        voxels = np.asarray(loaded.dataobj, np.float32).reshape(grid.shape)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise ModelError(f"{name}: its voxels cannot be read: {error}", "fetch or convert the image again") from error
    if not np.isfinite(voxels).all():
        n_bad = int((~np.isfinite(voxels)).sum())
        what = f"{name}: {n_bad:,} voxels are NaN or infinite"
        raise ModelError(what, "convert it again, or set them to 0 where they are background")
    if voxels.min() == voxels.max():
        raise ModelError(f"{name}: every voxel is {voxels.flat[0]:g}", "look at the image")
    return voxels, grid, loaded.header


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
    from warehouse.harmonize import brain
    from warehouse.harmonize.bias import correct_bias
    from warehouse.harmonize.intensity import find_scale

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
        raise ModelError(f"the scan cannot be prepared: {error.what}", error.mend) from error
    made = scale.normalise(resample(image.voxels, turned, network_grid))
    if wanted.whole_head or mask is None:
        return made
    inside = resample(mask.astype(np.float32), turned, network_grid) >= 0.5
    return np.where(inside, made, np.float32(0))


def _load(path: Path) -> nib.Nifti1Pair:
    if not path.is_file():
        raise ModelError(f"there is no file {path}", "give the path of a NIfTI file, .nii or .nii.gz")
    try:
        loaded = nib.load(path)
    except (nib.filebasedimages.ImageFileError, OSError, EOFError, ValueError) as error:
        raise ModelError(f"{path} is no NIfTI image: {error}", "convert it; DICOM by dcm2niix") from error
    if not isinstance(loaded, nib.Nifti1Pair):
        raise ModelError(f"{path} is {type(loaded).__name__}, not NIfTI", "convert it to NIfTI")
    return loaded


def _refuse_affine(name: str, loaded: Any, grid: Grid) -> None:
    matrix = grid.affine[:3, :3]
    if not np.isfinite(grid.affine).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise ModelError(f"{name}: its affine cannot be inverted", "convert it again from DICOM")
    header = loaded.header
    if isinstance(header, nib.Nifti1Header) and not (header["qform_code"] or header["sform_code"]):
        what = f"{name}: neither qform nor sform is set, so left and right are unknown"
        raise ModelError(what, "convert it again from DICOM")
