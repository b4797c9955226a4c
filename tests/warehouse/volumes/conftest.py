"""Volumes of the field's awkward kinds: odd shapes, thick slices, oblique and left-handed affines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from warehouse.volumes import Payload, Volume, open_store, write

OBLIQUE = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.2, -0.1, 0.3) @ np.diag([0.5, 0.5, 4.0]), [-31.5, 12, 7])
AFFINES = {
    "RAS": nib.affines.from_matvec(np.diag([1.0, 1.0, 1.0]), [-30.0, -40.0, -50.0]),
    "LAS": nib.affines.from_matvec(np.diag([-0.9, 0.8, 1.25]), [30.0, -40.0, -50.0]),
    "LPS": nib.affines.from_matvec(np.diag([-0.72, -0.72, 3.0]), [30.0, 40.0, -50.0]),
    "oblique": OBLIQUE,
    "oblique, left-handed": OBLIQUE @ np.diag([-1.0, 1.0, 1.0, 1.0]),
}
SHAPE = (45, 61, 7)  # distinct, more than one chunk, and thick slices


def attributes(**more: Any) -> dict[str, Any]:
    """Return what harmonisation states of a volume."""
    return {
        "image_id": "0123456789abcdef",
        "center_id": "alpha",
        "participant_id": "01",
        "session_id": "alpha/sub-01/ses-2",
        "entities": {"sub": "01", "ses": "2", "acq": "mprage", "suffix": "T1w", "folder": "not an entity"},
        "contrast": "T1w",
        "form": "session",
        "recipe_id": "fedcba9876543210",
        "recipe": "standard",
        "source": {"path": "sub-01/ses-2/anat/sub-01_ses-2_acq-mprage_T1w.nii.gz", "sha256": "0" * 64},
        "intensity": {"low": 10.0, "high": 1010.0, "percentiles": [0.01, 99.9]},
        "mask": {"source": "own", "volume_ml": 1400.0},
        "transforms": [{"kind": "to_reference", "matrix": np.eye(4).tolist()}],
        "quality": {"cjv": 0.4, "efc": None},
        "verdict": "pass",
        "is_simulated": True,
    } | more


def make_payload(
    dtype: str = "float16",
    shape: tuple[int, int, int] = SHAPE,
    affine: NDArray[np.float64] = AFFINES["RAS"],
    *,
    is_masked: bool = True,
    **more: Any,
) -> Payload:
    """Return a head: an ellipsoid with noise, brighter on its right, zero outside."""
    rng = np.random.default_rng(7)
    grid = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    mask = (sum(axis**2 for axis in grid) < 0.8).astype(np.uint8)
    right = nib.affines.apply_affine(affine, np.stack(np.indices(shape), axis=-1))[..., 0]
    values = (0.2 + 0.6 * (right > right.mean()) + rng.uniform(0, 0.2, shape)) * mask
    voxels = values if dtype.startswith("float") else values * 200
    return Payload(voxels.astype(dtype), affine, mask if is_masked else None, attributes(**more), b"")


def payload_of(path: Path) -> Payload:
    """Return a NIfTI file without a voxel changed: integers stay integers unless the header scales them."""
    image: Any = nib.load(path)
    is_scaled = (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)
    voxels = np.asarray(image.dataobj, dtype=np.float32) if is_scaled else image.dataobj.get_unscaled()
    with nib.openers.ImageOpener(str(path)) as file:
        header = file.read(image.header.sizeof_hdr)
    return Payload(np.asarray(voxels), np.asarray(image.affine, np.float64), None, {}, header)


Stored = Callable[..., Volume]


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Return a function that writes a payload and opens it."""

    def make(reader: Any = "auto", name: str = "session", **more: Any) -> Volume:
        path = tmp_path / "volumes" / "fedcba9876543210" / "0123456789abcdef-key" / f"{name}.zarr"
        write(path, make_payload(**more), name="sub-01 T1w")
        return open_store(path, reader)

    return make


@pytest.fixture(params=["tensorstore", "zarr"])
def reader(request: pytest.FixtureRequest) -> str:
    """Both readers; the fast one where it is installed."""
    if request.param == "tensorstore":
        pytest.importorskip("tensorstore")
    return str(request.param)
