import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warehouse.imaging.brain_scale import LINEAR_TO, BrainScale, harden, soften

RANDOM = np.random.default_rng(0)
BRAIN = np.zeros((20, 20, 20), bool)
BRAIN[5:15, 5:15, 5:15] = True
SCAN = RANDOM.uniform(400, 900, BRAIN.shape)


def test_the_brain_alone_decides_the_scale():
    bright_scalp = np.where(BRAIN, SCAN, 5000.0)
    assert BrainScale.of(bright_scalp, BRAIN) == BrainScale.of(np.where(BRAIN, SCAN, 0.0), BRAIN)


def test_a_gain_of_the_receiver_changes_nothing():
    one, other = BrainScale.of(SCAN, BRAIN), BrainScale.of(7 * SCAN, BRAIN)
    np.testing.assert_allclose(one.to_network(SCAN), other.to_network(7 * SCAN), atol=1e-5)
    assert one.floor == pytest.approx(other.floor)


def test_median_is_zero_and_the_outer_percentiles_lie_one_apart():
    made = BrainScale.of(SCAN, BRAIN).to_network(SCAN)[BRAIN]
    low, median, high = np.percentile(made, (10, 50, 90))
    assert median == pytest.approx(0, abs=1e-6)
    assert high - low == pytest.approx(1, abs=1e-6)


def test_no_signal_is_the_floor():
    scale = BrainScale.of(SCAN + 100, BRAIN, zero=100)
    assert scale.to_network(np.array([100.0])) == pytest.approx(scale.floor)
    assert scale.from_network(np.array([scale.floor])) == pytest.approx(100, abs=1e-3)


@given(st.floats(-50, 50))
def test_what_was_compressed_comes_back(value):
    assert harden(soften(np.array([value]))) == pytest.approx(value, abs=1e-9)


def test_compression_rises_without_a_jump_or_a_kink():
    line = np.linspace(-6, 6, 2401)
    slope = np.gradient(soften(line), line)
    assert (slope > 0).all()
    assert np.abs(np.diff(slope)).max() < 0.01
    inside = np.abs(line) <= LINEAR_TO
    np.testing.assert_array_equal(soften(line)[inside], line[inside])


def test_another_unit_gives_the_same_network_intensities():
    scale = BrainScale.of(SCAN, BRAIN, zero=-50)
    stored = (SCAN - 100) / 1500
    np.testing.assert_allclose(scale.in_unit(100, 1600).to_network(stored), scale.to_network(SCAN), atol=1e-5)
    assert scale.in_unit(100, 1600).floor == pytest.approx(scale.floor)


@pytest.mark.parametrize(
    ("voxels", "brain"),
    [
        (SCAN, np.zeros_like(BRAIN)),
        (np.full(BRAIN.shape, 3.0), BRAIN),
        (np.full(BRAIN.shape, np.nan), BRAIN),
    ],
    ids=["empty mask", "one intensity", "not a number"],
)
def test_a_brain_without_contrast_is_refused(voxels, brain):
    with pytest.raises(ValueError, match="brain"):
        BrainScale.of(voxels, brain)


def test_a_scale_needs_a_positive_spread():
    with pytest.raises(ValueError, match="not a scale"):
        BrainScale(1.0, 0.0)
