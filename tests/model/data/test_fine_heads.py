"""Heads at the resolution of a working grid: what is kept of them, and whose they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from model.data import fine_heads
from model.data.fine_heads import INTRACRANIAL, N_TISSUES, WHOLE, FineHeads, around_brain
from model.data.head_bank import TRAINING_PEOPLE, VALIDATION_PEOPLE
from model.data.random_pairs import Ranges, random_subject
from model.simulation.head import Head
from tests.model.data.small_fine_heads import SmallFineHeads

VOXEL_MM, MARGIN_MM = 6.0, 12.0


@pytest.fixture(scope="module")
def drawn() -> Head:
    """Return a head of random shares, one end of whose grid is far from its brain."""
    subject = random_subject(Ranges(), "bank", TRAINING_PEOPLE, 0)
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(N_TISSUES, 0.1), (16, 15, 18)).astype(np.float32)
    inside = np.zeros(shares.shape[:3], bool)
    inside[4:11, 5:10, 3:12] = True
    affine = np.diag([VOXEL_MM] * 3 + [1.0])
    affine[:3, 3] = -40, -50, -60
    return Head(
        subject=subject,
        fractions=torch.from_numpy(np.ascontiguousarray(np.moveaxis(shares, -1, 0))),
        affine=affine,
        lesion_masks={},
        displacement_mm=np.zeros((3, *inside.shape), np.float32),
        properties_scale={},
        inflow=torch.zeros(inside.shape),
        intracranial=inside,
    )


@pytest.fixture(scope="module")
def bank(drawn: Head, tmp_path_factory: pytest.TempPathFactory) -> FineHeads:
    """Return a bank for which the head is drawn when its first person is asked for."""
    made = FineHeads(tmp_path_factory.mktemp("heads"), TRAINING_PEOPLE, 1, VOXEL_MM, MARGIN_MM)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fine_heads, "make_head", lambda *asked: {(drawn.subject, VOXEL_MM): drawn}[asked])
        made.fill(1)
    return made


def test_a_kept_head_has_the_shares_of_its_drawing_to_a_255th(bank: FineHeads, drawn: Head) -> None:
    kept = bank.head(0)
    first = np.rint(np.linalg.inv(drawn.affine) @ kept.affine[:, 3]).astype(int)[:3]
    box = tuple(slice(a, a + n) for a, n in zip(first, kept.maps.shape[:3], strict=True))
    there = np.moveaxis(drawn.fractions.numpy()[(slice(None), *box)], 0, -1)
    assert np.abs(kept.maps[..., :N_TISSUES] / WHOLE - there).max() < 0.51 / WHOLE
    assert np.array_equal(kept.maps[..., INTRACRANIAL] > 0, drawn.intracranial[box])


def test_a_kept_head_holds_the_whole_intracranial_space_with_its_margin(bank: FineHeads, drawn: Head) -> None:
    inside = bank.head(0).maps[..., INTRACRANIAL] > 0
    assert inside.sum() == drawn.intracranial.sum()
    found = np.argwhere(inside)
    assert np.array_equal(found.min(0), [2, 2, 2])
    assert np.array_equal(np.array(inside.shape) - 1 - found.max(0), [2, 2, 2])


def test_places_lie_in_the_brain_and_their_shares_are_those_of_the_maps() -> None:
    head = SmallFineHeads().head(0)
    assert (head.maps[..., INTRACRANIAL][tuple(head.places.T)] > 0).all()
    assert np.array_equal(head.brain_shares(np.ones(3)), head.maps[tuple(head.places.T)][:, :N_TISSUES])


@pytest.mark.parametrize(("size", "box"), [((1, 1, 5), (1, 1, 5)), ((3, 1, 1), (3, 1, 1)), ((3, 3, 3), (3, 3, 3))])
def test_shares_of_larger_voxels_are_means_over_them(size: tuple[int, ...], box: tuple[int, ...]) -> None:
    head = SmallFineHeads().head(0)
    averaged = [
        ndimage.uniform_filter(head.maps[..., tissue].astype(float), box, mode="nearest")[tuple(head.places.T)]
        for tissue in range(N_TISSUES)
    ]
    assert np.abs(head.brain_shares(np.array(size, float)) - np.stack(averaged, -1)).max() < 0.51


def test_a_block_beyond_the_head_is_air() -> None:
    head = SmallFineHeads().head(0)
    block = head.block([-3, 4, 20], [10, 8, 12])
    assert block.shape[:3] == (10, 8, 12)
    assert not block[:3].any()
    assert not block[:, :, 8:].any()
    assert np.array_equal(block[3:, :, :8], head.maps[:7, 4:12, 20:])


def test_people_of_training_and_validation_have_nobody_in_common(tmp_path: Path) -> None:
    people = [
        {FineHeads(tmp_path, seed, 40, VOXEL_MM)._subject(number).seed for number in range(40)}
        for seed in (TRAINING_PEOPLE, VALIDATION_PEOPLE)
    ]
    assert len(people[0]) == len(people[1]) == 40
    assert not people[0] & people[1]


def test_an_interrupted_write_leaves_no_head(bank: FineHeads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = FineHeads(tmp_path, TRAINING_PEOPLE, 1, VOXEL_MM, MARGIN_MM)
    kept = bank.head(0)
    monkeypatch.setattr(fine_heads, "make_head", lambda *_: None)
    monkeypatch.setattr(fine_heads, "around_brain", lambda *_: kept)
    monkeypatch.setattr(fine_heads.atomic, "move", _fail_at_maps)
    with pytest.raises(KeyboardInterrupt):
        other.fill(1)
    assert not list(tmp_path.rglob("head-00000.npy"))


def _fail_at_maps(temporary: Path, target: Path) -> None:
    if target.name == "head-00000.npy":
        raise KeyboardInterrupt
    temporary.rename(target)


def test_a_head_near_the_edge_of_its_grid_has_a_smaller_margin(drawn: Head) -> None:
    assert around_brain(drawn, 500.0).maps.shape[:3] == drawn.intracranial.shape
