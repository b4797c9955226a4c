"""Heads with a marker on their left in files of every awkward geometry, each with where its voxels are in the world."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
SHAPE = (40, 46, 36)
MARKER_MM = np.array([-24.0, 20.0, 16.0])  # from the middle of the head, RAS+: left, anterior and superior
RADIUS_MM = 15.0
SEMI_AXES_MM = np.array([62.0, 76.0, 62.0])
TURNED = nib.eulerangles.euler2mat(0.3, -0.2, 0.25)  # rad, about z, y and x


def affine_of(matrix: Any, sizes: Any = (4.0, 4.0, 4.5), shape: Any = SHAPE, middle: Any = (3.0, -7.0, 5.0)) -> Matrix:
    """Return the affine of axes and voxel sizes (mm) whose middle voxel lies at a place of the world (mm)."""
    steps = np.asarray(matrix, float) @ np.diag(sizes)
    return nib.affines.from_matvec(steps, np.asarray(middle) - steps @ (np.array(shape[:3]) - 1) / 2)


def axes(codes: str) -> Matrix:
    """Return the directions of axes that point as the letters say."""
    matrix = np.zeros((3, 3))
    for axis, (towards, sign) in enumerate(nib.orientations.axcodes2ornt(tuple(codes))):
        matrix[int(towards), axis] = sign
    return matrix


def middle_of(affine: Matrix, shape: Any = SHAPE) -> Matrix:
    """Return where the middle of a volume lies, mm."""
    return np.asarray(affine[:3, :3] @ ((np.array(shape[:3]) - 1) / 2) + affine[:3, 3])


def head(affine: Matrix, shape: Any = SHAPE) -> NDArray[np.float64]:
    """Return a head in the middle of a grid, with a bright ball on its left, which an affine (mm) places."""
    mm = np.moveaxis(nib.affines.apply_affine(affine, np.indices(shape[:3]).reshape(3, -1).T), -1, 0)
    x, y, z = mm - middle_of(affine, shape)[:, None]
    inside = ((np.array([x, y, z]) / SEMI_AXES_MM[:, None]) ** 2).sum(0) < 1
    marker = np.linalg.norm(np.array([x, y, z]) - MARKER_MM[:, None], axis=0) < RADIUS_MM
    tissue = 600 + 80 * np.sin(x / 9) + 80 * np.cos(y / 11) + 60 * np.sin(z / 8)
    return (inside * (tissue + 700 * marker) + 4.0).reshape(shape)


def marker_of(voxels: NDArray[Any], affine: Matrix) -> Matrix:
    """Return the centre of gravity of what is brighter than any tissue but the marker, mm."""
    weights = np.maximum(voxels - 0.7 * voxels.max(), 0).ravel()
    at = nib.affines.apply_affine(affine, np.indices(voxels.shape).reshape(3, -1).T)
    return np.asarray(weights @ at / weights.sum())


def assert_left_is_left(made: nib.Nifti1Image, affine: Matrix, shape: Any = SHAPE) -> None:
    """Assert that a result lies on a grid, and that its marker is within a voxel of where anatomy has it."""
    assert made.shape == tuple(shape[:3])
    size = np.linalg.norm(affine[:3, :3], axis=0).min()
    corner = np.array(shape[:3]) - 1
    for form in (made.affine, made.get_sform()):
        np.testing.assert_allclose(form[:3, :3], affine[:3, :3], atol=1e-4 * size)
        np.testing.assert_allclose(
            nib.affines.apply_affine(form, corner), nib.affines.apply_affine(affine, corner), atol=0.01 * size
        )
    found = marker_of(np.asarray(made.dataobj), made.affine)
    apart = np.linalg.solve(affine[:3, :3], found - middle_of(affine, shape) - MARKER_MM)
    assert (np.abs(apart) < 1).all(), f"the marker is {apart} voxels from its place"


BASE = affine_of(TURNED @ axes("LAS"))
STRAIGHT = affine_of(axes("LAS"))


@dataclass(frozen=True)
class File:
    """The content of a file.

    Parameters
    ----------
    content : bytes
    affine : (4, 4) array
        Voxel to world, mm, in which the head was drawn.
    said : str
        Part of the warning or the refusal that is expected.
    name : str
    """

    content: bytes
    affine: Matrix = field(default_factory=lambda: BASE)
    said: str = ""
    name: str = "scan.nii.gz"


def image(
    affine: Matrix = BASE,
    *,
    voxels: Any = None,
    dtype: Any = np.int16,
    codes: tuple[int, int] = (1, 1),
    qform: Matrix | None = None,
    unit: str = "mm",
    scale: float = 1.0,
    kind: Any = nib.Nifti1Image,
    endian: str = "<",
) -> Any:
    """Return the head as an image; `scale` is the number of units in a millimetre, `codes` those of qform and sform."""
    values = head(affine) if voxels is None else voxels
    header = kind.header_class(endianness=endian)
    header.set_data_dtype(dtype)
    made = kind(np.asarray(values).astype(dtype), np.diag([scale, scale, scale, 1]) @ affine, header)
    own = affine if qform is None else qform
    made.set_qform(np.diag([scale, scale, scale, 1]) @ own, codes[0])
    made.set_sform(made.affine, codes[1])
    made.header.set_xyzt_units(unit, "sec")
    return made


def changed(affine: Matrix = BASE, *, codes: tuple[int, int] = (1, 1), **fields: Any) -> bytes:
    """Return the head as a file with some fields of its header overwritten."""
    content = image(affine, codes=codes).to_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return bytes(header.binaryblock) + content[348:]


def pixdim(qfac: float, *sizes: float) -> list[float]:
    return [qfac, *sizes, 0, 0, 0, 0]


def stored(values: NDArray[Any], dtype: Any = np.float32, affine: Matrix = BASE) -> bytes:
    return bytes(image(affine, voxels=values, dtype=dtype).to_bytes())


def with_extension() -> bytes:
    made = image()
    made.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    return bytes(made.to_bytes())


def moved_by(*mm: float) -> Matrix:
    return np.asarray(nib.affines.from_matvec(np.eye(3), mm) @ BASE)


def turned_by(*signs: float) -> Matrix:
    """Return the straight grid with axes of the world reversed about its middle."""
    matrix, middle = np.diag(signs), middle_of(STRAIGHT)
    return np.asarray(nib.affines.from_matvec(matrix, middle - matrix @ middle) @ STRAIGHT)


def without_qfac() -> bytes:
    """Return a file of a qform whose pixdim[0] is 0, which stands for 1: the third axis is not reversed."""
    made = image(voxels=head(QFAC_0), codes=(1, 0)).to_bytes()
    header = nib.Nifti1Header(made[:348], check=False)
    header["pixdim"][0] = 0
    return bytes(header.binaryblock) + made[348:]


HEAD = head(BASE)
BRAIN = HEAD > 100
TEXTURED = np.where(BRAIN, HEAD, 0)
MEAN, SPREAD = TEXTURED[BRAIN].mean(), TEXTURED[BRAIN].std()
QFAC_0 = BASE @ np.diag([1.0, 1.0, -1.0, 1.0])  # the quaternion of the mirrored grid, without the mirror
TOO_LONG = {"quatern_b": 0.0, "quatern_c": 0.70710745, "quatern_d": 0.70710745}
LONG = affine_of(nib.quaternions.quat2mat([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]))
COLOURS = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
GZ = gzip.compress(changed())

ACCEPTED = {
    "both forms": File(changed()),
    "sform alone": File(changed(codes=(0, 1))),
    "qform alone": File(changed(codes=(1, 0))),
    "qform of a permuted grid": File(changed(P := affine_of(TURNED @ axes("PIL")), codes=(1, 0)), P),
    "forms of a template": File(changed(codes=(4, 5))),
    "a sheared sform": File(
        changed(S := affine_of(TURNED @ axes("LAS") @ [[1, 0.1, 0], [0, 1, 0.05], [0, 0, 1]]), codes=(0, 2)), S
    ),
    "an unknown code of the sform": File(changed(sform_code=7)),
    "forms a third of a voxel apart": File(image(qform=moved_by(1.3, 0, 0)).to_bytes()),
    "forms 9 mm apart": File(image(qform=moved_by(9, 0, 0)).to_bytes(), said="9.0 mm apart; the sform is used"),
    "forms half a turn about x apart": File(
        image(STRAIGHT, qform=turned_by(1, -1, -1)).to_bytes(), STRAIGHT, "mm apart; the sform is used"
    ),
    "a rounded quaternion beside a sform": File(changed(**TOO_LONG), said="the sform is used"),
    "a rounded quaternion alone": File(changed(LONG, codes=(1, 0), **TOO_LONG), LONG),
    "nonsense for a quaternion beside a sform": File(
        changed(quatern_b=0.9, quatern_c=0.9, quatern_d=0.9), said="the sform is used"
    ),
    "a quaternion of NaN beside a sform": File(changed(quatern_b=np.nan), said="the sform is used"),
    "qfac 0, qform alone": File(without_qfac(), QFAC_0),
    "pixdim negative beside a sform": File(changed(pixdim=pixdim(-1, -4.0, 4.0, 4.5))),
    "pixdim negative, qform alone": File(changed(pixdim=pixdim(-1, -4.0, 4.0, 4.5), codes=(1, 0))),
    "pixdim 0 beside a sform": File(changed(pixdim=pixdim(-1, 0, 0, 0)), said="the sform is used"),
    "pixdim 1 beside a sform": File(changed(pixdim=pixdim(-1, 1, 1, 1)), said="the sform is used"),
    "metres": File(image(unit="meter", scale=0.001).to_bytes()),
    "microns": File(image(unit="micron", scale=1000.0).to_bytes()),
    "no unit": File(image(unit="unknown").to_bytes()),
    "a unit that NIfTI has not": File(changed(xyzt_units=6), said="mm is assumed"),
    "slope and intercept": File(changed(scl_slope=0.106186, scl_inter=-217.391312)),
    "slope and intercept of NaN": File(changed(scl_slope=np.nan, scl_inter=np.nan)),
    "an infinite slope": File(changed(scl_slope=np.inf, scl_inter=0.0)),
    "a slope of zero": File(changed(scl_slope=0.0, scl_inter=0.0)),
    "big-endian": File(image(endian=">").to_bytes()),
    "big-endian and compressed": File(gzip.compress(image(endian=">", dtype=np.float32).to_bytes())),
    "NIfTI-2": File(image(kind=nib.Nifti2Image).to_bytes()),
    **{
        f"{np.dtype(dtype).name}": File(image(dtype=dtype).to_bytes())
        for dtype in (np.float64, np.float32, np.int32, np.uint16, np.int64)
    },
    "uint8": File(stored(HEAD / 8, np.uint8)),
    "a fourth axis of one": File(stored(HEAD[..., None])),
    "axes of zero beyond the third": File(changed(dim=[3, *SHAPE, 0, 0, 0, 0])),
    "a wrong bitpix": File(changed(bitpix=32)),
    "no offset of voxels": File(changed(vox_offset=0.0)),
    "an extension of the header": File(with_extension()),
    "NaN around a brain": File(stored(np.where(BRAIN, HEAD, np.nan))),
    "NaN in a corner": File(stored(np.where(np.indices(SHAPE).sum(0) < 20, np.nan, HEAD))),
    "a z-scored brain": File(stored(np.where(BRAIN, (HEAD - MEAN) / SPREAD, 0))),
    "NaN around a z-scored brain": File(stored(np.where(BRAIN, (HEAD - MEAN) / SPREAD, np.nan))),
    "a brain minus 1024": File(stored(TEXTURED - 1024)),
    "padding of -2000": File(stored(np.where(np.indices(SHAPE)[0] < 3, -2000, HEAD))),
    "text behind gzip": File(GZ + b"GARBAGE from a broken transfer" * 20),
    "zeros behind gzip": File(GZ + b"\0" * 512),
    "two members of gzip": File(gzip.compress(changed()[:700]) + gzip.compress(changed()[700:])),
    "bytes behind the voxels": File(gzip.compress(changed() + b"\0" * 4096)),
    "not compressed, named .nii.gz": File(changed()),
    "compressed, named .nii": File(GZ, name="scan.nii"),
    **{
        f"the name {name.encode(errors='replace').decode()}": File(GZ, name=name)
        for name in (
            "sub-01_T1w.NII.GZ",
            "sub-01_T1w.Nii",
            "sub-02_acq-a b_T1w.nii.gz",
            "sub-03_acq-#1'\"_T1w.nii.gz",
            "sub-04_acq-a\nb_T1w.nii.gz",
            "sub-06_acq-e\u0301_T1w.nii.gz",
            "sub-07_acq-\U0001f9e0_T1w.nii.gz",
            "sub-08_acq-$(id);%s_[T1w]*?.nii.gz",
            f"sub-{'x' * 100}_acq-{'z' * 120}_T1w.nii.gz",
            b"sub-05_acq-\xe9_T1w.nii.gz".decode(errors="surrogateescape"),
        )
    },
}

REFUSED = {
    "no form": File(changed(codes=(0, 0)), said="left and right are unknown"),
    "unknown codes of both forms": File(changed(qform_code=9, sform_code=7), said="left and right are unknown"),
    "a mirror": File(image(STRAIGHT, qform=turned_by(-1, 1, 1)).to_bytes(), said="disagree about left and right"),
    "half a turn about z": File(
        image(STRAIGHT, qform=turned_by(-1, -1, 1)).to_bytes(), said="disagree about left and right"
    ),
    "half a turn about y": File(
        image(STRAIGHT, qform=turned_by(-1, 1, -1)).to_bytes(), said="disagree about left and right"
    ),
    "nonsense for a quaternion alone": File(
        changed(codes=(1, 0), quatern_b=0.9, quatern_c=0.9, quatern_d=0.9), said="quaternion of the qform"
    ),
    "a quaternion of NaN alone": File(changed(codes=(1, 0), quatern_b=np.nan), said="quaternion of the qform"),
    "pixdim 0, qform alone": File(changed(codes=(1, 0), pixdim=pixdim(-1, 0, 0, 0)), said="the qform has voxels of"),
    "a sform of zeros": File(changed(srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4), said="determinant is 0"),
    "a sform of NaN": File(changed(srow_x=[np.nan, 0, 0, 0]), said="NaN or infinity"),
    "metres stated, millimetres meant": File(image(unit="meter").to_bytes(), said="xyzt_units states, which is meter"),
    "microns stated, millimetres meant": File(
        image(unit="micron").to_bytes(), said="xyzt_units states, which is micron"
    ),
    "metres meant, no unit": File(image(unit="unknown", scale=0.001).to_bytes(), said="which is unknown"),
    "metres meant, millimetres stated": File(image(scale=0.001).to_bytes(), said="which is mm"),
    "an intercept of NaN": File(changed(scl_slope=2.0, scl_inter=np.nan), said="scl_inter is nan"),
    "complex": File(image(dtype=np.complex64).to_bytes(), said="complex64"),
    "colours": File(image(voxels=np.zeros(SHAPE, COLOURS), dtype=COLOURS).to_bytes(), said="colours"),
    "20 volumes": File(stored(np.ones((8, 8, 8, 20))), said="20 volumes where one is expected"),
    "three directions": File(stored(np.ones((8, 8, 8, 1, 3))), said="3 volumes where one is expected"),
    "a first axis that is time": File(stored(np.ones((1, 8, 8, 8))), said="8 volumes where one is expected"),
    "two axes": File(stored(np.ones((8, 8))), said="three axes are wanted"),
    "a fourth axis of zero": File(changed(dim=[4, *SHAPE, 0, 1, 1, 1]), said="every axis needs a voxel"),
    "a negative axis": File(changed(dim=[3, -40, 46, 36, 1, 1, 1, 1]), said="every axis needs a voxel"),
    "no axes": File(changed(dim=[0, *SHAPE, 1, 1, 1, 1]), said="dim[0] is 0"),
    "an unknown type": File(changed(datatype=9999), said="datatype 9999"),
    "another magic": File(changed(magic=b"xxxx"), said="magic"),
    "one value": File(stored(np.ones(SHAPE)), said="every voxel is 1"),
    "NaN alone": File(stored(np.full(SHAPE, np.nan)), said="NaN or infinite"),
    "impossible intensities": File(stored(np.where(BRAIN, 1e30, 0)), said="intensities reach"),
    "half of a file": File(changed()[: len(changed()) // 2], said="where the header needs"),
    "half of a compressed file": File(GZ[: len(GZ) // 2], said="truncated"),
    "a wrong checksum": File(GZ[:-8] + b"\0\0\0\0" + GZ[-4:], said="some bytes are wrong"),
    "compressed twice": File(gzip.compress(GZ), said="compressed by gzip twice"),
    "zstd": File(b"\x28\xb5\x2f\xfd" + b"x" * 300, said="zstd"),
    "a web page": File(gzip.compress(b"<html><body>404 Not Found</body></html>"), said="a web page"),
    "a pointer of Git LFS": File(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n", said="Git LFS"
    ),
    "a pointer of git-annex": File(b"/annex/objects/MD5E-s77--00ff.nii.gz\n", said="was not fetched"),
    "plain text": File(b"not an image at all" * 30, said="a text file"),
    "nothing": File(b"", said="0 bytes"),
}
