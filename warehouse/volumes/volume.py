"""Reads a store: voxels and mask lazily, affine and attributes at once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.errors import VolumeError
from warehouse.imaging.geometry import Grid
from warehouse.imaging.nifti import decode, facts
from warehouse.volumes.readers import Key, Reader, Voxels, read_json

OURS = "tumsyn"  # our attribute beside `ome`
SCHEMA_VERSION = 1
SCANNER, ALIGNED = 1, 2  # NIfTI's codes of the world's coordinate system


def open_store(path: Path, reader: Reader = "auto") -> Volume:
    """Open a store for reading.

    Parameters
    ----------
    path : Path
        The store, ``…/<form>.zarr``.
    reader : {"auto", "tensorstore", "zarr"}
        ``auto`` is tensorstore where it is installed. Both give the same voxels.

    Raises
    ------
    VolumeError
        When there is no store, or it is not one of ours.
    """
    return Volume(Path(path), reader)


class Volume:
    """A harmonised volume. ``volume[i0:i1, j0:j1, k0:k1]`` reads a piece; it is pickled as its path.

    Parameters
    ----------
    path : Path
    reader : {"auto", "tensorstore", "zarr"}

    Attributes
    ----------
    attributes : dict
        Identity, recipe, source, intensity parameters, transforms, quality.
    affine : (4, 4) array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    voxels : Voxels
    mask : Voxels or None
        Brain mask, uint8, on the same grid.
    """

    def __init__(self, path: Path, reader: Reader = "auto") -> None:
        self.path = path
        self.attributes: dict[str, Any] = _attributes(path)
        self.affine: NDArray[np.float64] = np.array(self.attributes["affine_ras_mm"], dtype=np.float64)
        self.voxels = Voxels(path / "0", reader)
        self.mask = Voxels(path / "mask", reader) if (path / "mask").is_dir() else None

    @property
    def reader(self) -> Reader:
        """The reader in use."""
        return self.voxels.reader

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along i, j, k."""
        return self.voxels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Number type as stored; float16 in [0, 1] for harmonised voxels."""
        return self.voxels.dtype

    @property
    def voxel_size_mm(self) -> NDArray[np.float64]:
        """Length of a step along i, j, k, mm."""
        return self.grid.voxel_size_mm

    @property
    def grid(self) -> Grid:
        """The grid of its voxels."""
        i, j, k = self.shape
        return Grid((i, j, k), self.affine)

    @cached_property
    def nifti_header(self) -> bytes:
        """The source's NIfTI header, byte for byte; empty where the source had none."""
        folder = self.path / "nifti"
        return bytes(_read_bytes(folder)) if folder.is_dir() else b""

    def __reduce__(self) -> tuple[type[Volume], tuple[Path, str]]:
        return type(self), (self.path, self.reader)

    def __repr__(self) -> str:
        size = " × ".join(f"{mm:g}" for mm in self.voxel_size_mm)
        return f"Volume({self.path}, {self.shape}, {size} mm, {self.dtype}, by {self.reader})"

    def __getitem__(self, key: Key | tuple[Key, ...]) -> NDArray[Any]:
        return self.voxels[key]

    def patch(self, corner: tuple[int, int, int], size: tuple[int, int, int]) -> NDArray[Any]:
        """Return a piece of exactly this size, padded with 0 outside the volume.

        Parameters
        ----------
        corner : tuple of int
            First voxel (i, j, k); may lie outside.
        size : tuple of int
            Voxels along i, j, k.
        """
        return self.voxels.patch(corner, size)

    def to_nifti(self) -> nib.Nifti1Image:
        """Return the volume as NIfTI: the source's header where the grid is the source's, else a fresh one.

        NIfTI has no float16: it becomes float32, which holds every float16 exactly.
        """
        voxels = self[...]
        return nifti_of(voxels.astype(np.float32) if self.dtype == np.float16 else voxels, self)


def nifti_of(voxels: NDArray[Any], volume: Volume) -> nib.Nifti1Image:
    """Return voxels on a volume's grid as NIfTI.

    Parameters
    ----------
    voxels : (i, j, k) array
        Of a number type that NIfTI has.
    volume : Volume
        Whose affine and header are taken.
    """
    source = _source_header(volume)
    image = nib.Nifti1Image(voxels, volume.affine, source, dtype=voxels.dtype)
    if source is None or not np.array_equal(source.get_best_affine(), volume.affine):
        code = ALIGNED if volume.attributes.get("form") == "session" else SCANNER
        image.set_sform(volume.affine, code)
        image.set_qform(volume.affine, code)
    if "intensity" in volume.attributes:
        image.header["cal_min"] = image.header["cal_max"] = 0  # the source's display range shows [0, 1] as black
    if source is None:
        image.header.set_xyzt_units("mm", "sec")
    return image


def _source_header(volume: Volume) -> nib.Nifti1Header | None:
    """Return the source's header; None where its fields about axes and slices would be wrong for this grid.

    Where sform and qform differ, or one cannot be used, both are set to the volume's affine.
    """
    raw = volume.nifti_header
    if not raw:
        return None
    decoded = decode(raw, str(volume.path))
    source = facts(decoded)
    is_same = source.grid.shape == volume.shape and np.allclose(source.grid.affine, volume.affine, rtol=0, atol=1e-4)
    if not is_same or source.spatial_unit not in {"mm", "unknown"}:
        return None
    header: nib.Nifti1Header = nib.Nifti1Header.from_header(decoded.as_byteswapped("<"), check=False)
    header.set_xyzt_units("mm", source.temporal_unit)
    if source.doubts or not _is_qform_valid(header):
        code = source.sform_code or source.qform_code
        header.set_sform(volume.affine, code)
        header.set_qform(volume.affine, code)
    return header


def _is_qform_valid(header: nib.Nifti1Header) -> bool:
    """Return whether nibabel, which is stricter about rounding than our reader, accepts the qform."""
    try:
        header.get_qform(coded=True)
    except ValueError:
        return False
    return True


def _attributes(path: Path) -> dict[str, Any]:
    attributes = read_json(path / "zarr.json").get("attributes", {})
    ours = attributes.get(OURS)
    if not isinstance(ours, dict):
        raise VolumeError(f"{path} has no attribute {OURS!r}", "open a store that this project wrote")
    if ours.get("schema_version") != SCHEMA_VERSION:
        what = f"{path} has schema version {ours.get('schema_version')}, and {SCHEMA_VERSION} is understood"
        raise VolumeError(what, "use the version of this project that wrote it, or harmonise the scan again")
    return ours


def _read_bytes(folder: Path) -> NDArray[np.uint8]:
    import zarr

    return np.asarray(zarr.open_array(folder, mode="r")[:], dtype=np.uint8)
