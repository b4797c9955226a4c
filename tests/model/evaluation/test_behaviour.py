from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import Source
from model.evaluation.behaviour import (
    IRRELEVANT,
    behaviour,
    edge_shift_mm,
    identity,
    prompt_swap_gain_db,
    structural_change,
    tiles,
)
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord

SIZE_MM = (1.0, 1.5, 3.0)
T1W, T2W = PromptRecord("T1w", age_years=50.0, sex="F"), PromptRecord("T2w", age_years=50.0, sex="F")
Volume = NDArray[np.float32]


def brain(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Blobs of three tissues without any symmetry, in an ellipsoid off the centre."""
    shape = (30, 26, 24)
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    tissue = np.digitize(noise, np.quantile(noise, (0.3, 0.65))).astype(np.float64)
    i, j, k = np.indices(shape)
    mask = ((i - 13) / 11) ** 2 + ((j - 13) / 10) ** 2 + ((k - 12) / 9) ** 2 < 1
    return ndimage.gaussian_filter(tissue, 0.7) - 1.0, mask


IMAGE, MASK = brain()
SOURCE = Source(IMAGE.astype(np.float32), MASK, T1W)


class Model:
    """Makes a function of the source and the prompt."""

    def __init__(self, make: Callable[[Volume, PromptRecord], Volume]) -> None:
        self.make = make

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> Volume:
        return self.make(sources[0].voxels, target)


class Tiled:
    """Adds the position within the tile."""

    def __init__(self, seam: float) -> None:
        self.seam = seam

    def volume(self, sources: Sequence[Source], target: PromptRecord, *, tiled: bool = False) -> Volume:
        made = sources[0].voxels.copy()
        if tiled:
            made += (self.seam * (np.arange(made.shape[0]) % 8 == 0))[:, None, None].astype(np.float32)
        return made


SAME = Model(lambda voxels, record: voxels)


def moved(voxels: Volume, shift: tuple[float, float, float]) -> Volume:
    return np.asarray(ndimage.shift(voxels, shift, order=3, mode="nearest"), np.float32)


def ages(voxels: Volume, record: PromptRecord) -> Volume:
    """Widens the left half of the brain with age by half a voxel."""
    half = np.arange(voxels.shape[0])[:, None, None] < 15
    return np.where(half, moved(voxels, (0.01 * (record.age_years or 0.0), 0, 0)), voxels)


def test_the_identity_has_the_best_figures_and_a_blur_has_not() -> None:
    assert identity(SAME, SOURCE, MASK) == {"identity_psnr_db": 100.0, "identity_ssim": pytest.approx(1.0)}
    blurred = identity(Model(lambda voxels, record: ndimage.gaussian_filter(voxels, 1.0)), SOURCE, MASK)
    assert blurred["identity_psnr_db"] < 30
    assert blurred["identity_ssim"] < 0.95


def test_a_mirrored_identity_is_caught() -> None:
    mirrored = identity(Model(lambda voxels, record: voxels[::-1]), SOURCE, MASK)
    assert mirrored["identity_ssim"] < 0.5


def test_identity_asks_for_the_prompt_of_the_source_and_the_rest_for_the_other() -> None:
    heard: list[PromptRecord] = []

    def listen(voxels: Volume, record: PromptRecord) -> Volume:
        heard.append(record)
        return voxels

    behaviour(Model(listen), SOURCE, T2W, MASK, SIZE_MM)
    assert heard[0] == T1W
    assert {record.contrast for record in heard[1:]} == {"T2w"}
    assert len(heard) == 1 + 2 * len(IRRELEVANT)
    assert [record.age_years for record in heard[1:3]] == [25.0, 75.0]


def test_a_model_that_ignores_irrelevant_fields_moves_nothing() -> None:
    found = behaviour(SAME, SOURCE, T2W, MASK, SIZE_MM)
    for name in IRRELEVANT:
        assert found[f"irrelevant_{name}"] == pytest.approx(0, abs=1e-9)
        assert found[f"irrelevant_{name}_shift_mm"] == pytest.approx(0, abs=1e-9)


def test_a_model_that_moves_anatomy_with_age_is_caught_and_not_blamed_for_sex() -> None:
    found = behaviour(Model(ages), SOURCE, T2W, MASK, SIZE_MM)
    assert found["irrelevant_age"] > 0.008
    assert found["irrelevant_age_shift_mm"] > 0.3
    assert found["irrelevant_sex"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("gain", [0.05, 1.5, -0.5])
def test_a_gain_and_an_offset_are_no_change_of_anatomy(gain: float) -> None:
    def other(voxels: Volume, record: PromptRecord) -> Volume:
        return gain * voxels + 0.2 if record.vendor == "GE" else voxels

    found = behaviour(Model(other), SOURCE, T2W, MASK, SIZE_MM)
    assert found["irrelevant_vendor"] < 1e-3
    assert found["irrelevant_vendor_shift_mm"] < 0.05


def test_contrast_that_changes_with_edges_in_place_counts_less_than_edges_that_move() -> None:
    curved = np.sign(IMAGE) * np.abs(IMAGE) ** 1.3
    shifted = moved(IMAGE.astype(np.float32), (1.0, 0, 0)).astype(np.float64)
    assert structural_change(IMAGE, curved, MASK) < 0.5 * structural_change(IMAGE, shifted, MASK)
    assert edge_shift_mm(IMAGE, curved, MASK, SIZE_MM) < 0.5 * edge_shift_mm(IMAGE, shifted, MASK, SIZE_MM)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_is_found_in_millimetres_along_each_axis(axis: int) -> None:
    smooth = ndimage.gaussian_filter(IMAGE, 1.0)
    shift = [0.0, 0.0, 0.0]
    shift[axis] = 0.5
    other = moved(smooth.astype(np.float32), tuple(shift)).astype(np.float64)  # type: ignore[arg-type]
    assert edge_shift_mm(smooth, other, MASK, SIZE_MM) == pytest.approx(0.5 * SIZE_MM[axis], rel=0.35)


def test_an_unrelated_anatomy_is_no_structure_in_common() -> None:
    assert structural_change(IMAGE, brain(1)[0], MASK) > 0.8


def test_what_lies_outside_the_mask_does_not_count() -> None:
    far = ndimage.binary_dilation(MASK, iterations=7)
    other = np.where(far, IMAGE, -IMAGE)
    assert structural_change(IMAGE, other, MASK) == pytest.approx(0, abs=1e-3)


def test_tiles_that_know_their_place_are_caught() -> None:
    assert tiles(Tiled(0.0), SOURCE, T2W, MASK) == {"tiles_max_difference": 0.0}
    assert tiles(Tiled(0.3), SOURCE, T2W, MASK)["tiles_max_difference"] == pytest.approx(0.3, abs=1e-6)
    assert "tiles_max_difference" in behaviour(Tiled(0.3), SOURCE, T2W, MASK, SIZE_MM)


def test_a_model_without_tiles_has_no_figure_for_them() -> None:
    assert tiles(SAME, SOURCE, T2W, MASK) == {}


def test_a_prompt_that_is_not_heard_gains_nothing() -> None:
    wrong = IMAGE + 0.5
    assert prompt_swap_gain_db(IMAGE + 0.05, wrong, IMAGE, MASK) == pytest.approx(20.0, abs=1e-6)
    assert prompt_swap_gain_db(wrong, wrong, IMAGE, MASK) == 0.0
    assert prompt_swap_gain_db(wrong, IMAGE + 0.05, IMAGE, MASK) < 0


@pytest.mark.parametrize(
    "make",
    [lambda voxels, record: voxels[:-1], lambda voxels, record: voxels * np.nan],
    ids=["another shape", "not finite"],
)
def test_what_is_no_image_is_refused(make: Callable[[Volume, PromptRecord], Volume]) -> None:
    with pytest.raises(ModelError, match="train it again"):
        behaviour(Model(make), SOURCE, T2W, MASK, SIZE_MM)


def test_a_flat_image_is_measured() -> None:
    flat = Model(lambda voxels, record: np.zeros_like(voxels))
    found = behaviour(flat, SOURCE, replace(T2W, sex=None), MASK, SIZE_MM)
    assert found["irrelevant_age"] == pytest.approx(0)
    assert found["irrelevant_age_shift_mm"] == 0.0
