"""What a scanner does to a patch: each step against a slow version of itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from model.data.fine_heads import N_CHANNELS, WHOLE
from model.data.patch_acquisition import (
    Slices,
    SmoothField,
    at_angles,
    averaged,
    means,
    mixed,
    noisy,
    parameters,
)
from model.data.target_voxels import TargetVoxels
from model.physics.tissue import N_TISSUES, TISSUES, properties
from model.simulation.rendering import average_over_voxels
from model.simulation.scanner import smooth_field
from warehouse.imaging.geometry import Grid

SIDE = 20


def _image(seed: int = 0, side: int = SIDE) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((side,) * 3)
    return ndimage.gaussian_filter(noise, 1.0).astype(np.float32)


def _dense_mean(image: np.ndarray, at: TargetVoxels, around: int, n: int = 9) -> np.ndarray:
    """Return means over voxels by many linear samples in each."""
    inner = (np.arange(n) + 0.5) / n - 0.5
    total = np.zeros(at.shape)
    for offset in np.stack(np.meshgrid(inner, inner, inner, indexing="ij"), -1).reshape(-1, 3):
        index = np.indices(at.shape).reshape(3, -1) + offset[:, None]
        place = at.matrix[:3, :3] @ index + at.matrix[:3, 3:] + around
        total += ndimage.map_coordinates(image, place, order=1).reshape(at.shape)
    return total / n**3


@pytest.mark.parametrize("turn", [0.0, 0.1])
def test_averages_are_those_of_many_samples_in_each_voxel(turn: float) -> None:
    matrix = np.diag([1.3, 1.7, 4.3, 1.0])
    matrix[:3, :3] = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]] @ matrix[:3, :3]
    matrix[:3, 3] = [2.1, 1.6, 2.4]
    at = TargetVoxels((9, 7, 3), matrix)
    image = _image()
    expected = _dense_mean(image, at, 1)
    # turned voxels are sampled once per voxel of the image, see `average_over_voxels`
    assert np.abs(averaged(image, at, 1) - expected).max() < (0.02 if turn == 0 else 0.2) * expected.std()


def test_averages_over_slices_are_those_of_average_over_voxels() -> None:
    matrix = np.diag([1.0, 1.0, 3.7, 1.0])
    matrix[2, 3] = 1.9
    at = TargetVoxels((SIDE - 2, SIDE - 2, 4), matrix)
    image = _image(1)
    around = np.eye(4)
    around[:3, 3] = -1
    independent = average_over_voxels(torch.from_numpy(image), around, np.eye(4), Grid(at.shape, matrix)).numpy()
    in_plane = ndimage.convolve1d(ndimage.convolve1d(averaged(image, at, 1), [1, 6, 1], axis=0), [1, 6, 1], axis=1)
    inner = (slice(2, -2), slice(2, -2))  # that function averages over thin voxels as well, with weights 1, 6, 1
    assert (in_plane / 64 - independent)[inner].std() < 0.04 * independent.std()  # its own accuracy


def test_an_axis_that_keeps_the_grid_is_copied() -> None:
    at = TargetVoxels((SIDE - 2,) * 3, np.eye(4))
    image = _image()
    assert np.array_equal(averaged(image, at, 1), image[1:-1, 1:-1, 1:-1])


def test_weights_of_a_mean_sum_to_one_and_keep_a_slope() -> None:
    weights = means(np.array([3.3, 6.1, 9.0]), 2.9, 14)
    assert weights.sum(1) == pytest.approx([1, 1, 1], abs=1e-6)
    assert weights @ np.arange(14) == pytest.approx([3.3, 6.1, 9.0], abs=1e-5)


@pytest.mark.parametrize("size", [1.2, 3.0, 6.0])
def test_slices_cover_the_patch_and_give_back_a_slope(size: float) -> None:
    for seed in range(6):
        slices = Slices.random(size, SIDE, np.random.default_rng(seed))
        start, end = slices.around
        assert start < 0 < SIDE < end
        slope = np.arange(start, end, dtype=np.float32)
        made = slices.back(SIDE) @ (slices.averages @ slope)
        assert made == pytest.approx(np.arange(SIDE), abs=1e-3)


def test_a_thick_slice_removes_what_is_finer_than_it() -> None:
    slices = Slices.random(4.0, SIDE, np.random.default_rng(0))
    start, end = slices.around
    stripes = np.cos(np.pi * np.arange(start, end)).astype(np.float32)
    assert np.abs(slices.averages @ stripes).max() < 0.1


def test_a_field_in_a_block_is_that_of_the_whole_head() -> None:
    shape = (30, 26, 22)
    whole = smooth_field(shape, np.random.default_rng(3), 0.4).numpy()
    field = SmoothField.random(shape, np.random.default_rng(3), 0.4)
    assert np.abs(field.block((4, 5, 6), (10, 11, 12)) - whole[4:14, 5:16, 6:18]).max() < 1e-5
    places = np.array([[0, 0, 0], [29, 25, 21], [7, 20, 3]], np.int16)
    assert field.at(places) == pytest.approx(whole[tuple(places.T)], abs=1e-5)


def test_a_voxel_adds_the_signals_of_its_tissues_by_their_shares() -> None:
    random = np.random.default_rng(0)
    shares = random.integers(0, 40, (5, 6, 7, N_CHANNELS)).astype(np.uint8)
    signals = random.standard_normal((3, N_TISSUES)).astype(np.float32)
    slow = np.einsum("st,ijkt->sijk", signals, shares[..., :N_TISSUES] / WHOLE)
    assert np.abs(mixed(shares, signals) - slow).max() < 1e-5


def test_signals_between_flip_angles_follow_a_parabola() -> None:
    place = np.linspace(-1, 1, 5, dtype=np.float32)
    three = np.stack([np.full(5, 2 - 3 + 0.5), np.full(5, 2.0), np.full(5, 2 + 3 + 0.5)]).astype(np.float32)
    assert at_angles(three, place) == pytest.approx(2 + 3 * place + 0.5 * place**2)


def test_noise_is_rician() -> None:
    random = np.random.default_rng(0)
    air = noisy(np.zeros(200_000, np.float32), 0.1, random)
    assert air.mean() == pytest.approx(0.1 * np.sqrt(np.pi / 2), rel=0.01)
    bright = noisy(np.full(200_000, -5.0, np.float32), 0.1, random)
    assert bright.std() == pytest.approx(0.1, rel=0.01)
    assert bright.mean() == pytest.approx(5.0, rel=0.01)


def test_parameters_of_pure_voxels_are_those_of_the_table_and_mixed_times_lie_between() -> None:
    tissue = properties(3.0)
    grey, fluid = TISSUES.index("cortex"), TISSUES.index("csf")
    shares = np.zeros((3, N_CHANNELS), np.uint8)
    shares[0, grey] = WHOLE
    shares[1, [grey, fluid]] = 102, 153
    found = parameters(shares, tissue)
    table = [tissue.pd, tissue.t1_s, tissue.t2_s, tissue.t2star_s]
    assert found[:, 0] == pytest.approx([float(one[grey]) for one in table], rel=1e-4)
    weights = 0.4 * float(tissue.pd[grey]), 0.6 * float(tissue.pd[fluid])
    assert found[0, 1] == pytest.approx(sum(weights), rel=1e-4)
    for row, one in zip(found[1:, 1], table[1:], strict=True):
        assert np.log(row) == pytest.approx(np.average(np.log(one[[grey, fluid]].numpy()), weights=weights), rel=1e-3)
    assert found[:, 2].tolist() == [0, 1, 1, 1]
