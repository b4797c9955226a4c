"""Where the brain is, and whether that can be true.

The network is deepbet's (Fisch et al. 2024, Computers in Biology and Medicine 179, 108845).
Its wheel ships the weights.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.geometry import Image

# An adult brain with its ventricles: 1,300 ml in a box of 140 × 170 × 130 mm (left–right, front–back, up–down).
TYPICAL_ML = 1300.0
TYPICAL_EXTENT_MM = np.array([140.0, 170.0, 130.0])
STRIPPED_DICE = 0.93
LOWEST, HIGHEST = 0.4, 1.65  # from an infant's brain to the largest adults', as a share of what fits


# The network that looks for the brain's box, used on all of the field of view for the mask itself: at 3 mm it costs a
# seventh and agrees with both networks' mask (benchmarks/RESULTS.md).
COARSE = {"small_shape": (64, 64, 64), "shape": (128, 128, 128), "bbox_margin": 10.0}
Detail = Literal["fine", "coarse"]


def find_brain(image: Image, detail: Detail = "fine") -> NDArray[np.bool_]:
    """Return the brain mask of a scan of any contrast.

    Parameters
    ----------
    image : Image
        Whole head or stripped, axes towards RAS.
    detail : "fine" or "coarse"
        Both networks, or the coarse one alone; where that finds nothing that can be true, both are asked.

    Raises
    ------
    HarmonizeError
        When no brain was found.
    """
    if detail == "coarse":
        try:
            found = _found(image, "coarse")
            if implausible(found, image) is None:
                return found
        except HarmonizeError:
            pass
    return _found(image, "fine")


def _found(image: Image, detail: Detail) -> NDArray[np.bool_]:
    network = _network(detail)
    try:
        likelihood = network.run_model(image.voxels.copy(), **(COARSE if detail == "coarse" else {}))
        mask = network.postprocess(likelihood > 0.5)
    except (AssertionError, ValueError, IndexError, RuntimeError) as error:
        raise HarmonizeError("mask", "no_brain", f"no brain was found: {error}", "look at the scan") from error
    found = np.asarray(mask, dtype=bool)
    stripped = _what_is_there(image)
    # The network has seen whole heads: of a brain that was stripped before, what is left is the better mask. A head cut
    # out of its air can have the volume of a large brain, but it agrees with the network's mask less than this.
    return stripped if dice(stripped, found) > STRIPPED_DICE else found


def is_stripped(mask: NDArray[np.bool_], image: Image) -> bool:
    """Return whether a mask is all that there is: the scan was processed before it came to us."""
    return dice(_what_is_there(image), mask) > 0.999


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the overlap of two masks: 0 for none, 1 for equal (Dice 1945)."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def implausible(mask: NDArray[np.bool_], image: Image) -> str | None:
    """Return why a mask cannot be a brain, or None.

    Its volume is held against what the field of view can hold: a slab of 70 mm with 700 ml of brain is right.
    """
    if not mask.any():
        return "the mask is empty"
    volume_ml = float(mask.sum()) * image.voxel_ml
    extent_mm = np.asarray(mask.shape) * image.voxel_size_mm
    fits_ml = TYPICAL_ML * float(np.prod(np.minimum(1.0, extent_mm / TYPICAL_EXTENT_MM)))
    if not LOWEST * fits_ml <= volume_ml <= HIGHEST * fits_ml:
        return f"{volume_ml:.0f} ml of brain where {LOWEST * fits_ml:.0f} to {HIGHEST * fits_ml:.0f} ml can be"
    box = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    filled = float(mask.sum()) / float(np.prod([found[-1] - found[0] + 1 for found in box]))
    if filled < 0.3:
        return f"the mask fills {filled:.0%} of its box: no brain is that ragged"
    if _signal(mask, image) <= 0:
        return "the mask holds no signal"
    return None


def _signal(mask: NDArray[np.bool_], image: Image) -> float:
    return float(np.median(image.voxels[mask]) - np.percentile(image.voxels, 0.5))


def _what_is_there(image: Image) -> NDArray[np.bool_]:
    """Return the largest piece that is not zero; interpolation leaves traces of up to a thousandth around it."""
    from scipy import ndimage

    parts, _ = ndimage.label(np.abs(image.voxels) > 1e-3 * np.percentile(image.voxels, 99.9))
    sizes = np.bincount(parts.ravel())[1:]
    largest = parts == np.argmax(sizes) + 1 if sizes.size else np.zeros(parts.shape, bool)
    return np.asarray(ndimage.binary_fill_holes(largest))


@lru_cache(maxsize=2)
def _network(detail: Detail = "fine") -> Any:
    from deepbet import BrainExtraction
    from deepbet.utils import DATA_PATH

    coarse = {"model_path": f"{DATA_PATH}/models/bbox_model.pt"} if detail == "coarse" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its weights are TorchScript, which torch wants to retire
        return BrainExtraction(no_gpu=True, **coarse)
