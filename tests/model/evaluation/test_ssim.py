"""Structural similarity, PSNR and NMI are those of scikit-image and pytorch-msssim where definitions agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_msssim import ssim as msssim
from scipy.ndimage import gaussian_filter
from skimage.metrics import normalized_mutual_information, peak_signal_noise_ratio, structural_similarity

from model.evaluation import ssim
from model.evaluation.metrics import brain_range, measure, nmi, ssim3d, ssim_map
from model.evaluation.ssim import WindowMoments

SHAPE = (27, 31, 25)
SIZE_MM = (1.0, 1.0, 1.0)
Volume = NDArray[np.float64]


@pytest.fixture(scope="module")
def pair() -> tuple[Volume, Volume, NDArray[np.bool_]]:
    """A prediction and a target in spreads from the median, not in [0, 1], and a brain that nears no border."""
    rng = np.random.default_rng(3)
    target = gaussian_filter(rng.normal(size=SHAPE), 1.2)
    target /= target.std()
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return 0.8 * target + 0.3 * rng.normal(size=SHAPE) + 0.1, target, np.asarray(sum(axis**2 for axis in grid) < 0.5)


def on_display(pair: tuple[Volume, Volume, NDArray[np.bool_]]) -> tuple[Volume, Volume]:
    made, target, mask = pair
    low = np.percentile(target[mask], 0.5)
    return (made - low) / brain_range(target, mask), (target - low) / brain_range(target, mask)


def test_figures_are_those_of_scikit_image(pair: tuple[Volume, Volume, NDArray[np.bool_]]) -> None:
    found, mask = measure(*pair, SIZE_MM), pair[2]
    made, target = on_display(pair)
    settings = {"data_range": 1.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    similarity = structural_similarity(made, target, **settings)[1]
    assert found["ssim", "brain"] == pytest.approx(similarity[mask].mean(), abs=1e-6)
    assert found["ssim", "volume"] == pytest.approx(similarity.mean(), abs=1e-6)
    inside = peak_signal_noise_ratio(target[mask], made[mask], data_range=1.0)
    assert found["psnr_db", "brain"] == pytest.approx(inside, abs=1e-6)
    assert found["psnr_db", "volume"] == pytest.approx(peak_signal_noise_ratio(target, made, data_range=1.0), abs=1e-6)


def test_mutual_information_is_that_of_scikit_image(pair: tuple[Volume, Volume, NDArray[np.bool_]]) -> None:
    made, target, mask = pair
    clipped = [np.clip(one[mask], *np.percentile(one[mask], (0.5, 99.5))) for one in (made, target)]
    assert nmi(made, target, mask) == pytest.approx(normalized_mutual_information(*clipped, bins=64), abs=1e-4)
    assert nmi(target, target, mask) == pytest.approx(2.0)
    shuffled = np.random.default_rng(1).permuted(target)
    assert nmi(shuffled, target, mask) < nmi(made, target, mask)


def test_similarity_is_that_of_pytorch_msssim_where_windows_lie_inside(
    pair: tuple[Volume, Volume, NDArray[np.bool_]],
) -> None:
    made, target = on_display(pair)
    expected = float(msssim(*(torch.from_numpy(one)[None, None] for one in (made, target)), data_range=1.0))
    inner = np.zeros(SHAPE, bool)
    inner[5:-5, 5:-5, 5:-5] = True
    assert ssim3d(made, target, inner) == pytest.approx(expected, abs=1e-5)


def test_the_similarity_of_losses_is_that_of_figures(pair: tuple[Volume, Volume, NDArray[np.bool_]]) -> None:
    made, target = on_display(pair)
    in_torch = ssim_map(*(torch.from_numpy(one)[None, None] for one in (made, target)))[0, 0].numpy()
    np.testing.assert_allclose(in_torch, WindowMoments.of(made, target).similarity(1.0), atol=1e-9)


def test_a_crop_around_the_brain_changes_nothing(pair: tuple[Volume, Volume, NDArray[np.bool_]]) -> None:
    made, target = on_display(pair)
    mask = pair[2].copy()
    mask[:12] = False
    mask[20:, 15, 12] = True  # reaches the border of the volume
    whole = WindowMoments.of(made, target).similarity(1.0)[mask].mean()
    assert ssim3d(made, target, mask) == pytest.approx(whole, abs=1e-9)


def test_slabs_are_the_whole(pair: tuple[Volume, Volume, NDArray[np.bool_]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssim, "PLANES", 4)
    made, target = on_display(pair)
    parts = [moments for _, moments in WindowMoments.in_slabs(made, target)]
    assert len(parts) == 7
    for ours, whole in zip(WindowMoments.joined(parts).maps, WindowMoments.of(made, target).maps, strict=True):
        np.testing.assert_allclose(ours, whole, atol=1e-12)


def test_windows_at_the_border_of_the_mask_see_what_lies_beyond(
    pair: tuple[Volume, Volume, NDArray[np.bool_]],
) -> None:
    made, target, mask = pair
    assert ssim3d(np.where(mask, target, 0), target, mask, 4.0) < 0.99
    assert ssim3d(np.where(mask, made, 0), np.where(mask, target, 0), mask, 4.0) > ssim3d(made, target, mask, 4.0)


@pytest.mark.parametrize("shape", [(16, 13, 15), (1, 9, 4), (2, 3, 24)])
def test_the_window_of_losses_is_scipys_gaussian_with_mirrored_borders(shape: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(1).random(shape)
    expected = gaussian_filter(volume, 1.5, truncate=3.5, mode="reflect")
    np.testing.assert_allclose(ssim._blurred(torch.from_numpy(volume)[None, None])[0, 0], expected, atol=1e-12)
