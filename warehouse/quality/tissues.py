"""Segments cerebrospinal fluid, grey and white matter in a scan of any contrast, and checks its air.

The model is a mixture of Gaussians with priors in space, the ICBM 152 maps of grey and white matter (packaged with
nilearn). No contrast is assumed. The coil's shading is fitted as well, so no bias correction is needed. This is the
model of Ashburner & Friston, Unified segmentation, NeuroImage 2005 (doi:10.1016/j.neuroimage.2005.02.018), without its
deformations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.imaging.geometry import Image

CSF, GM, WM = 1, 2, 3
TISSUES = {"csf": CSF, "gm": GM, "wm": WM}

N_FITTED = 40_000  # voxels that the mixture is fitted to, enough for 8 parameters and a smooth field
N_ROUNDS = 30
PRIOR_BLUR_MM = 2.0  # sulci differ by some mm after rigid or affine alignment
PRIOR_FLOOR = 0.03  # least prior of a tissue anywhere
OUTLIERS = 0.02  # share of voxels that are no tissue: vessels, lesions, remains of the skull
FIELD_DEGREE = 3
NEIGHBOUR = 0.4  # weight of each of a voxel's nearest neighbours, in log odds of their tissue
MIN_FITTED = 500
STRETCH = 0.15  # of a brain that is placed by its extents; heads of adults differ by less

DARK = 0.1  # of the brain's median; darker voxels count as air
STRIPPED = 0.1  # of the brain's size; with less bright tissue around it, skull and scalp were removed
CUT = 0.05  # of the brain's size; a region of one value that is as large was set to it

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class _Mixture:
    """Fitted parameters. The classes of voxels are CSF, GM, WM and, last, mixtures of CSF and GM.

    The mixed class has no own mean and deviation: its intensities are uniform between those of CSF and GM. Without it
    the folds of the cortex would shift the mean of CSF towards grey matter.
    """

    mean: Floats  # (3,)
    deviation: Floats  # (3,)
    share: Floats  # (4,) factor on the priors
    field: Floats  # coefficients of the shading

    def odds(self, values: Floats, prior: Floats) -> Floats:
        """Return likelihood × prior of the four classes, (n, 4), of values with the shading removed."""
        between = self.mean[0] - self.mean[1]
        mean = np.append(self.mean, self.mean[:2].mean())
        deviation = np.append(self.deviation, np.sqrt(self.deviation[1] ** 2 + between**2 / 12))
        z = (values[:, None] - mean) / deviation
        weight = prior * self.share
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray(weight * np.exp(-0.5 * z * z) / (deviation * np.sqrt(2 * np.pi)))

    def tissue_odds(self, values: Floats, prior: Floats) -> Floats:
        """Return the odds of the three tissues, (n, 3); a mixed voxel counts as its larger part."""
        odds = self.odds(values, prior)
        between = self.mean[0] - self.mean[1]
        fluid = np.clip((values - self.mean[1]) / between if between else np.full_like(values, 0.5), 0.0, 1.0)
        steep = 1.0 / (1.0 + np.exp(-12.0 * (fluid - 0.5)))
        odds[:, 0] += odds[:, 3] * steep
        odds[:, 1] += odds[:, 3] * (1.0 - steep)
        return odds[:, :3]


def segment(image: Image, mask: Mask, mni_affine: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Label the tissues inside a brain mask.

    Parameters
    ----------
    image : Image
        Any contrast, any grid, any unit; bias correction is not needed.
    mask : (i, j, k) bool array
        The brain.
    mni_affine : (4, 4) array
        World of the scan to world of MNI152, RAS+, mm; rigid is enough, affine is better.

    Returns
    -------
    (i, j, k) uint8 array
        0 outside the mask, 1 CSF, 2 grey matter, 3 white matter. Voxels of exactly zero were cut away and are no
        tissue. All are 0 where the brain has a single intensity or fewer than 500 voxels.
    """
    labels = np.zeros(mask.shape, np.uint8)
    mask = mask & (image.voxels != 0)
    if np.count_nonzero(mask) < MIN_FITTED:
        return labels
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    values = image.voxels[box][inside].astype(np.float64)
    scale = float(np.subtract(*np.percentile(values, (95, 5))))
    if not scale > 0:
        return labels
    values /= scale
    ijk = np.argwhere(inside) + [part.start for part in box]
    world = ijk @ image.affine[:3, :3].T + image.affine[:3, 3]
    prior = _priors(world @ np.asarray(mni_affine)[:3, :3].T + np.asarray(mni_affine)[:3, 3])
    terms = _terms(world)
    picked = np.random.default_rng(0).permutation(len(values))[:N_FITTED]
    mixture = _fit(values[picked], prior[picked], terms[picked])
    odds = mixture.tissue_odds(values / (terms @ mixture.field), prior)
    labels[box][inside] = _smooth_labels(odds, inside, image.voxel_size_mm)
    return labels


def mni_by_extent(mask: Mask, affine: NDArray[np.floating[Any]]) -> Floats:
    """Place a brain on that of MNI152 by its extents along R, A and S, without turning: enough for `segment`.

    Parameters
    ----------
    mask : (i, j, k) bool array
        The brain.
    affine : (4, 4) array
        Voxel to world, RAS+, mm.

    Returns
    -------
    (4, 4) array
        World of the mask to world of MNI152. A brain that the field of view cuts is stretched by 15 % at most.
    """
    ijk = np.argwhere(mask)
    if not len(ijk):
        return np.eye(4)
    low, high = _extent(ijk @ affine[:3, :3].T + affine[:3, 3])
    at, to = _template_extent()
    scale = np.clip((to - at) / np.maximum(high - low, 1e-6), 1 - STRETCH, 1 + STRETCH)
    placed = np.diag([*scale, 1.0])
    placed[:3, 3] = (at + to) / 2 - scale * (low + high) / 2
    return np.asarray(placed)


def _extent(world: Floats) -> tuple[Floats, Floats]:
    low, high = np.percentile(world, (1, 99), axis=0)
    return low, high


@lru_cache(maxsize=1)
def _template_extent() -> tuple[Floats, Floats]:
    grey, white, inverse = _maps()
    affine = np.linalg.inv(inverse)
    return _extent(np.argwhere(grey + white > 0.5) @ affine[:3, :3].T + affine[:3, 3])


@lru_cache(maxsize=1)
def _maps() -> tuple[NDArray[np.float32], NDArray[np.float32], Floats]:
    """Return the blurred maps of grey and white matter, and MNI mm → their voxels (4, 4)."""
    from nilearn.datasets import load_mni152_gm_template, load_mni152_wm_template

    grey, white = load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1)
    blurred = [ndimage.gaussian_filter(np.asarray(m.dataobj, np.float32), PRIOR_BLUR_MM) for m in (grey, white)]
    return blurred[0], blurred[1], np.linalg.inv(np.asarray(grey.affine, np.float64))


def _priors(mni_mm: Floats) -> Floats:
    """Return the chance of CSF, GM, WM and CSF with GM at points of MNI space; beyond the template's brain is fluid."""
    grey, white, inverse = _maps()
    points = (mni_mm @ inverse[:3, :3].T + inverse[:3, 3]).T
    gm = ndimage.map_coordinates(grey, points, order=1, mode="constant", cval=0.0)
    wm = ndimage.map_coordinates(white, points, order=1, mode="constant", cval=0.0)
    csf = np.clip(1.0 - gm - wm, 0.0, 1.0)
    prior = np.stack([csf, gm, wm, np.sqrt(csf * gm)], axis=1).astype(np.float64)
    prior += PRIOR_FLOOR
    return np.asarray(prior / prior.sum(axis=1, keepdims=True))


def _terms(world: Floats) -> Floats:
    """Return the polynomial terms of the shading at points in mm, the constant first.

    Coordinates are scaled by a head's radius instead of the field of view, which would bend the field in thin slabs.
    """
    x = (world - world.mean(axis=0)) / 80.0
    powers = [
        (a, b, c)
        for a in range(FIELD_DEGREE + 1)
        for b in range(FIELD_DEGREE + 1 - a)
        for c in range(FIELD_DEGREE + 1 - a - b)
    ]
    powers.sort(key=sum)
    return np.stack([x[:, 0] ** a * x[:, 1] ** b * x[:, 2] ** c for a, b, c in powers], axis=1)


def _fit(values: Floats, prior: Floats, terms: Floats) -> _Mixture:
    """Fit intensities, shares and shading in turn (expectation–maximisation)."""
    mixture = _start(values, prior, terms.shape[1])
    floor = 0.01 * values.std() + 1e-6
    uniform = OUTLIERS / (values.max() - values.min())
    for round_ in range(N_ROUNDS):
        flat = values / (terms @ mixture.field)
        odds = mixture.odds(flat, prior)
        chance = odds / (odds.sum(axis=1, keepdims=True) + uniform)
        total = chance.sum(axis=0) + 1e-9
        pure = chance[:, :3]
        mean = (pure * flat[:, None]).sum(axis=0) / total[:3]
        deviation = np.sqrt((pure * (flat[:, None] - mean) ** 2).sum(axis=0) / total[:3])
        expected = (prior / (prior @ mixture.share)[:, None]).sum(axis=0)
        mixture = _Mixture(mean, np.maximum(deviation, floor), total / expected, mixture.field)
        if round_ >= 3:  # the means converge first, so that the shading does not fit the tissues
            mixture = replace(mixture, field=_fit_field(values, pure, mixture, terms))
    return mixture


def _start(values: Floats, prior: Floats, n_terms: int) -> _Mixture:
    """Return start values: the median intensity where each tissue is most probable."""
    mean = np.empty(3)
    for tissue in (GM, WM, CSF):
        sure = values[prior[:, tissue - 1] >= np.quantile(prior[:, tissue - 1], 0.9)]
        mean[tissue - 1] = np.median(sure)
        if tissue == CSF:  # half of these voxels are cortex; fluid is beyond grey matter in intensity
            side = 0.75 if mean[0] > mean[1] else 0.25
            mean[0] = np.quantile(sure, side)
    spread = 1.4826 * np.median(np.abs(values - np.median(values))) + 1e-3
    field = np.zeros(n_terms)
    field[0] = 1.0
    return _Mixture(mean, np.full(3, spread), np.ones(4), field)


def _fit_field(values: Floats, chance: Floats, mixture: _Mixture, terms: Floats) -> Floats:
    """Return the shading that best fits each voxel to its tissue's mean, by regularised weighted least squares."""
    precision = chance / mixture.deviation**2
    weight = precision @ mixture.mean**2
    aim = values * (precision @ mixture.mean)
    normal = (terms * weight[:, None]).T @ terms
    hold = 1e-3 * weight.sum() * np.eye(terms.shape[1])
    one = np.zeros(terms.shape[1])
    one[0] = 1.0
    field = np.linalg.solve(normal + hold, terms.T @ aim + hold @ one)
    factor = terms @ field
    if factor.min() < 0.2:  # not physical
        return mixture.field
    return np.asarray(field / factor.mean())


def _smooth_labels(odds: Floats, inside: Mask, voxel_size_mm: Floats) -> NDArray[np.uint8]:
    """Return each voxel's tissue, with neighbours weighted by the inverse square of their distance."""
    chance = odds / np.maximum(odds.sum(axis=1, keepdims=True), 1e-300)
    pull = NEIGHBOUR * (voxel_size_mm.min() / voxel_size_mm) ** 2
    score = np.log(np.maximum(odds, 1e-300))
    volume = np.zeros(inside.shape, np.float32)
    for tissue in range(3):
        volume[inside] = chance[:, tissue]
        for axis in range(3):
            kernel = np.array([1.0, 0.0, 1.0]) * pull[axis]
            score[:, tissue] += ndimage.convolve1d(volume, kernel, axis=axis, mode="constant")[inside]
    return np.asarray(np.argmax(score, axis=1) + 1, np.uint8)


def has_background(voxels: NDArray[np.floating[Any]], mask: Mask) -> tuple[bool, str]:
    """Return whether the air around the head holds the scanner's noise, and why or why not.

    Returns
    -------
    bool
        False for a stripped or defaced head, and for air that was set to one value or is too coarsely stored.
    str
        The reason.
    """
    brain = float(np.median(voxels[mask])) if mask.any() else 0.0
    if not brain > 0:
        return False, "no brain to compare the air with"
    n_brain = int(np.count_nonzero(mask))
    bright = ~mask & (voxels > DARK * brain)
    if np.count_nonzero(bright) < STRIPPED * n_brain:
        return False, "skull-stripped: there is no tissue around the brain"
    air = ~mask & ~bright
    n_air = np.count_nonzero(air)
    if n_air < CUT * n_brain:
        return False, "no air in the field of view"
    value, share, n_levels = _most_common(voxels[air])
    blank = blank_region(voxels, value)
    if np.count_nonzero(blank & air) > 0.5 * n_air:
        return False, f"air is not as measured: most of it was set to {value:g}"
    if _touches_head(blank, bright, n_brain):
        return False, f"defaced: a region set to {value:g} cuts into the head"
    if share > 0.5 or n_levels <= 3:
        return False, f"air is quantised: {share:.0%} of it is exactly {value:g}"
    return True, "the air holds noise"


def blank_region(voxels: NDArray[np.floating[Any]], value: float = 0.0) -> Mask:
    """Return regions of one value that are larger than a few voxels: cut-outs and padding."""
    same = voxels == value
    if not same.any():
        return np.asarray(same)
    core = ndimage.binary_erosion(same, iterations=2, border_value=1)
    return np.asarray(ndimage.binary_dilation(core, iterations=2) & same)


def _most_common(values: NDArray[np.floating[Any]]) -> tuple[float, float, int]:
    """Return the most common value, its share, and the number of values that make up 99 % of all."""
    levels, counts = np.unique(values, return_counts=True)
    order = np.argsort(counts)[::-1]
    n_levels = int(np.searchsorted(np.cumsum(counts[order]), 0.99 * values.size)) + 1
    return float(levels[order[0]]), float(counts[order[0]] / values.size), n_levels


def _touches_head(blank: Mask, bright: Mask, n_brain: int) -> bool:
    """Return whether a large blank region touches bright tissue, which padding does not."""
    pieces, n_pieces = ndimage.label(blank)
    if n_pieces == 0:
        return False
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
    sizes[0] = 0
    large = np.isin(pieces, np.flatnonzero(sizes >= CUT * n_brain))
    edge = ndimage.binary_dilation(large, iterations=2) & bright
    return bool(np.count_nonzero(edge) > 0.2 * n_brain ** (2 / 3))
