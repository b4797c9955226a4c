"""The effective resolution of made and real scans whose slices were thickened on purpose."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.harmonize.mask import find_brain
from warehouse.imaging.geometry import Image
from warehouse.imaging.scan import read_scan
from warehouse.quality.resolution import RESOLUTION_MEASURES, effective_resolution, thick_slices, to_step

pytestmark = pytest.mark.slow  # its fixtures take seconds

Floats = NDArray[np.float32]
SHAPE = (72, 84, 78)  # three lengths, so that mixed-up axes are found


@cache
def tissue() -> tuple[Floats, NDArray[np.bool_]]:
    """Return a made brain at 1 mm, of patches a few mm wide with sharp borders, and its mask."""
    noise = np.random.default_rng(5).standard_normal(SHAPE).astype(np.float32)
    smooth = ndimage.gaussian_filter(noise, 1.5)
    smooth /= smooth.std()
    patches = 1.0 + 0.5 * (smooth > -0.5) + 0.5 * (smooth > 0.5)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, size) for size in SHAPE], indexing="ij"))
    mask = (grid**2).sum(axis=0) < 0.9
    return ndimage.gaussian_filter(patches.astype(np.float32), 0.4), mask


def acquired(voxels: Floats, axis: int, thickness: int, degrees: float = 0.0, noise: float = 0.0) -> Floats:
    """Return slices of a thickness, tilted against an axis, interpolated back to 1 mm.

    Each slice is the mean of whole voxels; no code is shared with the estimate.
    """
    around = (axis, (axis + 1) % 3)
    turned = ndimage.rotate(voxels, degrees, around, reshape=False, order=3, mode="nearest") if degrees else voxels
    stack = np.moveaxis(turned, axis, 0)
    n = len(stack) // thickness
    slices = stack[: n * thickness].reshape(n, thickness, *stack.shape[1:]).mean(axis=1)
    slices = slices + noise * np.random.default_rng(1).standard_normal(slices.shape).astype(np.float32)
    places = (np.arange(len(stack)) + 0.5) / thickness - 0.5
    low = np.clip(np.floor(places).astype(int), 0, n - 2)
    share = np.clip(places - low, 0, 1)[:, None, None]
    back = np.moveaxis((1 - share) * slices[low] + share * slices[low + 1], 0, axis).astype(np.float32)
    return ndimage.rotate(back, -degrees, around, reshape=False, order=1, mode="nearest") if degrees else back


def resolution(voxels: Floats, mask: NDArray[np.bool_], size: tuple[float, ...] = (1.0, 1.0, 1.0)) -> list[float]:
    found = effective_resolution(Image(np.asarray(voxels, np.float32), np.diag([*size, 1.0])), mask)
    assert tuple(found) == RESOLUTION_MEASURES
    assert all(reason is None for _, reason in found.values())
    return [value for value, _ in found.values() if value is not None]


def test_an_isotropic_scan_has_the_resolution_of_its_grid() -> None:
    assert resolution(*tissue()) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["sagittal", "coronal", "axial"])
@pytest.mark.parametrize("thickness", [3, 4, 5, 6])
def test_interpolated_thick_slices_are_found_along_their_axis(axis: int, thickness: int) -> None:
    voxels, mask = tissue()
    found = resolution(acquired(voxels, axis, thickness), mask)
    assert found[axis] == pytest.approx(thickness, rel=0.2)
    assert max(found[:axis] + found[axis + 1 :]) < 1.6


def test_a_slight_tilt_of_the_slices_changes_little() -> None:
    voxels, mask = tissue()
    assert resolution(acquired(voxels, 2, 4, degrees=8.0), mask)[2] == pytest.approx(4.0, rel=0.25)


def test_noise_changes_little() -> None:
    voxels, mask = tissue()
    assert resolution(acquired(voxels, 2, 4, noise=0.1), mask)[2] == pytest.approx(4.0, rel=0.2)


def test_thick_voxels_have_the_resolution_of_their_grid_and_thin_ones_theirs() -> None:
    voxels, mask = tissue()
    fine = np.repeat(np.repeat(voxels, 2, axis=0), 2, axis=1)  # in plane 0.5 mm
    inside = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    slices = fine.reshape(*fine.shape[:2], -1, 3).mean(axis=3)
    found = resolution(slices, inside[:, :, 1::3], (0.5, 0.5, 3.0))
    assert found[:2] == [0.5, 0.5]
    assert found[2] == pytest.approx(3.0, abs=0.6)
    assert found[2] >= 3.0


def test_the_estimate_does_not_change_with_the_unit_of_the_intensities() -> None:
    voxels, mask = tissue()
    scan = acquired(voxels, 1, 4)
    assert resolution(300 * scan, mask) == resolution(scan, mask)


def test_what_is_outside_the_brain_does_not_count() -> None:
    voxels, mask = tissue()
    scan = acquired(voxels, 2, 4)
    bright = np.where(mask, scan, 50.0)
    assert resolution(bright, mask) == pytest.approx(resolution(np.where(mask, scan, 0), mask))


@pytest.mark.parametrize(
    ("voxels", "mask", "word"),
    [
        (np.ones(SHAPE), np.zeros(SHAPE, bool), "too few voxels"),
        (np.ones(SHAPE), tissue()[1], "no detail"),
        (np.zeros(SHAPE), tissue()[1], "too few voxels"),
        (np.full(SHAPE, np.nan), tissue()[1], "NaN"),
    ],
    ids=["no brain", "one intensity", "zeros", "NaN"],
)
def test_a_scan_without_detail_has_a_reason(voxels: Floats, mask: NDArray[np.bool_], word: str) -> None:
    found = effective_resolution(Image(voxels.astype(np.float32), np.eye(4)), mask)
    assert all(value is None and reason and word in reason for value, reason in found.values())


def test_grids_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        effective_resolution(Image(tissue()[0], np.eye(4)), tissue()[1][1:])


def test_thick_slices_keep_a_constant_and_leave_a_ramp_straight_inside() -> None:
    matrix = thick_slices(60, 1.0, 4.0)
    assert np.allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
    assert np.allclose((matrix @ np.arange(60.0))[8:-8], np.arange(60.0)[8:-8], atol=1e-3)


@pytest.mark.parametrize("size_mm", [0.5, 0.8, 1.0, 3.0])
def test_a_change_of_step_keeps_a_constant_and_places(size_mm: float) -> None:
    matrix = to_step(40, size_mm, 1.0)
    places = (np.arange(40) + 0.5) * size_mm
    assert np.allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
    wanted = np.arange(len(matrix)) + 0.5
    inside = (wanted > 3) & (wanted < 40 * size_mm - 3)
    assert np.allclose((matrix @ places)[inside], wanted[inside], atol=0.13)


@pytest.mark.real
@pytest.mark.parametrize(("axis", "thickness", "degrees"), [(0, 4, 0.0), (1, 4, 0.0), (2, 3, 0.0), (2, 5, 8.0)])
def test_thickened_slices_of_a_real_scan_are_found(samples: Path, axis: int, thickness: int, degrees: float) -> None:
    scan = read_scan(samples / "images" / "vendor_t1w" / "sub-philips_T1w.nii.gz")
    mask = find_brain(scan.image, "coarse")
    found = resolution(acquired(scan.image.voxels, axis, thickness, degrees), mask)
    assert found[axis] == pytest.approx(thickness, rel=0.3)


@pytest.mark.real
def test_most_t2w_of_brats_were_thick_axial_slices(samples: Path) -> None:
    through, in_plane = [], []
    for path in sorted((samples / "images" / "brats2021").glob("*/T2w.nii.gz")):
        image = read_scan(path).image
        left_right, posterior_anterior, inferior_superior = resolution(image.voxels, image.voxels > 0)
        through.append(inferior_superior)
        in_plane.append(max(left_right, posterior_anterior))
    assert len(through) == 11
    assert sum(size > 2.5 for size in through) == 10
    assert max(in_plane) < 2.5
