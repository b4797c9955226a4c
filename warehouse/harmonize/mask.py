"""Finds the brain, and checks that a brain mask is plausible.

The network is deepbet's (Fisch et al. 2024, Computers in Biology and Medicine 179, 108845), whose wheel contains the
weights.
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
STRIPPED_DICE = 0.93  # a head without air may have the volume of a large brain, but agrees less with the network's mask
LOWEST, HIGHEST = 0.4, 1.65  # of the typical volume, from an infant's brain to the largest adults'

# Settings that use the network for the brain's box on the whole field of view: at 3 mm it costs a seventh and agrees
# with the mask of both networks (benchmarks/RESULTS.md).
COARSE = {"small_shape": (64, 64, 64), "shape": (128, 128, 128), "bbox_margin": 10.0}
Detail = Literal["fine", "coarse"]


def find_brain(image: Image, detail: Detail = "fine") -> NDArray[np.bool_]:
    """Return the brain mask of a scan of any contrast.

    Parameters
    ----------
    image : Image
        Whole head or stripped, axes towards RAS.
    detail : "fine" or "coarse"
        Both networks, or the coarse one alone; both are used where the coarse one finds no plausible brain.

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
    stripped = _largest_piece(image)
    # The network was trained on whole heads; for a stripped brain, the non-zero voxels are the better mask.
    return stripped if dice(stripped, found) > STRIPPED_DICE else found


def is_stripped(mask: NDArray[np.bool_], image: Image) -> bool:
    """Return whether a mask holds all non-zero voxels, as in a scan that its publishers stripped."""
    return dice(_largest_piece(image), mask) > 0.999


def came_stripped(mask: NDArray[np.bool_], image: Image) -> bool:
    """Return whether a scan holds a brain and little else; its mask may come from another scan of the visit."""
    return dice(_largest_piece(image), mask) > STRIPPED_DICE


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the overlap of two masks: 0 for none, 1 for equal (Dice 1945)."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def implausible(mask: NDArray[np.bool_], image: Image) -> str | None:
    """Return why a mask cannot be a brain, or None.

    The expected volume depends on the field of view: 700 ml are plausible in a slab of 70 mm.
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
        return f"the mask fills {filled:.0%} of its box: brains fill more"
    if _signal(mask, image) <= 0:
        return "the mask holds no signal"
    return None


def _signal(mask: NDArray[np.bool_], image: Image) -> float:
    return float(np.median(image.voxels[mask]) - np.percentile(image.voxels, 0.5))


def _largest_piece(image: Image) -> NDArray[np.bool_]:
    """Return the largest connected piece above a thousandth of the maximum, which interpolation leaves around it."""
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
        warnings.simplefilter("ignore", DeprecationWarning)  # its weights are TorchScript, which torch deprecates
        return BrainExtraction(no_gpu=True, **coarse)
