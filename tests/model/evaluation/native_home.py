"""Native stores and files beside the harmonised volumes of a tiny home, as harmonisation and a hospital have them.

Every scan has a grid of its own: other directions, other voxel sizes, moved and turned. Heads get a bright spot on the
right side, so that a mirrored one is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Item
from warehouse.centers.registry import Center, Layout, register
from warehouse.imaging.geometry import Grid, Image
from warehouse.imaging.resampling import resample, resample_mask
from warehouse.lake.home import Home
from warehouse.volumes import Payload, open_store, write
from warehouse.volumes.volume import OURS

SPLITS = ("test_internal", "test_external", "acceptance")
# Axes of the files in the order of their voxels: a T1w is axial, a T2w sagittal and a FLAIR coronal with thick slices.
GRIDS: dict[str, tuple[tuple[int, int, int], NDArray[np.float64]]] = {
    "T1w": ((30, 34, 26), np.array([[-2.5, 0, 0, 36], [0, 2.5, 0, -42], [0, 0, 2.5, -32], [0, 0, 0, 1.0]])),
    "T2w": ((32, 24, 22), np.array([[0, 0, 3.2, -34], [2.6, 0, 0, -42], [0, 2.6, 0, -32], [0, 0, 0, 1.0]])),
    "FLAIR": ((28, 22, 24), np.array([[2.6, 0, 0, -36], [0, 0, 3.9, -42], [0, 2.6, 0, -31], [0, 0, 0, 1.0]])),
}


def add_native(home: Home, data: Path, splits: Sequence[str] = SPLITS) -> Home:
    """Write a native store and a file for every volume of some splits, and register the centres with these files."""
    images = CatalogueImages.open(home, "draft", splits)
    for center_id in sorted({item.center_id for item in images.items}):
        (data / center_id).mkdir(parents=True, exist_ok=True)
        register(home, Center(center_id=center_id, title=center_id, layout=Layout(kind="bids")), data / center_id)
    for item in CatalogueImages.open(home, "draft", splits).items:
        _add(item)
    return home


def to_session(image_id: str) -> NDArray[np.float64]:
    """Return the transform of a scan's world to its session's, another one for each scan; RAS+, mm."""
    rng = np.random.default_rng(int(image_id[:8], 16))
    turned, moved = np.eye(4), np.eye(4)
    angle = rng.uniform(-0.1, 0.1)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    moved[:3, 3] = rng.uniform(-4, 4, 3)
    return moved @ turned


def rewrite(path: Path, **changes: Any) -> None:
    """Write a store again with other voxels, mask or attributes."""
    store = open_store(path)
    attributes = dict(store.attributes)
    assert store.mask is not None
    content = {
        "voxels": store[...],
        "mask": store.mask[...],
        "affine": store.affine,
        "attributes": attributes,
    } | changes
    payload = Payload(content["voxels"], content["affine"], content["mask"], content["attributes"], b"")
    write(path, payload, name=path.stem)


def _add(item: Item) -> None:
    session = open_store(item.path)
    assert session.mask is not None
    voxels, mask = np.asarray(session[...], np.float32), np.asarray(session.mask[...]) > 0
    spot = np.zeros(voxels.shape, bool)
    spot[13:17, 8:13, 6:11] = True  # higher i is further right
    voxels = np.where(spot & mask, 0.6 * voxels + 0.4, voxels).astype(np.float16)
    rewrite(item.path, voxels=voxels)
    shape, affine = GRIDS[item.contrast_label]
    matrix, grid = to_session(item.image_id), Grid(shape, affine)
    back, here = np.linalg.inv(matrix), Image(voxels.astype(np.float32), session.affine)
    native = resample(here, back, grid).voxels
    native_mask = resample_mask(mask, here, back, grid)
    attributes = {key: value for key, value in session.attributes.items() if key != OURS} | {
        "form": "native",
        "transforms": [{"kind": "native_to_session", "matrix": matrix.tolist()}],
    }
    payload = Payload(native.astype(np.float16), affine, native_mask.astype(np.uint8), attributes, b"")
    write(item.native_path, payload, name=item.image_id)
    assert item.file is not None
    item.file.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(1000 * native, affine), item.file)
