"""Scans of one head come onto the first one's grid: by their headers, or where the head has moved, aligned with it."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from model.inference.scans import read
from model.inference.together import prepare_together
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize import mask as brain
from warehouse.imaging.geometry import Image

PREPARATION = {"percentiles": (0.01, 99.9), "n4": False, "whole_head": True}
ISOTROPIC = nib.affines.from_matvec(np.diag([3.0, 3.0, 3.0]), [-60.0, -66.0, -57.0])
MOVED = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.05, 0.03, -0.04), [4.0, -3.0, 2.0])
THICK = nib.affines.from_matvec(np.array([[0, 0, -6.0], [2.0, 0, 0], [0, 2.0, 0]]), [66.0, -66.0, -57.0])


def head(
    affine: NDArray[np.float64], shape: tuple[int, int, int], *, moved: Any = None, is_inverted: bool = False
) -> nib.Nifti1Image:
    """Return one head with structure, scanned on any grid, before or after it moved."""
    at = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    x, y, z = np.moveaxis(nib.affines.apply_affine(np.linalg.inv(np.eye(4) if moved is None else moved), at), -1, 0)
    inside = (x / 50) ** 2 + (y / 58) ** 2 + (z / 48) ** 2 < 1
    deep = ((x - 14) / 15) ** 2 + ((y + 8) / 18) ** 2 + ((z - 6) / 14) ** 2 < 1
    front = ((x + 12) / 10) ** 2 + ((y - 28) / 12) ** 2 + (z / 20) ** 2 < 1
    shade = 600 + 60 * np.sin(x / 9) + 60 * np.cos(y / 11) + 50 * np.sin(z / 8)
    values = shade + 250 * deep - 200 * front
    values = 1400 - values if is_inverted else values
    return nib.Nifti1Image(np.where(inside, values, 3.0).astype(np.float32), affine)


def together(*images: nib.Nifti1Image, **options: Any) -> Any:
    scans = [read(image) for image in images]
    names = [f"scan{number}.nii" for number in range(len(scans))]
    options = {"masks": [None] * len(scans)} | options
    return prepare_together(scans, names, 3.0, PREPARATION, **options)


def likeness(one: Any, other: Any) -> float:
    """Return the correlation of two prepared scans in the middle of the head."""
    inside = one.mask & other.mask & (True if other.seen is None else other.seen)
    return float(np.corrcoef(one.voxels[inside], other.voxels[inside])[0, 1])


FIRST = head(ISOTROPIC, (40, 44, 38))


def test_scans_of_one_world_come_onto_the_first_ones_grid_by_their_headers() -> None:
    other = head(THICK, (66, 57, 22))
    prepared, notes = together(FIRST, other, is_harmonised=True)
    assert notes == []
    assert prepared[0].grid.shape == prepared[1].voxels.shape == (40, 44, 38)
    assert likeness(*prepared) > 0.9
    assert prepared[0].size_mm == pytest.approx((3, 3, 3))
    assert prepared[1].size_mm == pytest.approx((6, 2, 2))  # along R, A and S, not along the axes of the file
    assert prepared[1].seen is None


def test_a_slab_says_what_it_has_seen_and_has_no_signal_elsewhere() -> None:
    lower = nib.affines.from_matvec(np.diag([3.0, 3.0, 3.0]), [-60.0, -66.0, -57.0])
    prepared, _ = together(FIRST, head(lower, (40, 44, 19)), is_harmonised=True)
    seen = prepared[1].seen
    assert seen is not None
    assert seen[:, :, :19].all()
    assert not seen[:, :, 19:].any()
    assert len(np.unique(prepared[1].voxels[~seen])) == 1
    assert prepared[1].voxels[~seen].max() <= prepared[1].voxels[seen].min() + 1e-3
    assert not prepared[1].mask[~seen].any()


@pytest.mark.slow
def test_a_head_that_moved_between_two_scans_is_aligned_whatever_the_contrast() -> None:
    after = nib.affines.from_matvec(np.diag([3.0, 3.0, 3.0]), [-61.0, -65.0, -58.0])
    moved = head(after, (40, 44, 38), moved=MOVED, is_inverted=True)
    prepared, notes = together(FIRST, moved)
    assert "was aligned with the first scan" in notes[0]
    left, _ = together(FIRST, moved, is_harmonised=True)
    assert likeness(*prepared) < -0.9
    assert likeness(*prepared) < likeness(*left) - 0.02


def test_scans_on_one_grid_are_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.inference.together.register", lambda *_, **__: pytest.fail("it was registered"))
    prepared, notes = together(FIRST, head(ISOTROPIC, (40, 44, 38), is_inverted=True))
    assert notes == []
    assert likeness(*prepared) < -0.95


def test_known_transforms_are_used_instead_of_a_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.inference.together.register", lambda *_, **__: pytest.fail("it was registered"))
    moved = head(ISOTROPIC, (40, 44, 38), moved=MOVED)
    prepared, _ = together(FIRST, moved, to_first=[np.eye(4), np.linalg.inv(MOVED)])
    left, _ = together(FIRST, moved, is_harmonised=True)
    assert likeness(*prepared) > 0.93
    assert likeness(*prepared) > likeness(*left) + 0.03


def test_scans_of_two_places_are_refused_by_name() -> None:
    apart = nib.affines.from_matvec(np.eye(3), [0, 0, 500.0]) @ ISOTROPIC
    there = nib.Nifti1Image(FIRST.get_fdata(dtype=np.float32), apart)
    with pytest.raises(ModelError, match=r"scan1.nii shows 0% of the brain") as refusal:
        together(FIRST, there, is_harmonised=True)
    assert "one head" in refusal.value.remedy


def test_a_few_slices_are_placed_by_their_header_and_that_is_said() -> None:
    few = nib.affines.from_matvec(np.diag([3.0, 3.0, 8.0]), [-60.0, -66.0, -8.0])
    prepared, notes = together(FIRST, head(few, (40, 44, 2)))
    assert "too few slices to be aligned" in notes[0]
    assert prepared[1].seen is not None


def test_a_registration_that_fails_leaves_the_scan_where_it_is_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def worse(*_: Any, **__: Any) -> None:
        raise HarmonizeError("register", "worse_than_none", "it became worse", "look")

    monkeypatch.setattr("model.inference.together.register", worse)
    _, [note] = together(FIRST, head(THICK, (66, 57, 22)))
    assert "it became worse" in note
    assert "placed by its header" in note


@pytest.mark.slow
def test_a_further_scan_without_a_brain_of_its_own_gets_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    found = brain.find_brain

    def only_in_the_first(image: Image, detail: Any = "fine") -> Any:
        if image.voxels.shape != (40, 44, 38):
            raise HarmonizeError("mask", "no_brain", "no brain was found", "look at the scan")
        return found(image, detail)

    monkeypatch.setattr(brain, "find_brain", only_in_the_first)
    prepared, notes = together(FIRST, head(THICK, (66, 57, 22)))
    assert any("the brain mask of the first scan is used" in note for note in notes)
    overlap = brain.dice(prepared[0].mask, prepared[1].mask)
    assert overlap > 0.9
    with pytest.raises(ModelError, match=r"scan0.nii: .*no brain was found"):
        together(head(THICK, (66, 57, 22)), FIRST)


def test_harmonised_voxels_are_used_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brain, "find_brain", lambda *_: pytest.fail("the brain was looked for"))
    monkeypatch.setattr("model.inference.scans.correct_bias", lambda *_: pytest.fail("bias was corrected"))
    values = np.where(FIRST.get_fdata() > 10, FIRST.get_fdata(), 0).astype(np.float32)
    values[20, 22, 19] = 1e5  # nothing is clipped
    [made], _ = together(nib.Nifti1Image(values, ISOTROPIC), is_harmonised=True)
    np.testing.assert_array_equal(made.mask, values != 0)
    order = np.argsort(made.voxels[made.mask], kind="stable")
    np.testing.assert_array_equal(order, np.argsort(values[made.mask], kind="stable"))
    assert made.voxels.argmax() == values.argmax()
