"""How alike two volumes are: PSNR, SSIM and MAE inside a mask.

The same pair of images differs by 12 dB between conventions, so each function takes the mask, and the range of the data
is 1 unless it is said otherwise. Which scale the volumes are on is `model.evaluation.protocol`'s matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from warehouse.errors import ModelError

SIGMA_VOXELS, TRUNCATE = 1.5, 3.5  # an 11-tap window, as Wang and others (2004) have it
K1, K2 = 0.01, 0.03
MAX_PSNR_DB = 100.0
HIGHER_IS_BETTER = {"psnr_db": True, "ssim": True, "mae": False}

Volume = NDArray[Any]
Mask = NDArray[np.bool_]


def psnr(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio inside a mask, dB.

    Parameters
    ----------
    prediction, target : (i, j, k) array
        On one grid and one scale.
    mask : (i, j, k) bool array
    data_range : float
        Distance between black and white on that scale.

    Returns
    -------
    float
        10 log10(range² / mean squared difference); 100 dB where it would be more, so that equal volumes have a number.

    Raises
    ------
    ModelError
        For differing shapes, an empty mask, voxels that are not finite, or a range that is not positive.
    """
    _check(prediction, target, mask, data_range)
    difference = prediction[mask].astype(np.float64) - target[mask]
    mean_square = float(np.mean(difference**2)) / data_range**2
    return min(MAX_PSNR_DB, -10 * float(np.log10(mean_square))) if mean_square else MAX_PSNR_DB


def mae(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> float:
    """Return the mean absolute difference inside a mask, as a part of the data range.

    Parameters and errors are those of `psnr`.
    """
    _check(prediction, target, mask, data_range)
    return float(np.mean(np.abs(prediction[mask].astype(np.float64) - target[mask]))) / data_range


def ssim3d(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> float:
    """Return the structural similarity in three dimensions, its map averaged inside a mask.

    Parameters and errors are those of `psnr`. Windows at the border of the mask see what lies beyond it.
    """
    _check(prediction, target, mask, data_range)
    return float(ssim_map(prediction, target, data_range)[mask].mean(dtype=np.float64))


def ssim_map(prediction: Volume, target: Volume, data_range: float = 1.0) -> NDArray[np.float64]:
    """Return the structural similarity around each voxel (Wang and others 2004), in a Gaussian window of σ 1.5 voxels.

    Parameters
    ----------
    prediction, target : (i, j, k) array
        On one grid and one scale; beyond their borders they are mirrored.
    data_range : float

    Returns
    -------
    (i, j, k) float64 array
        From −1 to 1.
    """
    x, y = prediction.astype(np.float64), target.astype(np.float64)
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x, variance_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return np.asarray(above / below)


def measure(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> dict[tuple[str, str], float]:
    """Return every measure, in the brain and in the whole volume.

    Parameters
    ----------
    prediction, target : (i, j, k) array
    mask : (i, j, k) bool array
        Of the brain.
    data_range : float

    Returns
    -------
    dict of (str, str) to float
        By measure (psnr_db, ssim, mae) and mask (brain, volume), as rows of `core.evaluation_score` name them.
    """
    _check(prediction, target, mask, data_range)
    similarity = ssim_map(prediction, target, data_range)
    everywhere = np.ones(mask.shape, bool)
    found: dict[tuple[str, str], float] = {}
    for name, inside in (("brain", mask), ("volume", everywhere)):
        found["psnr_db", name] = psnr(prediction, target, inside, data_range)
        found["ssim", name] = float(similarity[inside].mean())
        found["mae", name] = mae(prediction, target, inside, data_range)
    return found


def _blurred(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(volume, SIGMA_VOXELS, truncate=TRUNCATE, mode="reflect"))


def _check(prediction: Volume, target: Volume, mask: Mask, data_range: float) -> None:
    if not prediction.shape == target.shape == mask.shape:
        what = f"shapes differ: prediction {prediction.shape}, target {target.shape}, mask {mask.shape}"
        raise ModelError(what, "bring them to one grid first")
    if mask.dtype != bool or not mask.any():
        raise ModelError(f"a mask of {mask.dtype} of {np.count_nonzero(mask)} voxels", "give a bool mask with a brain")
    if not (np.isfinite(data_range) and data_range > 0):
        raise ModelError(f"a data range of {data_range}", "give the distance between black and white")
    for name, volume in (("prediction", prediction), ("target", target)):
        if not np.isfinite(volume).all():
            n_bad = int(volume.size - np.isfinite(volume).sum())
            raise ModelError(f"{n_bad} voxels of the {name} are NaN or infinite", "correct what made them")
