"""Reads bytes of image files: identifies formats by their first bytes, and decompresses gzip with its checksum.

Python's gzip module refuses files with bytes after the last member, which some scanners' exports have; zlib does not.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

GZIP_MAGIC = b"\x1f\x8b"
ANNEX_POINTER = b"/annex/objects/"  # begins a file that git-annex unlocked but did not fetch
BLOCK = 1 << 20
WHOLE = 31  # zlib's window bits for a gzip member with header and checksum

# First bytes, reason, format and remedy of files that are no NIfTI.
KNOWN = (
    (b"version https://git-lfs", "lfs_pointer", "a pointer of Git LFS, not the image", "git lfs pull"),
    (GZIP_MAGIC, "compressed_twice", "compressed by gzip twice", "unpack it once with gunzip"),
    (b"PK\x03\x04", "zip_archive", "a zip archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "zstd_archive", "compressed by zstd", "unpack it with zstd -d, and compress it with gzip"),
    (b"BZh", "bzip2_archive", "compressed by bzip2", "unpack it with bunzip2, and compress it with gzip"),
    (b"\xfd7zXZ", "xz_archive", "compressed by xz", "unpack it with xz -d, and compress it with gzip"),
    (b"\x89HDF", "hdf5_file", "an HDF5 file, as MINC 2 is", "convert it with mnc2nii"),
    (b"CDF\x01", "minc_file", "a MINC 1 file", "convert it with mnc2nii"),
    (b"NRRD", "nrrd_file", "an NRRD file", "convert it to NIfTI, e.g. with SimpleITK"),
    (b"\x00\x00\x00\x01", "mgh_file", "an MGH file of FreeSurfer", "convert it with mri_convert"),
    (b"%PDF", "pdf_document", "a PDF document", "fetch the image again"),
    (b"\x89PNG", "png_picture", "a PNG picture", "fetch the image again"),
)


class RefusedError(Exception):
    """A file that cannot be used as an image.

    Parameters
    ----------
    reason : str
        Code for tables, e.g. truncated_gzip.
    detail : str
        Observation.
    remedy : str
        What the user can do.
    """

    def __init__(self, reason: str, detail: str, remedy: str) -> None:
        self.reason, self.detail, self.remedy = reason, detail, remedy
        super().__init__(detail)


class NotFetchedError(Exception):
    """A git-annex pointer without its content."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


def first_bytes(location: str, size: int) -> bytes:
    """Return the first bytes of a file's content, decompressed if it is gzip.

    Raises
    ------
    RefusedError
        When the file is empty, or its gzip data are damaged or too short.
    NotFetchedError
        When its content was not fetched by git-annex.
    """
    with open(location, "rb") as file:
        start = file.read(max(4096, size))
    if not start:
        raise RefusedError("empty_file", "0 bytes", "fetch or convert the image again")
    if len(start) < 32768 and start.startswith(ANNEX_POINTER):
        raise NotFetchedError(start.split(b"\n")[0].decode("utf-8", "replace").rsplit("/", 1)[-1])
    if not start.startswith(GZIP_MAGIC):
        return start[:size]
    try:  # the first block nearly always suffices
        found = zlib.decompressobj(WHOLE).decompress(start, size)
    except zlib.error as error:
        raise _damaged(error) from error
    if len(found) >= size:
        return found
    found = b""
    for block in unpacked(location):
        found += block
        if len(found) >= size:
            break
    return found[:size]


def refuse_by_first_bytes(start: bytes, name: str) -> None:
    """Raise a `RefusedError` that names the format of a file that is no NIfTI, by its first bytes."""
    for magic, reason, what, remedy in KNOWN:
        if start.startswith(magic):
            raise RefusedError(reason, f"it is {what}", remedy)
    if start[128:132] == b"DICM":
        raise RefusedError("dicom", "it is a DICOM file", "convert its series with dcm2niix")
    if start[257:262] == b"ustar":
        raise RefusedError("tar_archive", "it is a tar archive", "unpack it with tar")
    lead = start[:256].lstrip().lower()
    if lead.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        what = "it is a web page, as a download without permission gives"
        raise RefusedError("web_page", what, "sign in where the data are, and fetch it again")
    if start and all(byte in b"\t\n\r\f\x1b" or byte >= 32 for byte in start[:512]):
        raise RefusedError("text_file", "it is a text file", "fetch the image again")
    if name.lower().endswith(".gz"):
        what = f"it is neither gzip nor NIfTI; its first bytes are {start[:8].hex(' ')}"
    else:
        what = f"it is no NIfTI; its first bytes are {start[:8].hex(' ')}"
    raise RefusedError("not_nifti", what, "convert it to NIfTI; DICOM by dcm2niix")


def unpacked(location: str) -> Iterator[bytes]:
    """Yield the content of a gzip file of one or more members; bytes after the last one are ignored.

    Raises
    ------
    RefusedError
        When the data are truncated or damaged, or their checksum is wrong.
    """
    with open(location, "rb") as file:
        rest = file.read(BLOCK)
        while rest.startswith(GZIP_MAGIC):
            reader = zlib.decompressobj(WHOLE)
            while not reader.eof:
                if not rest:
                    raise RefusedError("truncated_gzip", "the gzip data are truncated", "fetch the image again")
                try:
                    yield reader.decompress(rest)
                except zlib.error as error:
                    raise _damaged(error) from error
                rest = reader.unused_data if reader.eof else file.read(BLOCK)
            if len(rest) < len(GZIP_MAGIC):  # the magic number of the next member may continue in the next block
                rest += file.read(BLOCK)


def _damaged(error: zlib.error) -> RefusedError:
    if "incorrect data check" in str(error) or "incorrect length check" in str(error):
        return RefusedError("bad_checksum", f"gzip: {error}: some bytes are wrong", "fetch the image again")
    return RefusedError("damaged_gzip", f"gzip: {error}", "fetch the image again")


def content(location: str) -> bytes:
    """Return the content of a file, decompressed and verified if it is gzip."""
    return b"".join(_blocks(location))


def checksum(location: str, n_bytes: int) -> str:
    """Return CRC-32 and length of the first bytes of a file's content, decompressed if it is gzip.

    gzip states both in its last eight bytes (RFC 1952), which are used if their length is the requested one. They are
    wrong for files with trailing bytes or several members (the last member of a bgzip file is empty); such files are
    decompressed.

    Parameters
    ----------
    location : str
    n_bytes : int
        Up to the last voxel. Later bytes, and the name and time that gzip stores, are not hashed.
    """
    if stated_length(location) == n_bytes % 2**32:
        with open(location, "rb") as file:
            file.seek(-8, os.SEEK_END)
            return f"{int.from_bytes(file.read(4), 'little'):08x}-{n_bytes}"
    crc, left = 0, n_bytes
    for block in _blocks(location):
        crc, left = zlib.crc32(block[:left], crc), left - len(block[:left])
        if left == 0:
            break
    return f"{crc:08x}-{n_bytes - left}"


def _blocks(location: str) -> Iterator[bytes]:
    """Yield the content of a file, decompressed if it is gzip."""
    with open(location, "rb") as file:
        if file.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
            file.seek(0)
            while block := file.read(BLOCK):
                yield block
            return
    yield from unpacked(location)


def stated_length(location: str) -> int | None:
    """Return the uncompressed length modulo 2³² that a gzip file states; None for other files."""
    with open(location, "rb") as file:
        if file.read(2) != GZIP_MAGIC:
            return None
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")
