"""Contrast by settings that a network knows from simulated scans alone: what it makes without them, weighed by physics.

Where no real training scan of a contrast states TR and TE, a network that is asked for them shows what it knows of
simulated heads, and its result is less like a real scan. So it is asked without, which stands for the usual protocol,
and the signal of each voxel is multiplied by what the signal equations say of its tissue: how much more or less than
with the usual protocol. Tissues are found in the source (`warehouse.quality.tissues`), and their relaxation times are
those of the textbook: a lesion follows the tissue that it looks like. What lies outside the brain does not change. A
source of the wanted contrast needs no network: it is weighed itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import Source
from model.data.target_voxels import TargetVoxels
from model.networks.synthesis.voxels import sample
from model.physics.expected import FLUID, GREY, WHITE, tissue_signals_of, with_usual_settings, without_settings
from warehouse.errors import HarmonizeError
from warehouse.harmonize.alignment import register_to_mni
from warehouse.imaging.brain_scale import FARTHEST, BrainScale, harden
from warehouse.imaging.geometry import Image
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.quality.tissues import CSF, GM, WM, mni_by_extent, segment

SMOOTHING_MM = 0.7  # of the borders of tissues, standard deviation: about that of the voxels of 1 mm that show them
LEAST_SIGNAL = 0.05  # of white matter's: a tissue that is nulled keeps so much, from noise and partial volume
GAINS = (0.2, 1.0)  # of an image's contrast beside that of the equations
MNI_MM, CONVERGED_MM = 4, 0.05  # of the registration with the template, as in the recipe `draft`
MOVING = ("SWI", "angio")  # flow and phase make their contrast
FLAT = 1e-3  # sum of squared contrast below which no gain can be told

Floats = NDArray[np.float64]
Voxels = NDArray[np.float32]


def names_settings(record: PromptRecord) -> bool:
    """Return whether a prompt names a setting of a sequence that is certain and whose equation tells its contrast."""
    is_silent = record == without_settings(record)
    return not is_silent and record.contrast not in MOVING and tissue_signals_of(record) is not None


def weighed(
    sources: Sequence[Source],
    target: PromptRecord,
    plain: Callable[[], tuple[Voxels, float]],
    voxel_mm: float,
    at: TargetVoxels | None = None,
) -> tuple[Voxels, float]:
    """Return the wanted scan of which settings are named.

    Parameters
    ----------
    sources : sequence of Source
        Tissues are those of the first. One that shows the whole brain in the wanted contrast is itself the image
        that is weighed, with its own settings or the usual ones.
    target : PromptRecord
        For which `names_settings` holds.
    plain : callable
        Returns network intensities at the wanted voxels without settings, and the brain's spread as a part of its
        median; called where no source has the wanted contrast.
    voxel_mm : float
        Of the grid of the sources.
    at : TargetVoxels, optional
        Wanted voxels, in those of the sources; default: the same ones.

    Returns
    -------
    voxels : (i, j, k) float32 array
        Network intensities.
    relative_spread : float
        Of the brain in them.
    """
    alike = [one for one in sources if _label(one.record) == _label(target) and _shows(one, sources[0].mask)]
    if alike:
        voxels, spread = (
            alike[0].voxels if at is None else _placed(alike[0].voxels[None], at)[0],
            alike[0].relative_spread,
        )
    else:
        voxels, spread = plain()
    shown = alike[0].record if alike and tissue_signals_of(alike[0].record) is not None else None
    shares = tissue_shares(sources[0], voxel_mm)
    shares = shares if at is None else _placed(shares, at)
    before = signals(voxels, spread)
    after, inside = with_settings(before, shares, target, shown), shares.sum(0) > 0.5
    if after is before or not inside.any():
        return voxels, spread
    scale = BrainScale.of(after, inside)
    return scale.to_network(after), scale.relative_spread


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

    A head that is tilted by 15° in the scanner would have half of its tissues wrong without registration.
    """
    try:
        return register_to_mni(image, brain, resolution_mm=MNI_MM, converged_mm=CONVERGED_MM)[1].matrix
    except HarmonizeError:  # no whole head: its extent tells more
        return mni_by_extent(brain, image.affine)


def with_settings(
    signal: Floats, shares: NDArray[np.float32], asked: PromptRecord, shown: PromptRecord | None = None
) -> Floats:
    """Return an image as it would be with the settings that a prompt names.

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
        For which `names_settings` holds.
    shown : PromptRecord, optional
        With which the image was made; default: the usual settings of the sequence that is asked for.

    Returns
    -------
    (i, j, k) array
        The same where the settings are those that it was made with, or no tissues are known.
    """
    there = [n for n in range(len(shares)) if shares[n].any()]
    wanted, here = (_contrast(one, there) for one in (asked, with_usual_settings(asked) if shown is None else shown))
    if not there or np.allclose(wanted, here, atol=1e-6):
        return signal
    seen = np.log([max(float((signal * shares[n]).sum() / shares[n].sum()), 1e-6) for n in there])
    seen -= seen.mean()
    square = float((here**2).sum())
    gain = float(np.clip((seen * here).sum() / square, *GAINS)) if square > FLAT else 1.0
    return np.asarray(signal * np.exp(np.tensordot(gain * (wanted - here), shares[there], 1)))


def _contrast(record: PromptRecord, tissues: Sequence[int]) -> Floats:
    """Return the logarithm of the signal of some of fluid, grey and white matter, less its mean."""
    signals = tissue_signals_of(record)
    assert signals is not None, "a sequence that is not certain has no signals"
    three = np.asarray(signals)[[FLUID, GREY, WHITE]]
    logarithms = np.log(np.maximum(three, LEAST_SIGNAL * three[2]))[list(tissues)]
    return np.asarray(logarithms - logarithms.mean() if len(logarithms) else logarithms)


def _label(record: PromptRecord) -> str | None:
    return contrast_label(record.contrast, record.post_contrast)


def _shows(source: Source, brain: NDArray[np.bool_]) -> bool:
    return source.seen is None or bool(source.seen[brain].all())


def _placed(volumes: Voxels, at: TargetVoxels) -> Voxels:
    """Return the mean of (c, i, j, k) volumes over wanted voxels."""
    return np.asarray(sample(torch.from_numpy(np.ascontiguousarray(volumes))[None], at)[0][0].numpy())
