"""Aligning scans rigidly, and never for the worse.

Mutual information over the brain of the fixed scan (Mattes et al. 2003, IEEE TMI 22, 120), from the positions that the
headers give. Alignment works at 1.5 mm: on thick-slice clinical scans finer grids were no better and diverged more
often, and voxels beyond the brain (eyes, scalp) pulled the result away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.image import Image
from warehouse.imaging.itk import inverse, matrix_of, to_itk, transform_of

if TYPE_CHECKING:
    import SimpleITK as sitk

Matrix = NDArray[np.float64]
MEASURE = "mattes_mutual_information"
BINS = 32
CONVERGED_MM = 0.001
REFINED_MM = 0.02  # smallest step of the search without gradient; a looser convergence makes it twice that
CREDIBLE_STRETCH = (0.7, 2.2)  # of the volume
BRAIN_RADIUS_MM = 70.0
SUSPICIOUS_DEG, SUSPICIOUS_MM = 25.0, 40.0  # a head does not move further between scans of one visit


@dataclass(frozen=True)
class Alignment:
    """A transform from the moving scan's world to the fixed one's, and what it gained.

    Parameters
    ----------
    matrix : (4, 4) array
        Maps a point of the moving scan's world to the fixed scan's; RAS+, mm.
    similarity_before, similarity_after : float
        Mutual information without and with it, over the same voxels; higher is better.
    """

    matrix: Matrix
    similarity_before: float
    similarity_after: float


def register(
    fixed: Image,
    mask: NDArray[np.bool_],
    moving: Image,
    *,
    resolution_mm: float = 1.5,
    converged_mm: float = CONVERGED_MM,
) -> Alignment:
    """Align a scan of any contrast rigidly with another one of the same visit.

    Parameters
    ----------
    fixed : Image
    mask : (i, j, k) bool array
        Brain of the fixed scan.
    moving : Image
    resolution_mm : float
    converged_mm : float
        Steps of the gradient's descent end below this, and those of the refinement below twice this.

    Raises
    ------
    HarmonizeError
        When the scans do not overlap, or the result is worse than no registration.
    """
    still, within = _prepared(fixed, mask, resolution_mm)
    loose = _coarser(to_itk(moving, _bounded(moving.voxels)), resolution_mm)
    found, before, after = _optimise(still, within, loose, _rigid(_centre(within), np.eye(4)), converged_mm)
    if after < before:
        # On slices as thick as 4 mm the gradient of mutual information can point away from its maximum.
        found = _rigid(_centre(within), np.eye(4))
    found, after = _refine(still, within, loose, found, max(REFINED_MM, 2 * converged_mm))
    result = Alignment(inverse(matrix_of(found)), before, after)
    return _never_worse(result, _ras(_centre(within)), "look at both scans: do they show the same head?")


def register_to_mni(
    image: Image, mask: NDArray[np.bool_], *, resolution_mm: int = 3, converged_mm: float = CONVERGED_MM
) -> tuple[Alignment, Alignment]:
    """Align a brain with MNI152, rigidly and affinely.

    The rigid transform is the nearest one to the affine: alone, a rigid search tilts brains whose size differs from the
    template's. Where even that is no better than leaving the scan where it is, it is left there.

    Parameters
    ----------
    image : Image
        The session's reference scan.
    mask : (i, j, k) bool array
        Its brain: the template has no skull, so the scan's must not take part.
    resolution_mm : int
    converged_mm : float
        Steps of the gradient's descent end below this.

    Returns
    -------
    rigid, affine : Alignment
        From the scan's world to MNI's. The rigid one places the session grid; the affine one is for checks.

    Raises
    ------
    HarmonizeError
        When the affine result is worse than leaving the scan where it is.
    """
    still, within = mni_template(resolution_mm)
    brain = image.like(np.where(mask, image.voxels, 0))
    loose = _coarser(to_itk(brain, _bounded(brain.voxels)), float(resolution_mm))
    centre_ras_mm = (image.affine @ np.append(np.argwhere(mask).mean(axis=0), 1.0))[:3]
    start = np.eye(4)
    start[:3, 3] = centre_ras_mm - _ras(_centre(within))
    roughly, before, _ = _optimise(still, within, loose, _rigid(_centre(within), start), converged_mm)
    found, _, after = _optimise(still, within, loose, _affine(_centre(within), matrix_of(roughly)), converged_mm)
    remedy = "look at the scan and its brain mask"
    affine = _never_worse(Alignment(inverse(matrix_of(found)), before, after), centre_ras_mm, remedy)
    rigid = nearest_rigid(affine.matrix, centre_ras_mm)
    placed = _similarity(still, within, loose, transform_of(inverse(rigid)))
    if placed < before:
        rigid, placed = np.eye(4), before
    return Alignment(rigid, before, placed), affine


def nearest_rigid(affine: Matrix, centre_mm: NDArray[np.float64]) -> Matrix:
    """Return the rotation in an affine transform (its polar factor), with a point's image kept.

    Parameters
    ----------
    affine : (4, 4) array
    centre_mm : (3,) array
        The point that goes to the same place.
    """
    left, _, right = np.linalg.svd(affine[:3, :3])
    rigid = np.eye(4)
    rigid[:3, :3] = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    rigid[:3, 3] = affine[:3, :3] @ centre_mm + affine[:3, 3] - rigid[:3, :3] @ centre_mm
    return rigid


def _never_worse(result: Alignment, centre_mm: NDArray[np.float64], remedy: str) -> Alignment:
    """Return a result that is no worse than none; a scan that was in place, to within rounding, is left there.

    Raises
    ------
    HarmonizeError
        When the optimiser went away from a better place.
    """
    before, after = result.similarity_before, result.similarity_after
    if after >= before:
        return result
    rotation, translation = movement(result.matrix, centre_mm)
    if rotation < 1.0 and translation < 1.0 and after > 0.98 * before:
        return Alignment(np.eye(4), before, before)
    what = f"mutual information fell from {before:.4f} to {after:.4f} by {rotation:.1f}° and {translation:.1f} mm"
    raise HarmonizeError("register", "worse_than_none", what, remedy)


def suspicious(matrix: Matrix, centre_mm: NDArray[np.float64]) -> str | None:
    """Return why a movement between two scans of one visit is hard to believe, or None."""
    rotation, translation = movement(matrix, centre_mm)
    if rotation > SUSPICIOUS_DEG or translation > SUSPICIOUS_MM:
        return f"moved by {rotation:.0f}° and {translation:.0f} mm within one visit"
    return None


def stretched(affine: Matrix) -> list[str]:
    """Return the doubt that a brain would have to change its size too much to fit MNI152, or nothing.

    The template is larger than most brains; those of children and after atrophy need up to twice their volume.
    """
    volume = float(abs(np.linalg.det(affine[:3, :3])))
    low, high = CREDIBLE_STRETCH
    if low <= volume <= high:
        return []
    return [f"to fit MNI152 the brain would have to take {volume:.2f} times its volume"]


def movement(matrix: Matrix, centre_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Return the angle of a transform's rotation, degrees, and how far it moves a point, mm."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    cosine = (np.trace(left @ right) - 1) / 2
    moved = matrix[:3, :3] @ centre_mm + matrix[:3, 3] - centre_mm
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))), float(np.linalg.norm(moved))


@lru_cache(maxsize=2)
def mni_template(resolution_mm: int) -> tuple[sitk.Image, sitk.Image]:
    """Return the MNI152 2009a T1w brain that nilearn ships, and its brain mask."""
    from nilearn.datasets import load_mni152_template

    loaded = load_mni152_template(resolution=resolution_mm)
    template = Image(np.asarray(loaded.dataobj, np.float32), np.asarray(loaded.affine, np.float64))
    return to_itk(template), to_itk(template, (template.voxels > 0).astype(np.uint8))


def _refine(
    still: sitk.Image, within: sitk.Image, loose: sitk.Image, start: Any, smallest_mm: float
) -> tuple[Any, float]:
    """Climb on the measure itself, without its gradient (Powell 1964, Computer Journal 7, 155)."""
    method = _method(within)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.3, seed=1)
    method.SetOptimizerAsPowell(
        numberOfIterations=4, maximumLineIterations=12, stepLength=0.6, stepTolerance=smallest_mm
    )
    method.SetOptimizerScales([BRAIN_RADIUS_MM] * 3 + [1.0] * 3)  # a step turns or shifts the brain's surface alike
    method.SetInitialTransform(start, True)
    _execute(method, still, loose)
    return start, _similarity(still, within, loose, start)


def _optimise(
    still: sitk.Image, within: sitk.Image, loose: sitk.Image, start: Any, converged_mm: float
) -> tuple[Any, float, float]:
    """Return the transform from fixed to moving world, and the similarity without and with it."""
    method = _method(within)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, converged_mm, 100, 0.5, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, True)
    _execute(method, still, loose)
    return start, _unmoved_similarity(still, within, loose), _similarity(still, within, loose, start)


def _execute(method: sitk.ImageRegistrationMethod, still: sitk.Image, loose: sitk.Image) -> None:
    """Run an optimiser.

    Raises
    ------
    HarmonizeError
        When ITK gives up, as it does where too few voxels of the scans overlap.
    """
    try:
        method.Execute(still, loose)
    except RuntimeError as error:
        raise _no_overlap(error) from error


def _similarity(still: sitk.Image, within: sitk.Image, loose: sitk.Image, transform: Any) -> float:
    """Return the mutual information under a transform, in the fixed scan's brain."""
    method = _method(within)
    method.SetInitialTransform(transform)
    try:
        return -float(method.MetricEvaluate(still, loose))
    except RuntimeError as error:
        raise _no_overlap(error) from error


def _unmoved_similarity(still: sitk.Image, within: sitk.Image, loose: sitk.Image) -> float:
    """Return the mutual information by the headers alone: 0 where they place the scans apart from each other.

    A scanner may put its origin anywhere, so that says nothing against the registration that was found.
    """
    try:
        return _similarity(still, within, loose, transform_of(np.eye(4)))
    except HarmonizeError:
        return 0.0


def _no_overlap(error: RuntimeError) -> HarmonizeError:
    what = f"the scans do not overlap enough: {str(error).strip().splitlines()[-1]}"
    return HarmonizeError("register", "no_overlap", what, "look at both headers: are they of one visit?")


def _method(within: sitk.Image) -> sitk.ImageRegistrationMethod:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)  # every voxel of the brain: the same result each time
    method.SetMetricFixedMask(within)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _prepared(image: Image, mask: NDArray[np.bool_], resolution_mm: float) -> tuple[sitk.Image, sitk.Image]:
    """Return the fixed scan and its brain on a grid of its own.

    Were it left on the scan's grid, leaving a moving scan of the same grid unmoved would spare it any interpolation,
    and mutual information would call that sharpness a better fit than the true alignment.
    """
    import SimpleITK as sitk

    if not mask.any():
        raise HarmonizeError("register", "empty_mask", "the brain mask is empty", "look at the mask")
    world = nib.affines.apply_affine(image.affine, np.argwhere(mask))
    low, high = world.min(axis=0) - resolution_mm, world.max(axis=0) + resolution_mm
    affine = np.diag([resolution_mm, resolution_mm, resolution_mm, 1.0])
    affine[:3, 3] = low + np.array([0.37, 0.41, 0.43]) * resolution_mm  # no multiple of a voxel
    shape = np.ceil((high - low) / resolution_mm).astype(int)
    target = to_itk(Image(np.zeros(shape, np.float32), affine))
    blurred = _coarser(to_itk(image, _bounded(image.voxels)), resolution_mm)
    still = sitk.Resample(blurred, target, sitk.Transform(), sitk.sitkLinear, 0.0)
    inside = sitk.Resample(to_itk(image, mask.astype(np.float32)), target, sitk.Transform(), sitk.sitkLinear, 0.0)
    return still, inside > 0.5


def _bounded(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Clip the brightest voxels: a few vessels would take most of the histogram's bins."""
    positive = voxels[voxels > 0]
    return np.clip(voxels, 0, np.percentile(positive, 99.5)) if positive.size else voxels


def _coarser(image: sitk.Image, resolution_mm: float) -> sitk.Image:
    """Resample axes that are finer than the resolution, blurred to it first; thick slices stay as they are."""
    import SimpleITK as sitk

    spacing = np.array(image.GetSpacing())
    coarse = np.maximum(spacing, resolution_mm)
    for axis, (fine, wanted) in enumerate(zip(spacing, coarse, strict=True)):
        if wanted > 1.05 * fine:
            sigma = float(np.sqrt(wanted**2 - fine**2) / 2.355)  # full widths at half maximum add in squares
            image = sitk.RecursiveGaussian(image, sigma, False, sitk.RecursiveGaussianImageFilter.ZeroOrder, axis)
    size = np.ceil(np.array(image.GetSize()) * spacing / coarse).astype(int)
    origin = image.TransformContinuousIndexToPhysicalPoint(((coarse / spacing - 1) / 2).tolist())
    return sitk.Resample(
        image,
        size.tolist(),
        sitk.Transform(),
        sitk.sitkLinear,
        origin,
        coarse.tolist(),
        image.GetDirection(),
        0.0,
        sitk.sitkFloat32,
    )


def _centre(within: sitk.Image) -> NDArray[np.float64]:
    """Return the centre of a mask, LPS mm: turning about it keeps rotation and shift apart."""
    import SimpleITK as sitk

    index = np.argwhere(sitk.GetArrayViewFromImage(within)).mean(axis=0)[::-1]
    return np.array(within.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _ras(lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(lps_mm * np.array([-1.0, -1.0, 1.0]), np.float64)


def _rigid(centre_lps_mm: NDArray[np.float64], start: Matrix) -> Any:
    import SimpleITK as sitk

    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre_lps_mm.tolist())
    transform.SetTranslation((start[:3, 3] * np.array([-1.0, -1.0, 1.0])).tolist())
    return transform


def _affine(centre_lps_mm: NDArray[np.float64], start: Matrix) -> Any:
    """Return an affine transform that begins as the given one, with the given centre."""
    import SimpleITK as sitk

    given = transform_of(start)
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre_lps_mm.tolist())
    transform.SetMatrix(given.GetMatrix())
    moved = np.array(given.TransformPoint(centre_lps_mm.tolist()))
    transform.SetTranslation((moved - centre_lps_mm).tolist())
    return transform
