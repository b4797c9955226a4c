"""Rigid registration of scans of one visit, and rigid and affine registration with MNI152.

It maximises mutual information over the brain of the fixed scan (Mattes et al. 2003, IEEE TMI 22, 120), starting at the
positions in the headers, and refuses a result that is worse than the start. It works at 1.5 mm: on thick-slice clinical
scans finer grids were no better and diverged more often. Voxels outside the brain (eyes, scalp) made results worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.imaging.geometry import Image
from warehouse.imaging.itk import inverse, matrix_of, to_itk, transform_of
from warehouse.imaging.resampling import blur_sigma

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
class _Pair:
    """Two scans to register: the fixed one with its brain mask, and the moving one."""

    fixed: sitk.Image
    mask: sitk.Image
    moving: sitk.Image


@dataclass(frozen=True)
class Alignment:
    """A transform from the moving scan's world to the fixed one's, and the similarity without and with it.

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
        Gradient descent ends at steps below this, and the refinement at steps below twice this.

    Raises
    ------
    HarmonizeError
        When the scans do not overlap, or the result is worse than no registration.
    """
    pair = _Pair(
        *_prepared(fixed, mask, resolution_mm), _coarser(to_itk(moving, _bounded(moving.voxels)), resolution_mm)
    )
    centre = _centre(pair.mask)
    found, before, after = _optimise(pair, _rigid(centre, np.eye(4)), converged_mm)
    if after < before:
        # On slices as thick as 4 mm the gradient of mutual information can point away from its maximum.
        found = _rigid(centre, np.eye(4))
    found, after = _refine(pair, found, max(REFINED_MM, 2 * converged_mm))
    result = Alignment(inverse(matrix_of(found)), before, after)
    return _never_worse(result, _ras(centre), "look at both scans: do they show the same head?")


def register_to_mni(
    image: Image, mask: NDArray[np.bool_], *, resolution_mm: int = 3, converged_mm: float = CONVERGED_MM
) -> tuple[Alignment, Alignment]:
    """Align a brain with MNI152, rigidly and affinely.

    The rigid transform is the one nearest to the affine: a rigid search alone tilts brains whose size differs from the
    template's. It is the identity where it is worse than leaving the scan in place.

    Parameters
    ----------
    image : Image
        The session's reference scan.
    mask : (i, j, k) bool array
        Its brain: the template has no skull, so the scan's is left out.
    resolution_mm : int
    converged_mm : float
        Gradient descent ends at steps below this.

    Returns
    -------
    rigid, affine : Alignment
        From the scan's world to MNI's. The rigid one places the session grid; the affine one is for checks.

    Raises
    ------
    HarmonizeError
        When the affine result is worse than leaving the scan where it is.
    """
    brain = image.like(np.where(mask, image.voxels, 0))
    moving = _coarser(to_itk(brain, _bounded(brain.voxels)), float(resolution_mm))
    pair = _Pair(*mni_template(resolution_mm), moving)
    centre = _centre(pair.mask)
    centre_ras_mm = (image.affine @ np.append(np.argwhere(mask).mean(axis=0), 1.0))[:3]
    start = np.eye(4)
    start[:3, 3] = centre_ras_mm - _ras(centre)
    roughly, before, _ = _optimise(pair, _rigid(centre, start), converged_mm)
    found, _, after = _optimise(pair, _affine(centre, matrix_of(roughly)), converged_mm)
    remedy = "look at the scan and its brain mask"
    affine = _never_worse(Alignment(inverse(matrix_of(found)), before, after), centre_ras_mm, remedy)
    rigid = nearest_rigid(affine.matrix, centre_ras_mm)
    placed = _similarity(pair, transform_of(inverse(rigid)))
    if placed < before:
        rigid, placed = np.eye(4), before
    return Alignment(rigid, before, placed), affine


def nearest_rigid(affine: Matrix, centre_mm: NDArray[np.float64]) -> Matrix:
    """Return the rotation in an affine transform (its polar factor) that maps one point to the same place.

    Parameters
    ----------
    affine : (4, 4) array
    centre_mm : (3,) array
        The point.
    """
    left, _, right = np.linalg.svd(affine[:3, :3])
    rigid = np.eye(4)
    rigid[:3, :3] = left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right
    rigid[:3, 3] = affine[:3, :3] @ centre_mm + affine[:3, 3] - rigid[:3, :3] @ centre_mm
    return rigid


def _never_worse(result: Alignment, centre_mm: NDArray[np.float64], remedy: str) -> Alignment:
    """Return the result, or the identity where the result is slightly worse and nearly the identity.

    Raises
    ------
    HarmonizeError
        When the result is worse than no registration.
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
    """Return why a movement between two scans of one visit is implausible, or None."""
    rotation, translation = movement(matrix, centre_mm)
    if rotation > SUSPICIOUS_DEG or translation > SUSPICIOUS_MM:
        return f"moved by {rotation:.0f}° and {translation:.0f} mm within one visit"
    return None


def stretched(affine: Matrix) -> list[str]:
    """Return the doubt that a brain's size is too far from MNI152's, or nothing.

    The template is larger than most brains; those of children and after atrophy need up to twice their volume.
    """
    volume = float(abs(np.linalg.det(affine[:3, :3])))
    low, high = CREDIBLE_STRETCH
    if low <= volume <= high:
        return []
    return [f"to fit MNI152 the brain would have to take {volume:.2f} times its volume"]


def movement(matrix: Matrix, centre_mm: NDArray[np.float64]) -> tuple[float, float]:
    """Return a transform's angle of rotation, degrees, and how far it moves a point, mm."""
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


def _refine(pair: _Pair, start: Any, smallest_mm: float) -> tuple[Any, float]:
    """Maximise the similarity without its gradient (Powell 1964, Computer Journal 7, 155); return it as well."""
    method = _method(pair.mask)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.3, seed=1)
    method.SetOptimizerAsPowell(
        numberOfIterations=4, maximumLineIterations=12, stepLength=0.6, stepTolerance=smallest_mm
    )
    method.SetOptimizerScales([BRAIN_RADIUS_MM] * 3 + [1.0] * 3)  # a step turns or shifts the brain's surface alike
    _execute(method, pair, start)
    return start, _similarity(pair, start)


def _optimise(pair: _Pair, start: Any, converged_mm: float) -> tuple[Any, float, float]:
    """Return the transform from fixed to moving world, and the similarity without and with it."""
    method = _method(pair.mask)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, converged_mm, 100, 0.5, 1e-8)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    _execute(method, pair, start)
    return start, _unmoved_similarity(pair), _similarity(pair, start)


def _execute(method: sitk.ImageRegistrationMethod, pair: _Pair, start: Any) -> None:
    """Run an optimiser, which changes the transform in place.

    Raises
    ------
    HarmonizeError
        When ITK fails, as it does where too few voxels of the scans overlap.
    """
    method.SetInitialTransform(start, True)
    try:
        method.Execute(pair.fixed, pair.moving)
    except RuntimeError as error:
        raise _no_overlap(error) from error


def _similarity(pair: _Pair, transform: Any) -> float:
    """Return the mutual information under a transform, in the fixed scan's brain."""
    method = _method(pair.mask)
    method.SetInitialTransform(transform)
    try:
        return -float(method.MetricEvaluate(pair.fixed, pair.moving))
    except RuntimeError as error:
        raise _no_overlap(error) from error


def _unmoved_similarity(pair: _Pair) -> float:
    """Return the mutual information by the headers alone, or 0 where they place the scans apart.

    A scanner may put its origin anywhere, so no overlap is no evidence against the registration that was found.
    """
    try:
        return _similarity(pair, transform_of(np.eye(4)))
    except HarmonizeError:
        return 0.0


def _no_overlap(error: RuntimeError) -> HarmonizeError:
    what = f"the scans do not overlap enough: {str(error).strip().splitlines()[-1]}"
    return HarmonizeError("register", "no_overlap", what, "look at both headers: are they of one visit?")


def _method(mask: sitk.Image) -> sitk.ImageRegistrationMethod:
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.NONE)  # every voxel of the brain: the same result each time
    method.SetMetricFixedMask(mask)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _prepared(image: Image, mask: NDArray[np.bool_], resolution_mm: float) -> tuple[sitk.Image, sitk.Image]:
    """Return the fixed scan and its brain, resampled on a grid that shares no voxel centre with the scan's.

    On the scan's own grid, a moving scan with the same grid would not be interpolated where it is left in place, and
    mutual information would prefer that sharper image to the true alignment.
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
    fixed = sitk.Resample(blurred, target, sitk.Transform(), sitk.sitkLinear, 0.0)
    inside = sitk.Resample(to_itk(image, mask.astype(np.float32)), target, sitk.Transform(), sitk.sitkLinear, 0.0)
    return fixed, inside > 0.5


def _bounded(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return voxels clipped at the top, so that a few bright vessels do not take most of the histogram's bins."""
    positive = voxels[voxels > 0]
    return np.clip(voxels, 0, np.percentile(positive, 99.5)) if positive.size else voxels


def _coarser(image: sitk.Image, resolution_mm: float) -> sitk.Image:
    """Return an image whose finer axes are blurred and resampled to the resolution; coarser axes stay."""
    import SimpleITK as sitk

    spacing = np.array(image.GetSpacing())
    coarse = np.maximum(spacing, resolution_mm)
    for axis, (fine, wanted) in enumerate(zip(spacing, coarse, strict=True)):
        if sigma := blur_sigma(wanted, fine):
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


def _centre(mask: sitk.Image) -> NDArray[np.float64]:
    """Return the centre of a mask, LPS mm; rotation about it leaves the brain in place."""
    import SimpleITK as sitk

    index = np.argwhere(sitk.GetArrayViewFromImage(mask)).mean(axis=0)[::-1]
    return np.array(mask.TransformContinuousIndexToPhysicalPoint(index.tolist()))


def _ras(lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(lps_mm * np.array([-1.0, -1.0, 1.0]), np.float64)


def _rigid(centre_lps_mm: NDArray[np.float64], start: Matrix) -> Any:
    import SimpleITK as sitk

    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre_lps_mm.tolist())
    transform.SetTranslation((start[:3, 3] * np.array([-1.0, -1.0, 1.0])).tolist())
    return transform


def _affine(centre_lps_mm: NDArray[np.float64], start: Matrix) -> Any:
    """Return a matrix as an affine transform about the given centre."""
    import SimpleITK as sitk

    given = transform_of(start)
    transform = sitk.AffineTransform(3)
    transform.SetCenter(centre_lps_mm.tolist())
    transform.SetMatrix(given.GetMatrix())
    moved = np.array(given.TransformPoint(centre_lps_mm.tolist()))
    transform.SetTranslation((moved - centre_lps_mm).tolist())
    return transform
