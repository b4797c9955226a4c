"""Intensities between 0 and 1, and the way back to the scan's own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.image import Image
from warehouse.imaging.itk import to_itk, voxels_of


@dataclass(frozen=True)
class IntensityScale:
    """Which intensity became 0, and which 1."""

    low: float
    high: float

    def normalise(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Map source units to [0, 1]; what lies outside is clipped."""
        return np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0).astype(np.float32)

    def restore(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Map [0, 1] back to source units; what was clipped stays at the bound."""
        return (np.asarray(values, np.float32) * (self.high - self.low) + self.low).astype(np.float32)


def find_scale(image: Image, percentiles: tuple[float, float]) -> IntensityScale:
    """Return the intensities at two percentiles of the head.

    Air and the zeros around a stripped brain are left out, so that the share of air in the field of view does not
    decide the contrast. The percentiles 0.01 and 99.9 are those of TUMSyn's published code, which takes them of the
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


def find_head(image: Image) -> NDArray[np.bool_]:
    """Return what is not air: above Otsu's threshold between air and tissue, halved so that dark tissue stays in."""
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
