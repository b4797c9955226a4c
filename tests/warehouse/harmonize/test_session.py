from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from tests.warehouse.harmonize.conftest import displaced, scanned, t2_like
from warehouse.harmonize import mask as brain
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import EligibleScan, HarmonizedRows
from warehouse.harmonize.session import harmonize_session, reference_rank
from warehouse.imaging.geometry import Image
from warehouse.tables.volumes import VOLUMES
from warehouse.volumes import open_store

MOVED = displaced((3, -2, 4), (4, -3, 2))
THICK = np.array([[2.0, 0, 0, -100], [0, 2.0, 0, -130], [0, 0, 4.0, -90], [0, 0, 0, 1]])
QUICK = Recipe(name="quick", is_draft=True, grid_mm=3.0, n4=False, register_mm=3.0, mni_mm=5, converged_mm=0.05)

Save = Callable[[str, Image], Path]


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what is bright for the brain: the network itself is tested on real scans."""
    seen = SimpleNamespace(
        run_model=lambda voxels: (voxels > 0.02 * voxels.max()).astype(float), postprocess=lambda mask: mask
    )
    monkeypatch.setattr(brain, "_network", lambda _: seen)


@pytest.fixture
def scans(saved: Save, fine_template: Image) -> list[EligibleScan]:
    """A T1w at 2 mm, lying flipped (LAS) on disk, and a thick-slice T2w of the same head, which moved."""
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = fine_template.voxels.shape[0] - 1
    t1w = Image(fine_template.voxels[::-1].copy(), fine_template.affine @ flip)
    bright = Image(t2_like(fine_template.voxels), fine_template.affine)
    t2w = scanned(bright, MOVED, THICK, (100, 125, 50))
    return [scan("b", saved("t2w.nii.gz", t2w), "T2w"), scan("a", saved("t1w.nii.gz", t1w), "T1w")]


def scan(letter: str, path: Path, contrast: str) -> EligibleScan:
    attributes = {"center_id": "lab", "participant_id": "01", "entities": {"sub": "01"}, "is_simulated": True}
    return EligibleScan(letter * 16, path, contrast, attributes, f"{path.stat().st_size}")


def work(folder: Path, scans: list[EligibleScan], recipe: Recipe = QUICK) -> HarmonizedRows:
    return harmonize_session(folder / "home" / "volumes", "lab/sub-01", scans, recipe)


def rows(result: HarmonizedRows) -> list[list[dict[str, object]]]:
    return [result.volumes, result.transforms, result.quality, result.rejections]


@pytest.mark.slow
def test_a_session_becomes_volumes_in_both_forms_with_rows_that_fit_their_tables(
    tmp_path: Path, scans: list[EligibleScan]
) -> None:
    result = work(tmp_path, scans)
    assert result.rejections == []
    assert {(row["image_id"][0], row["form"]) for row in result.volumes} == {
        ("a", "session"),
        ("a", "native"),
        ("b", "session"),
        ("b", "native"),
    }
    for table, made in zip(VOLUMES, rows(result), strict=True):
        assert table.rows(made).num_rows == len(made)
    assert {row["image_id"][0]: row["is_reference"] for row in result.volumes} == {"a": True, "b": False}


@pytest.mark.slow
def test_the_movement_between_scans_is_undone(tmp_path: Path, scans: list[EligibleScan]) -> None:
    result = work(tmp_path, scans)
    found = next(row for row in result.transforms if row["kind"] == "to_reference")
    points = np.array([[0.0, 0, 0], [40, 0, 20], [-40, 30, -10], [0, -60, 30]])
    back = nib.affines.apply_affine(np.reshape(found["matrix"], (4, 4)), nib.affines.apply_affine(MOVED, points))
    assert np.linalg.norm(back - points, axis=1).max() < 1.5
    assert found["similarity_after"] >= found["similarity_before"]


@pytest.mark.slow
def test_left_stays_left_from_the_file_to_the_session_grid(tmp_path: Path, saved: Save, fine_template: Image) -> None:
    voxels = fine_template.voxels.copy()
    place = np.linalg.inv(fine_template.affine) @ [-45, -20, 10, 1]  # the subject's left
    i, j, k = place[:3].round().astype(int)
    voxels[i - 4 : i + 4, j - 4 : j + 4, k - 4 : k + 4] = 3 * voxels.max()
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = voxels.shape[0] - 1
    path = saved("t1w.nii.gz", Image(voxels[::-1].copy(), fine_template.affine @ flip))
    result = work(tmp_path, [scan("a", path, "T1w")])
    assert {row["form"] for row in result.volumes} == {"session", "native"}
    for row in result.volumes:
        volume = open_store(tmp_path / "home" / row["path"])
        bright = np.argwhere(volume[:, :, :] > 0.95).mean(axis=0)
        world = nib.affines.apply_affine(volume.affine, bright)
        assert world[0] == pytest.approx(-45, abs=6), row["form"]


@pytest.mark.slow
def test_the_native_form_keeps_the_files_own_grid(tmp_path: Path, scans: list[EligibleScan]) -> None:
    result = work(tmp_path, scans)
    for item in scans:
        row = next(r for r in result.volumes if r["image_id"] == item.image_id and r["form"] == "native")
        source, volume = nib.load(item.path), open_store(tmp_path / "home" / row["path"])
        assert volume.shape == source.shape
        np.testing.assert_allclose(volume.affine, source.affine, atol=1e-5)
        values = np.asarray(source.dataobj, np.float32)
        restored = (
            volume[:, :, :].astype(np.float32) * (row["intensity_high"] - row["intensity_low"]) + row["intensity_low"]
        )
        inside = (values > row["intensity_low"]) & (values < row["intensity_high"])
        np.testing.assert_allclose(restored[inside], values[inside], atol=1e-3 * float(values.max()))


@pytest.mark.slow
def test_work_that_is_done_is_not_done_again(tmp_path: Path, scans: list[EligibleScan]) -> None:
    first, again = work(tmp_path, scans), work(tmp_path, scans)
    assert (first.n_done, again.n_done) == (2, 0)
    assert rows(first) == rows(again)


@pytest.mark.slow
def test_an_interrupted_session_goes_on_with_the_scan_it_was_at(tmp_path: Path, scans: list[EligibleScan]) -> None:
    whole = work(tmp_path, scans)
    lost = next(row for row in whole.volumes if row["image_id"][0] == "b" and row["form"] == "session")
    shutil.rmtree(tmp_path / "home" / lost["path"])
    resumed = work(tmp_path, scans)
    assert resumed.n_done == 1
    told = {"seconds", "size_bytes", "voxels_sha256"}
    assert [{k: v for k, v in row.items() if k not in told} for row in resumed.volumes] == [
        {k: v for k, v in row.items() if k not in told} for row in whole.volumes
    ]
    for one, other in zip(resumed.transforms, whole.transforms, strict=True):
        np.testing.assert_allclose(one["matrix"], other["matrix"], atol=1e-3)  # sums over threads end differently


@pytest.mark.slow
def test_another_recipe_works_again_and_leaves_the_first_ones_volumes(
    tmp_path: Path, scans: list[EligibleScan]
) -> None:
    first = work(tmp_path, scans)
    other = work(tmp_path, scans, QUICK.model_copy(update={"percentiles": (1.0, 99.0)}))
    assert other.n_done == 2
    assert {row["path"] for row in first.volumes}.isdisjoint(row["path"] for row in other.volumes)
    assert all((tmp_path / "home" / row["path"]).is_dir() for row in first.volumes)


@pytest.mark.slow
def test_scans_that_their_publishers_stripped_and_aligned_stay_as_they_are(
    tmp_path: Path, saved: Save, template: Image
) -> None:
    voxels = np.where(template.voxels > 0.05 * template.voxels.max(), template.voxels, 0).astype(np.float32)
    stripped = Image(voxels, template.affine)
    nearly = displaced((0.1, 0, 0), (0.3, -0.2, 0.2))
    bright = scanned(Image(t2_like(voxels), template.affine), nearly, template.affine, voxels.shape)
    made = [scan("a", saved("t1w.nii", stripped), "T1w"), scan("b", saved("t2w.nii", bright), "T2w")]
    result = work(tmp_path, made)
    found = next(row for row in result.transforms if row["kind"] == "to_reference")
    np.testing.assert_array_equal(np.reshape(found["matrix"], (4, 4)), np.eye(4))


@pytest.mark.slow
def test_one_bad_scan_does_not_stop_the_others(tmp_path: Path, scans: list[EligibleScan]) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(scans[0].path.read_bytes()[:3000])
    result = work(tmp_path, [scan("c", bad, "FLAIR"), *scans])
    assert [(row["image_id"][0], row["stage"], row["reason"]) for row in result.rejections] == [
        ("c", "load", "truncated_gzip")
    ]
    assert {row["image_id"][0] for row in result.volumes} == {"a", "b"}


@pytest.mark.slow
def test_a_scan_that_cannot_be_the_reference_because_it_does_not_load_is_rejected_once(
    tmp_path: Path, saved: Save, scans: list[EligibleScan], template: Image
) -> None:
    path = saved("broken.nii", Image(np.full_like(template.voxels, 7), template.affine))
    result = work(tmp_path, [scan("0", path, "T1w"), *scans])
    assert [(row["image_id"][0], row["reason"]) for row in result.rejections] == [("0", "constant")]


@pytest.mark.slow
def test_a_scan_without_a_believable_brain_takes_the_sessions_mask(
    tmp_path: Path, scans: list[EligibleScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def sees_nothing_in_thick_slices(voxels: np.ndarray) -> np.ndarray:
        return np.zeros(voxels.shape) if voxels.shape[2] == 50 else (voxels > 0.02 * voxels.max()).astype(float)

    seen = SimpleNamespace(run_model=sees_nothing_in_thick_slices, postprocess=lambda mask: mask)
    monkeypatch.setattr(brain, "_network", lambda _: seen)
    result = work(tmp_path, scans)
    carried = [row for row in result.volumes if row["image_id"][0] == "b"]
    assert {row["mask_source"] for row in carried} == {"carried"}
    assert {row["verdict"] for row in carried} == {"flag"}
    own = next(row["mask_volume_ml"] for row in result.volumes if row["image_id"][0] == "a")
    assert carried[0]["mask_volume_ml"] == pytest.approx(own, rel=0.05)


def test_where_no_scan_has_a_brain_all_are_rejected_with_a_reason(
    tmp_path: Path, scans: list[EligibleScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = SimpleNamespace(run_model=lambda voxels: np.zeros(voxels.shape), postprocess=lambda mask: mask)
    monkeypatch.setattr(brain, "_network", lambda _: blind)
    result = work(tmp_path, scans)
    assert result.volumes == []
    assert {row["image_id"][0]: row["stage"] for row in result.rejections} == {"a": "mask", "b": "mask"}


@pytest.mark.slow
def test_a_registration_that_got_worse_is_rejected(
    tmp_path: Path, scans: list[EligibleScan], monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse.errors import HarmonizeError
    from warehouse.harmonize import session

    def worse(*_: object, **__: object) -> None:
        raise HarmonizeError("register", "worse_than_none", "mutual information fell from 0.5 to 0.1", "look")

    monkeypatch.setattr(session, "register", worse)
    result = work(tmp_path, scans)
    assert [(row["image_id"][0], row["reason"]) for row in result.rejections] == [("b", "worse_than_none")]
    assert {row["image_id"][0] for row in result.volumes} == {"a"}


@pytest.mark.slow
def test_a_stripped_recipe_leaves_nothing_outside_the_brain(tmp_path: Path, scans: list[EligibleScan]) -> None:
    result = work(tmp_path, scans, QUICK.model_copy(update={"whole_head": False}))
    assert len(result.volumes) == 2 * len(scans)
    for row in result.volumes:
        volume = open_store(tmp_path / "home" / row["path"])
        assert volume.mask is not None
        assert volume[:, :, :][volume.mask[:, :, :] == 0].max() == 0


@pytest.mark.slow
def test_a_draft_says_so_in_every_row(tmp_path: Path, scans: list[EligibleScan]) -> None:
    assert [row["is_draft"] for row in work(tmp_path, scans).volumes] == [True] * 2 * len(scans)


def test_the_best_resolved_t1w_is_the_reference() -> None:
    scans = [
        ("a", "FLAIR", np.array([0.5, 0.5, 1.0])),
        ("b", "T1w", np.array([0.7, 0.7, 4.0])),
        ("c", "T1w", np.array([1.0, 1.0, 1.0])),
        ("d", "ceT1w", np.array([0.8, 0.8, 0.8])),
    ]
    assert [name for name, *_ in sorted(scans, key=lambda scan: reference_rank(*scan))] == ["c", "b", "d", "a"]


def test_equals_are_ranked_by_their_identifier() -> None:
    size = np.ones(3)
    assert reference_rank("a", "T2w", size) < reference_rank("b", "T2w", size)
