"""How alike two volumes are: PSNR, SSIM and MAE inside a mask.

The same pair of images differs by 12 dB between conventions, so each function takes the mask, and the range of the data
is 1 by default. `model.evaluation.protocol` decides on which scale the volumes are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from warehouse.errors import ModelError

SIGMA_VOXELS, RADIUS = 1.5, 5  # an 11-tap window, as Wang and others (2004) have it
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
    return float(_similarity(prediction, target, data_range)[mask].mean())


def ssim_map(prediction: Tensor, target: Tensor, data_range: float = 1.0) -> Tensor:
    """Return the structural similarity around each voxel (Wang and others 2004), in a Gaussian window of σ 1.5 voxels.

    The loss of a training uses it too, so it can be differentiated.

    Parameters
    ----------
    prediction, target : (batch, 1, i, j, k) Tensor
        On one grid and one scale; beyond their borders they are mirrored.
    data_range : float

    Returns
    -------
    (batch, 1, i, j, k) Tensor
        From −1 to 1.
    """
    products = [prediction, target, prediction * prediction, target * target, prediction * target]
    mean_x, mean_y, xx, yy, xy = _blurred(torch.cat(products)).chunk(5)
    covariance, variances = xy - mean_x * mean_y, xx + yy - mean_x**2 - mean_y**2
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return above / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))


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
    similarity = _similarity(prediction, target, data_range)
    everywhere = np.ones(mask.shape, bool)
    found: dict[tuple[str, str], float] = {}
    for name, inside in (("brain", mask), ("volume", everywhere)):
        found["psnr_db", name] = psnr(prediction, target, inside, data_range)
        found["ssim", name] = float(similarity[inside].mean())
        found["mae", name] = mae(prediction, target, inside, data_range)
    return found


def _similarity(prediction: Volume, target: Volume, data_range: float) -> NDArray[np.float64]:
    made, real = (torch.from_numpy(one.astype(np.float64))[None, None] for one in (prediction, target))
    return np.asarray(ssim_map(made, real, data_range)[0, 0].numpy())


def _blurred(volumes: Tensor) -> Tensor:
    """Blur (n, 1, i, j, k) by a Gaussian, one axis after the other, as products of matrices.

    On a CPU they take a tenth of the time of convolutions with one channel.
    """
    with torch.autocast(volumes.device.type, enabled=False):  # variances are small differences of large numbers
        i, j, k = (_blur_matrix(length, volumes) for length in volumes.shape[2:])
        volumes = volumes @ k.T
        volumes = j @ volumes
        return (i @ volumes.flatten(3)).reshape(volumes.shape)


def _blur_matrix(length: int, like: Tensor) -> Tensor:
    """Return the (length, length) matrix that blurs a line, which is mirrored beyond its ends."""
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=like.device)
    weights = torch.exp(-0.5 * (offsets.to(like.dtype) / SIGMA_VOXELS) ** 2)
    columns = (torch.arange(length, device=like.device)[:, None] + offsets) % (2 * length)
    columns = torch.minimum(columns, 2 * length - 1 - columns)
    matrix = torch.zeros(length, length, device=like.device, dtype=like.dtype)
    return matrix.scatter_add_(1, columns, (weights / weights.sum()).expand(length, -1).contiguous())


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
