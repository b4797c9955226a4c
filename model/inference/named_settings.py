"""Contrast by settings that a network knows from simulated scans alone: what it makes without them, weighed by physics.

Where no real training scan of a contrast stated such settings, a network that is asked for them shows what it knows of
simulated heads, and its result is less like a real scan. So it is asked without, which stands for the usual protocol,
and the signal of each voxel is multiplied by what the signal equations say of its tissue: how much more or less than
with the usual protocol. Tissues are found in the source (`warehouse.quality.tissues`), and their relaxation times are
those of the textbook: a lesion follows the tissue that it looks like. What lies outside the brain is not weighed. A
source of the wanted contrast needs no network: it is weighed itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import Source
from model.data.target_voxels import TargetVoxels
from model.data.trained_ranges import OF_CONTRAST
from model.networks.synthesis.voxels import sample
from model.physics.expected import (
    FLUID,
    GREY,
    WHITE,
    sequence_of,
    tissue_signals_of,
    with_usual_settings,
)
from warehouse.errors import HarmonizeError
from warehouse.harmonize.alignment import register_to_mni
from warehouse.imaging.brain_scale import FARTHEST, BrainScale, harden, soften
from warehouse.imaging.geometry import Image
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.quality.tissues import CSF, GM, WM, mni_by_extent, segment

SMOOTHING_MM = 0.7  # of the borders of tissues, standard deviation: about that of the voxels of 1 mm that show them
LEAST_SIGNAL = 0.05  # of the brightest tissue's: a tissue that is nulled keeps so much, from noise and partial volume
GAINS = (0.2, 1.0)  # of an image's contrast beside that of the equations
MNI_MM, CONVERGED_MM = 4, 0.05  # of the registration with the template, as in the recipe `draft`
LEAST_STRETCH, MOST_STRETCH = 0.75, 1.35  # of a head along any axis, to the template's size
MOVING = ("SWI", "angio")  # flow and phase make their contrast
SHOWN = 0.98  # of what the first source shows: masks of one head differ by less
ENOUGH = 0.5  # of the brain, to tell its contrast and scale
LEAST_SIDE = 8  # voxels; a registration needs some along each axis
FLAT = 1e-3  # sum of squared contrast below which no gain can be told

Floats = NDArray[np.float64]
Voxels = NDArray[np.float32]


def tells_contrast(record: PromptRecord) -> bool:
    """Return whether one sequence fits a prompt, and its equation tells the contrast."""
    return record.contrast not in MOVING and sequence_of(record) is not None


def weighed(
    sources: Sequence[Source],
    target: PromptRecord,
    plain: Callable[[TargetVoxels | None], tuple[Voxels, float]],
    voxel_mm: float,
    at: TargetVoxels | None = None,
) -> tuple[Voxels, float]:
    """Return the wanted scan of which settings are named.

    Parameters
    ----------
    sources : sequence of Source
        Tissues are those of the first. One of the wanted contrast is itself the image that is weighed (`of_contrast`);
        what the prompt does not say of its settings are then those of that scan, else the usual ones.
    target : PromptRecord
        For which `tells_contrast` holds.
    plain : callable
        Returns network intensities at wanted voxels without settings, and the brain's spread as a part of its median;
        called where no source has the wanted contrast.
    voxel_mm : float
        Of the grid of the sources.
    at : TargetVoxels, optional
        Wanted voxels, in those of the sources; default: the same ones. Where they hold too little of the brain to tell
        its contrast, that of the whole grid is taken.

    Returns
    -------
    voxels : (i, j, k) float32 array
        Network intensities.
    relative_spread : float
        Of the brain in them.
    """
    own = of_contrast(sources, target)
    asked, shown = (target, None) if own is None else _completed(target, own.record)

    def image(there: TargetVoxels | None) -> tuple[Voxels, float]:
        if own is None:
            return plain(there)
        return own.voxels if there is None else _placed(own.voxels[None], there)[0], own.relative_spread

    if is_same_contrast(asked, shown or with_usual_settings(asked)):
        return image(at)  # tissues, which take seconds, are not needed
    shares, (voxels, spread) = tissue_shares(sources[0], voxel_mm), image(at)
    before, placed = signals(voxels, spread), shares
    whole, known = before, shares
    if at is not None:
        placed = _placed(np.pad(shares, [(0, 0), (1, 1), (1, 1), (1, 1)]), _shifted(at))  # none beyond the source
        if placed.sum() * abs(np.linalg.det(at.matrix[:3, :3])) < ENOUGH * shares.sum():
            whole = signals(*image(None))
        else:
            whole, known = before, placed
    factors = log_factors(whole, known, asked, shown)
    if factors is None:
        return voxels, spread
    try:
        first, then = (BrainScale.of(one, known.sum(0) > 0.5) for one in (whole, multiplied(whole, known, factors)))
    except ValueError:  # no brain, or one without contrast
        return voxels, spread
    # What a network makes is smoother than a brain: only the change of its spread counts, or all would be stretched.
    spread *= then.relative_spread / first.relative_spread
    after = multiplied(before, placed, factors) * (first.median / then.median)
    return soften((after - 1) / spread).astype(np.float32), spread


def of_contrast(sources: Sequence[Source], target: PromptRecord) -> Source | None:
    """Return the first source of the wanted contrast that shows nearly all that the first source shows."""
    region = sources[0].seen
    for one in sources:
        seen = np.ones((), bool) if one.seen is None else one.seen if region is None else one.seen[region]
        if _label(one.record) == _label(target) and seen.size and seen.mean() >= SHOWN:
            return one
    return None


def signals(intensities: Voxels, spread: float) -> Floats:
    """Return signals of network intensities, 1 at the median of the brain; `spread` is that of the brain beside it."""
    made = np.clip(intensities.astype(np.float64), -FARTHEST, FARTHEST)
    return np.asarray(np.maximum(1 + spread * harden(made), 0.0))


def tissue_shares(source: Source, voxel_mm: float) -> NDArray[np.float32]:
    """Return the shares of fluid, grey and white matter in each voxel of a scan.

    Parameters
    ----------
    source : Source
    voxel_mm : float
        Of its grid, whose axes are R, A and S.

    Returns
    -------
    (3, i, j, k) float32 array
        They sum to 1 in the brain, fall to 0 around it, and are 0 everywhere where no tissues are told apart.
    """
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0]) if source.affine is None else source.affine
    image = Image((1 + source.relative_spread * harden(source.voxels.astype(np.float64))).astype(np.float32), affine)
    labels = segment(image, source.mask, _to_mni(image, source.mask) if source.affine is None else np.eye(4))
    sigma = SMOOTHING_MM / voxel_mm
    return np.stack([ndimage.gaussian_filter((labels == one).astype(np.float32), sigma) for one in (CSF, GM, WM)])


def _to_mni(image: Image, brain: NDArray[np.bool_]) -> Floats:
    """Return the world of a scan to that of MNI152, roughly: tissues are found by where they usually lie.

    A head that is tilted by 15° would have 40 % of its tissues wrong without registration. A slab may be registered
    wrongly, which shows in its stretch; then its extent is all that is left.
    """
    if min(image.voxels.shape) < LEAST_SIDE:
        return mni_by_extent(brain, image.affine)
    try:
        matrix = register_to_mni(image, brain, resolution_mm=MNI_MM, converged_mm=CONVERGED_MM)[1].matrix
    except HarmonizeError:
        return mni_by_extent(brain, image.affine)
    stretch = np.linalg.svd(matrix[:3, :3], compute_uv=False)
    is_credible = stretch.min() >= LEAST_STRETCH and stretch.max() <= MOST_STRETCH
    return matrix if is_credible else mni_by_extent(brain, image.affine)


def log_factors(
    signal: Floats, shares: NDArray[np.float32], asked: PromptRecord, shown: PromptRecord | None = None
) -> Floats | None:
    """Return by what fluid, grey and white matter are multiplied to be as with the settings that a prompt names.

    An image has less contrast than its equation: a network's because it is not sure, a real scan's because voxels hold
    several tissues. So the logarithm of the factor of each tissue is multiplied by the share of the equation's contrast
    that the image has: tissues stay in the order in which the equation has them.

    Parameters
    ----------
    signal : (i, j, k) array
        0 where there is none, of any gain.
    shares : (3, i, j, k) array
        As `tissue_shares` returns them, on the same voxels.
    asked : PromptRecord
        For which `tells_contrast` holds.
    shown : PromptRecord, optional
        With which the image was made; default: the usual settings of the sequence that is asked for.

    Returns
    -------
    (3,) array or None
        Natural logarithms; None where nothing changes, or fewer than two tissues are there.
    """
    there = [n for n in range(len(shares)) if shares[n].any()]
    if len(there) < 2:
        return None
    wanted, here = (_contrast(one, there) for one in (asked, with_usual_settings(asked) if shown is None else shown))
    if np.allclose(wanted, here, atol=1e-6):
        return None
    seen = np.log([max(float((signal * shares[n]).sum() / shares[n].sum()), 1e-6) for n in there])
    seen -= seen.mean()
    square = float((here**2).sum())
    gain = float(np.clip((seen * here).sum() / square, *GAINS)) if square > FLAT else 1.0
    factors = np.zeros(len(shares))
    factors[there] = gain * (wanted - here)
    return factors


def is_same_contrast(one: PromptRecord, other: PromptRecord) -> bool:
    """Return whether fluid, grey and white matter have the same contrast by the equations of two prompts."""
    return np.allclose(_contrast(one, range(3)), _contrast(other, range(3)), atol=1e-6)


def multiplied(signal: Floats, shares: NDArray[np.float32], factors: Floats) -> Floats:
    """Return an image whose tissues are multiplied by factors, which `log_factors` returns."""
    return np.asarray(signal * np.exp(np.tensordot(factors, shares, 1)))


def _completed(asked: PromptRecord, shown: PromptRecord) -> tuple[PromptRecord, PromptRecord | None]:
    """Return what is asked of a scan with what it keeps of its own, and its record if one sequence fits it."""
    if not tells_contrast(shown):
        return asked, None
    if sequence_of(asked) != sequence_of(shown):  # the TI of an MPRAGE would make one of a spin echo
        return asked, shown
    kept = {name: getattr(shown, name) for name in (*OF_CONTRAST, "field_strength_t") if getattr(asked, name) is None}
    return replace(asked, **kept), shown


def _contrast(record: PromptRecord, tissues: Sequence[int]) -> Floats:
    """Return the logarithm of the signal of some of fluid, grey and white matter, less its mean."""
    told = tissue_signals_of(record)
    assert told is not None, "a sequence that is not certain has no signals"
    three = np.asarray(told)[[FLUID, GREY, WHITE]]
    logarithms = np.log(np.maximum(three, LEAST_SIGNAL * three.max()))[list(tissues)]
    return np.asarray(logarithms - logarithms.mean())


def _label(record: PromptRecord) -> str | None:
    return contrast_label(record.contrast, record.post_contrast)


def _shifted(at: TargetVoxels) -> TargetVoxels:
    """Return the same voxels in those of a grid that begins one voxel before on each axis."""
    matrix = at.matrix.copy()
    matrix[:3, 3] += 1
    return TargetVoxels(at.shape, matrix)


def _placed(volumes: Voxels, at: TargetVoxels) -> Voxels:
    """Return the mean of (c, i, j, k) volumes over wanted voxels."""
    return np.asarray(sample(torch.from_numpy(np.ascontiguousarray(volumes))[None], at)[0][0].numpy())
