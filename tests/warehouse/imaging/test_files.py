"""Bytes of files: unpacking to the end, and the checksum by which copies are known."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.warehouse.ingest.conftest import gz
from warehouse.imaging import files
from warehouse.imaging.files import checksum, content

DATA = np.random.default_rng(0).integers(0, 9, 5000).astype(np.uint8).tobytes()
EXPECTED = f"{zlib.crc32(DATA):08x}-{len(DATA)}"

VARIANTS = {
    "one member": gz(DATA),
    "not compressed": DATA,
    "zeros behind": gz(DATA) + b"\0" * 512,
    "text behind": gz(DATA) + b"trailing bytes",
    "several members": gz(DATA[:100]) + gz(DATA[100:]),
    "an empty last member, as bgzip writes": gz(DATA[:3000]) + gz(DATA[3000:]) + gz(b""),
    "content behind the last voxel": gz(DATA + b"\0" * 4096),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_copy_has_one_checksum_however_it_was_compressed(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(VARIANTS[name])
    assert checksum(str(tmp_path / "a"), len(DATA)) == EXPECTED


def test_files_that_differ_have_different_checksums_also_where_zeros_follow(tmp_path: Path) -> None:
    for behind in (b"\0" * 512, gz(b"")):
        found = set()
        for number in range(2):
            (tmp_path / "a").write_bytes(gz(bytes([number]) + DATA[1:]) + behind)
            found.add(checksum(str(tmp_path / "a"), len(DATA)))
        assert len(found) == 2


def test_only_the_last_bytes_of_a_whole_file_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(location: str) -> None:
        raise AssertionError(f"{location} was unpacked")

    monkeypatch.setattr(files, "unpacked", forbidden)
    (tmp_path / "a").write_bytes(gz(DATA))
    assert checksum(str(tmp_path / "a"), len(DATA)) == EXPECTED


@pytest.mark.parametrize("block", [2, 3, 7, 64])
def test_members_are_found_wherever_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(files, "BLOCK", block)
    (tmp_path / "a").write_bytes(b"".join(gz(DATA[start : start + 40]) for start in range(0, 400, 40)) + b"\0" * 9)
    assert content(str(tmp_path / "a")) == DATA[:400]
