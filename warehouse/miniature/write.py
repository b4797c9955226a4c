"""Writing a miniature: the same description gives the same bytes, every time."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from warehouse.miniature.recipe import Recipe, Scan, Table

SHAPE = (6, 7, 8)
SIDECAR_KEYS = {
    "manufacturer": "Manufacturer",
    "manufacturers_model_name": "ManufacturersModelName",
    "magnetic_field_strength_t": "MagneticFieldStrength",
    "repetition_time_s": "RepetitionTime",
    "echo_time_s": "EchoTime",
    "inversion_time_s": "InversionTime",
    "flip_angle_deg": "FlipAngle",
    "slice_thickness_mm": "SliceThickness",
    "mr_acquisition_type": "MRAcquisitionType",
}
SPELLINGS = {"Trio": "TrioTim", "Prisma fit": "Prisma_fit"}  # as converters write them
# What a converter copies from DICOM and an ingest must not keep.
IDENTIFYING = {
    "InstitutionName": "Miniature Hospital",
    "DeviceSerialNumber": "12345",
    "AcquisitionTime": "10:14:13.000000",
}


def affine_of(scan: Scan) -> np.ndarray:
    """Return the affine of a scan, RAS+, mm: neurological, radiological or oblique, by its path.

    Returns
    -------
    (4, 4) array
        Voxel (i, j, k) to world (x, y, z).
    """
    frames = (np.eye(3), np.diag([-1.0, 1.0, 1.0]), _rotation(0.2, 0.1))
    affine = np.eye(4)
    affine[:3, :3] = frames[_number(scan.path) % 3] @ np.diag(scan.voxel_size_mm)
    affine[:3, 3] = (-10.0, 12.0, 5.0)
    return affine


def write_recipe(recipe: Recipe, root: Path) -> int:
    """Write every file and return how many there are."""
    files: dict[str, bytes] = {path: text.encode("utf-8") for path, text in recipe.texts.items()}
    for scan in recipe.scans:
        files |= _scan_files(scan)
    for table in recipe.tables:
        files[table.path] = table_bytes(table)
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return len(files)


def _scan_files(scan: Scan) -> dict[str, bytes]:
    stem = scan.path.removesuffix(".gz").removesuffix(".nii")
    files = {scan.path: _nifti_bytes(scan)}
    if scan.sidecar is not None:
        files[f"{stem}.json"] = _sidecar_bytes(scan.sidecar)
    if scan.has_gradients:
        files[f"{stem}.bval"] = b"0 1000\n"
        files[f"{stem}.bvec"] = b"0 1\n0 0\n0 0\n"
    return files


def _nifti_bytes(scan: Scan) -> bytes:
    shape = SHAPE if scan.n_volumes == 1 else (*SHAPE, scan.n_volumes)
    voxels = (np.arange(int(np.prod(shape))) * 7 + _number(scan.path)) % 1009
    image = nib.Nifti1Image(voxels.reshape(shape).astype(np.int16), affine_of(scan))
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    content: bytes = image.to_bytes()
    # No time in the gzip header: two builds are the same bytes.
    return gzip.compress(content, mtime=0) if scan.path.endswith(".gz") else content


def _sidecar_bytes(facts: Mapping[str, object]) -> bytes:
    fields = {SIDECAR_KEYS[name]: SPELLINGS.get(str(value), value) for name, value in facts.items()}
    return (json.dumps({**IDENTIFYING, **fields}, indent=2) + "\n").encode("utf-8")


def table_bytes(table: Table) -> bytes:
    """Return a table as its dataset publishes it: separator, line ends, quotes, byte-order mark."""
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=table.separator,
        lineterminator=table.line_end,
        quoting=csv.QUOTE_ALL if table.is_quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue().encode("utf-8-sig" if table.has_byte_order_mark else "utf-8")


def _rotation(about_x: float, about_z: float) -> np.ndarray:
    cx, sx, cz, sz = np.cos(about_x), np.sin(about_x), np.cos(about_z), np.sin(about_z)
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return np.asarray(z @ x)


def _number(path: str) -> int:
    """Return a number that differs from path to path and never from run to run."""
    return zlib.crc32(path.encode())
