from __future__ import annotations

import numpy as np
import pytest

from warehouse.errors import HarmonizeError
from warehouse.harmonize.bias import correct_bias
from warehouse.imaging.image import Image


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


def test_the_middle_of_the_brain_keeps_its_intensity(fine_template: Image) -> None:
    mask = fine_template.voxels > 0
    corrected = correct_bias(fine_template, mask)
    ratio = np.median(corrected.voxels[mask]) / np.median(fine_template.voxels[mask])
    assert ratio == pytest.approx(1, abs=0.05)


def test_small_negative_values_do_no_harm(fine_template: Image) -> None:
    voxels = fine_template.voxels.copy()
    voxels[voxels == 0] = -0.01
    corrected = correct_bias(fine_template.like(voxels), fine_template.voxels > 0)
    assert np.isfinite(corrected.voxels).all()


def test_a_mask_without_signal_is_refused(fine_template: Image) -> None:
    with pytest.raises(HarmonizeError) as caught:
        correct_bias(fine_template.like(np.zeros_like(fine_template.voxels)), fine_template.voxels > 0)
    assert caught.value.stage == "bias"
