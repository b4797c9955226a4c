"""Slow changes of brightness over the head, estimated in the brain by N4 (Tustison et al. 2010, IEEE TMI 29, 1310)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.image import Image
from warehouse.imaging.itk import to_itk, voxels_of

WORKING_MM = 4.0  # the field is smooth: shrinking 1 mm voxels by 4 loses nothing and costs a 64th


def correct_bias(image: Image, mask: NDArray[np.bool_]) -> Image:
    """Divide a scan by its bias field.

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
    shrink = [int(np.clip(round(WORKING_MM / size), 1, 8)) for size in image.voxel_size_mm]
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
