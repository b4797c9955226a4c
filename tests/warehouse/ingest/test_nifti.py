from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.warehouse.ingest.conftest import OBLIQUE_LEFT_HANDED, gz, nifti_bytes
from warehouse.ingest.nifti import NotFetchedError, RefusedError, read_header


def saved(folder: Path, content: bytes, name: str = "a.nii.gz") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


def reason(folder: Path, content: bytes, name: str = "a.nii.gz") -> str:
    with pytest.raises(RefusedError) as caught:
        read_header(saved(folder, content, name))
    assert caught.value.refusal.mend
    return caught.value.refusal.reason


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
    def forbidden(location: str) -> tuple[int, str]:
        raise AssertionError(f"{location} was unpacked")

    monkeypatch.setattr("warehouse.ingest.nifti._unpacked", forbidden)
    assert read_header(saved(tmp_path, gz(nifti_bytes()))).shape == (5, 6, 7)


def test_a_truncated_file_without_gzip_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, nifti_bytes()[:-1], "a.nii") == "truncated"


def test_a_name_that_says_gzip_over_a_content_that_is_not_is_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, nifti_bytes()) in {"not_gzip", "not_nifti"}


@pytest.mark.parametrize(
    "content", [b"hello, this is no image at all" * 20, gz(b"neither is this" * 40)], ids=["plain", "gzip"]
)
def test_what_is_no_nifti_is_refused(tmp_path: Path, content: bytes) -> None:
    assert reason(tmp_path, content, "a.nii" if content[0] == 104 else "a.nii.gz") == "not_nifti"


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

    monkeypatch.setattr("warehouse.ingest.nifti.nib.load", denied)
    with pytest.raises(RefusedError) as caught:
        read_header(place)
    assert caught.value.refusal.reason == "unreadable"


def test_voxels_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = saved(tmp_path, gz(nifti_bytes()))

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("voxels were read")

    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__array__", forbidden)
    monkeypatch.setattr(nib.arrayproxy.ArrayProxy, "__getitem__", forbidden)
    assert read_header(place).n_volumes == 1
