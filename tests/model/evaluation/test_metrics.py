"""Measures of likeness: known answers, scikit-image's answers, and what they must do when an image gets worse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from model.evaluation.metrics import (
    HIGHER_IS_BETTER,
    MAX_PSNR_DB,
    brain_range,
    fit_gain_offset,
    mae,
    measure,
    nmi,
    psnr,
    rim,
    ssim3d,
)
from warehouse.errors import ModelError

SHAPE = (21, 24, 19)
SIZE_MM = (1.0, 1.0, 1.0)
Measure = Callable[..., float]


def measured(made: NDArray[np.float64], target: NDArray[np.float64], mask: NDArray[np.bool_]) -> dict[str, float]:
    """The figures in the brain by their names."""
    return {name: value for (name, where), value in measure(made, target, mask, SIZE_MM).items() if where == "brain"}


@pytest.fixture
def target() -> NDArray[np.float64]:
    """A smooth volume in [0, 1]."""
    noise = gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 1.2)
    return np.asarray((noise - noise.min()) / np.ptp(noise))


@pytest.fixture
def mask() -> NDArray[np.bool_]:
    """A ball in the middle."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(sum(axis**2 for axis in grid) < 0.7)


EVERYWHERE = np.ones(SHAPE, bool)


def test_a_difference_of_a_tenth_everywhere_is_20_db(target: NDArray[np.float64]) -> None:
    assert psnr(target + 0.1, target, EVERYWHERE) == pytest.approx(20.0)
    assert mae(target + 0.1, target, EVERYWHERE) == pytest.approx(0.1)


def test_twice_the_range_is_6_db_more(target: NDArray[np.float64]) -> None:
    doubled = psnr(target + 0.1, target, EVERYWHERE, data_range=2.0)
    assert doubled - psnr(target + 0.1, target, EVERYWHERE) == pytest.approx(6.0206, abs=1e-4)


def test_equal_volumes_have_the_highest_values(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    assert psnr(target, target, mask) == MAX_PSNR_DB
    assert ssim3d(target, target, mask) == pytest.approx(1.0)
    assert mae(target, target, mask) == 0.0


def test_what_lies_outside_the_mask_does_not_count(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    spoilt = np.where(mask, target, 1 - target)
    assert psnr(spoilt, target, mask) == MAX_PSNR_DB
    assert psnr(spoilt, target, EVERYWHERE) < 20


def test_a_constant_against_another_has_the_similarity_of_their_luminance() -> None:
    x, y = np.full(SHAPE, 0.25), np.full(SHAPE, 0.75)
    c1 = 0.01**2
    assert ssim3d(x, y, EVERYWHERE) == pytest.approx((2 * 0.25 * 0.75 + c1) / (0.25**2 + 0.75**2 + c1))


def test_float16_volumes_are_measured_without_loss(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    stored, made = target.astype(np.float16), (target * 0.9).astype(np.float32)
    exact = measure(made.astype(np.float64), stored.astype(np.float64), mask, SIZE_MM)
    assert measure(made, stored, mask, SIZE_MM) == pytest.approx(exact)


def test_it_gives_each_figure_in_the_brain_and_three_in_the_volume(
    target: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    found = measure(noisy(target, 0.1), target, mask, SIZE_MM)
    in_volume = {(name, "volume") for name in ("psnr_db", "ssim", "mae")}
    assert set(found) == {(name, "brain") for name in HIGHER_IS_BETTER} | in_volume


def test_its_range_is_that_of_the_targets_brain(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    bright = np.where(mask, target, 50.0)  # scalp
    low, high = np.percentile(target[mask], (0.5, 99.5))
    assert brain_range(bright, mask) == pytest.approx(high - low)
    made = bright + 0.1 * (high - low)
    found = measured(made, bright, mask)
    assert found["psnr_db"] == pytest.approx(20)
    assert found["mae"] == pytest.approx(0.1)


def test_nothing_is_clipped(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    made = target.copy()
    made[10, 12, 9] += 100.0
    assert mask[10, 12, 9]
    expected = 100.0 / mask.sum() / brain_range(target, mask)
    assert measured(made, target, mask)["mae"] == pytest.approx(expected)


def test_the_unit_of_both_volumes_does_not_matter(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    made = noisy(target, 0.1)
    again = measured(250 * made - 30, 250 * target - 30, mask)
    assert again == pytest.approx(measured(made, target, mask), rel=1e-9)


def test_gain_and_offset_change_figures_as_made_but_not_the_fitted_ones(
    target: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    made = noisy(target, 0.1)
    before, after = measured(made, target, mask), measured(0.7 * made + 0.5, target, mask)
    for name in ("psnr_db", "ssim", "mae"):
        assert (after[name] < 0.9 * before[name]) == HIGHER_IS_BETTER[name]
        assert after[name] != pytest.approx(before[name], rel=0.1)
        assert after[f"{name}_fitted"] == pytest.approx(before[f"{name}_fitted"], rel=1e-9)
    assert after["nmi"] == pytest.approx(before["nmi"], abs=1e-3)


def test_a_fitted_figure_is_that_of_the_volume_after_the_fit(
    target: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    made = 0.5 * noisy(target, 0.1) + 3
    gain, offset = fit_gain_offset(made, target, mask)
    brought, found = measured(gain * made + offset, target, mask), measured(made, target, mask)
    for name in ("psnr_db", "ssim", "mae"):
        assert found[f"{name}_fitted"] == pytest.approx(brought[name], rel=1e-9)
    slope, intercept = np.polyfit(made[mask], target[mask], 1)
    assert (gain, offset) == pytest.approx((slope, intercept))


def test_the_offset_of_a_whole_brain_of_float32_is_kept() -> None:
    rng = np.random.default_rng(2)
    x = (1234.567 + rng.normal(0, 0.5, (110, 100, 100))).astype(np.float32)
    y = (300 * (x.astype(np.float64) - 1234.567) + 7).astype(np.float32)
    brain = np.ones(x.shape, bool)
    gain, offset = fit_gain_offset(x, y, brain)
    assert np.abs(gain * x.astype(np.float64) + offset - y).max() < 1e-3
    with pytest.warns(np.exceptions.RankWarning):
        slope, intercept = np.polyfit(x.ravel(), y.ravel(), 1)  # float32 cuts the smaller singular value
    assert np.abs(slope * x.astype(np.float64) + intercept - y).mean() > 100


def test_a_prediction_of_one_intensity_fits_as_the_mean(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    flat = np.full(SHAPE, 0.1)
    gain, offset = fit_gain_offset(flat, target, mask)
    assert gain * 0.1 + offset == pytest.approx(target[mask].mean())
    assert gain == 0
    assert nmi(flat, target, mask) == 1.0


def test_a_mirrored_target_is_clearly_worse() -> None:
    target, mask = anatomy()
    found, mirrored = (measured(noisy(one, 0.03), target, mask) for one in (target, target[::-1]))
    assert mirrored["psnr_db"] < found["psnr_db"] - 3
    assert mirrored["ssim"] < found["ssim"] - 0.1
    assert mirrored["nmi"] < found["nmi"] - 0.05
    assert mirrored["mae"] > 1.5 * found["mae"]


@pytest.mark.parametrize("axis", range(3))
def test_a_grid_shifted_by_one_voxel_is_worse(axis: int) -> None:
    target, mask = anatomy()
    found, shifted = (measured(noisy(one, 0.03), target, mask) for one in (target, np.roll(target, 1, axis)))
    assert shifted["psnr_db"] < found["psnr_db"] - 1
    assert shifted["ssim"] < found["ssim"] - 0.02
    assert shifted["nmi"] < found["nmi"] - 0.01


def test_a_wrong_mask_changes_the_figures() -> None:
    target, mask = anatomy()
    made = np.where(mask, noisy(target, 0.03), 0)  # a stripped prediction against a head
    found = measured(made, target, mask)
    for wrong in (binary_dilation(mask, iterations=2), np.roll(mask, 4, axis=1)):
        other = measured(made, target, wrong)
        assert other["psnr_db"] < found["psnr_db"] - 3
        assert other["mae"] > 1.3 * found["mae"]


@pytest.mark.parametrize("size_mm", [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0), (4.0, 4.0, 4.0)])
def test_the_rim_is_three_millimetres_whatever_the_voxels(size_mm: tuple[float, float, float]) -> None:
    mask = np.zeros((30, 32, 12), bool)
    mask[2:28, 3:29, 2:10] = True
    outer = rim(mask, size_mm)
    n_layers = [max(int(np.sum((np.arange(9) + 0.5) * size < 3.0)), 0) for size in size_mm]
    if size_mm[2] > 3 * size_mm[0]:
        n_layers[2] = 0  # the centre of the first slice lies nearly 5 mm from that of the one outside
    deep = np.zeros_like(mask)
    i, j, k = n_layers
    deep[2 + i : 28 - i, 3 + j : 29 - j, 2 + k : 10 - k] = True
    np.testing.assert_array_equal(outer, mask & ~deep)


def test_a_bright_rim_shows_in_the_rim_and_not_deeper() -> None:
    target, mask = anatomy()
    made = target + 0.3 * brain_range(target, mask) * rim(mask, SIZE_MM)
    found = measured(made, target, mask)
    assert found["mae_rim"] == pytest.approx(0.3)
    assert found["mae_deep"] == 0


def test_a_brain_at_the_border_of_the_volume_has_a_rim_there(target: NDArray[np.float64]) -> None:
    outer = rim(EVERYWHERE, SIZE_MM)
    assert outer[:3].all()
    assert not outer[3:-3, 3:-3, 3:-3].any()


def test_a_target_without_contrast_is_refused(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    with pytest.raises(ModelError, match="no contrast"):
        measure(target, np.where(mask, 0.3, target), mask, SIZE_MM)


def anatomy() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A head with a brain whose sides differ, in units that are not those of the range."""
    rng = np.random.default_rng(11)
    shape = (26, 30, 24)
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    brain = np.asarray(sum(axis**2 for axis in grid) < 0.6)
    noise = gaussian_filter(rng.normal(size=shape), 1.2)
    return np.where(brain, noise / noise.std() / 4, 1.5), brain


def noisy(volume: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    return volume + amount * np.random.default_rng(7).normal(size=volume.shape)


def blurred(volume: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    return np.asarray(gaussian_filter(volume, 10 * amount))


def moved(volume: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    return np.roll(volume, round(20 * amount), axis=1)


def dimmed(volume: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    return volume * (1 - amount)


@pytest.mark.parametrize("worse", [noisy, blurred, moved, dimmed])
@pytest.mark.parametrize("name", ["psnr_db", "ssim", "mae"])
@pytest.mark.parametrize("where", ["brain", "volume"])
def test_every_measure_gets_worse_as_the_image_does(
    target: NDArray[np.float64],
    mask: NDArray[np.bool_],
    worse: Callable[..., NDArray[np.float64]],
    name: str,
    where: str,
) -> None:
    found = [measure(worse(target, amount), target, mask, SIZE_MM)[name, where] for amount in (0.05, 0.1, 0.2)]
    assert sorted(found, reverse=name != "mae") == found
    assert found[0] != found[-1]


BAD = {
    "shapes differ": (np.zeros((3, 4, 5)), np.zeros((3, 4, 6)), np.ones((3, 4, 5), bool)),
    "mask of another shape": (np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), np.ones((3, 4, 4), bool)),
    "empty mask": (np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), np.zeros((3, 4, 5), bool)),
    "mask of numbers": (np.zeros((3, 4, 5)), np.zeros((3, 4, 5)), np.ones((3, 4, 5))),
    "NaN made": (np.full((3, 4, 5), np.nan), np.zeros((3, 4, 5)), np.ones((3, 4, 5), bool)),
    "infinite target": (np.zeros((3, 4, 5)), np.full((3, 4, 5), np.inf), np.ones((3, 4, 5), bool)),
}


@pytest.mark.parametrize("volumes", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("function", [psnr, ssim3d, mae, nmi, fit_gain_offset, lambda *one: measure(*one, SIZE_MM)])
def test_what_cannot_be_measured_is_refused(function: Measure, volumes: tuple[NDArray[np.float64], ...]) -> None:
    with pytest.raises(ModelError, match=r"shape|mask|NaN"):
        function(*volumes)


@pytest.mark.parametrize("data_range", [0.0, -1.0, float("nan")])
def test_a_range_without_extent_is_refused(target: NDArray[np.float64], data_range: float) -> None:
    with pytest.raises(ModelError, match="data range"):
        psnr(target, target, EVERYWHERE, data_range)
