from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from model.simulation.rendering import average_over_voxels, grid_over, rotation
from warehouse.errors import PhantomError

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
POSE = np.eye(4)
POSE[:3, :3] = rotation((4.0, -3.0, 6.0))
POSE[:3, 3] = (1.0, -2.0, 0.5)
DENSE = 6  # points along each edge of a voxel


def smooth_image(seed: int = 1) -> torch.Tensor:
    image = np.random.default_rng(seed).normal(size=(20, 22, 24))
    for axis in range(3):
        image = sum(np.roll(image, shift, axis) for shift in range(-2, 3)) / 5
    return torch.from_numpy(np.pad(image, 4).astype(np.float32))


def slow_average(image: np.ndarray, affine: np.ndarray, pose: np.ndarray, grid) -> np.ndarray:
    """Average the trilinear image over many points of every voxel."""
    inside = (np.arange(DENSE) + 0.5) / DENSE - 0.5
    offsets = np.stack(np.meshgrid(inside, inside, inside, indexing="ij"), -1).reshape(-1, 3)
    total = np.zeros(grid.shape)
    indices = np.indices(grid.shape).reshape(3, -1)
    to_image = np.linalg.inv(pose @ affine) @ grid.affine
    for offset in offsets:
        points = to_image[:3, :3] @ (indices + offset[:, None]) + to_image[:3, 3:]
        total += map_coordinates(image, points, order=1, mode="constant").reshape(grid.shape)
    return total / len(offsets)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "axcodes", "tilt"),
    [
        ((2.0, 2.0, 2.0), "RAS", (0, 0, 0)),
        ((2.0, 2.0, 6.0), "LPS", (10, 0, 0)),
        ((5.0, 2.5, 2.0), "PSR", (0, 0, 0)),
        ((1.3, 1.3, 3.1), "LAS", (0, 5, 0)),
    ],
    ids=["isotropic", "thick and oblique", "sagittal", "finer than the image"],
)
def test_a_voxel_is_the_mean_over_its_box(size: tuple, axcodes: str, tilt: tuple) -> None:
    image = smooth_image()
    grid = grid_over(image.shape, AFFINE, POSE, size, axcodes, tilt)
    fast = average_over_voxels(image, AFFINE, POSE, grid).numpy()
    slow = slow_average(image.numpy(), AFFINE, POSE, grid)
    error = fast - slow
    assert np.sqrt((error**2).mean()) < 0.07 * slow.std()  # of an image that varies from voxel to voxel
    assert np.abs(error).max() < 0.1 * np.abs(slow).max()


def test_a_slice_of_five_millimetres_mixes_what_lies_in_five_millimetres() -> None:
    image = torch.zeros(8, 8, 20)
    image[:, :, 10] = 1.0  # one layer of 1 mm
    grid = grid_over(image.shape, np.eye(4), np.eye(4), (1.0, 1.0, 5.0), "RAS")
    thick = average_over_voxels(image, np.eye(4), np.eye(4), grid)[4, 4]
    # The line through the samples spreads the layer over 1 mm to either side: an eighth of it lies in the slice before.
    assert thick.numpy() == pytest.approx([0, 0.125 / 5, 0.875 / 5, 0], abs=1e-6)


def test_averaging_keeps_the_total() -> None:
    image = smooth_image(2).abs()
    grid = grid_over(image.shape, AFFINE, np.eye(4), (4.0, 4.0, 4.0), "LPI")
    made = average_over_voxels(image, AFFINE, np.eye(4), grid)
    assert float(made.sum()) * 64 == pytest.approx(float(image.sum()) * 8, rel=1e-4)


def test_outside_of_the_image_is_air() -> None:
    image = torch.ones(6, 6, 6)
    grid = grid_over(image.shape, np.eye(4), np.eye(4), (1.0, 1.0, 1.0), "RAS")
    moved = np.eye(4)
    moved[0, 3] = 3.0
    assert average_over_voxels(image, np.eye(4), moved, grid)[0].abs().max() == 0


@pytest.mark.parametrize("axcodes", ["RLS", "RA", "XYZ", "ras"])
def test_axes_that_are_no_three_directions_are_refused(axcodes: str) -> None:
    with pytest.raises(PhantomError, match="three axes"):
        grid_over((4, 4, 4), np.eye(4), np.eye(4), (1.0, 1.0, 1.0), axcodes)


def test_a_voxel_without_size_is_refused() -> None:
    with pytest.raises(PhantomError, match="not a voxel size"):
        grid_over((4, 4, 4), np.eye(4), np.eye(4), (1.0, 0.0, 1.0), "RAS")


def test_a_rotation_is_right_handed() -> None:
    assert rotation((0, 0, 90)) @ (1, 0, 0) == pytest.approx((0, 1, 0))
    assert np.linalg.det(rotation((10, 20, 30))) == pytest.approx(1)
