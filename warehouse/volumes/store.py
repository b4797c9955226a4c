"""Writes a volume as a store: one Zarr v3 group with OME-Zarr 0.5 metadata, verified before it gets its name.

A store holds ``0`` (voxels), ``mask`` (uint8) and ``nifti`` (the source's raw header). Arrays are stored as z, y, x,
the transpose of i, j, k, so the bytes are in the order of a NIfTI file. A store is written under a hidden temporary
name, read back, compared by hash, synced and renamed. A killed writer leaves only a temporary, which
`warehouse.volumes.collection.orphans` lists.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

from warehouse.errors import VolumeError
from warehouse.lake import atomic
from warehouse.volumes.readers import read_json
from warehouse.volumes.volume import OURS, SCHEMA_VERSION

# Longest side of an inner chunk. CPU ms of a random 64³ patch, eight real scans on the 1 mm session grid, float16:
#
#   side  tensorstore, head / stripped   zarr-python, head / stripped   float32 ÷ disk, head / stripped
#   24    1.77 / 1.65                    20.3 / 14.6                    6.8 / 14.1
#   32    1.75 / 1.62                    11.2 /  9.1                    6.8 / 14.2
#   40    1.75 / 1.50                     9.1 /  7.8                    6.8 / 14.2
#   48    1.86 / 1.63                     6.7 /  6.2                    6.8 / 14.1
#   64    3.00 / 2.02                     7.5 /  6.0                    6.7 / 14.0
#
# Small chunks decode fewer unneeded voxels, large ones cost zarr-python less time in Python. 40 is the largest
# that costs tensorstore nothing. Measured anew by `python -m benchmarks.patches --chunks 24 32 40 48 64`.
CHUNK = 40
LEVEL = 3  # zstd 9 gains 2–5 % of size for ten times the time
HEADER_SIZES = (0, 348, 540)  # none, NIfTI-1, NIfTI-2
OME_VERSION = "0.5"
AXES = "zyx"  # OME-Zarr wants z, y, x; NIfTI has i, j, k along x, y, z


@dataclass(frozen=True)
class Payload:
    """Content of a store.

    Parameters
    ----------
    voxels : (i, j, k) array
        Of any real number type; kept as they are. Harmonised voxels are float16 in [0, 1].
    affine : (4, 4) array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    mask : (i, j, k) uint8 array, optional
    attributes : dict
        JSON: identity, recipe, source, intensity, transforms, quality.
    nifti_header : bytes
        The source's header, byte for byte (348 bytes; 540 for NIfTI-2); empty where there is none.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    mask: NDArray[np.uint8] | None
    attributes: dict[str, Any]
    nifti_header: bytes


def write(path: Path, payload: Payload, *, name: str) -> str:
    """Write a store, verify it, and return the hash of its voxels as stored.

    An intact store with the same voxels, mask and header is kept, and its attributes are replaced where they differ.

    Parameters
    ----------
    path : Path
        The store, ``…/<form>.zarr``.
    payload : Payload
    name : str
        Name that viewers show.

    Raises
    ------
    VolumeError
        When the payload cannot be stored, or reading back gave something else.
    """
    arrays = _arrays(path, payload)
    digests = {key: digest(array) for key, array in arrays.items()}
    attributes = {
        "ome": ome_attribute(name, payload.affine),
        OURS: {
            **payload.attributes,
            "schema_version": SCHEMA_VERSION,
            "affine_ras_mm": [[float(value) for value in row] for row in payload.affine],
            "voxels_sha256": digests["0"],
            "mask_sha256": digests.get("mask"),
        },
    }
    _check_json(path, attributes)
    if not _renewed(path, attributes, digests):
        temporary = atomic.temporary_beside(path)
        try:
            _write(temporary, attributes, arrays)
            if not _is_sound(temporary, digests):
                raise VolumeError(
                    f"{path}: what was read back is not what was written", "check the disk, then run again"
                )
            _into_place(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return digests["0"]


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array: its type, its shape and its bytes in C order, little-endian."""
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    found = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def ome_attribute(name: str, affine: NDArray[np.float64]) -> dict[str, Any]:
    """Return the ``ome`` attribute of a volume.

    Version 0.5 has scale and translation only, which describe an axis-aligned RAS grid, such as every session grid,
    completely. On an oblique or flipped native grid the scale is exact and the translation is the position of voxel
    (0, 0, 0); the directions are in our own attribute alone.

    Parameters
    ----------
    name : str
        Name that viewers show.
    affine : (4, 4) array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    """
    scale = {"type": "scale", "scale": [float(size) for size in voxel_sizes(affine)[::-1]]}
    translation = {"type": "translation", "translation": [float(value) for value in affine[:3, 3][::-1]]}
    axes = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in AXES]
    level = {"path": "0", "coordinateTransformations": [scale, translation]}
    return {"version": OME_VERSION, "multiscales": [{"name": name, "axes": axes, "datasets": [level]}]}


def chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the inner chunk of an array: at most `CHUNK` along an axis.

    Axes are divided evenly, so that a patch of a 44-slice scan does not decode padding.
    """
    return tuple(math.ceil(length / math.ceil(length / CHUNK)) for length in shape)


def size_bytes(path: Path) -> int:
    """Return the bytes of all files of a store."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _arrays(path: Path, payload: Payload) -> dict[str, NDArray[Any]]:
    """Return the arrays as they are stored.

    Raises
    ------
    VolumeError
        When they cannot be stored exactly.
    """
    voxels, affine, mask = payload.voxels, payload.affine, payload.mask
    if voxels.ndim != 3 or voxels.dtype.kind not in "iuf" or voxels.size == 0:
        raise VolumeError(f"{path}: voxels of type {voxels.dtype} and shape {voxels.shape}", "give a volume of numbers")
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise VolumeError(f"{path}: voxels are not finite", "clip the intensities before they become float16")
    is_map = affine.shape == (4, 4) and np.isfinite(affine).all() and np.array_equal(affine[3], (0, 0, 0, 1))
    if not is_map or np.linalg.det(affine[:3, :3]) == 0:
        raise VolumeError(f"{path}: the affine {affine.tolist()} maps no volume", "give a 4 × 4 affine, RAS+, mm")
    if len(payload.nifti_header) not in HEADER_SIZES:
        raise VolumeError(f"{path}: a NIfTI header of {len(payload.nifti_header)} bytes", "give 348 bytes, or none")
    arrays = {"0": _on_disk(voxels)}
    if mask is not None:
        if mask.shape != voxels.shape or mask.dtype != np.uint8:
            raise VolumeError(
                f"{path}: a mask of {mask.dtype} and {mask.shape} for {voxels.shape}", "give uint8 on its grid"
            )
        arrays["mask"] = _on_disk(mask)
    if payload.nifti_header:
        arrays["nifti"] = np.frombuffer(payload.nifti_header, np.uint8)
    return arrays


def _on_disk(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array.T, dtype=array.dtype.newbyteorder("="))


def _write(folder: Path, attributes: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    import zarr
    from zarr.codecs import BloscCodec

    group = zarr.create_group(folder, attributes=attributes)
    for key, array in arrays.items():
        inner = chunks(array.shape) if array.ndim == 3 else array.shape
        made = group.create_array(
            key,
            shape=array.shape,
            dtype=array.dtype,
            chunks=inner,
            shards=tuple(-(-length // side) * side for length, side in zip(array.shape, inner, strict=True)),
            compressors=BloscCodec(cname="zstd", clevel=LEVEL, shuffle="shuffle"),
            fill_value=0,
            dimension_names=list("zyx") if array.ndim == 3 else None,
        )
        made[...] = array


def _check_json(path: Path, attributes: dict[str, Any]) -> None:
    try:
        json.dumps(attributes, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise VolumeError(f"{path}: attributes are no JSON: {error}", "give numbers, texts, lists and dicts") from error


def _is_sound(store: Path, digests: dict[str, str]) -> bool:
    """Return whether a store holds exactly these arrays, by reading all of them."""
    import zarr

    try:
        group = zarr.open_group(store, mode="r")
        found = {key: digest(np.asarray(array[...])) for key, array in group.arrays()}
    except (OSError, ValueError, KeyError, RuntimeError):
        return False
    return found == digests


def _renewed(path: Path, attributes: dict[str, Any], digests: dict[str, str]) -> bool:
    """Return whether an intact store with these arrays exists; if so, replace its attributes."""
    if not path.is_dir() or not _is_sound(path, digests):
        return False
    stored = read_json(path / "zarr.json")
    if stored.get("attributes") != json.loads(json.dumps(attributes)):
        atomic.write_text(
            path / "zarr.json", json.dumps(stored | {"attributes": attributes}, indent=2, allow_nan=False)
        )
    return True


def _into_place(temporary: Path, path: Path) -> None:
    """Sync a finished store and rename it; a damaged one with the same name is removed."""
    for folder, _, files in os.walk(temporary):
        for file in files:
            atomic.fsync(Path(folder) / file)
        atomic.fsync(Path(folder))
    try:
        temporary.rename(path)
    except OSError:  # a folder that is not empty has the name
        old = atomic.temporary_beside(path)
        path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    atomic.fsync(path.parent)
