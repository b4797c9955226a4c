from __future__ import annotations

import numpy as np
import pytest

from warehouse.errors import HarmonizeError
from warehouse.harmonize.intensity import IntensityScale, correct_bias, find_head, find_scale
from warehouse.imaging.geometry import Image


def head(air: float = 3.0) -> Image:
    """A ball of 400 to 1,000 in air that is noise."""
    random = np.random.default_rng(0)
    place = np.stack(np.meshgrid(*[np.arange(40)] * 3, indexing="ij")) - 19.5
    ball = (place**2).sum(axis=0) < 15**2
    voxels = np.where(ball, random.uniform(400, 1000, ball.shape), np.abs(random.normal(0, air, ball.shape)))
    return Image(voxels.astype(np.float32), np.eye(4))


def test_what_lies_outside_is_clipped_to_zero_and_one() -> None:
    np.testing.assert_array_equal(IntensityScale(10, 20).normalise(np.array([-5.0, 10, 15, 20, 99])), [0, 0, 0.5, 1, 1])


def test_the_percentiles_are_those_of_the_head_and_not_of_the_air() -> None:
    image = head()
    scale = find_scale(image, (0.01, 99.9))
    tissue = image.voxels[image.voxels > 100]
    assert scale.high == pytest.approx(np.percentile(tissue, 99.9), rel=0.01)


def test_more_air_in_the_field_of_view_does_not_change_the_contrast() -> None:
    image = head()
    padded = Image(np.pad(image.voxels, 20, constant_values=1.0), image.affine)
    assert find_scale(padded, (1, 99)).high == pytest.approx(find_scale(image, (1, 99)).high, rel=0.01)


def test_around_a_stripped_brain_all_that_is_not_zero_is_head() -> None:
    image = head()
    stripped = Image(np.where(image.voxels > 100, image.voxels, 0), image.affine)
    np.testing.assert_array_equal(find_head(stripped), stripped.voxels > 0)


def test_small_negative_values_become_zero() -> None:
    image = head()
    voxels = image.voxels.copy()
    voxels[:2] = -4
    scale = find_scale(Image(voxels, image.affine), (0.01, 99.9))
    assert scale.low >= 0
    assert scale.normalise(voxels).min() == 0


def test_a_head_of_one_intensity_is_refused() -> None:
    voxels = np.zeros((8, 8, 8), np.float32)
    voxels[2:6] = 5
    with pytest.raises(HarmonizeError, match="one intensity"):
        find_scale(Image(voxels, np.eye(4)), (0.01, 99.9))


@pytest.mark.slow
def test_a_known_field_is_taken_out(fine_template: Image) -> None:
    shape = fine_template.voxels.shape
    place = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    field = np.exp(0.35 * place[0] - 0.25 * place[1] ** 2 + 0.2 * place[2])
    mask = fine_template.voxels > 0.05 * fine_template.voxels.max()
    white = mask & (fine_template.voxels > np.percentile(fine_template.voxels[mask], 70))
    biased = fine_template.like(fine_template.voxels * field)
    corrected = correct_bias(biased, mask)

    def spread(image: Image) -> float:
        return float(image.voxels[white].std() / image.voxels[white].mean())

    clean = spread(fine_template)
    assert spread(corrected) - clean < 0.25 * (spread(biased) - clean)


@pytest.mark.slow
def test_the_middle_of_the_brain_keeps_its_intensity(fine_template: Image) -> None:
    mask = fine_template.voxels > 0
    corrected = correct_bias(fine_template, mask)
    ratio = np.median(corrected.voxels[mask]) / np.median(fine_template.voxels[mask])
    assert ratio == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_small_negative_values_do_no_harm(fine_template: Image) -> None:
    voxels = fine_template.voxels.copy()
    voxels[voxels == 0] = -0.01
    corrected = correct_bias(fine_template.like(voxels), fine_template.voxels > 0)
    assert np.isfinite(corrected.voxels).all()


def test_a_mask_without_signal_is_refused(fine_template: Image) -> None:
    with pytest.raises(HarmonizeError) as caught:
        correct_bias(fine_template.like(np.zeros_like(fine_template.voxels)), fine_template.voxels > 0)
    assert caught.value.stage == "bias"
