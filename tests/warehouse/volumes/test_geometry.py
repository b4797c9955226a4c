"""Left stays left, from NIfTI through the store to NIfTI, and other programs read the same geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.warehouse.volumes.conftest import AFFINES, SHAPE, Stored, make_payload, payload_of
from warehouse.volumes import export, open_store, write
from warehouse.volumes.store import ome_attribute

every_affine = pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)


def world_centroid(voxels: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of mass in world coordinates, voxel by voxel."""
    total, weight = np.zeros(3), 0.0
    for index, value in np.ndenumerate(voxels.astype(np.float64)):
        if value:
            total += value * (affine @ [*index, 1.0])[:3]
            weight += value
    return np.asarray(total / weight)


@every_affine
def test_the_brighter_side_stays_on_the_right(stored: Stored, tmp_path: Path, affine: NDArray[np.float64]) -> None:
    payload = make_payload("int16", affine=affine)
    volume = stored(dtype="int16", affine=affine, form="native")
    expected = world_centroid(payload.voxels, affine)
    middle = affine @ [*[(n - 1) / 2 for n in SHAPE], 1.0]
    assert expected[0] > middle[0] + 1, "the phantom is brighter on the right"
    np.testing.assert_allclose(world_centroid(volume[...], volume.affine), expected, atol=1e-9)
    written = nib.load(export(volume, tmp_path / "out").image)
    np.testing.assert_allclose(world_centroid(np.asarray(written.dataobj), written.affine), expected, atol=1e-4)


def test_each_axis_keeps_its_place(tmp_path: Path) -> None:
    voxels = np.arange(2 * 3 * 5, dtype=np.int16).reshape(2, 3, 5)
    payload = make_payload("int16", shape=(2, 3, 5), is_masked=False)
    write(tmp_path / "a.zarr", type(payload)(voxels, payload.affine, None, payload.attributes, b""), name="a")
    volume = open_store(tmp_path / "a.zarr")
    for i, j, k in np.ndindex(2, 3, 5):
        assert volume[i, j, k] == voxels[i, j, k]
    assert np.asarray(volume.to_nifti().dataobj).shape == (2, 3, 5)


def test_scale_and_translation_are_in_the_order_of_the_axes() -> None:
    ome = ome_attribute("a", nib.affines.from_matvec(np.diag([0.5, 0.75, 4.0]), [1.0, 2.0, 3.0]))
    scale, translation = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [4.0, 0.75, 0.5]
    assert translation["translation"] == [3.0, 2.0, 1.0]
    assert [axis["name"] for axis in ome["multiscales"][0]["axes"]] == ["z", "y", "x"]


@every_affine
@pytest.mark.parametrize("is_masked", [True, False], ids=["with mask", "without mask"])
@pytest.mark.parametrize("form", ["session", "native"])
def test_the_metadata_of_every_kind_of_store_is_valid_ome_zarr(
    stored: Stored, form: str, is_masked: bool, affine: NDArray[np.float64]
) -> None:
    models = pytest.importorskip("ome_zarr_models.v05.image")
    import zarr

    volume = stored(affine=affine, form=form, is_masked=is_masked)
    image = models.Image.from_zarr(zarr.open_group(volume.path, mode="r"))
    level = image.ome_attributes.multiscales[0].datasets[0]
    scale, translation = level.coordinateTransformations
    np.testing.assert_allclose(scale.scale[::-1], volume.voxel_size_mm, rtol=1e-15)
    assert translation.translation[::-1] == tuple(affine[:3, 3]) or translation.translation[::-1] == list(affine[:3, 3])


def source(folder: Path, dtype: str, affine: NDArray[np.float64], codes: tuple[int, int], order: str = "<") -> Path:
    """Write a NIfTI file as a scanner would."""
    header = nib.Nifti1Header(endianness=order)
    header["descrip"] = b"converted by hand"
    image = nib.Nifti1Image(make_payload(dtype, affine=affine).voxels, affine, header, dtype=dtype)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    path = folder / f"{dtype}.nii.gz"
    nib.save(image, path)
    return path


@pytest.mark.slow
@every_affine
@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32", "uint16"])
@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 2)], ids=["both", "qform", "sform"])
def test_nifti_comes_back_with_voxels_affine_and_codes(
    tmp_path: Path, dtype: str, affine: NDArray[np.float64], codes: tuple[int, int]
) -> None:
    path = source(tmp_path, dtype, affine, codes)
    payload = payload_of(path)
    before = nib.load(path)
    write(tmp_path / "a.zarr", payload, name="a")
    volume = open_store(tmp_path / "a.zarr")
    after = volume.to_nifti()
    nib.save(after, tmp_path / "after.nii.gz")
    again = nib.load(tmp_path / "after.nii.gz")
    assert again.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(before.dataobj))
    np.testing.assert_array_equal(again.affine, before.affine)
    assert (int(again.header["qform_code"]), int(again.header["sform_code"])) == codes
    assert len(volume.nifti_header) == 348
    assert nib.Nifti1Header.from_fileobj(nib.openers.ImageOpener(path)).binaryblock == volume.nifti_header


def test_a_big_endian_source_keeps_its_header_and_its_voxels(tmp_path: Path) -> None:
    path = source(tmp_path, "int16", AFFINES["LPS"], (1, 1), order=">")
    write(tmp_path / "a.zarr", payload_of(path), name="a")
    volume = open_store(tmp_path / "a.zarr")
    assert volume.nifti_header[:4] == b"\x00\x00\x01\x5c"
    nib.save(volume.to_nifti(), tmp_path / "after.nii")
    again = nib.load(tmp_path / "after.nii")
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(nib.load(path).dataobj))
    np.testing.assert_array_equal(again.affine, nib.load(path).affine)


def test_scaled_integers_become_the_values_they_stand_for(tmp_path: Path) -> None:
    image = nib.Nifti1Image(make_payload("int16").voxels, AFFINES["RAS"])
    image.header.set_slope_inter(2.0, -3.0)
    nib.save(image, tmp_path / "a.nii.gz")
    header = nib.load(tmp_path / "a.nii.gz")
    payload = payload_of(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(payload.voxels, np.asarray(header.dataobj, np.float32))
    write(tmp_path / "a.zarr", payload, name="a")
    np.testing.assert_array_equal(np.asarray(open_store(tmp_path / "a.zarr").to_nifti().dataobj), payload.voxels)


def test_on_another_grid_the_source_header_is_not_taken(tmp_path: Path) -> None:
    path = source(tmp_path, "int16", AFFINES["LPS"], (1, 1))
    raw = payload_of(path)
    payload = make_payload(affine=AFFINES["RAS"])
    payload = type(payload)(payload.voxels, payload.affine, None, payload.attributes, raw.nifti_header)
    write(tmp_path / "a.zarr", payload, name="a")
    image = open_store(tmp_path / "a.zarr").to_nifti()
    assert bytes(image.header["descrip"]).rstrip(b"\0") == b""
    np.testing.assert_array_equal(image.affine, AFFINES["RAS"])
    assert (int(image.header["qform_code"]), int(image.header["sform_code"])) == (2, 2)


@pytest.mark.real
@pytest.mark.slow
def test_every_real_scan_comes_back_as_it_was(samples: Path, tmp_path: Path) -> None:
    scans = sorted((samples / "images").rglob("*.nii.gz"))
    if not scans:
        pytest.skip(f"no images in {samples}")
    for number, path in enumerate(scans):
        before: Any = nib.load(path)
        write(tmp_path / f"{number}.zarr", payload_of(path), name=path.name)
        image = open_store(tmp_path / f"{number}.zarr").to_nifti()
        nib.save(image, tmp_path / "after.nii")
        after: Any = nib.load(tmp_path / "after.nii")
        is_scaled = (before.dataobj.slope, before.dataobj.inter) != (1.0, 0.0)
        dtype = np.dtype(np.float32) if is_scaled else before.get_data_dtype()
        expected = np.asarray(before.dataobj).astype(dtype)
        np.testing.assert_array_equal(np.asarray(after.dataobj), expected, err_msg=str(path))
        np.testing.assert_array_equal(after.affine, before.affine, err_msg=str(path))
        assert after.get_data_dtype() == dtype, path
