"""Baselines are what they claim: the identity, the best map of intensities, and the best that any such map could be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.evaluation.baselines import IntensityMap
from model.evaluation.metrics import psnr
from warehouse.errors import ModelError

SHAPE = (17, 19, 15)
Volume = NDArray[np.float64]


def brain() -> NDArray[np.bool_]:
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return np.asarray(sum(axis**2 for axis in grid) < 0.8)


MASK = brain()


def source(seed: int = 0) -> Volume:
    return np.random.default_rng(seed).uniform(0, 1, SHAPE)


def target(volume: Volume, seed: int = 0, noise: float = 0.05) -> Volume:
    """A map that no line follows, plus what the source does not tell."""
    return np.sin(3 * volume) ** 2 + noise * np.random.default_rng(100 + seed).normal(size=SHAPE)


def test_a_map_finds_the_mean_target_of_each_source_intensity() -> None:
    volume = np.round(source() * 3) / 3
    wanted = np.choose(np.round(volume * 3).astype(int), [0.7, 0.1, 0.9, 0.4])
    made = IntensityMap.fit([(volume, wanted, MASK)]).apply(volume, MASK)
    np.testing.assert_allclose(made, wanted)


def test_a_map_is_the_mean_and_not_another_statistic() -> None:
    volume = np.round(source())
    wanted = np.where(source(5) < 0.25, 1.0, 0.0)
    made = IntensityMap.fit([(volume, wanted, MASK)]).apply(volume, MASK)
    for step in (0.0, 1.0):
        inside = MASK & (volume == step)
        np.testing.assert_allclose(made[inside], wanted[inside].mean())


def test_brain_and_surroundings_have_maps_of_their_own() -> None:
    volume = source()
    wanted = np.where(MASK, volume, 1 - volume)
    made = IntensityMap.fit([(volume, wanted, MASK)]).apply(volume, MASK)
    assert np.abs(made - wanted).max() < 0.05  # the ends, which percentiles cut off, are one step each


def test_the_map_fitted_on_the_test_volume_is_the_best_that_any_map_can_be() -> None:
    volume = source(1)
    wanted = target(volume, 1)
    oracle = psnr(IntensityMap.fit([(volume, wanted, MASK)]).apply(volume, MASK), wanted, MASK)
    fitted = IntensityMap.fit([(source(k), target(source(k), k), MASK) for k in range(2, 8)])
    assert oracle >= psnr(fitted.apply(volume, MASK), wanted, MASK) >= psnr(volume, wanted, MASK)
    rng = np.random.default_rng(9)
    for _ in range(20):
        other = IntensityMap(fitted.means + rng.normal(0, 0.02, fitted.means.shape))
        assert oracle >= psnr(other.apply(volume, MASK), wanted, MASK)


def test_what_the_source_does_not_tell_no_map_can_know() -> None:
    volume = source()
    wanted = target(volume, noise=0.1)
    oracle = IntensityMap.fit([(volume, wanted, MASK)]).apply(volume, MASK)
    assert psnr(oracle, wanted, MASK) == pytest.approx(20, abs=0.7)


def test_a_source_on_another_scale_gives_the_same() -> None:
    volume = source()
    fitted = IntensityMap.fit([(volume, target(volume), MASK)])
    np.testing.assert_allclose(fitted.apply(0.2 + 0.3 * volume, MASK), fitted.apply(volume, MASK), atol=0.05)


def test_steps_that_no_voxel_had_lie_between_their_neighbours() -> None:
    volume = np.where(source() < 0.5, 0.0, 1.0)
    fitted = IntensityMap.fit([(volume, 0.2 + 0.6 * volume, MASK)], n_bins=5)
    np.testing.assert_allclose(fitted.means[1], [0.2, 0.35, 0.5, 0.65, 0.8])


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(source(), source()[:-1], MASK)],
        [(source(), np.full(SHAPE, np.nan), MASK)],
        [(source(), source(), np.zeros(SHAPE, bool))],
        [(np.full(SHAPE, 0.5), source(), MASK)],
    ],
    ids=["no pair", "shapes differ", "NaN", "empty mask", "one intensity"],
)
def test_a_map_that_cannot_be_fitted_is_refused(pairs: list[tuple[Volume, Volume, NDArray[np.bool_]]]) -> None:
    with pytest.raises(ModelError):
        IntensityMap.fit(pairs)
