"""Baselines are what they claim: the identity, the best map of intensities, and the best that any such map could be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.evaluation.baselines import FARTHEST, IntensityMap, identity
from model.evaluation.metrics import psnr
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale

SHAPE = (17, 19, 15)
Volume = NDArray[np.float64]


def brain() -> NDArray[np.bool_]:
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(sum(axis**2 for axis in grid) < 0.8)


MASK = brain()


def source(seed: int = 0) -> Volume:
    """Network intensities."""
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE)


def target(volume: Volume, seed: int = 0, noise: float = 0.05) -> Volume:
    """A map that no line follows, plus what the source does not tell."""
    return np.sin(2 * volume) ** 2 + noise * np.random.default_rng(100 + seed).normal(size=SHAPE)


def test_a_map_finds_the_mean_target_of_each_source_intensity() -> None:
    volume = np.round(source())
    wanted = np.choose(np.round(volume + 1).astype(int), [0.7, 0.1, 0.9])
    made = IntensityMap.fit([([volume], wanted, MASK)]).apply([volume], MASK)
    np.testing.assert_allclose(made, wanted)


def test_a_map_is_the_mean_and_not_another_statistic() -> None:
    volume = np.sign(source())
    wanted = np.where(source(5) < -0.5, 1.0, 0.0)
    made = IntensityMap.fit([([volume], wanted, MASK)]).apply([volume], MASK)
    for step in (-1.0, 1.0):
        inside = MASK & (volume == step)
        np.testing.assert_allclose(made[inside], wanted[inside].mean())


def test_brain_and_surroundings_have_maps_of_their_own() -> None:
    volume = source()
    wanted = np.where(MASK, volume, 1 - volume)
    made = IntensityMap.fit([([volume], wanted, MASK)]).apply([volume], MASK)
    assert np.abs(made - wanted).max() < 0.05  # width of a bin


def test_the_map_fitted_on_the_test_volume_is_the_best_that_any_map_can_be() -> None:
    volume = source(1)
    wanted = target(volume, 1)
    oracle = psnr(IntensityMap.fit([([volume], wanted, MASK)]).apply([volume], MASK), wanted, MASK)
    fitted = IntensityMap.fit([([source(k)], target(source(k), k), MASK) for k in range(2, 8)])
    assert oracle >= psnr(fitted.apply([volume], MASK), wanted, MASK) >= psnr(volume, wanted, MASK)
    rng = np.random.default_rng(9)
    for _ in range(20):
        other = IntensityMap(fitted.means + rng.normal(0, 0.02, fitted.means.shape))
        assert oracle >= psnr(other.apply([volume], MASK), wanted, MASK)


def test_what_the_source_does_not_tell_no_map_can_know() -> None:
    volume = source()
    wanted = target(volume, noise=0.1)
    oracle = IntensityMap.fit([([volume], wanted, MASK)]).apply([volume], MASK)
    assert psnr(oracle, wanted, MASK) == pytest.approx(20, abs=0.7)


def test_bins_are_those_of_the_scale_and_not_of_the_volume() -> None:
    volume = source()
    fitted = IntensityMap.fit([([volume], volume, MASK)])
    narrow = 0.3 * volume + 0.1
    np.testing.assert_allclose(fitted.apply([narrow], MASK), narrow, atol=0.05)


def test_outer_bins_are_open() -> None:
    volume = np.where(source() < 0, -7.0, 7.0)
    made = IntensityMap.fit([([volume], 0.1 * volume, MASK)]).apply([1.5 * volume], MASK)
    np.testing.assert_allclose(made, 0.1 * volume)


def test_one_spike_moves_the_map_by_no_more_than_the_farthest_that_counts() -> None:
    volume = np.zeros(SHAPE)
    spiked = np.zeros(SHAPE)
    spiked[8, 9, 7] = 1e6
    made = IntensityMap.fit([([volume], spiked, MASK)]).apply([volume], MASK)
    assert made[8, 9, 7] == pytest.approx(FARTHEST / MASK.sum())


def test_steps_that_no_voxel_had_lie_between_their_neighbours() -> None:
    volume = np.where(source() < 0, -3.0, 3.0)
    fitted = IntensityMap.fit([([volume], 0.5 + 0.1 * volume, MASK)], n_bins=5)
    np.testing.assert_allclose(fitted.means[1], [0.2, 0.35, 0.5, 0.65, 0.8])


def test_two_sources_tell_what_one_cannot() -> None:
    first, second = np.round(4 * source(1)) / 4, np.round(4 * source(2)) / 4
    wanted = first * second
    one = IntensityMap.fit([([first], wanted, MASK)]).apply([first], MASK)
    both = IntensityMap.fit([([first, second], wanted, MASK)]).apply([first, second], MASK)
    assert psnr(both, wanted, MASK) > psnr(one, wanted, MASK) + 10


def test_the_order_of_two_sources_counts() -> None:
    first, second = np.round(4 * source(1)) / 4, np.round(4 * source(2)) / 4
    fitted = IntensityMap.fit([([first, second], first - second, MASK)])
    np.testing.assert_allclose(fitted.apply([second, first], MASK), second - first, atol=0.01)


def test_a_pair_of_intensities_that_no_voxel_had_is_as_the_nearest_one() -> None:
    first, second = np.sign(source(1)), np.sign(source(2))
    wanted = 0.3 * first + 0.1 * second
    fitted = IntensityMap.fit([([first, second], wanted, MASK)])
    np.testing.assert_allclose(fitted.apply([0.8 * first, 1.3 * second], MASK), wanted)


def test_a_map_without_surroundings_uses_the_brains() -> None:
    volume = source()
    fitted = IntensityMap.fit([([volume], target(volume), np.ones(SHAPE, bool))])
    np.testing.assert_array_equal(fitted.means[0], fitted.means[1])


def test_the_identity_is_the_source_on_its_own_brain_scale() -> None:
    scan = 500 + 100 * np.random.default_rng(3).standard_t(2, SHAPE)
    scale = BrainScale.of(scan, MASK)
    np.testing.assert_allclose(identity(scale.to_network(scan)), scale.linear(scan), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([], id="no pair"),
        pytest.param([([source()], source()[:-1], MASK)], id="shapes differ"),
        pytest.param([([source()], np.full(SHAPE, np.nan), MASK)], id="NaN target"),
        pytest.param([([np.full(SHAPE, np.nan)], source(), MASK)], id="NaN source"),
        pytest.param([([source()], source(), np.zeros(SHAPE, bool))], id="empty mask"),
        pytest.param([([source()], source(), MASK.astype(float))], id="mask of numbers"),
        pytest.param([([], source(), MASK)], id="no source"),
        pytest.param([([source()] * 3, source(), MASK)], id="three sources"),
        pytest.param([([source()], source(), MASK), ([source()] * 2, source(), MASK)], id="one and two"),
    ],
)
def test_a_map_that_cannot_be_fitted_is_refused(pairs: list[tuple[list[Volume], Volume, NDArray[np.bool_]]]) -> None:
    with pytest.raises(ModelError):
        IntensityMap.fit(pairs)


def test_a_map_is_applied_to_as_many_sources_as_it_was_fitted_on() -> None:
    fitted = IntensityMap.fit([([source()], source(), MASK)])
    with pytest.raises(ModelError, match="2 sources"):
        fitted.apply([source(), source()], MASK)
