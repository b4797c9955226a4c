"""Ingest and synthesis judge one file alike: what one refuses, the other does not accept."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from model.inference.scans import read
from warehouse.errors import ModelError
from warehouse.imaging.files import RefusedError
from warehouse.imaging.nifti import read_header
from warehouse.ingest.eligibility import judge

SIDE_MM = 2.0
Change = Callable[[Any], None]


def head(dtype: Any = np.int16, shape: tuple[int, ...] = (5, 6, 7), kind: Any = nib.Nifti1Image) -> Any:
    """Return a file of noise in memory, both forms alike."""
    voxels = np.random.default_rng(0).integers(1, 100, shape)
    made = kind(voxels.astype(dtype), np.diag([SIDE_MM, SIDE_MM, SIDE_MM, 1.0]), dtype=dtype)
    made.set_qform(made.affine, 1)
    made.set_sform(made.affine, 1)
    return made


def changed(**fields: Any) -> bytes:
    """Return the file with some fields of its header overwritten."""
    content = head().to_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + content[348:]


def formed(qform: Any = None, sform: Any = None) -> bytes:
    """Return the file with other forms; None leaves one out."""
    made = head()
    made.set_qform(None if qform is None else np.diag([*(SIDE_MM * np.array(qform)), 1.0]), int(qform is not None))
    made.set_sform(None if sform is None else np.diag([*(SIDE_MM * np.array(sform)), 1.0]), int(sform is not None))
    return bytes(made.to_bytes())


def scaled(side: float, unit: str) -> bytes:
    """Return the file with voxels of another length in another unit."""
    made = head()
    affine = np.diag([side, side, side, 1.0])
    made.set_qform(affine, 1)
    made.set_sform(affine, 1)
    made.header.set_xyzt_units(unit, "sec")
    return bytes(made.to_bytes())


COLOURS = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
BIG_ENDIAN = nib.Nifti1Image(head().get_fdata(), head().affine, nib.Nifti1Header(endianness=">"))
TURNED = {"quatern_b": 0.0, "quatern_c": 0.70710745, "quatern_d": 0.70710745}

USED = {
    "as converters write it": changed(),
    "metres": scaled(0.002, "meter"),
    "microns": scaled(2000.0, "micron"),
    "no unit": scaled(2.0, "unknown"),
    "sform alone": formed(sform=(-1, 1, 1)),
    "qform alone": formed(qform=(-1, -1, 1)),
    "a rounded quaternion beside the sform": changed(**TURNED),
    "a rounded quaternion alone": changed(**TURNED, sform_code=0),
    "nonsense for a quaternion beside the sform": changed(quatern_b=0.9, quatern_c=0.9),
    "half a turn about x": formed(qform=(1, -1, -1), sform=(1, 1, 1)),
    "bytes behind the gzip data": gzip.compress(changed()) + b"\0" * 512,
    "several members of gzip": gzip.compress(changed()[:400]) + gzip.compress(changed()[400:]),
    "big-endian": BIG_ENDIAN.to_bytes(),
    "NIfTI-2": head(kind=nib.Nifti2Image).to_bytes(),
    "double precision": head(np.float64).to_bytes(),
    "64-bit integers": head(np.int64).to_bytes(),
    "a fourth axis of one": head(shape=(5, 6, 7, 1)).to_bytes(),
    "scaled": changed(scl_slope=0.5, scl_inter=3.0),
    "a slope of zero": changed(scl_slope=0.0, scl_inter=0.0),
}
REFUSED = {
    "metres stated, millimetres meant": scaled(2.0, "meter"),
    "microns stated, millimetres meant": scaled(2.0, "micron"),
    "metres meant, no unit": scaled(0.002, "unknown"),
    "a mirror": formed(qform=(-1, 1, 1), sform=(1, 1, 1)),
    "half a turn about z": formed(qform=(-1, -1, 1), sform=(1, 1, 1)),
    "no form": formed(),
    "nonsense for a quaternion alone": changed(quatern_b=0.9, quatern_c=0.9, sform_code=0),
    "an axis of no voxel": changed(dim=[3, 5, 0, 7, 1, 1, 1, 1]),
    "a negative axis": changed(dim=[3, -5, 6, 7, 1, 1, 1, 1]),
    "several volumes": head(shape=(5, 6, 7, 2)).to_bytes(),
    "two axes": head(shape=(5, 6)).to_bytes(),
    "complex": head(np.complex64).to_bytes(),
    "colours": nib.Nifti1Image(np.zeros((5, 6, 7), COLOURS), np.eye(4)).to_bytes(),
    "an intercept of NaN": changed(scl_slope=2.0, scl_inter=np.nan),
    "an unknown type": changed(datatype=9999),
    "bits": changed(datatype=1),
    "128-bit floating point": changed(datatype=1536),
    "half of the file": changed()[:500],
    "text": b"not an image at all" * 30,
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "a web page": gzip.compress(b"<html><body>404</body></html>"),
}


def is_used_by_ingest(path: Path) -> bool:
    try:
        return judge({}, "T1w", read_header(str(path)), None, derived=False)[0]
    except RefusedError:
        return False


@pytest.mark.parametrize("what", USED)
def test_what_ingest_takes_synthesis_reads_on_the_same_grid(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(USED[what])
    assert is_used_by_ingest(path)
    scan, header = read(path), read_header(str(path))
    np.testing.assert_array_equal(scan.grid.affine, header.grid.affine)
    assert scan.voxels.shape == (5, 6, 7) == header.grid.shape
    assert header.voxel_size_mm == pytest.approx((SIDE_MM,) * 3)


@pytest.mark.parametrize("what", REFUSED)
def test_what_ingest_does_not_take_synthesis_refuses(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(REFUSED[what])
    assert not is_used_by_ingest(path)
    with pytest.raises(ModelError) as refusal:
        read(path)
    assert refusal.value.remedy
