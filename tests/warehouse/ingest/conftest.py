"""Tiny, awkward datasets, made in code."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from warehouse.centers.registry import Center, RegisteredCenter
from warehouse.ingest import Ingested, ingest_center
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table

OBLIQUE_LEFT_HANDED = np.array([[-0.9, 0.1, 0.0, 80.0], [0.1, 0.9, 0.3, -100.0], [0.0, -0.2, 3.0, -60.0], [0, 0, 0, 1]])


def nifti_bytes(
    shape: tuple[int, ...] = (5, 6, 7), affine: np.ndarray = OBLIQUE_LEFT_HANDED, code: int = 1, first: int = 0
) -> bytes:
    """Return an int16 NIfTI, not compressed, whose voxels count from a number on."""
    image = nib.Nifti1Image(first + np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code)
    image.set_qform(None, 0)
    return image.to_bytes()


def gz(content: bytes) -> bytes:
    """Compress without a time, so that the same content gives the same bytes."""
    return gzip.compress(content, mtime=0)


@dataclass
class Dataset:
    """A folder that is written file by file, and ingested into a home of its own."""

    root: Path
    home: Home
    center: Center

    def write(self, path: str, content: bytes | str | dict[str, object]) -> Path:
        """Write one file; a mapping becomes JSON."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            content = json.dumps(content)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def image(self, path: str, sidecar: dict[str, object] | None = None, **header: object) -> Path:
        """Write a tiny NIfTI, and its sidecar where one is given."""
        if sidecar is not None:
            self.write(path.removesuffix(".nii.gz") + ".json", sidecar)
        return self.write(path, gz(nifti_bytes(**{"first": zlib.crc32(path.encode()) % 10_000, **header})))

    def ingest(self, **options: object) -> Ingested:
        """Ingest the folder."""
        return ingest_center(self.home, RegisteredCenter(self.center, self.root), **options)

    def rows(self, table: str) -> list[dict[str, object]]:
        """Return a table's rows in force."""
        found = read_table(self.home, self.center.center_id, table)
        assert found is not None
        return found.to_pylist()

    def row(self, table: str, **wanted: object) -> dict[str, object]:
        """Return the one row that has these values."""
        fitting = [row for row in self.rows(table) if all(row[key] == value for key, value in wanted.items())]
        assert len(fitting) == 1, (table, wanted, self.rows(table))
        return fitting[0]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Return an empty BIDS dataset with a description."""
    center = Center.model_validate({"center_id": "lab", "title": "A lab", "layout": {"kind": "bids"}})
    made = Dataset(tmp_path / "lab", Home(tmp_path / "home"), center)
    made.write("dataset_description.json", {"Name": "A lab", "BIDSVersion": "1.10.0"})
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """Return a function that lists the files under a folder that were opened since the test began."""
    import sys

    seen: list[str] = []

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            seen.append(arguments[0])

    sys.addaudithook(hook)

    def under(folder: Path) -> list[str]:
        found = [path for path in seen if path.startswith(str(folder))]
        seen.clear()
        return found

    return under
