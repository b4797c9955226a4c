"""Stores that nothing refers to any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

from warehouse.errors import VolumeError
from warehouse.lake.home import Home

FOLDER = "volumes"
STORE = ".zarr"
TEMPORARY = ".tmp"
STALE_AFTER_S = 3600.0  # a store is named by a catalogue only after its centre is finished and published


def orphans(
    home: Home | Path, referenced_paths: Iterable[str | Path], *, older_than_s: float = STALE_AFTER_S
) -> list[Path]:
    """Return stores that no given path names, and what interrupted writers left.

    Parameters
    ----------
    home : Home or Path
    referenced_paths : iterable of str or Path
        Stores to keep, relative to the home or absolute: those of every snapshot that is kept, and of the rows that
        were committed but not yet published.
    older_than_s : float
        What changed more recently is left: somebody may be writing it.
    """
    root = home.root if isinstance(home, Home) else home
    kept = {(root / path).resolve() for path in referenced_paths}
    before = time.time() - older_than_s
    found = (path for path in _candidates(root / FOLDER) if path.resolve() not in kept)
    return sorted(path for path in found if _changed_at(path) <= before)


def remove(paths: Iterable[Path]) -> int:
    """Remove stores and temporaries, and folders that become empty.

    A store is renamed before its files go, so that half of one is never opened.

    Returns
    -------
    int
        Bytes that were freed.

    Raises
    ------
    VolumeError
        When a path is neither a store nor a temporary inside a folder ``volumes``; nothing is removed then.
    """
    paths = list(paths)
    for path in paths:
        if FOLDER not in path.parts[:-1] or path.suffix not in (STORE, TEMPORARY):
            raise VolumeError(f"{path} is no store of a home", "give what `orphans` listed")
    return sum(_remove(path) for path in paths if path.exists())


def _remove(path: Path) -> int:
    hidden = path.parent / f".{path.name.lstrip('.')}-{uuid4().hex}{TEMPORARY}"
    path.rename(hidden)
    if hidden.is_dir():
        freed = sum(file.stat().st_size for file in hidden.rglob("*") if file.is_file())
        shutil.rmtree(hidden)
    else:
        freed = hidden.stat().st_size
        hidden.unlink()
    for parent in path.parents:
        if parent.name == FOLDER or any(parent.iterdir()):
            break
        parent.rmdir()
    return freed


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield stores and temporaries, without looking into stores that are whole."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.suffix == STORE:
            yield path
            yield from (inside for inside in path.iterdir() if _is_temporary(inside))
        elif _is_temporary(path):
            yield path
        elif path.is_dir():
            yield from _candidates(path)


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == TEMPORARY


def _changed_at(path: Path) -> float:
    """Return when anything in a store last changed, in seconds since 1970."""
    return max(one.stat().st_mtime for one in (path, *path.rglob("*")))
