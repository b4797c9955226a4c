"""Intensities: bias correction, and scaling to [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Image
from warehouse.imaging.itk import to_itk, voxels_of

BIAS_MM = 4.0  # voxel size for N4; the field is smooth: shrinking 1 mm voxels by 4 loses nothing and costs a 64th


def correct_bias(image: Image, mask: NDArray[np.bool_]) -> Image:
    """Divide a scan by its bias field, estimated in the brain by N4 (Tustison et al. 2010, IEEE TMI 29, 1310).

    Parameters
    ----------
    image : Image
    mask : (i, j, k) bool array
        The brain; outside, the field is extrapolated.

    Raises
    ------
    HarmonizeError
        When too little of the mask is positive for the field to be estimated.
    """
    import SimpleITK as sitk

    usable = mask & (image.voxels > 0)  # N4 takes logarithms; interpolated scans hold small negative values
    if usable.sum() < 1000:
        what = f"{int(usable.sum())} positive voxels in the brain mask"
        raise HarmonizeError("bias", "too_few_voxels", what, "look at the scan and its mask")
    shrink = [int(np.clip(round(BIAS_MM / size), 1, 8)) for size in image.voxel_size_mm]
    small = sitk.Shrink(to_itk(image), shrink)
    small_mask = sitk.Shrink(to_itk(image, usable.astype(np.uint8)), shrink)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50, 50, 50, 50])
    try:
        n4.Execute(small, small_mask)
        field = voxels_of(n4.GetLogBiasFieldAsImage(to_itk(image)))
    except RuntimeError as error:
        raise HarmonizeError("bias", "n4_failed", f"N4 failed: {error}", "look at the scan and its mask") from error
    return image.like(image.voxels / np.exp(field - np.median(field[usable])))


@dataclass(frozen=True)
class IntensityScale:
    """Intensities of the source, bias-corrected, that became 0 and 1."""

    low: float
    high: float

    def normalise(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Map source units to [0, 1] and clip what lies outside."""
        return np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0).astype(np.float32)


def find_scale(image: Image, percentiles: tuple[float, float]) -> IntensityScale:
    """Return the intensities at two percentiles of the head.

    Air and the zeros around a stripped brain are left out, so that the share of air in the field of view does not
    change the contrast. The percentiles 0.01 and 99.9 are those of TUMSyn's published code, which takes them over the
    whole volume.

    Raises
    ------
    HarmonizeError
        When the head has only one intensity.
    """
    values = image.voxels[find_head(image)]
    low, high = (float(value) for value in np.percentile(values, percentiles))
    low = max(low, 0.0)
    if not high > low:
        raise HarmonizeError("load", "constant", f"the head has one intensity, {low}", "look at the scan")
    return IntensityScale(low, high)


def find_brain_scale(image: Image, mask: NDArray[np.bool_]) -> BrainScale:
    """Return median and spread of the brain, in the units of the image, whose signal is zero at 0.

    Raises
    ------
    HarmonizeError
        When the brain has no contrast.
    """
    try:
        return BrainScale.of(image.voxels, mask)
    except ValueError as error:
        what = f"the brain cannot be scaled: {error}"
        raise HarmonizeError("load", "no_contrast", what, "look at the scan and its mask") from error


def find_head(image: Image) -> NDArray[np.bool_]:
    """Return which voxels are not air: those above half of Otsu's threshold, which keeps dark tissue.

    `warehouse.quality.measures.find_head` differs on purpose: it needs a brain mask and leaves out padding. One finder
    for both would change either the intensity scales or the measures.
    """
    import SimpleITK as sitk

    positive = image.voxels[image.voxels > 0]
    if positive.size == 0:
        return np.ones(image.voxels.shape, bool)
    if positive.size < 0.6 * image.voxels.size and np.count_nonzero(image.voxels == 0) > 0.3 * image.voxels.size:
        return np.asarray(image.voxels > 0)  # stripped or cut out: everything around is exactly zero
    top = float(np.percentile(positive, 99))
    bounded = to_itk(image, np.clip(image.voxels, 0, top))
    threshold = sitk.OtsuThresholdImageFilter()
    threshold.Execute(bounded)
    head = sitk.BinaryMorphologicalClosing(bounded > 0.5 * threshold.GetThreshold(), [2, 2, 1])
    return np.asarray(voxels_of(sitk.BinaryFillhole(head)), bool)
