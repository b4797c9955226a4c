"""From a file to voxels: nothing is lost, nothing is mirrored, and what cannot be judged is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.warehouse.ingest.conftest import OBLIQUE_LEFT_HANDED, gz
from warehouse.imaging.files import RefusedError
from warehouse.imaging.geometry import turn
from warehouse.imaging.scan import finite, non_negative, read_scan


def brain(mean: float = 500.0, spread: float = 100.0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a stripped brain, zeros around it, and where it is."""
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in (20, 22, 18)), indexing="ij"))
    inside = (at**2).sum(0) < 0.6
    voxels = np.random.default_rng(0).normal(mean, spread, inside.shape)
    return np.where(inside, voxels, 0).astype(np.float32), inside


def test_a_z_scored_stripped_brain_keeps_every_voxel_of_the_brain() -> None:
    voxels, inside = brain(0.0, 1.0)
    moved, offset = non_negative(voxels)
    assert moved.min() == 0
    assert not moved[~inside].any()
    np.testing.assert_allclose(moved[inside], voxels[inside] + offset, atol=1e-5)
    assert (moved[inside] > 0).mean() > 0.999


def test_an_offset_of_minus_1024_is_taken_back_with_the_background_at_zero() -> None:
    voxels, inside = brain()
    moved, offset = non_negative(voxels - 1024)
    assert offset == 1024
    np.testing.assert_allclose(moved, voxels, atol=1e-3)
    assert not moved[~inside].any()


def test_small_negative_values_that_interpolation_leaves_become_zero() -> None:
    voxels, inside = brain()
    edge = ~inside & np.roll(inside, 1, axis=0)
    moved, offset = non_negative(np.where(edge, np.float32(-3), voxels))
    assert offset == 0
    np.testing.assert_array_equal(moved, voxels)


def test_nan_around_a_stripped_brain_is_background() -> None:
    voxels, inside = brain()
    assert 1 - inside.mean() > 0.6
    found = finite(np.where(inside, voxels, np.nan).astype(np.float32))
    np.testing.assert_array_equal(found, voxels)


def test_nan_around_a_z_scored_brain_lies_below_the_brain() -> None:
    voxels, inside = brain(0.0, 1.0)
    found, _ = non_negative(finite(np.where(inside, voxels, np.nan).astype(np.float32)))
    assert not found[~inside].any()
    assert np.corrcoef(found[inside], voxels[inside])[0, 1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(np.nan, "not_finite", id="nothing is a number"),
        pytest.param(3.0, "constant", id="one value"),
    ],
)
def test_voxels_that_say_nothing_are_refused(value: float, reason: str) -> None:
    with pytest.raises(RefusedError) as caught:
        finite(np.full((4, 5, 6), value, np.float32))
    assert caught.value.reason == reason


def test_magnitudes_that_no_scanner_gives_are_refused() -> None:
    voxels, _ = brain()
    voxels[3, 3, 3] = 1e30
    with pytest.raises(RefusedError) as caught:
        finite(voxels)
    assert caught.value.reason == "impossible_intensity"


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u1", "<f4", ">f4", "<f8", ">f8", "<u2", "<i4"])
def test_voxels_of_every_real_type_and_byte_order_are_read_with_their_scaling(tmp_path: Path, dtype: str) -> None:
    stored = (np.arange(5 * 6 * 7).reshape(5, 6, 7) % 200).astype(dtype)
    image = nib.Nifti1Image(stored, np.eye(4), dtype=np.dtype(dtype))
    image.header.set_slope_inter(2.0, 10.0)
    header = image.header.as_byteswapped(">" if dtype[0] == ">" else "<")
    content = bytes(header.binaryblock) + b"\0" * 4 + stored.tobytes(order="F")
    (tmp_path / "a.nii.gz").write_bytes(gz(content))
    scan = read_scan(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(scan.voxels, stored.astype(np.float32) * 2 + 10)


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])])
def test_voxels_that_are_no_real_numbers_are_refused_by_name(tmp_path: Path, dtype: object) -> None:
    image = nib.Nifti1Image(np.zeros((5, 6, 7), dtype), np.eye(4))
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(RefusedError) as caught:
        read_scan(tmp_path / "a.nii.gz")
    assert caught.value.reason == "not_real"


def test_a_wrong_checksum_is_found_where_voxels_are_read(tmp_path: Path) -> None:
    voxels, _ = brain()
    content = bytearray(gz(nib.Nifti1Image(voxels, np.eye(4)).to_bytes()))
    content[-6] ^= 0xFF  # within the CRC-32
    (tmp_path / "a.nii.gz").write_bytes(bytes(content))
    with pytest.raises(RefusedError) as caught:
        read_scan(tmp_path / "a.nii.gz")
    assert caught.value.reason == "bad_checksum"


AFFINES = {
    "RAS": np.diag([2.0, 2.0, 2.0, 1.0]),
    "LAS": np.diag([-2.0, 2.0, 2.0, 1.0]),
    "LPS": np.diag([-2.0, -2.0, 2.0, 1.0]),
    "PSR": np.array([[0, 0, 2.0, 0], [-2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]]),
    "oblique": OBLIQUE_LEFT_HANDED,
}


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("form", ["sform", "qform"])
def test_a_marker_on_the_persons_left_stays_there_by_either_form(tmp_path: Path, name: str, form: str) -> None:
    affine = AFFINES[name]
    if form == "qform" and name == "oblique":
        pytest.skip("a qform holds no shear")
    voxels = np.full((9, 10, 11), 10, np.int16)
    world = nib.affines.apply_affine(affine, np.stack(np.indices(voxels.shape), -1))
    voxels[world[..., 0] < world[..., 0].mean()] = 100  # towards −x, which is the person's left
    image = nib.Nifti1Image(voxels, affine)
    image.set_sform(affine if form == "sform" else None, int(form == "sform"))
    image.set_qform(affine if form == "qform" else None, int(form == "qform"))
    nib.save(image, tmp_path / "a.nii.gz")
    scan = read_scan(tmp_path / "a.nii.gz")
    turned = turn(scan.voxels, scan.grid.affine)
    assert turned[0].mean() > 90
    assert turned[-1].mean() < 20
    assert scan.grid.turned().axcodes == "RAS"
