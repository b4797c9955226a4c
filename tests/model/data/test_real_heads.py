"""Brains of real people as shares of tissues: a layered brain whose shares are known stands for a scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data import real_heads
from model.data.catalogue import CatalogueImages, Item, LesionFile, Sample
from model.data.fine_heads import INTRACRANIAL, UNKNOWN, WHOLE, JoinedHeads
from model.data.lesions import LesionMasks
from model.data.real_heads import CHANNEL, RealHeads, person_of, real_head, tissue_shares
from model.data.simulated_patches import SimulatedPatches
from model.data.simulated_scans import Faults
from tests.model.data.small_fine_heads import SmallFineHeads
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord
from warehouse.quality.tissues import CSF, GM, WM

LEVELS = {CSF: 0.3, GM: 0.7, WM: 1.0}
VOXEL_MM, SIDE = 4.0, 24
AFFINE = np.diag([VOXEL_MM] * 3 + [1.0])
SCALE = BrainScale(0.7, 0.6)
ITEM = Item("image", "centre", "session", "person", "train", "T1w", PromptRecord(contrast="T1w"), False, Path(), SCALE)
HEALTHY = replace(ITEM, lesions=())


def _layers() -> dict[int, NDArray[np.float32]]:
    """Return shares of white matter, grey matter and fluid from left to right, mixed at their borders."""
    place = np.arange(SIDE, dtype=np.float32)[:, None, None] + np.linspace(-0.5, 0.5, SIDE)[:, None]
    white, within = np.clip(9.2 - place, 0, 1), np.clip(16.4 - place, 0, 1)
    each = {WM: white, GM: within - white, CSF: 1 - within}
    return {tissue: np.broadcast_to(one, (SIDE,) * 3).astype(np.float32) for tissue, one in each.items()}


def _scan(noise: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return a T1w of the layers and the tissue of the largest share, within a brain that leaves a border of air."""
    shares = _layers()
    signal = sum(LEVELS[tissue] * one for tissue, one in shares.items())
    signal = signal + noise * np.random.default_rng(0).standard_normal(signal.shape)
    labels = np.array([CSF, GM, WM], np.uint8)[np.argmax([shares[one] for one in (CSF, GM, WM)], axis=0)]
    for axis in range(3):
        np.moveaxis(labels, axis, 0)[[0, 1, -2, -1]] = 0
    return signal.astype(np.float32), labels


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Sample:
    signal, labels = _scan()
    monkeypatch.setattr(real_heads, "segment", lambda image, mask, _: np.where(mask, labels, 0).astype(np.uint8))
    return Sample(SCALE.to_network(signal), labels > 0, AFFINE, SCALE)


def test_shares_of_mixed_voxels_are_found_from_their_intensity() -> None:
    signal, labels = _scan()
    found, truth, inside = tissue_shares(signal, labels, 4.0), _layers(), labels > 0
    for tissue, one in truth.items():
        assert np.abs(found[tissue] - one)[inside].max() < 0.03
        assert not found[tissue][~inside].any()
    assert sum(found.values())[inside] == pytest.approx(1, abs=1e-5)


def test_noise_within_a_tissue_does_not_become_anatomy() -> None:
    signal, labels = _scan(0.03)
    found = tissue_shares(signal, labels, 4.0)
    assert (found[WM][3:7, 3:-3, 3:-3] == 1).all()
    assert (found[CSF][19:21, 3:-3, 3:-3] == 1).all()


def test_fluid_beside_white_matter_gets_no_rim_of_grey() -> None:
    share = np.clip(8.3 - np.arange(16, dtype=np.float32), 0, 1)[:, None, None] * np.ones((16, 8, 8), np.float32)
    labels = np.where(share > 0.5, WM, CSF).astype(np.uint8)
    found = tissue_shares(LEVELS[WM] * share + LEVELS[CSF] * (1 - share), labels, 4.0)
    assert not found[GM].any()
    assert np.abs(found[WM] - share).max() < 0.03


def test_a_head_holds_the_shares_of_its_scan_in_its_place(sample: Sample) -> None:
    head = real_head(sample, ITEM, None)
    first = np.rint((head.affine - AFFINE)[:3, 3] / VOXEL_MM).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(first, head.maps.shape[:3], strict=True))
    inside = sample.mask[box]
    assert np.array_equal(head.maps[..., INTRACRANIAL] == WHOLE, inside)
    for tissue, one in _layers().items():
        assert np.abs(head.maps[..., CHANNEL[tissue]] / WHOLE - one[box])[inside].max() < 0.04
    assert inside.sum() == sample.mask.sum()


def test_lesions_are_neither_tissue_nor_given_nor_wanted(sample: Sample) -> None:
    lesions = np.zeros_like(sample.mask)
    lesions[8:14, 8:14, 8:14] = True
    head = real_head(sample, ITEM, lesions)
    unknown = head.maps[..., INTRACRANIAL] == UNKNOWN
    assert unknown.sum() == 6**3
    assert not head.maps[unknown][:, :INTRACRANIAL].any()
    side = max(head.maps.shape[:3])
    made = SimulatedPatches(SmallFineHeads(), side=side, voxel_mm=VOXEL_MM, faults=Faults(cut_share=0.0))
    for seed in range(12):
        patch = made.patch_of(head, np.random.default_rng(seed))
        assert not patch.given[0].seen[: unknown.shape[0], : unknown.shape[1], : unknown.shape[2]][unknown].any()
        if patch.at is None:
            assert not patch.mask[: unknown.shape[0], : unknown.shape[1], : unknown.shape[2]][unknown].any()


def test_what_is_unknown_of_a_person_is_not_said(sample: Sample) -> None:
    made = SimulatedPatches(SmallFineHeads(), side=8, voxel_mm=VOXEL_MM)
    patch = made.patch_of(real_head(sample, ITEM, None), np.random.default_rng(0))
    assert patch.record.age_years is None
    assert patch.record.sex is None
    known = replace(ITEM, record=PromptRecord(contrast="T1w", age_years=101.0, sex="M"))
    subject, unstated = person_of(known)
    assert (subject.age_years, subject.sex, unstated) == (100.0, "M", ())


def _images(items: list[Item]) -> CatalogueImages:
    return CatalogueImages(items, [], "snapshot", "data", "recipe", VOXEL_MM, 0, 0)


def test_one_t1w_of_each_training_person_is_taken(sample: Sample, tmp_path: Path) -> None:
    items = [
        HEALTHY,
        replace(HEALTHY, image_id="again"),
        replace(HEALTHY, person_id="other", contrast_label="T2w"),
        replace(HEALTHY, person_id="val", split="val"),
        replace(HEALTHY, person_id="test", split="test_internal"),
        replace(HEALTHY, person_id="second"),
        replace(HEALTHY, person_id="simulated", is_simulated=True),
    ]
    images = _images(items)
    bank = RealHeads(tmp_path, images, 9)
    assert [images.items[index].person_id for index in bank.indices] == ["person", "second"]
    images._cache._entries.update(dict.fromkeys(range(len(items)), sample))
    joined = JoinedHeads([SmallFineHeads(2), bank])
    assert joined.n_heads == 4
    assert np.array_equal(joined.head(3).maps, real_head(sample, items[5], None).maps)
    assert joined.head(3).unstated == ("age_years", "sex")
    assert np.array_equal(joined.head(1).maps, SmallFineHeads().head(1).maps)
    with pytest.raises(ModelError, match="joined"):
        JoinedHeads([SmallFineHeads(voxel_mm=1.0), bank])


def test_a_person_whose_lesions_are_not_known_is_not_taken(tmp_path: Path) -> None:
    items = [
        ITEM,
        replace(ITEM, person_id="lost", lesions=(LesionFile(tmp_path / "absent.nii.gz"),)),
        replace(ITEM, person_id="later"),
        replace(HEALTHY, person_id="later", image_id="known"),
    ]
    assert [item.image_id for item in RealHeads(tmp_path, _images(items), 9).items] == ["known"]


def test_thick_slices_are_no_anatomy(tmp_path: Path) -> None:
    sizes = {"fine": (1.0, 1.0, 1.5 * VOXEL_MM), "thick": (1.0, 1.0, 1.6 * VOXEL_MM), "unknown": None}
    items = [
        replace(HEALTHY, person_id=name, record=PromptRecord(contrast="T1w", voxel_size_mm=size))
        for name, size in sizes.items()
    ]
    assert {item.person_id for item in RealHeads(tmp_path, _images(items), 9).items} == {"fine", "unknown"}


def test_no_more_people_are_taken_than_wanted_and_another_one_changes_few(tmp_path: Path) -> None:
    items = [replace(HEALTHY, person_id=str(number)) for number in range(12)]
    few = {item.person_id for item in RealHeads(tmp_path, _images(items[:-1]), 5).items}
    more = {item.person_id for item in RealHeads(tmp_path, _images(items), 5).items}
    assert len(few) == len(more) == 5
    assert len(few - more) <= 1
    assert RealHeads(tmp_path, _images(items), 0).n_heads == 0


def test_another_scan_or_mask_gives_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def path(item: Item) -> Path:
        return RealHeads(tmp_path, _images([item]), 1)._path(0)

    assert path(HEALTHY) == path(replace(HEALTHY))
    assert path(HEALTHY) != path(replace(HEALTHY, source_sha256="another"))
    assert path(HEALTHY) != path(replace(HEALTHY, path=tmp_path / "harmonised-again" / "session.zarr"))
    before = path(HEALTHY)
    monkeypatch.setattr(LesionMasks, "content_hash", lambda masks, item: "drawn anew")
    assert path(HEALTHY) != before


def test_a_scan_of_another_grid_or_without_tissue_is_refused(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored = replace(sample, affine=AFFINE @ np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(ModelError, match="R, A, S"):
        real_head(mirrored, ITEM, None)
    monkeypatch.setattr(real_heads, "segment", lambda image, mask, _: np.zeros(mask.shape, np.uint8))
    with pytest.raises(ModelError, match="no tissue"):
        real_head(sample, ITEM, None)
