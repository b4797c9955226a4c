"""Measures of a scan's quality with MRIQC's names and definitions; a measure without a value has a reason.

Source of every definition: MRIQC, `mriqc/qc/anatomical.py` and its calls in `mriqc/interfaces/anatomical.py` (Esteban
et al., PLOS ONE 2017, doi:10.1371/journal.pone.0184661). All are ratios without unit, and do not change when a scan is
multiplied by a constant. Differences from MRIQC:

- The scan is measured before bias correction and resampling, so that CJV includes the coil's shading.
- Tissues are labels, not probabilities: MRIQC's weighted moments with weights of 0 and 1.
- MRIQC writes -1, 0 or infinity for missing values; here the value is None, with a reason.
- Air is outside the head and above the brain's centre; MRIQC's "hat" ends at the line from nasion to inion.
- Values are not rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import xlogy

from warehouse.imaging.geometry import Image
from warehouse.quality.tissues import TISSUES, blank_region

MEASURES = ("snr_csf", "snr_gm", "snr_wm", "snr_total", "cnr", "cjv", "efc", "fber", "wm2max")
MAD = 1.4826  # makes the median absolute deviation of a normal distribution its standard deviation
MIN_VOXELS = 100
NO_AIR = "the air is not as measured: the scan was stripped, defaced or masked"
NO_TISSUE = "tissues were not segmented"

Mask = NDArray[np.bool_]
Values = NDArray[np.floating[Any]]
Measured = tuple[float | None, str | None]


class UndefinedMeasureError(Exception):
    """A measure has no value for a scan; the message is the reason."""


@dataclass(frozen=True)
class TissueSample:
    """Intensities of one tissue: median, standard deviation (of the population), scaled MAD, number of voxels."""

    median: float
    deviation: float
    mad: float
    n: int


def measure(
    image: Image,
    mask: Mask,
    tissue: NDArray[np.uint8] | None,
    background_ok: bool,
    background_reason: str = NO_AIR,
) -> dict[str, Measured]:
    """Return all measures of a scan, on its own grid and in its own units.

    Parameters
    ----------
    image : Image
        Before bias correction and scaling. Negative values count as 0, as in MRIQC.
    mask : (i, j, k) bool array
        The brain.
    tissue : (i, j, k) uint8 array, optional
        1 CSF, 2 grey matter, 3 white matter, on the same grid.
    background_ok : bool
        Whether the air holds measured noise (`tissues.has_background`).
    background_reason : str
        Why it does not.

    Returns
    -------
    dict
        Name to (value, None), or to (None, reason).
    """
    if image.voxels.shape != mask.shape or (tissue is not None and tissue.shape != mask.shape):
        raise ValueError(f"image, mask and tissue differ in shape: {image.voxels.shape} {mask.shape}")
    scan = _Scan(image, mask, tissue, background_ok, background_reason)
    found: dict[str, Measured] = {}
    for name in MEASURES:
        try:
            value = scan.formulas()[name]()
            if not np.isfinite(value):
                raise UndefinedMeasureError("the intensities give no finite number")
            found[name] = (float(value), None)
        except UndefinedMeasureError as reason:
            found[name] = (None, str(reason))
    return found


def snr(sample: TissueSample) -> float:
    """Signal-to-noise ratio within a tissue: median / (σ √(n / (n − 1))). Higher is better."""
    if not sample.deviation > 0:
        raise UndefinedMeasureError("the tissue has a single intensity")
    return float(sample.median / (sample.deviation * np.sqrt(sample.n / (sample.n - 1))))


def cnr(wm: TissueSample, gm: TissueSample, sigma_air: float) -> float:
    """Contrast-to-noise ratio (Magnotta 2006): |WM − GM| / √(σ_air² + σ_WM² + σ_GM²), medians. Higher is better."""
    noise = np.sqrt(sigma_air**2 + wm.deviation**2 + gm.deviation**2)
    if not noise > 0:
        raise UndefinedMeasureError("there is no noise in air or tissue")
    return float(abs(wm.median - gm.median) / noise)


def cjv(wm: TissueSample, gm: TissueSample) -> float:
    """Coefficient of joint variation (Ganzetti 2016): (MAD_WM + MAD_GM) / |WM − GM|, medians. Lower is better."""
    if wm.median == gm.median:
        raise UndefinedMeasureError("grey and white matter have the same median")
    return float((wm.mad + gm.mad) / abs(wm.median - gm.median))


def efc(values: Values) -> float:
    """Entropy focus criterion (Atkinson 1997), as a share of the largest entropy. Lower is better.

    E = Σ x/x_max ln(x/x_max) with x_max = √Σx², divided by N/√N ln(1/√N): 0 if all energy is in one voxel, 1 if all
    voxels are equal.
    """
    if values.size < 2:
        raise UndefinedMeasureError("too few voxels")
    x = values.astype(np.float64)
    x /= x.max() or 1.0  # keeps squares in range
    energy = np.sqrt(np.square(x).sum())
    if not energy > 0:
        raise UndefinedMeasureError("every voxel is 0")
    ratio = x / energy
    root = np.sqrt(values.size)
    return float(xlogy(ratio, ratio).sum() / (root * np.log(1.0 / root)))


def fber(head: Values, air: Values) -> float:
    """Foreground–background energy ratio (Shehzad 2015): median head² / median air². Higher is better.

    MRIQC's documentation says means; its code takes medians, as here.
    """
    below = float(np.median(np.square(air, dtype=np.float64)))
    if not below > 0:
        raise UndefinedMeasureError("more than half of the air is exactly 0")
    return float(np.median(np.square(head, dtype=np.float64)) / below)


def wm2max(wm: TissueSample, values: Values) -> float:
    """White matter's median over the 99.95th percentile of the volume; low where fat or vessels are brighter."""
    top = float(np.percentile(values, 99.95))
    if not top > 0:
        raise UndefinedMeasureError("every voxel is 0")
    return wm.median / top


def sample_of(values: Values, name: str = "the tissue") -> TissueSample:
    """Summarise a tissue's intensities."""
    if values.size < MIN_VOXELS:
        raise UndefinedMeasureError(f"{name} has {values.size} voxels, fewer than {MIN_VOXELS}")
    exact = values.astype(np.float64)
    median = float(np.median(exact))
    if not median > 0:
        raise UndefinedMeasureError(f"{name} has a median intensity of 0")
    return TissueSample(median, float(exact.std()), MAD * float(np.median(np.abs(exact - median))), exact.size)


def find_head(voxels: Values, mask: Mask, padding: Mask) -> Mask:
    """Return brain, skull and scalp: voxels above half of Otsu's threshold between air and tissue, without holes.

    Padding is excluded, because its zeros would lower the threshold into the noise. This differs from
    `warehouse.harmonize.intensity.find_head` on purpose, see there.
    """
    values = voxels[~padding]
    if values.size == 0 or values.min() == values.max():
        raise UndefinedMeasureError("every voxel is the same")
    counts, edges = np.histogram(np.minimum(values, np.percentile(values, 99)), bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    n_below, n_above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    sum_below = np.cumsum(counts * centres)
    with np.errstate(invalid="ignore"):
        apart = sum_below / n_below - (sum_below[-1] - sum_below) / n_above
    threshold = centres[int(np.nanargmax(n_below * n_above * apart**2))]
    solid = ndimage.binary_closing(voxels > 0.5 * threshold, iterations=2) | mask
    pieces, _ = ndimage.label(ndimage.binary_fill_holes(solid))
    return np.asarray(np.isin(pieces, np.unique(pieces[mask])))


class _Scan:
    """A scan to measure, and the intermediate results that its measures share."""

    def __init__(
        self, image: Image, mask: Mask, tissue: NDArray[np.uint8] | None, background_ok: bool, why_not: str
    ) -> None:
        self.image = Image(np.maximum(image.voxels, 0), image.affine)
        self.mask, self.tissue = mask, tissue
        self.background_ok, self.why_not = background_ok, why_not
        self._samples: dict[str, TissueSample] = {}
        self._air: tuple[Mask, Mask] | None = None

    def formulas(self) -> Mapping[str, Callable[[], float]]:
        """Return a function for each measure; any may raise UndefinedMeasureError."""
        return {
            "snr_csf": lambda: snr(self.sample("csf")),
            "snr_gm": lambda: snr(self.sample("gm")),
            "snr_wm": lambda: snr(self.sample("wm")),
            "snr_total": lambda: float(np.mean([snr(self.sample(name)) for name in TISSUES])),
            "cnr": lambda: cnr(self.sample("wm"), self.sample("gm"), self.sigma_air()),
            "cjv": lambda: cjv(self.sample("wm"), self.sample("gm")),
            "efc": lambda: efc(self.whole()),
            "fber": lambda: fber(self.image.voxels[self.air()[1]], self.image.voxels[self.air()[0]]),
            "wm2max": lambda: wm2max(self.sample("wm"), self.whole()),
        }

    def sample(self, name: str) -> TissueSample:
        """Return the sample of one tissue."""
        if self.tissue is None:
            raise UndefinedMeasureError(NO_TISSUE)
        if name not in self._samples:
            self._samples[name] = sample_of(self.image.voxels[self.tissue == TISSUES[name]], name.upper())
        return self._samples[name]

    def air(self) -> tuple[Mask, Mask]:
        """Return masks of air and head, both without padding."""
        if not self.background_ok:
            raise UndefinedMeasureError(self.why_not)
        if not np.isfinite(self.image.voxels).all():
            raise UndefinedMeasureError("some voxels are NaN or infinite")
        if self._air is None:
            padding = blank_region(self.image.voxels)
            head = find_head(self.image.voxels, self.mask, padding)
            self._air = (~head & ~padding, head)
        if np.count_nonzero(self._air[0]) < MIN_VOXELS:
            raise UndefinedMeasureError("no air in the field of view")
        return self._air

    def whole(self) -> Values:
        """Return all voxels without padding; the measures of the whole volume need measured air."""
        air, head = self.air()
        return self.image.voxels[air | head]

    def sigma_air(self) -> float:
        """Return the standard deviation of the air above the brain's centre, two voxels clear of the head.

        Ghosts are left out as MRIQC does: clusters beyond ten times the scaled MAD.
        """
        air, head = self.air()
        clear = air & ~ndimage.binary_dilation(head, iterations=2) & self._above_the_brain()
        values = self.image.voxels[clear]
        if values.size < MIN_VOXELS:
            raise UndefinedMeasureError("no air above the brain's centre in the field of view")
        spread = MAD * float(np.median(np.abs(values - np.median(values))))
        if spread > 0:
            ghost = clear & (self.image.voxels > 10.0 * spread)
            clear &= ~ndimage.binary_propagation(ndimage.binary_opening(ghost), mask=ghost)
        return float(self.image.voxels[clear].astype(np.float64).std())

    def _above_the_brain(self) -> Mask:
        """Return the voxels above the brain's centre in the world; the neck shades those below."""
        centre = np.array(ndimage.center_of_mass(self.mask))
        index = np.ogrid[tuple(slice(0, size) for size in self.mask.shape)]
        height = sum(
            step * (grid - middle) for step, grid, middle in zip(self.image.affine[2, :3], index, centre, strict=True)
        )
        return np.asarray(height > 0)
