"""Checks of a model that need no target: identity, fields of the prompt that must not matter, tiles.

Every function takes a model and one scan. Volumes of a model are network intensities; they are compared on the linear
scale (spreads from the brain's median), except tiles, which the network makes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import Source
from model.evaluation.metrics import brain_range, fit_gain_offset, psnr, ssim3d
from model.evaluation.ssim import WindowMoments
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import harden
from warehouse.prompts.record import PromptRecord

# Two values of each field that says nothing of tissue contrast or of the person's anatomy at the time of the scan.
IRRELEVANT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "age": ({"age_years": 25.0}, {"age_years": 75.0}),
    "vendor": ({"vendor": "Siemens", "model": None}, {"vendor": "GE", "model": None}),
    "sex": ({"sex": "F"}, {"sex": "M"}),
}
SIGMA_VOXELS = 1.5  # of the windows, as in SSIM
K3 = 0.03**2 / 2  # C3 of SSIM (Wang and others 2004) as a part of the squared range
EDGE_PERCENTILE = 75.0  # of the gradient in the brain; steeper places are edges
LARGEST = 99.0  # percentile of the displacements of edges that stands for the largest
HELD_CONTRAST = 1e-9  # keeps windows of one intensity solvable
HELD = 1e-3  # of the steepest window: regularises displacements along an edge, which an image cannot show

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class PromptedModel(Protocol):
    """Anything that makes a volume of sources and a prompt."""

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float32]:
        """Return the target (i, j, k) in network intensities, on the sources' grid."""


class TilingModel(Protocol):
    """A model that can be told whether to cut the volume into tiles; others are not tested for it."""

    def volume(self, sources: Sequence[Source], target: PromptRecord, *, tiled: bool = False) -> NDArray[np.float32]:
        """Return the target (i, j, k), made in one piece or in overlapping tiles."""


def behaviour(
    model: PromptedModel, source: Source, record: PromptRecord, mask: Mask, voxel_size_mm: Sequence[float]
) -> dict[str, float]:
    """Return all measures of behaviour on one scan; the model is asked seven times, or nine with tiles.

    Parameters
    ----------
    model : PromptedModel or TilingModel
    source : Source
    record : PromptRecord
        Of another image than the source, usually its target; irrelevant fields and tiles are tested with it.
    mask : (i, j, k) bool array
        Brain, in which all is measured.
    voxel_size_mm : sequence of 3 float
        Along i, j, k.

    Returns
    -------
    dict of str to float
        Metrics of `core.evaluation_score`: identity_psnr_db, identity_ssim, irrelevant_<field>,
        irrelevant_<field>_shift_mm for each field of `IRRELEVANT`, and tiles_max_difference where the model has tiles.

    Raises
    ------
    ModelError
        When a volume has another shape or holds voxels that are not finite.
    """
    found = identity(model, source, mask)
    for name in IRRELEVANT:
        found |= irrelevant(model, source, record, mask, voxel_size_mm, name)
    return found | tiles(model, source, record, mask)


def identity(model: PromptedModel, source: Source, mask: Mask) -> dict[str, float]:
    """Return PSNR (dB) and SSIM of what a model makes when it is asked for the source itself.

    The range is that of the source's 0.5 to 99.5 percentiles in the mask, as for targets.
    """
    made, given = asked(model, source, source.record), harden(source.voxels.astype(np.float64))
    width = brain_range(given, mask)
    return {
        "identity_psnr_db": psnr(made, given, mask, width),
        "identity_ssim": ssim3d(made, given, mask, width),
    }


def irrelevant(
    model: PromptedModel,
    source: Source,
    record: PromptRecord,
    mask: Mask,
    voxel_size_mm: Sequence[float],
    name: str,
) -> dict[str, float]:
    """Return how far anatomy changes between two values of a field of `IRRELEVANT`.

    The second image is brought to the first by one gain and offset. See `structural_change` and `edge_shift_mm`.
    """
    first, second = (asked(model, source, replace(record, **values)) for values in IRRELEVANT[name])
    gain, offset = fit_gain_offset(second, first, mask)
    fitted = gain * second + offset
    return {
        f"irrelevant_{name}": structural_change(first, fitted, mask),
        f"irrelevant_{name}_shift_mm": edge_shift_mm(first, fitted, mask, voxel_size_mm),
    }


def tiles(model: PromptedModel | TilingModel, source: Source, record: PromptRecord, mask: Mask) -> dict[str, float]:
    """Return the largest difference in the mask between tiles and one piece, in network intensities.

    Returns
    -------
    dict of str to float
        Empty where `model.volume` takes no `tiled`.
    """
    if "tiled" not in inspect.signature(model.volume).parameters:
        return {}
    one, other = (
        _checked(model.volume([source], record, tiled=tiled), source)  # type: ignore[call-arg]
        for tiled in (False, True)
    )
    return {"tiles_max_difference": float(np.abs(one - other)[mask].max())}


def prompt_swap_gain_db(
    right: NDArray[Any], other: NDArray[Any], truth: NDArray[Any], mask: Mask, data_range: float = 1.0
) -> float:
    """Return by how much an image fits the truth better than the one that another contrast's prompt gave, dB.

    About 0 for a model that does not listen to the prompt.
    """
    return psnr(right, truth, mask, data_range) - psnr(other, truth, mask, data_range)


def asked(model: PromptedModel, source: Source, record: PromptRecord) -> Floats:
    """Return what a model makes of a source, (i, j, k), linear; it is refused where it is no image."""
    return harden(_checked(model.volume([source], record), source))


def structural_change(one: Floats, other: Floats, mask: Mask) -> float:
    """Return 1 − the structure term of SSIM, averaged in the mask: 0 for the same anatomy, 1 for unrelated ones.

        (cov + C3) / (σ₁ σ₂ + C3) in Gaussian windows of 1.5 voxels,   C3 = 0.03² / 2 × range²

    It is a local correlation: a change of contrast that keeps edges where they are costs little, whatever its size.
    Own code, since scikit-image gives the product of the three terms of SSIM only. The range is that of `one`.
    """
    box = _around(mask)
    moments = WindowMoments.of(one[box], other[box]).at(mask[box])
    constant = K3 * _range(one, mask) ** 2
    variances = np.maximum(moments.variance_x, 0) * np.maximum(moments.variance_y, 0)
    structure = (moments.covariance + constant) / (np.sqrt(variances) + constant)
    return float(1 - structure.mean())


def edge_shift_mm(one: Floats, other: Floats, mask: Mask, voxel_size_mm: Sequence[float]) -> float:
    """Return how far the edges of an image lie from those of another, mm: the 99th percentile in the mask.

    One step of Lucas and Kanade (1981): the displacement, beside a gain and an offset, that explains the difference in
    a window to first order. It is some 10 % too large below a voxel and too small beyond two. Where one tissue of three
    changes its contrast, the middle of blurred edges moves too, by up to a third of a voxel: read it with
    `structural_change`, which such a change hardly touches.
    """
    box = _around(mask)
    a, difference, inside = one[box], (one - other)[box], mask[box]
    slopes: list[Floats] = list(np.gradient(a, *voxel_size_mm))
    steep = np.sum([slope**2 for slope in slopes], axis=0)
    edges = inside & (steep >= np.percentile(steep[inside], EDGE_PERCENTILE)) & (steep > 0)
    if not edges.any():
        return 0.0
    terms = [*slopes, a, np.ones_like(a)]
    tensor, pull = np.empty((int(edges.sum()), 5, 5)), np.empty((int(edges.sum()), 5, 1))
    for row in range(5):
        pull[:, row, 0] = _blurred(terms[row] * difference)[edges]
        for column in range(row, 5):
            tensor[:, row, column] = tensor[:, column, row] = _blurred(terms[row] * terms[column])[edges]
    steepest = float(np.trace(tensor[:, :3, :3], axis1=1, axis2=2).max())
    hold = np.diag([HELD * steepest] * 3 + [HELD_CONTRAST] * 2)
    shift = np.linalg.solve(tensor + hold, pull)[:, :3, 0]
    return float(np.percentile(np.linalg.norm(shift, axis=1), LARGEST))


def _checked(made: NDArray[Any], source: Source) -> Floats:
    made = np.asarray(made, np.float64)
    if made.shape != source.voxels.shape or not np.isfinite(made).all():
        what = f"the model made {made.shape} of {source.voxels.shape}, or voxels that are NaN or infinite"
        raise ModelError(what, "train it again")
    return made


def _range(image: Floats, mask: Mask) -> float:
    """Return what `brain_range` does, but a number for an image of one intensity, whose structure is then 0 changed."""
    low, high = np.percentile(image[mask], (0.5, 99.5))
    return max(float(high - low), 1e-6)


def _around(mask: Mask) -> tuple[slice, ...]:
    """Return the box of a mask with a margin of a window."""
    [box] = ndimage.find_objects(mask.astype(np.uint8))
    margin = int(4 * SIGMA_VOXELS)
    return tuple(slice(max(part.start - margin, 0), part.stop + margin) for part in box)


def _blurred(image: Floats) -> Floats:
    return np.asarray(ndimage.gaussian_filter(image, SIGMA_VOXELS))
