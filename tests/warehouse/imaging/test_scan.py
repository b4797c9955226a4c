"""From a file to voxels: nothing is lost, nothing is mirrored, and what cannot be judged is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.warehouse.ingest.conftest import OBLIQUE_LEFT_HANDED, gz
from warehouse.imaging.files import RefusedError
from warehouse.imaging.geometry import turn, turn_back
from warehouse.imaging.scan import read_scan


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
    voxels = np.arange(210, dtype=np.float32).reshape(5, 6, 7)
    content = bytearray(gz(nib.Nifti1Image(voxels, np.eye(4)).to_bytes()))
    content[-6] ^= 0xFF  # within the CRC-32
    (tmp_path / "a.nii.gz").write_bytes(bytes(content))
    with pytest.raises(RefusedError) as caught:
        read_scan(tmp_path / "a.nii.gz")
    assert caught.value.reason == "bad_checksum"


@pytest.mark.parametrize("vox_offset", [0.0, np.nan, -1.0, 352.0])
def test_voxels_begin_behind_the_header_where_it_states_no_place(tmp_path: Path, vox_offset: float) -> None:
    content = bytearray(nib.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), np.eye(4)).to_bytes())
    content[108:112] = np.float32(vox_offset).tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(content))
    np.testing.assert_array_equal(read_scan(tmp_path / "a.nii").voxels.ravel(), np.arange(210))


def test_extensions_between_header_and_voxels_are_passed_over(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    nib.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_scan(tmp_path / "a.nii.gz").voxels.ravel(), np.arange(210))


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


WHOLE = bytearray(nib.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), np.eye(4)).to_bytes())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(st.integers(0, 351), st.integers(0, 255), max_size=6),
    length=st.none() | st.integers(0, len(WHOLE)),
    is_compressed=st.booleans(),
)
@example(changes={123: 0xFF, 70: 0x00, 71: 0x06}, length=None, is_compressed=False)
@example(changes={108: 0x00, 109: 0x00, 110: 0xC0, 111: 0x7F}, length=None, is_compressed=True)  # vox_offset is NaN
def test_whatever_bytes_a_header_holds_a_file_is_read_or_refused_with_a_remedy(
    tmp_path: Path, changes: dict[int, int], length: int | None, is_compressed: bool
) -> None:
    content = WHOLE.copy()
    for place, value in changes.items():
        content[place] = value
    made = gz(bytes(content)) if is_compressed else bytes(content)
    (tmp_path / "a.nii.gz").write_bytes(made[:length])
    try:
        scan = read_scan(tmp_path / "a.nii.gz")
    except RefusedError as refusal:
        remedy = refusal.remedy
    else:
        assert np.isfinite(scan.voxels).all()
        assert np.isfinite(scan.grid.affine).all()
        remedy = "none is needed"
    assert remedy


FLIPS = {"RAS": (1, 1, 1), "LAS": (-1, 1, 1), "LPS": (-1, -1, 1), "RPI": (1, -1, -1)}


def marked(affine: np.ndarray) -> nib.Nifti1Image:
    """A volume of zeros with one bright voxel."""
    voxels = np.zeros((4, 5, 6), np.int16)
    voxels[3, 1, 2] = 100
    made = nib.Nifti1Image(voxels, affine)
    made.set_sform(affine, 1)
    return made


@pytest.mark.parametrize("axes", FLIPS)
def test_a_point_of_the_head_stays_where_it_was_in_the_world(tmp_path: Path, axes: str) -> None:
    affine = np.diag([*FLIPS[axes], 1.0]) @ np.array([[2, 0, 0, 5], [0, 3, 0, -7], [0, 0, 4, 11], [0, 0, 0, 1.0]])
    nib.save(marked(affine), tmp_path / "a.nii")
    image = read_scan(tmp_path / "a.nii").image
    bright = np.argwhere(image.voxels == 100)[0]
    np.testing.assert_allclose(
        nib.affines.apply_affine(image.affine, bright), nib.affines.apply_affine(affine, [3, 1, 2])
    )
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")


@pytest.mark.parametrize("axes", FLIPS)
def test_turning_back_gives_the_files_own_order(tmp_path: Path, axes: str) -> None:
    made = marked(np.diag([*FLIPS[axes], 1.0]))
    nib.save(made, tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii")
    image = scan.image
    np.testing.assert_array_equal(turn_back(image.voxels, scan.grid.affine), np.asarray(made.dataobj))
    np.testing.assert_allclose(scan.grid.affine, made.affine)


def test_axes_in_another_order_are_turned_and_turned_back(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 2.0, 0], [3.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1]])
    made = marked(affine)
    nib.save(made, tmp_path / "a.nii")
    scan = read_scan(tmp_path / "a.nii")
    image = scan.image
    assert image.voxels.shape == (6, 4, 5)
    np.testing.assert_array_equal(turn_back(image.voxels, scan.grid.affine), np.asarray(made.dataobj))


def refusal(path: Path) -> str:
    with pytest.raises(RefusedError) as caught:
        read_scan(path)
    assert caught.value.remedy
    return caught.value.reason


def test_a_scan_without_orientation_is_refused(tmp_path: Path) -> None:
    made = nib.Nifti1Image(np.ones((4, 5, 6), np.int16), None)
    made.header["sform_code"] = made.header["qform_code"] = 0
    nib.save(made, tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "no_orientation"


def test_a_constant_scan_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full((4, 5, 6), 7, np.int16), np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "constant"


def test_a_scan_of_mostly_nan_is_refused_and_a_background_of_nan_becomes_zero(tmp_path: Path) -> None:
    voxels = np.full((4, 5, 6), np.nan, np.float32)
    voxels[0, 0, :2] = 1
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "not_finite"
    voxels[:3] = 2
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "b.nii")
    assert set(np.unique(read_scan(tmp_path / "b.nii").voxels)) == {0.0, 2.0}


def test_a_scan_of_several_volumes_is_refused_and_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    voxels = np.arange(4 * 5 * 6 * 2, dtype=np.int16).reshape(4, 5, 6, 2)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / "a.nii")
    assert refusal(tmp_path / "a.nii") == "not_3d"
    nib.save(nib.Nifti1Image(voxels[..., :1], np.eye(4)), tmp_path / "b.nii")
    assert read_scan(tmp_path / "b.nii").voxels.shape == (4, 5, 6)


def test_scaled_integers_are_read_in_their_units(tmp_path: Path) -> None:
    made = nib.Nifti1Image(np.arange(120, dtype=np.int16).reshape(4, 5, 6), np.eye(4))
    made.header.set_slope_inter(2.5, 10)
    nib.save(made, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    np.testing.assert_allclose(read_scan(tmp_path / "a.nii").voxels, stored.get_fdata(), rtol=1e-6)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    assert refusal(tmp_path / "a.nii.gz") == "empty_file"
