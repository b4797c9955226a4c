"""How alike a synthesised and a real volume are: PSNR, SSIM, MAE and NMI in the brain of the real one.

The same pair of images differs by 12 dB between conventions. Ours is `measure`: the target is taken as it is, neither
clipped nor compressed; errors are parts of the distance between its 0.5 and 99.5 percentiles in the mask; figures are
given as made and after one fitted gain and offset. Figures of the whole volume come second, since an empty background
alone gives an SSIM of 0.92.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from model.evaluation.ssim import RADIUS, WindowMoments, ssim_map
from warehouse.errors import ModelError

__all__ = [
    "HIGHER_IS_BETTER",
    "MAX_PSNR_DB",
    "brain_range",
    "fit_gain_offset",
    "mae",
    "measure",
    "nmi",
    "psnr",
    "rim",
    "ssim3d",
    "ssim_map",
]

MAX_PSNR_DB = 100.0
PERCENTILES = (0.5, 99.5)
NMI_BINS = 64
RIM_MM = 3.0
LEAST_SPAN = 1e-6  # of the largest intensity; rounding of float32 makes spans near it
HIGHER_IS_BETTER = {
    "psnr_db": True,
    "ssim": True,
    "mae": False,
    "nmi": True,
    "psnr_db_fitted": True,
    "ssim_fitted": True,
    "mae_fitted": False,
    "mae_rim": False,
    "mae_deep": False,
}

Volume = NDArray[Any]
Mask = NDArray[np.bool_]


def measure(
    prediction: Volume, target: Volume, mask: Mask, voxel_size_mm: Sequence[float], outer: Mask | None = None
) -> dict[tuple[str, str], float]:
    """Return every measure, in the brain and in the whole volume.

    Parameters
    ----------
    prediction, target : (i, j, k) array
        On one grid, in one unit; the target is the real scan, linear in its signal. Both in another unit (one gain and
        offset for both) give the same figures.
    mask : (i, j, k) bool array
        Brain of the target.
    voxel_size_mm : sequence of 3 float
    outer : (i, j, k) bool array, optional
        The `rim` of the mask, where several predictions of one target are measured; default: computed.

    Returns
    -------
    dict of (str, str) to float
        By measure and mask, as rows of `core.evaluation_score` name them. In `brain`: psnr_db, ssim, mae, nmi; psnr_db,
        ssim and mae after `fit_gain_offset` (`_fitted`); mae in the outer 3 mm of the mask and in the rest (`mae_rim`,
        `mae_deep`; left out where that part of the mask is empty). In `volume`: psnr_db, ssim, mae.

    Raises
    ------
    ModelError
        For differing shapes, an empty mask, voxels that are not finite, or a target without contrast in the mask.
    """
    _check(prediction, target, mask)
    low, high = _window(target, mask)
    # The darkest tissue becomes 0 and the brightest 1; similarity needs a zero (see `ssim`), the others do not mind.
    made, real = ((one.astype(np.float64) - low) / (high - low) for one in (prediction, target))
    found = {(name, "volume"): value for name, value in _errors((made - real).ravel()).items()}
    moments, found["ssim", "volume"] = _similarities(made, real, mask)
    difference = made[mask] - real[mask]
    gain, offset = fit_gain_offset(made, real, mask)
    fitted = gain * made[mask] + offset - real[mask]
    found |= {(name, "brain"): value for name, value in _errors(difference).items()}
    found["ssim", "brain"] = float(moments.similarity(1.0).mean())
    found |= {(f"{name}_fitted", "brain"): value for name, value in _errors(fitted).items()}
    found["ssim_fitted", "brain"] = float(moments.with_gain_offset(gain, offset).similarity(1.0).mean())
    found["nmi", "brain"] = nmi(made, real, mask)
    is_rim = (rim(mask, voxel_size_mm) if outer is None else outer)[mask]
    for name, part in (("mae_rim", is_rim), ("mae_deep", ~is_rim)):
        if part.any():
            found[name, "brain"] = _errors(difference[part])["mae"]
    return found


def brain_range(target: Volume, mask: Mask) -> float:
    """Return the distance between the 0.5 and 99.5 percentiles of a target in its brain, which is 1 in `measure`.

    Raises
    ------
    ModelError
        When the mask is empty or the target has no contrast in it.
    """
    low, high = _window(target, mask)
    return high - low


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
    return _errors((prediction[mask].astype(np.float64) - target[mask]) / data_range)["psnr_db"]


def mae(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> float:
    """Return the mean absolute difference inside a mask, as a part of the data range.

    Parameters and errors are those of `psnr`.
    """
    _check(prediction, target, mask, data_range)
    return _errors((prediction[mask].astype(np.float64) - target[mask]) / data_range)["mae"]


def ssim3d(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> float:
    """Return the structural similarity in three dimensions, its map averaged inside a mask.

    Windows at the border of the mask see what lies beyond it, in both volumes: a seam there is a flaw of the image too.
    Parameters and errors are those of `psnr`.
    """
    _check(prediction, target, mask, data_range)
    box = _box(mask, RADIUS)
    return float(WindowMoments.of(prediction[box], target[box]).at(mask[box]).similarity(data_range).mean())


def nmi(prediction: Volume, target: Volume, mask: Mask) -> float:
    """Return the normalised mutual information inside a mask (Studholme and others 1999, Pattern Recognition 32, 71).

    (H(X) + H(Y)) / H(X, Y), from a joint histogram of 64 × 64 bins. The bins of each volume lie evenly between its own
    0.5 and 99.5 percentiles in the mask, and the outer ones are open, so that gain and offset do not matter. From 1
    (independent; a prediction of one intensity) to 2 (each tells the other). Figures of other numbers of bins, or of
    masks with far fewer voxels, cannot be compared.

    Parameters and errors are those of `psnr`.
    """
    _check(prediction, target, mask)
    x, y = _bins(prediction[mask]), _bins(target[mask])
    joint = np.bincount(x * NMI_BINS + y, minlength=NMI_BINS**2).reshape(NMI_BINS, NMI_BINS)
    together = _entropy(joint.ravel())
    return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together if together else 1.0


def fit_gain_offset(prediction: Volume, target: Volume, mask: Mask) -> tuple[float, float]:
    """Return the gain and offset of a prediction that bring it nearest to the target in the mask, by least squares.

    Computed in float64 and around the means: `numpy.polyfit` loses the offset over a brain of float32 voxels. The gain
    of an inverted contrast is negative; that of a prediction of one intensity is 0.

    Parameters and errors are those of `psnr`.
    """
    _check(prediction, target, mask)
    x, y = prediction[mask].astype(np.float64), target[mask].astype(np.float64)
    mean_x, mean_y = float(x.mean()), float(y.mean())
    x -= mean_x
    power = float(x @ x)
    is_flat = power <= x.size * (1e-12 * mean_x) ** 2
    gain = 0.0 if is_flat else float(x @ (y - mean_y)) / power
    return gain, mean_y - gain * mean_x


def rim(mask: Mask, voxel_size_mm: Sequence[float], depth_mm: float = RIM_MM) -> Mask:
    """Return the outer part of a mask: voxels whose centre lies less than a depth below its surface.

    Parameters
    ----------
    mask : (i, j, k) bool array
        What lies beyond the array is outside.
    voxel_size_mm : sequence of 3 float
        Along i, j, k.
    depth_mm : float

    Raises
    ------
    ModelError
        When the mask is empty or not of bool.
    """
    _check_mask(mask)
    box = _box(mask, 0)
    padded = np.pad(mask[box], 1)
    # Distances lead to the centre of the nearest voxel outside; the surface lies half a voxel before it.
    distance_mm = distance_transform_edt(padded, sampling=tuple(voxel_size_mm))[1:-1, 1:-1, 1:-1]
    outer = np.zeros_like(mask)
    outer[box] = mask[box] & (distance_mm - min(voxel_size_mm) / 2 < depth_mm)
    return outer


def _similarities(made: Volume, real: Volume, mask: Mask) -> tuple[WindowMoments, float]:
    """Return the moments at the voxels of the mask, and the mean similarity of the whole volume."""
    parts, total = [], 0.0
    for planes, moments in WindowMoments.in_slabs(made, real):
        total += float(moments.similarity(1.0).sum())
        parts.append(moments.at(mask[planes]))
    return WindowMoments.joined(parts), total / mask.size


def _errors(difference: NDArray[np.float64]) -> dict[str, float]:
    """Return what differences, (n,), in parts of the data range, amount to."""
    mean_square = float(difference @ difference) / difference.size
    decibel = min(MAX_PSNR_DB, -10 * float(np.log10(mean_square))) if mean_square else MAX_PSNR_DB
    return {"psnr_db": decibel, "mae": float(np.abs(difference).mean())}


def _window(target: Volume, mask: Mask) -> tuple[float, float]:
    _check_mask(mask)
    low, high = (float(value) for value in np.percentile(target[mask].astype(np.float64), PERCENTILES))
    if not high - low > LEAST_SPAN * max(abs(low), abs(high)):
        what = f"99 % of the target's brain lie between {low:g} and {high:g}: there is no contrast"
        raise ModelError(what, "look at the scan and its brain mask")
    return low, high


def _bins(values: Volume) -> NDArray[np.intp]:
    """Return the bin of each value, (n,), from 0 to 63; all are 0 where the values have no span."""
    values = values.astype(np.float64)
    low, high = np.percentile(values, PERCENTILES)
    if not high - low > LEAST_SPAN * max(abs(low), abs(high)):
        return np.zeros(values.shape, np.intp)
    steps = (np.clip(values, low, high) - low) / (high - low) * NMI_BINS
    return np.asarray(np.minimum(steps.astype(np.intp), NMI_BINS - 1))


def _entropy(counts: NDArray[np.intp]) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _box(mask: Mask, margin: int) -> tuple[slice, ...]:
    """Return the box around a mask with a margin in voxels, as far as the array goes."""
    found = find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(0, side.start - margin), side.stop + margin) for side in found)


def _check(prediction: Volume, target: Volume, mask: Mask, data_range: float = 1.0) -> None:
    if not prediction.shape == target.shape == mask.shape:
        what = f"shapes differ: prediction {prediction.shape}, target {target.shape}, mask {mask.shape}"
        raise ModelError(what, "bring them to one grid first")
    _check_mask(mask)
    if not (np.isfinite(data_range) and data_range > 0):
        raise ModelError(f"a data range of {data_range}", "give the distance between black and white")
    for name, volume in (("prediction", prediction), ("target", target)):
        if not np.isfinite(volume).all():
            n_bad = int(volume.size - np.isfinite(volume).sum())
            raise ModelError(f"{n_bad} voxels of the {name} are NaN or infinite", "correct what made them")


def _check_mask(mask: Mask) -> None:
    if mask.dtype != bool or not mask.any():
        raise ModelError(f"a mask of {mask.dtype} of {np.count_nonzero(mask)} voxels", "give a bool mask with a brain")
