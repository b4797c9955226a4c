"""Lesions lie on the grid of a session where they lie in the scan on which they were drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from model.data.catalogue import CatalogueImages, Item, LesionFile
from model.data.lesions import LesionMasks
from tests.model import tiny_home as homes
from tests.model.data.native_scans import GRIDS, MARKER_MM, Matrix, centers, marked, placed, pose, stored
from tests.warehouse.conftest import Lab, Row
from warehouse.centers.registry import Center, Layout, register
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid
from warehouse.volumes import Payload, write

SESSION = placed(np.eye(3), (1.0, 1.0, 1.0), (40, 38, 36))


def scan(folder: Path, name: str, grid: Grid, to_session: Matrix, **names: str) -> Item:
    """Store a scan on its own grid and on that of its session."""
    item = stored(folder, name, marked, grid, to_session, **names)
    empty = np.zeros(SESSION.shape, np.float16)
    write(item.path, Payload(empty, SESSION.affine, empty.astype(np.uint8), {"form": "session"}, b""), name=name)
    return item


def file(folder: Path, grid: Grid, to_session: Matrix, space: str | None = None) -> LesionFile:
    """Write a segmentation of the bright spot, whose labels are 2."""
    voxels = 2 * (marked(centers(grid, to_session)) > 0.55).astype(np.uint8)
    path = folder / "lesions.nii.gz"
    nib.nifti1.save(nib.nifti1.Nifti1Image(voxels, grid.affine), path)
    return LesionFile(path, space)


def masks(*items: Item) -> LesionMasks:
    return LesionMasks(CatalogueImages(list(items), [], "snapshot", "data", "recipe", 1.0, 0, 0))


def middle_mm(mask: np.ndarray | None) -> Matrix:  # type: ignore[type-arg]
    """Return the centre of a mask in the session's world."""
    assert mask is not None
    return np.asarray(np.append(np.argwhere(mask).mean(0), 1) @ SESSION.affine.T)[:3]


@pytest.mark.parametrize("name", GRIDS)
def test_a_lesion_keeps_its_side_on_any_grid(name: str, tmp_path: Path) -> None:
    to_session = pose(3)
    item = scan(tmp_path, "one", GRIDS[name], to_session)
    item = replace(item, lesions=(file(tmp_path, GRIDS[name], to_session),))
    found = masks(item).mask(item)
    assert found is not None
    assert found.shape == SESSION.shape
    assert found.dtype == bool
    slack = 1.5 if "thick" in name else 0.8  # slices of 4 mm
    assert np.abs(middle_mm(found) - MARKER_MM).max() < slack


def test_a_mask_of_another_grid_is_not_known_and_refused(tmp_path: Path) -> None:
    item = scan(tmp_path, "one", GRIDS["RAS"], pose(0))
    mirrored = Grid(GRIDS["RAS"].shape, np.diag([-1.0, 1, 1, 1]) @ GRIDS["RAS"].affine)
    item = replace(item, lesions=(file(tmp_path, mirrored, pose(0)),))
    assert not masks(item).is_known(item)
    with pytest.raises(ModelError, match="not known"):
        masks(item).mask(item)


def test_healthy_people_have_none_and_a_lost_mask_is_not_known(tmp_path: Path) -> None:
    item = scan(tmp_path, "one", GRIDS["RAS"], pose(0))
    healthy = replace(item, lesions=())
    assert masks(healthy).is_known(healthy)
    assert masks(healthy).mask(healthy) is None
    for lesions in (None, (LesionFile(tmp_path / "absent.nii.gz"),)):
        lost = replace(item, lesions=lesions)
        assert not masks(lost).is_known(lost)


def test_a_patient_in_whom_nothing_is_marked_has_an_empty_mask(tmp_path: Path) -> None:
    item = scan(tmp_path, "one", GRIDS["RAS"], pose(0))
    empty = nib.nifti1.Nifti1Image(np.zeros(GRIDS["RAS"].shape, np.uint8), GRIDS["RAS"].affine)
    nib.nifti1.save(empty, tmp_path / "empty.nii.gz")
    item = replace(item, lesions=(LesionFile(tmp_path / "empty.nii.gz"),))
    found = masks(item).mask(item)
    assert found is not None
    assert not found.any()


def test_a_mask_follows_the_scan_that_its_space_names(tmp_path: Path) -> None:
    moved = np.eye(4)
    moved[:3, 3] = 5.0
    t1w = scan(tmp_path, "t1w", GRIDS["LPS"], np.eye(4))
    flair = scan(tmp_path, "flair", GRIDS["LPS"], moved, contrast="FLAIR")
    for space, shift in (("FLAIR", 5.0), (None, 0.0)):
        item = replace(t1w, lesions=(file(tmp_path, GRIDS["LPS"], np.eye(4), space),))
        assert np.abs(middle_mm(masks(item, flair).mask(item)) - MARKER_MM - shift).max() < 0.8


class Clinic(Lab):
    """A lake in which person 02 has two segmentations, of which one is of tumours."""

    def participant(self, center_id: str, participant_id: str, **more: object) -> Row:
        """Add a person, and these masks of 02."""
        row = super().participant(center_id, participant_id, **more)
        for label, space in (("tumor", "T1w"), ("brain", None)) if participant_id == "02" else ():
            told: Row = {"entities": json.dumps({"label": label, "space": space}), "content_hash": f"MD5:{label}"}
            self.image(center_id, participant_id, None, run=label, suffix="dseg", is_eligible=False, **told)  # type: ignore[arg-type]
        return row


@pytest.mark.slow
def test_the_catalogue_knows_the_masks_with_the_label_of_the_centre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "Lab", Clinic)
    home = homes.make_tiny_home(tmp_path / "home", 4)

    def lesions() -> dict[str, tuple[LesionFile, ...] | None]:
        found = CatalogueImages.open(home, "draft", ["train", "val", "test_internal"])
        return {item.person_id: item.lesions for item in found.items}

    assert set(lesions().values()) == {None}
    for label in ("tumor", "none"):
        layout = Layout(kind="bids")
        register(home, Center(center_id="alpha", title="Alpha", lesions=label, layout=layout), tmp_path)
        if label == "none":
            assert set(lesions().values()) == {()}
        else:
            drawn = LesionFile(tmp_path / "sub-02" / "anat" / "sub-02_run-tumor_dseg.nii.gz", "T1w", "MD5:tumor")
            assert lesions().pop("alpha/02") == (drawn,)
            assert {one for person, one in lesions().items() if person != "alpha/02"} == {None}
