"""Both readers give what NumPy gives, everywhere and in every kind of worker."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.warehouse.volumes.conftest import AFFINES, SHAPE, Stored, make_payload
from warehouse.errors import VolumeError
from warehouse.volumes import Volume, open_store, readers

Triple = tuple[int, int, int]


def slow_patch(voxels: NDArray[np.generic], corner: Triple, size: Triple) -> NDArray[np.generic]:
    """Return a patch the obvious way: pad widely, then cut."""
    wide = np.pad(voxels, 200)
    return wide[tuple(slice(c + 200, c + 200 + s) for c, s in zip(corner, size, strict=True))]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "int16", "uint8"])
@pytest.mark.parametrize("shape", [(45, 61, 7), (1, 2, 3), (41, 40, 39), (83, 5, 121)], ids=str)
def test_both_readers_give_the_same_patches(stored: Stored, dtype: str, shape: Triple) -> None:
    pytest.importorskip("tensorstore")
    fast = stored("tensorstore", dtype=dtype, shape=shape, affine=AFFINES["oblique"])
    slow = open_store(fast.path, "zarr")
    voxels = make_payload(dtype, shape, AFFINES["oblique"]).voxels
    rng = np.random.default_rng(0)
    assert fast.mask is not None
    assert slow.mask is not None
    np.testing.assert_array_equal(fast.mask[...], slow.mask[...])
    for _ in range(25):
        corner = tuple(int(rng.integers(-9, length + 9)) for length in shape)
        size = tuple(int(rng.integers(1, 33)) for _ in shape)
        one, other = fast.patch(corner, size), slow.patch(corner, size)  # type: ignore[arg-type]
        expected = slow_patch(voxels, corner, size)  # type: ignore[arg-type]
        assert one.dtype == other.dtype == expected.dtype
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(other, expected)


def test_a_patch_over_the_border_is_zero_outside(stored: Stored, reader: str) -> None:
    volume = stored(reader, dtype="uint8", is_masked=False)
    patch = volume.patch((-3, 50, -100), (10, 20, 64))
    assert patch.shape == (10, 20, 64)
    assert not patch.any()
    around = volume.patch((-1, -1, -1), tuple(n + 2 for n in SHAPE))  # type: ignore[arg-type]
    np.testing.assert_array_equal(around[1:-1, 1:-1, 1:-1], volume[...])
    assert around.sum(dtype=int) == volume[...].sum(dtype=int)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[...],
        np.s_[3:9, 4:60, 2:3],
        np.s_[:, :, 3],
        np.s_[-1, ..., -2],
        np.s_[::4, ::-1, 6:1:-2],
        np.s_[5],
        np.s_[10:4],
        np.s_[40:400, 2:3],
    ],
    ids=str,
)
def test_indexing_is_numpys(stored: Stored, reader: str, key: object) -> None:
    volume = stored(reader)
    expected = make_payload().voxels[key]  # type: ignore[index]
    np.testing.assert_array_equal(volume[key], expected)  # type: ignore[index]
    assert volume[key].shape == expected.shape  # type: ignore[index]


@pytest.mark.parametrize("key", [np.s_[45], np.s_[0, 0, -8], np.s_[0, 0, 0, 0], np.s_["a"]], ids=str)
def test_an_index_outside_is_refused(stored: Stored, key: object) -> None:
    with pytest.raises(IndexError):
        stored()[key]  # type: ignore[index]


def test_opening_a_volume_opens_no_array(stored: Stored) -> None:
    volume = stored()
    for array in (volume.path / "0", volume.path / "mask"):
        (array / "c").rename(array / "gone")
    again = open_store(volume.path)
    assert (again.shape, again.dtype) == (SHAPE, np.float16)


def test_only_the_path_of_a_volume_travels(stored: Stored, reader: str) -> None:
    volume = stored(reader)
    volume.patch((0, 0, 0), (2, 2, 2))
    pickled = pickle.dumps(volume)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert again.reader == reader
    np.testing.assert_array_equal(again[...], volume[...])


def _sum(volume: Volume) -> float:
    return float(volume.patch((0, 0, 0), (8, 8, 7)).sum(dtype=np.float64))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_read_after_their_parent_has_read(stored: Stored, reader: str, method: str) -> None:
    volume = stored(reader)
    expected = _sum(volume)
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(_sum, volume).result(timeout=60) == expected


FORK = """
import os, sys
from pathlib import Path
from warehouse.errors import VolumeError
from warehouse.volumes import open_store
volume = open_store(Path(sys.argv[1]), "tensorstore")
early = os.fork()
if early == 0:  # nothing was read yet: this child may read
    os._exit(0 if volume[0, 0, 0] == 0 else 1)
assert os.waitpid(early, 0)[1] == 0
volume.patch((0, 0, 0), (9, 9, 7))
child = os.fork()
if child == 0:
    assert open_store(volume.path, "zarr")[...].any()
    try:
        volume.patch((0, 0, 0), (9, 9, 7))
    except VolumeError as error:
        os._exit(7 if "spawn" in str(error) else 1)
    os._exit(1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
def test_a_child_forked_after_tensorstore_started_is_told_so_and_does_not_wait(stored: Stored) -> None:
    pytest.importorskip("tensorstore")
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", FORK, str(stored().path)], cwd=root, timeout=60, check=False)
    assert done.returncode == 7


def test_without_tensorstore_zarr_reads(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored().path
    monkeypatch.setattr(readers, "find_spec", lambda name: None)
    assert open_store(path).reader == "zarr"
    with pytest.raises(VolumeError, match="not installed"):
        open_store(path, "tensorstore")


def test_what_is_no_store_of_ours_is_refused(stored: Stored, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="no store"):
        open_store(tmp_path / "absent.zarr")
    path = stored().path
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(VolumeError, match="schema version 99"):
        open_store(path)
    (path / "zarr.json").write_text(text.replace('"tumsyn"', '"other"'))
    with pytest.raises(VolumeError, match="no attribute"):
        open_store(path)
