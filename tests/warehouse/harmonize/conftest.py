"""Heads whose truth is known: the MNI152 brain that nilearn ships, moved, cut and given other contrasts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from warehouse.imaging.geometry import Image

Matrix = NDArray[np.float64]


@pytest.fixture(scope="session")
def template() -> Image:
    """The MNI152 T1w brain at 3 mm, with its own affine."""
    from nilearn.datasets import load_mni152_template

    loaded = load_mni152_template(resolution=3)
    return Image(np.asarray(loaded.dataobj, np.float32), np.asarray(loaded.affine, np.float64))


@pytest.fixture(scope="session")
def fine_template() -> Image:
    """The same at 2 mm."""
    from nilearn.datasets import load_mni152_template

    loaded = load_mni152_template(resolution=2)
    return Image(np.asarray(loaded.dataobj, np.float32), np.asarray(loaded.affine, np.float64))


def t2_like(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give T1w voxels the order of a T2w scan: fluid bright, white matter dark."""
    return np.where(voxels > 0, 1.2 * voxels.max() - voxels, 0).astype(np.float32)


def rotation(degrees: tuple[float, float, float]) -> Matrix:
    """Return rotations about x, y and z in turn."""
    x, y, z = np.radians(degrees)
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def displaced(degrees: tuple[float, float, float], shift_mm: tuple[float, float, float]) -> Matrix:
    """Return a rigid movement of the world, RAS mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(degrees)
    matrix[:3, 3] = shift_mm
    return matrix


def scanned(image: Image, movement: Matrix, affine: Matrix, shape: tuple[int, int, int]) -> Image:
    """Scan a head that moved: the slow, obvious way, voxel by voxel through three affines."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    world = nib.affines.apply_affine(affine, index)
    before = nib.affines.apply_affine(np.linalg.inv(movement), world)
    source = nib.affines.apply_affine(np.linalg.inv(image.affine), before)
    values = ndimage.map_coordinates(image.voxels, source.T, order=1)
    return Image(values.reshape(shape).astype(np.float32), affine)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str, Image], Path]:
    """Return a function that writes an image as NIfTI."""

    def save(name: str, image: Image) -> Path:
        made = nib.Nifti1Image(image.voxels, image.affine)
        made.set_sform(image.affine, 1)
        made.set_qform(image.affine, 1)
        nib.save(made, tmp_path / name)
        return tmp_path / name

    return save
