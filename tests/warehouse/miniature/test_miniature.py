"""The builder itself: deterministic, complete, and under names that the definitions know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from warehouse.centers.registry import shipped
from warehouse.errors import CenterError
from warehouse.ingest.discover import discover
from warehouse.ingest.tree import walk
from warehouse.miniature import RECIPES, build

CENTERS = sorted(RECIPES)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_shipped_centre_has_a_miniature() -> None:
    assert set(RECIPES) == set(shipped())


def test_a_centre_without_miniature_is_refused_with_the_ones_that_have_one(tmp_path: Path) -> None:
    with pytest.raises(CenterError, match="no miniature of centre 'nowhere'") as caught:
        build("nowhere", tmp_path)
    assert "ixi" in caught.value.remedy


@pytest.mark.parametrize("name", CENTERS)
def test_two_builds_are_the_same_bytes(tmp_path: Path, name: str) -> None:
    first, second = build(name, tmp_path / "first"), build(name, tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert first == second


@pytest.mark.parametrize("name", CENTERS)
def test_every_file_is_an_image_or_a_companion(tmp_path: Path, name: str) -> None:
    expected = build(name, tmp_path)
    found = discover(shipped()[name], walk(tmp_path))
    assert not found.refusals
    assert sorted(candidate.entry.path for candidate in found.images) == sorted(image.path for image in expected.images)
    assert len(found.images) + len(found.companions) == expected.n_files == len(contents(tmp_path))


@pytest.mark.parametrize("name", CENTERS)
def test_every_offered_contrast_has_an_eligible_image(tmp_path: Path, name: str) -> None:
    eligible = [image for image in build(name, tmp_path).images if image.eligibility == "eligible"]
    shown = {f"ce{image.contrast}" if image.is_post_contrast else image.contrast for image in eligible}
    assert shown == set(shipped()[name].contrasts)


@pytest.mark.parametrize("name", CENTERS)
def test_some_images_are_not_eligible_and_somebody_has_no_age(tmp_path: Path, name: str) -> None:
    expected = build(name, tmp_path)
    assert any(image.eligibility == "ineligible" for image in expected.images)
    assert any(person.age_years is None and person.age_low_years is None for person in expected.participants)
    assert 3 <= len(expected.participants) <= 5


@pytest.mark.parametrize(
    "name",
    ["adni", "aibl", "hcp_aging", "hcp_development", "lemon", "nki_rockland", "oasis3", "open_ms", "ucsf_pdgm", "ukb"],
)
def test_a_dataset_with_visits_has_somebody_with_two(tmp_path: Path, name: str) -> None:
    visits = {(image.participant_id, image.session_label) for image in build(name, tmp_path).images}
    per_person = [sum(person == other for other, _ in visits) for person, _ in visits]
    assert max(per_person) >= 2


@pytest.mark.parametrize("name", CENTERS)
def test_an_image_is_small_anisotropic_in_shape_and_has_the_voxels_it_says(tmp_path: Path, name: str) -> None:
    for image in build(name, tmp_path).images:
        loaded = nib.load(tmp_path / image.path)
        assert loaded.shape[:3] == (6, 7, 8)
        assert np.asanyarray(loaded.dataobj).dtype == np.int16
        assert np.allclose(loaded.header.get_zooms()[:3], image.voxel_size_mm, atol=1e-5)
        assert "".join(nib.aff2axcodes(loaded.affine)) == image.axcodes


def test_affines_are_of_three_kinds(tmp_path: Path) -> None:
    images = build("ixi", tmp_path).images
    affines = [nib.load(tmp_path / image.path).affine[:3, :3] for image in images]
    oblique = [np.count_nonzero(np.abs(affine) > 1e-6) > 3 for affine in affines]
    assert {image.axcodes for image in images} == {"RAS", "LAS"}
    assert 0 < sum(oblique) < len(oblique)


def test_sidecars_carry_what_an_ingest_must_not_keep(tmp_path: Path) -> None:
    build("oasis3", tmp_path)
    sidecars = [json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]
    assert sidecars
    assert all({"InstitutionName", "DeviceSerialNumber", "AcquisitionTime"} <= sidecar.keys() for sidecar in sidecars)


def test_gzip_headers_carry_no_time(tmp_path: Path) -> None:
    build("ixi", tmp_path)
    assert {path.read_bytes()[4:8] for path in tmp_path.rglob("*.nii.gz")} == {b"\0\0\0\0"}


def test_names_are_ascii_and_have_no_blanks(tmp_path: Path) -> None:
    for name in CENTERS:
        build(name, tmp_path / name)
    assert all(re.fullmatch(r"[A-Za-z0-9._/+-]+", path) for path in contents(tmp_path))
