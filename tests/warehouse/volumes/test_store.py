"""What is written comes back, whole and verified, or is not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.warehouse.volumes.conftest import AFFINES, Stored, make_payload
from warehouse.errors import VolumeError
from warehouse.volumes import open_store, store, write
from warehouse.volumes.store import CHUNK, Payload, chunks, digest


@pytest.mark.parametrize("dtype", ["float16", "int16", "uint8", "uint16", "float32"])
def test_voxels_come_back_as_they_were_given(stored: Stored, dtype: str, reader: str) -> None:
    payload = make_payload(dtype)
    volume = stored(reader, dtype=dtype)
    assert volume.dtype == payload.voxels.dtype
    np.testing.assert_array_equal(volume[...], payload.voxels)
    assert volume.mask is not None
    np.testing.assert_array_equal(volume.mask[...], payload.mask)


def test_big_endian_voxels_keep_their_values(tmp_path: Path) -> None:
    payload = make_payload("int16")
    swapped = replace(payload, voxels=payload.voxels.astype(">i2"))
    write(tmp_path / "a.zarr", swapped, name="a")
    np.testing.assert_array_equal(open_store(tmp_path / "a.zarr")[...], payload.voxels)


def test_axes_lie_on_disk_as_z_y_x(stored: Stored) -> None:
    volume = stored()
    on_disk = json.loads((volume.path / "0" / "zarr.json").read_text())
    assert volume.shape == (45, 61, 7)
    assert on_disk["shape"] == [7, 61, 45]
    assert on_disk["dimension_names"] == ["z", "y", "x"]


def test_the_whole_volume_is_one_file_of_even_chunks(stored: Stored) -> None:
    volume = stored(is_masked=False)
    assert [path.name for path in (volume.path / "0" / "c").rglob("*") if path.is_file()] == ["0"]
    assert chunks((182, 44, 218, 1)) == (37, 22, 37, 1)
    assert max(chunks((1000, 999, 998))) <= CHUNK


def test_affine_and_attributes_come_back_exactly(stored: Stored) -> None:
    volume = stored(affine=AFFINES["oblique"])
    np.testing.assert_array_equal(volume.affine, AFFINES["oblique"])
    np.testing.assert_allclose(volume.voxel_size_mm, [0.5, 0.5, 4.0])
    assert volume.attributes["quality"] == {"cjv": 0.4, "efc": None}
    assert volume.attributes["schema_version"] == 1


def test_a_store_with_the_same_voxels_is_left_and_its_attributes_are_renewed(tmp_path: Path) -> None:
    path = tmp_path / "session.zarr"
    first = write(path, make_payload(), name="a")
    shard = next(file for file in (path / "0" / "c").rglob("*") if file.is_file())
    before = shard.stat()
    second = write(path, make_payload(verdict="flag"), name="a")
    assert (shard.stat().st_ino, shard.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert first == second == digest(make_payload().voxels.T)
    assert open_store(path).attributes["verdict"] == "flag"


def test_a_store_with_other_voxels_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "session.zarr"
    write(path, make_payload("int16"), name="a")
    write(path, make_payload("uint8"), name="a")
    assert open_store(path).dtype == np.uint8
    assert [entry.name for entry in tmp_path.iterdir()] == ["session.zarr"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_store_is_written_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "session.zarr"
    write(path, make_payload(), name="a")
    shard = next(file for file in (path / "0" / "c").rglob("*") if file.is_file())
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 0xFF
    {
        "flip": lambda: shard.write_bytes(bytes(data)),
        "cut": lambda: shard.write_bytes(bytes(data[:100])),
        "remove": shard.unlink,
    }[damage]()
    write(path, make_payload(), name="a")
    np.testing.assert_array_equal(open_store(path)[...], make_payload().voxels)


def test_a_disk_that_changes_bytes_is_noticed_before_the_store_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = store._write

    def lie(folder: Path, attributes: dict[str, object], arrays: dict[str, np.ndarray]) -> None:
        honest(folder, attributes, arrays | {"0": arrays["0"] + np.float16(0.5)})

    monkeypatch.setattr(store, "_write", lie)
    with pytest.raises(VolumeError, match="what was read back"):
        write(tmp_path / "session.zarr", make_payload(), name="a")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from tests.warehouse.volumes.conftest import make_payload
from warehouse.volumes import write
print("ready", flush=True)
for number in range(10_000):
    write(Path(sys.argv[1]) / str(number) / "session.zarr", make_payload(shape=(90, 90, 90)), name="a")
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_whole_stores_and_temporaries_only(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=root)
    assert process.stdout is not None
    with process:
        process.stdout.readline()
        for _ in range(600):
            if len(list(tmp_path.glob("*/session.zarr"))) >= 3:
                break
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    expected = make_payload(shape=(90, 90, 90)).voxels
    found = sorted(tmp_path.glob("*/*"))
    for path in found:
        if path.name == "session.zarr":
            np.testing.assert_array_equal(open_store(path)[...], expected)
        else:
            assert path.name.startswith(".session.zarr-")
            assert path.suffix == ".tmp"
    assert sum(path.name == "session.zarr" for path in found) >= 3


BASE = make_payload()


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        pytest.param(replace(BASE, voxels=BASE.voxels[..., None]), "shape", id="four axes"),
        pytest.param(replace(BASE, voxels=BASE.voxels.astype(complex)), "complex", id="complex"),
        pytest.param(replace(BASE, voxels=np.full((3, 3, 3), np.inf, np.float16)), "finite", id="overflown"),
        pytest.param(replace(BASE, affine=np.diag([1.0, 1.0, 0.0, 1.0])), "affine", id="flat affine"),
        pytest.param(replace(BASE, affine=np.full((4, 4), np.nan)), "affine", id="affine of NaN"),
        pytest.param(replace(BASE, mask=np.zeros((2, 2, 2), np.uint8)), "mask", id="mask of another grid"),
        pytest.param(replace(BASE, nifti_header=b"short"), "header", id="half a header"),
        pytest.param(replace(BASE, attributes={"cjv": float("nan")}), "JSON", id="NaN in the attributes"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(tmp_path: Path, payload: Payload, what: str) -> None:
    with pytest.raises(VolumeError, match=what):
        write(tmp_path / "session.zarr", payload, name="a")
    assert not list(tmp_path.iterdir())
