"""What is changed and hidden is what was asked for, and nothing where nothing was."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data.changes import HIDEABLE, Changes, change_contrast, changed, hide, with_drawn_settings
from model.networks.synthesis.physics import FAMILY_NAMES, Settings
from tests.model.data.native_scans import FULL
from warehouse.imaging.brain_scale import BrainScale, harden, soften
from warehouse.prompts.record import PromptRecord

AS_IT_IS = Changes(several_share=0.0, field_dropout=0.0, source_dropout=0.0, gamma=0.0)


def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_everything_but_the_contrast_can_be_hidden() -> None:
    assert hide(FULL, 0.0, random(), with_contrast=True) == FULL
    assert hide(FULL, 1.0, random(), with_contrast=True) == PromptRecord()
    assert hide(FULL, 1.0, random()) == PromptRecord(contrast="T1w", post_contrast=True)
    together = {"contrast", "post_contrast", "flip_angle_variable", "words"}
    assert {field.name for field in fields(PromptRecord)} == together | set(HIDEABLE)


def scaled() -> tuple[NDArray[np.float32], NDArray[np.bool_], BrainScale]:
    """Return network intensities of a scan with air, its brain, and its scale."""
    signal = np.random.default_rng(0).uniform(0.6, 1.4, (12, 12, 12))
    signal[0] = 0
    scale = BrainScale.of(signal, signal > 0)
    return scale.to_network(signal), signal > 0, scale


def test_another_contrast_keeps_median_spread_and_no_signal() -> None:
    given, brain, scale = scaled()
    for exponent in (0.8, 1.2):
        made = change_contrast(given, scale.relative_spread, exponent)
        low, median, high = np.percentile(made[brain], (10, 50, 90))
        assert median == pytest.approx(0, abs=0.02)
        assert high - low == pytest.approx(1, abs=0.05)
        air = (0 - 1) / (scale.relative_spread * exponent)
        assert np.allclose(made[0], soften(np.array(air)), atol=1e-3)
        assert np.abs(made - given)[brain].max() > 0.02
    np.testing.assert_allclose(change_contrast(given, scale.relative_spread, 1.0), given, atol=1e-5)


def test_a_stretch_changes_the_spread_and_keeps_the_median() -> None:
    given, brain, scale = scaled()
    factors = []
    for seed in range(20):
        draw = np.random.default_rng(seed)
        made, relative_spread = changed(given, scale.relative_spread, replace(AS_IT_IS, stretch=0.3), draw)
        signal = scale.from_network(given) / scale.median
        np.testing.assert_allclose(1 + relative_spread * harden(made.astype(np.float64)), signal, atol=1e-4)
        low, median, high = np.percentile(made[brain], (10, 50, 90))
        assert median == pytest.approx(0, abs=0.02)
        factors.append(high - low)
        np.testing.assert_allclose(
            scale.linear(scale.from_network(made)) / factors[-1],
            scale.linear(scale.from_network(given)),
            rtol=0.05,
            atol=0.02,
        )
    assert 1 / 1.3 <= min(factors) < 0.85
    assert 1.18 < max(factors) <= 1.3
    np.testing.assert_array_equal(
        changed(given, scale.relative_spread, AS_IT_IS, random())[0],
        changed(given, scale.relative_spread, replace(AS_IT_IS, stretch=0.0), random())[0],
    )


def test_bias_multiplies_the_signal_by_a_plane_and_leaves_none_as_it_is() -> None:
    given, brain, scale = scaled()
    made, _ = changed(given, scale.relative_spread, replace(AS_IT_IS, bias=0.2), random())
    gain = scale.from_network(made) / np.where(brain, scale.from_network(given), 1)
    np.testing.assert_allclose(made[0], given[0], atol=1e-4)
    slopes = [np.diff(gain[1:], axis=axis) for axis in range(3)]
    assert all(np.ptp(slope) < 1e-4 for slope in slopes)
    assert 0.005 < max(abs(slope.mean()) for slope in slopes) <= 0.2 / 11


def test_noise_is_as_strong_as_was_asked_for() -> None:
    given, _, scale = scaled()
    strength = [
        (
            changed(given, scale.relative_spread, replace(AS_IT_IS, noise=0.3), np.random.default_rng(seed))[0] - given
        ).std()
        for seed in range(40)
    ]
    assert max(strength) < 0.32
    assert np.mean(strength) == pytest.approx(0.15, abs=0.04)


def test_nothing_is_changed_where_nothing_is_asked_for() -> None:
    given, _, scale = scaled()
    np.testing.assert_allclose(changed(given, scale.relative_spread, AS_IT_IS, random())[0], given, atol=1e-5)


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "PDw", "FLAIR", "T2starw"])
def test_drawn_settings_are_those_of_a_sequence_that_the_equations_know(contrast: str) -> None:
    silent, draw = PromptRecord(contrast=contrast, vendor="SIEMENS", age_years=40.0), random()
    drawn = [with_drawn_settings(silent, 1.0, draw) for _ in range(40)]
    families = Settings.of(drawn, [None] * len(drawn)).family
    assert (families >= 0).all(), [FAMILY_NAMES[one] for one in families]
    assert len({one.repetition_time_s for one in drawn}) > 30
    assert {(one.contrast, one.vendor, one.age_years) for one in drawn} == {(contrast, "SIEMENS", 40.0)}


def test_settings_are_drawn_as_often_as_was_asked_for() -> None:
    silent, draw = PromptRecord(contrast="T2w"), random()
    drawn = [with_drawn_settings(silent, 0.3, draw) for _ in range(1000)]
    assert np.mean([one != silent for one in drawn]) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    "record",
    [
        FULL,
        PromptRecord(contrast="T2w", echo_time_s=0.1),
        PromptRecord(contrast="T2w", flip_angle_variable=True),
        PromptRecord(),
        PromptRecord(contrast="dwi"),
    ],
    ids=["full", "echo time", "variable angle", "empty", "unknown contrast"],
)
def test_a_prompt_that_says_anything_of_its_settings_or_has_no_protocols_stays(record: PromptRecord) -> None:
    draw = random()
    assert with_drawn_settings(record, 1.0, draw) == record


def test_no_random_number_is_spent_where_no_settings_are_drawn() -> None:
    draw = random()
    assert with_drawn_settings(PromptRecord(contrast="T2w"), 0.0, draw) == PromptRecord(contrast="T2w")
    assert draw.random() == random().random()
