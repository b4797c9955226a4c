"""Measures of likeness: known answers, scikit-image's answers, and what they must do when an image gets worse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from model.evaluation import metrics
from model.evaluation.metrics import MAX_PSNR_DB, mae, measure, psnr, ssim3d, ssim_map
from warehouse.errors import ModelError

SHAPE = (21, 24, 19)
Measure = Callable[..., float]


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


def test_it_is_scikit_image_where_the_definition_is_the_same(
    target: NDArray[np.float64], mask: NDArray[np.bool_]
) -> None:
    reference = pytest.importorskip("skimage.metrics")
    made = target + np.random.default_rng(5).normal(0, 0.08, SHAPE)
    settings = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    mean_inside, similarity = reference.structural_similarity(made, target, **settings)
    assert ssim3d(made, target, mask) == pytest.approx(similarity[mask].mean(), abs=1e-4)
    ours = ssim_map(torch.from_numpy(made)[None, None], torch.from_numpy(target)[None, None])[0, 0]
    assert float(ours[5:-5, 5:-5, 5:-5].mean()) == pytest.approx(mean_inside, abs=1e-4)
    expected = reference.peak_signal_noise_ratio(target, made, data_range=1.0)
    assert psnr(made, target, EVERYWHERE) == pytest.approx(expected, abs=1e-4)
    inside = reference.peak_signal_noise_ratio(target[mask], made[mask], data_range=1.0)
    assert psnr(made, target, mask) == pytest.approx(inside, abs=1e-4)


@pytest.mark.parametrize("shape", [(16, 13, 15), (1, 9, 4), (2, 3, 24)])
def test_the_window_is_scipys_gaussian_with_mirrored_borders(shape: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(1).random(shape)
    expected = gaussian_filter(volume, 1.5, truncate=3.5, mode="reflect")
    np.testing.assert_allclose(metrics._blurred(torch.from_numpy(volume)[None, None])[0, 0], expected, atol=1e-12)


def test_float16_volumes_are_measured_without_loss(target: NDArray[np.float64], mask: NDArray[np.bool_]) -> None:
    stored, made = target.astype(np.float16), (target * 0.9).astype(np.float32)
    exact = measure(made.astype(np.float64), stored.astype(np.float64), mask)
    assert measure(made, stored, mask) == pytest.approx(exact)


def noisy(volume: NDArray[np.float64], amount: float) -> NDArray[np.float64]:
    return volume + amount * np.random.default_rng(7).normal(size=SHAPE)


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
    found = [measure(worse(target, amount), target, mask)[name, where] for amount in (0.05, 0.1, 0.2)]
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
@pytest.mark.parametrize("function", [psnr, ssim3d, mae, measure])
def test_what_cannot_be_measured_is_refused(function: Measure, volumes: tuple[NDArray[np.float64], ...]) -> None:
    with pytest.raises(ModelError, match=r"shape|mask|NaN"):
        function(*volumes)


@pytest.mark.parametrize("data_range", [0.0, -1.0, float("nan")])
def test_a_range_without_extent_is_refused(target: NDArray[np.float64], data_range: float) -> None:
    with pytest.raises(ModelError, match="data range"):
        psnr(target, target, EVERYWHERE, data_range)
