from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.warehouse.ingest.conftest import OBLIQUE_LEFT_HANDED, gz, nifti_bytes
from warehouse.imaging.files import NotFetchedError, RefusedError
from warehouse.imaging.nifti import read_header


def saved(folder: Path, content: bytes, name: str = "a.nii.gz") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def reason(folder: Path, content: bytes, name: str = "a.nii.gz") -> str:
    with pytest.raises(RefusedError) as caught:
        read_header(saved(folder, content, name))
    assert caught.value.remedy
    return caught.value.reason


def test_a_header_keeps_shape_affine_and_orientation(tmp_path: Path) -> None:
    header = read_header(saved(tmp_path, gz(nifti_bytes())))
    assert header.shape == (5, 6, 7)
    np.testing.assert_allclose(np.reshape(header.affine, (4, 4)), OBLIQUE_LEFT_HANDED, rtol=1e-6)
    assert header.axcodes == "".join(nib.aff2axcodes(OBLIQUE_LEFT_HANDED)) == "LAS"
    assert (header.dtype, header.spatial_unit, header.temporal_unit) == ("int16", "mm", "sec")


def test_the_voxel_size_is_the_length_of_the_affines_columns(tmp_path: Path) -> None:
    header = read_header(saved(tmp_path, gz(nifti_bytes())))
    by_hand = [sum(float(row[axis]) ** 2 for row in OBLIQUE_LEFT_HANDED[:3]) ** 0.5 for axis in range(3)]
    assert header.voxel_size_mm == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000.0), ("micron", 0.001), ("mm", 1.0)])
def test_other_units_of_space_become_millimetres(tmp_path: Path, unit: str, factor: float) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]) / [[factor]] * 4)
    image.set_sform(np.diag([2 / factor, 2 / factor, 2 / factor, 1.0]), 1)
    image.header.set_xyzt_units(unit, "sec")
    assert read_header(saved(tmp_path, image.to_bytes(), "a.nii")).voxel_size_mm == pytest.approx((2.0, 2.0, 2.0))


@pytest.mark.parametrize("axis_flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_orientation_is_read_from_the_affine_and_never_assumed(
    tmp_path: Path, axis_flips: tuple[int, int, int]
) -> None:
    affine = np.diag([*axis_flips, 1.0])
    codes = "".join(pair[flip < 0] for pair, flip in zip(("RL", "AP", "SI"), axis_flips, strict=True))
    assert read_header(saved(tmp_path, gz(nifti_bytes(affine=affine)))).axcodes == codes


def test_nifti_2_is_read(tmp_path: Path) -> None:
    image = nib.Nifti2Image(np.zeros((3, 4, 5), np.float32), OBLIQUE_LEFT_HANDED)
    assert read_header(saved(tmp_path, image.to_bytes(), "a.nii")).shape == (3, 4, 5)


def test_a_zero_byte_file_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, b"") == "empty_file"


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_a_truncated_gzip_is_refused_although_its_header_reads(tmp_path: Path, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 30000, (20, 20, 20)).astype(np.int16)
    whole = gz(nib.Nifti1Image(noise, np.eye(4)).to_bytes())
    assert reason(tmp_path, whole[: int(len(whole) * keep)]) == "truncated_gzip"


def test_a_gzip_cut_inside_the_header_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, gz(nifti_bytes())[:40]) == "truncated_gzip"


def test_a_gzip_of_several_members_is_whole(tmp_path: Path) -> None:
    content = nifti_bytes()
    assert read_header(saved(tmp_path, gz(content[:400]) + gz(content[400:]))).shape == (5, 6, 7)


def test_a_whole_gzip_of_one_member_is_judged_by_its_last_four_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(location: str) -> None:
        raise AssertionError(f"{location} was unpacked")

    monkeypatch.setattr("warehouse.imaging.nifti.unpacked", forbidden)
    monkeypatch.setattr("warehouse.imaging.files.unpacked", forbidden)
    assert read_header(saved(tmp_path, gz(nifti_bytes()))).shape == (5, 6, 7)


def test_a_truncated_file_without_gzip_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, nifti_bytes()[:-1], "a.nii") == "truncated"


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.NII.GZ", "a.Nii"])
@pytest.mark.parametrize("is_compressed", [True, False])
def test_the_content_decides_whether_a_file_is_compressed(tmp_path: Path, name: str, is_compressed: bool) -> None:
    content = gz(nifti_bytes()) if is_compressed else nifti_bytes()
    assert read_header(saved(tmp_path, content, name)).shape == (5, 6, 7)


def test_bytes_behind_the_gzip_data_do_no_harm(tmp_path: Path) -> None:
    for behind in (b"\0" * 512, b"trailing"):
        assert read_header(saved(tmp_path, gz(nifti_bytes()) + behind)).shape == (5, 6, 7)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"hello, this is no image at all" * 20, "text_file", id="plain text"),
        pytest.param(gz(b"neither is this" * 40), "text_file", id="plain text within gzip"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "lfs_pointer", id="Git LFS"),
        pytest.param(b"\n<!DOCTYPE html><html><body>403</body></html>", "web_page", id="HTML"),
        pytest.param(gz(gz(b"x" * 600)), "compressed_twice", id="gzip twice"),
        pytest.param(b"PK\x03\x04" + b"\0" * 600, "zip_archive", id="zip"),
        pytest.param(b"\0" * 128 + b"DICM" + b"\0" * 600, "dicom", id="DICOM"),
        pytest.param(b"\x28\xb5\x2f\xfd" + b"\0" * 600, "zstd_archive", id="zstd"),
        pytest.param(gz(b"a.nii" + b"\0" * 252 + b"ustar" + b"\0" * 600), "tar_archive", id="tar within gzip"),
        pytest.param(b"CDF\x01" + b"\0" * 600, "minc_file", id="MINC 1"),
        pytest.param(gz(b"\0\0\0\x01" + b"\0" * 600), "mgh_file", id="MGZ"),
        pytest.param(b"NRRD0004\ntype: short\n" + b"\0" * 600, "nrrd_file", id="NRRD"),
        pytest.param(bytes(range(256)) * 8, "not_nifti", id="noise"),
        pytest.param(b"\x1f\x8bnot really gzip" * 30, "damaged_gzip", id="damaged gzip"),
    ],
)
def test_each_other_content_is_named_as_what_it_is(tmp_path: Path, content: bytes, expected: str) -> None:
    assert reason(tmp_path, content) == expected


def header_with(**fields: object) -> bytes:
    """Return an uncompressed NIfTI with some fields of its header overwritten."""
    image = nib.Nifti1Image(np.arange(210, dtype=np.int16).reshape(5, 6, 7), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    content = image.to_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + content[348:]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"dim": [3, 5, 0, 7, 1, 1, 1, 1]}, "bad_dimensions", id="no voxel along an axis"),
        pytest.param({"dim": [3, -5, 6, 7, 1, 1, 1, 1]}, "bad_dimensions", id="a negative axis"),
        pytest.param({"dim": [0, 5, 6, 7, 1, 1, 1, 1]}, "bad_dimensions", id="no axis"),
        pytest.param({"datatype": 9999}, "unknown_datatype", id="a type that NIfTI has not"),
        pytest.param({"scl_slope": 2.0, "scl_inter": np.nan}, "bad_scaling", id="an intercept that is not a number"),
        pytest.param({"sform_code": 0, "quatern_b": 1.2}, "bad_qform", id="an impossible quaternion alone"),
        pytest.param({"magic": b"xxxx"}, "not_nifti", id="another magic"),
        pytest.param({"magic": b"ni1\0"}, "image_pair", id="a pair of files"),
        pytest.param({"sform_code": 0, "pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, "bad_qform", id="no size, qform alone"),
        pytest.param({"xyzt_units": 1}, "impossible_voxel_size", id="two metres"),
        pytest.param({"xyzt_units": 3}, "impossible_voxel_size", id="two microns"),
    ],
)
def test_a_field_of_the_header_that_cannot_be_is_named(
    tmp_path: Path, fields: dict[str, object], expected: str
) -> None:
    place = saved(tmp_path, header_with(**fields), "a.nii")
    with pytest.raises(RefusedError, match="header") as caught:
        read_header(place)
    assert caught.value.reason == expected


def test_a_quaternion_that_is_too_long_by_rounding_is_used(tmp_path: Path) -> None:
    fields = {"sform_code": 0, "quatern_b": 1.0000009, "quatern_c": 0.0, "quatern_d": 0.0}
    header = read_header(saved(tmp_path, header_with(**fields), "a.nii"))
    np.testing.assert_allclose(np.reshape(header.affine, (4, 4))[:3, :3], np.diag([2.0, -2.0, -2.0]), atol=1e-5)


def test_codes_that_nifti_does_not_have_are_no_orientation(tmp_path: Path) -> None:
    header = read_header(saved(tmp_path, header_with(qform_code=7, sform_code=9), "a.nii"))
    assert (header.qform_code, header.sform_code) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [{"quatern_c": 0.70710745, "quatern_d": 0.70710745}, {"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}],
    ids=["too long by rounding", "without size"],
)
def test_a_poor_qform_beside_a_good_sform_is_passed_over(tmp_path: Path, fields: dict[str, object]) -> None:
    header = read_header(saved(tmp_path, header_with(**fields), "a.nii"))
    assert header.axcodes == "RAS"
    assert [name for name, _ in header.doubts] == ["qform"]


def test_an_impossible_quaternion_beside_a_good_sform_is_said_and_passed_over(tmp_path: Path) -> None:
    header = read_header(saved(tmp_path, header_with(quatern_b=1.2), "a.nii"))
    np.testing.assert_allclose(np.diag(np.reshape(header.affine, (4, 4))), [2, 2, 2, 1])
    [(name, detail)] = header.doubts
    assert name == "qform"
    assert "the sform is used" in detail


@pytest.mark.parametrize(
    ("qform", "expected"),
    [
        pytest.param(np.diag([2.0, 2.0, 2.0, 1.0]), None, id="alike"),
        pytest.param(np.array([[2.0, 0, 0, 0.9], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), None, id="0.9 mm apart"),
        pytest.param(np.array([[2.0, 0, 0, 5], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), "5.0 mm", id="5 mm apart"),
        pytest.param(np.array([[2.0, 0, 0, 0], [0, 0, -2, 0], [0, 2, 0, 0], [0, 0, 0, 1]]), "apart", id="90° about x"),
        pytest.param(
            np.array([[2.0, 0, 0, 0], [0, -2, 0, 0], [0, 0, -2, 0], [0, 0, 0, 1]]), "apart", id="180° about x"
        ),
    ],
)
def test_forms_that_place_a_corner_more_than_half_a_voxel_apart_are_named(
    tmp_path: Path, qform: np.ndarray, expected: str | None
) -> None:
    image = nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.set_sform(image.affine, 1)
    image.set_qform(qform, 1)
    doubts = read_header(saved(tmp_path, image.to_bytes(), "a.nii")).doubts
    assert bool(doubts) is (expected is not None)
    assert expected is None or expected in doubts[0][1]


def test_forms_that_are_half_a_turn_apart_about_the_body_are_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((5, 6, 7), np.int16), np.eye(4))
    image.set_sform(np.diag([1.0, 1, 1, 1]), 1)
    image.set_qform(np.diag([-1.0, -1, 1, 1]), 1)  # no mirror image, and left and right differ all the same
    assert reason(tmp_path, image.to_bytes(), "a.nii") == "conflicting_affines"


@pytest.mark.parametrize(("code", "unit"), [(2, "mm"), (0, "unknown"), (2 + 24, "mm"), (2 + 56, "mm")])
def test_a_code_of_time_that_nifti_does_not_have_leaves_the_unit_of_space(tmp_path: Path, code: int, unit: str) -> None:
    header = read_header(saved(tmp_path, header_with(xyzt_units=code), "a.nii"))
    assert (header.spatial_unit, header.doubts) == (unit, ())
    assert header.voxel_size_mm == (2.0, 2.0, 2.0)


def test_a_code_of_space_that_nifti_does_not_have_is_said(tmp_path: Path) -> None:
    header = read_header(saved(tmp_path, header_with(xyzt_units=6), "a.nii"))
    assert header.voxel_size_mm == (2.0, 2.0, 2.0)
    [(name, detail)] = header.doubts
    assert name == "xyzt_units"
    assert "mm is assumed" in detail


@pytest.mark.parametrize("side_mm", [0.049, 20.1])
def test_a_refused_voxel_size_names_the_unit_that_the_header_states(tmp_path: Path, side_mm: float) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.diag([side_mm, 2.0, 2.0, 1.0]))
    with pytest.raises(RefusedError, match="xyzt_units states, which is unknown"):
        read_header(saved(tmp_path, image.to_bytes(), "a.nii"))


def test_scale_factors_are_as_in_the_header(tmp_path: Path) -> None:
    def factors(**fields: object) -> tuple[float | None, float | None]:
        header = read_header(saved(tmp_path, header_with(**fields), "a.nii"))
        return header.scl_slope, header.scl_inter

    assert factors(scl_slope=2.5, scl_inter=-10.0) == (2.5, -10.0)
    assert factors(scl_slope=0.0, scl_inter=3.0) == (None, None)  # NIfTI: a slope of 0 asks for no scaling
    assert factors(scl_slope=np.nan, scl_inter=np.nan) == (None, None)


def test_an_affine_with_nan_is_refused(tmp_path: Path) -> None:
    affine = np.eye(4)
    content = bytearray(nifti_bytes(affine=affine))
    content[280:284] = np.float32(np.nan).tobytes()  # srow_x[0]
    assert reason(tmp_path, gz(bytes(content))) == "invalid_affine"


def test_an_affine_that_flattens_space_is_refused(tmp_path: Path) -> None:
    content = bytearray(nifti_bytes(affine=np.eye(4)))
    content[280:296] = np.zeros(4, np.float32).tobytes()  # srow_x
    assert reason(tmp_path, gz(bytes(content))) == "singular_affine"


def test_affines_that_disagree_about_left_and_right_are_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4))
    image.set_sform(np.diag([-1.0, 1, 1, 1]), 1)
    image.set_qform(np.eye(4), 1)
    assert reason(tmp_path, image.to_bytes(), "a.nii") == "conflicting_affines"


def test_a_pointer_of_git_annex_is_content_that_was_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(NotFetchedError) as caught:
        read_header(saved(tmp_path, b"/annex/objects/MD5E-s77--00ff.nii.gz\n"))
    assert caught.value.key == "MD5E-s77--00ff.nii.gz"


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = saved(tmp_path, gz(nifti_bytes()))

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", place)

    monkeypatch.setattr("warehouse.imaging.nifti.first_bytes", denied)
    with pytest.raises(RefusedError) as caught:
        read_header(place)
    assert caught.value.reason == "unreadable"


def test_voxels_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = saved(tmp_path, gz(nifti_bytes()))

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("voxels were read")

    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__array__", forbidden)
    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__getitem__", forbidden)
    assert read_header(place).n_volumes == 1
