"""Reads pieces of a stored array by tensorstore or by zarr-python, which give the same voxels at different speed.

tensorstore's threads do not survive a fork, so a forked child would wait for ever. Therefore arrays are opened at the
first read, they are pickled as paths, and reading in a child that was forked after the first read raises an error.
Start workers by spawn or forkserver.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import EllipsisType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import VolumeError

Reader = Literal["auto", "tensorstore", "zarr"]
Key = slice | int | EllipsisType
Box = tuple[slice, ...]
Fetch = Callable[[Box], NDArray[Any]]  # takes k, j, i, the order on disk

_started = False  # whether tensorstore's threads run in this process
_forked = False  # whether they ran in the parent when this process was forked


def _after_fork() -> None:
    global _forked
    _forked = _forked or _started


os.register_at_fork(after_in_child=_after_fork)


def choose(reader: Reader) -> Literal["tensorstore", "zarr"]:
    """Return the reader to use; ``auto`` means tensorstore where it is installed."""
    installed = find_spec("tensorstore") is not None
    if reader == "tensorstore" and not installed:
        raise VolumeError("tensorstore is not installed", "install it, or read with reader='zarr', which is slower")
    if reader not in ("auto", "tensorstore", "zarr"):
        raise VolumeError(f"no reader {reader!r}", "give auto, tensorstore or zarr")
    return "zarr" if reader == "zarr" or not installed else "tensorstore"


class Voxels:
    """One array of a store, read piece by piece in i, j, k order.

    Opening reads a small JSON file; the array itself is opened at the first read. It is pickled as its path.

    Parameters
    ----------
    path : Path
        Folder of the array.
    reader : {"auto", "tensorstore", "zarr"}

    Attributes
    ----------
    shape : tuple of int
        Voxels along i, j, k.
    dtype : numpy.dtype
    """

    def __init__(self, path: Path, reader: Reader = "auto") -> None:
        self.path, self.reader = path, choose(reader)
        stored = read_json(path / "zarr.json")
        self.shape: tuple[int, ...] = tuple(stored["shape"][::-1])
        self.dtype: np.dtype[Any] = np.dtype(stored["data_type"])
        self._fetch: Fetch | None = None

    def __reduce__(self) -> tuple[type[Voxels], tuple[Path, str]]:
        return type(self), (self.path, self.reader)

    def __repr__(self) -> str:
        return f"Voxels({self.path}, {self.shape}, {self.dtype}, by {self.reader})"

    def __getitem__(self, key: Key | tuple[Key, ...]) -> NDArray[Any]:
        """Return what NumPy returns for slices, integers and an ellipsis; only the needed box is read."""
        box, after = _box(key, self.shape)
        return self._read(box)[after]

    def patch(self, corner: tuple[int, int, int], size: tuple[int, int, int]) -> NDArray[Any]:
        """Return a piece of exactly this size, padded with 0 outside the volume.

        Parameters
        ----------
        corner : tuple of int
            First voxel (i, j, k); may lie outside.
        size : tuple of int
            Voxels along i, j, k.
        """
        inside = [(max(c, 0), min(c + s, n)) for c, s, n in zip(corner, size, self.shape, strict=True)]
        box = tuple(slice(start, max(start, stop)) for start, stop in inside)
        piece = self._read(box)
        if piece.shape == tuple(size):
            return piece
        out = np.zeros(size, dtype=self.dtype, order="F")
        if piece.size:
            first = [start - c for (start, _), c in zip(inside, corner, strict=True)]
            out[tuple(slice(f, f + n) for f, n in zip(first, piece.shape, strict=True))] = piece
        return out

    def _read(self, box: Box) -> NDArray[Any]:
        if self.reader == "tensorstore" and _forked:
            what = "this process was forked after tensorstore had started in its parent, and would wait for ever"
            raise VolumeError(what, "start workers by spawn or forkserver, e.g. multiprocessing_context='spawn'")
        size = tuple(side.stop - side.start for side in box)
        if 0 in size:
            return np.empty(size, dtype=self.dtype)
        if self._fetch is None:
            self._fetch = (_by_tensorstore if self.reader == "tensorstore" else _by_zarr)(self.path)
        return self._fetch(box[::-1]).T


def read_json(path: Path) -> dict[str, Any]:
    """Return the metadata of a group or an array."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise VolumeError(
            f"{path.parent} is no store of a volume: {error.strerror}", "harmonise the scan again"
        ) from error
    except (ValueError, TypeError) as error:
        raise VolumeError(f"{path} cannot be read: {error}", "remove the store and harmonise the scan again") from error


def _by_tensorstore(path: Path) -> Fetch:
    global _started
    _started = True
    ts: Any = importlib.import_module("tensorstore")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    array = ts.open(spec, read=True, open=True, context=_context()).result()
    return lambda box: np.asarray(array[box].read().result())


@lru_cache
def _context() -> Any:
    """Return a context with one thread, because many workers read in parallel."""
    ts: Any = importlib.import_module("tensorstore")
    return ts.Context({"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}})


def _by_zarr(path: Path) -> Fetch:
    zarr: Any = importlib.import_module("zarr")
    array = zarr.open_array(path, mode="r")
    return lambda box: np.asarray(array[box])


def _box(key: Key | tuple[Key, ...], shape: tuple[int, ...]) -> tuple[Box, tuple[slice | int, ...]]:
    """Return the box to read, and the index into it that applies steps and directions and removes axes."""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys = keys[:at] + (slice(None),) * (len(shape) - len(keys) + 1) + keys[at + 1 :]
    keys += (slice(None),) * (len(shape) - len(keys))
    if len(keys) != len(shape):
        raise IndexError(f"{len(keys)} indices for {len(shape)} axes")
    sides = [_side(one, length) for one, length in zip(keys, shape, strict=True)]
    return tuple(side for side, _ in sides), tuple(after for _, after in sides)


def _side(key: Key, length: int) -> tuple[slice, slice | int]:
    if isinstance(key, slice):
        picked = range(*key.indices(length))
        if not picked:
            return slice(0, 0), slice(None)
        return slice(min(picked), max(picked) + 1), slice(None, None, picked.step)
    if isinstance(key, int | np.integer):
        if not -length <= key < length:
            raise IndexError(f"index {key} is outside an axis of {length} voxels")
        return slice(int(key) % length, int(key) % length + 1), 0
    raise IndexError(f"{key!r} is neither a slice nor a whole number")
