"""Open volumes by their image, and find and remove the stores that no snapshot and no centre refers to."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal
from uuid import uuid4

from warehouse.errors import VolumeError
from warehouse.lake.home import Home
from warehouse.volumes.readers import Reader
from warehouse.volumes.store import size_bytes
from warehouse.volumes.volume import Volume, open_store

FOLDER = "volumes"
STORE = ".zarr"
TEMPORARY = ".tmp"
STALE_AFTER_S = 3600.0  # a store is named by a catalogue only after its centre is finished and published


def open_volume(
    image_id: str,
    recipe: str = "standard",
    form: Literal["session", "native"] = "session",
    *,
    home: Home | Path | None = None,
    snapshot: str | None = None,
    reader: Reader = "auto",
) -> Volume:
    """Open the harmonised volume of an image.

    Parameters
    ----------
    image_id : str
        As in `core.image`.
    recipe : str
        Name or identity of the recipe.
    form : {"session", "native"}
        On the session's grid or on the scan's own.
    home : Home or Path, optional
        Default: the home that ``TUMSYN_HOME`` names.
    snapshot : str, optional
        Identifier of a snapshot; default: the current one.
    reader : {"auto", "tensorstore", "zarr"}

    Returns
    -------
    Volume
        Voxels and affine, read lazily.

    Raises
    ------
    VolumeError
        When there is no such volume, or more than one.
    """
    home = home if isinstance(home, Home) else Home(Path(home)) if home else Home.default()
    found = _volumes(home, image_id, snapshot)
    fit = [path for name, recipe_id, its_form, path in found if recipe in (name, recipe_id) and its_form == form]
    if len(fit) == 1:
        return open_store(home.root / fit[0], reader)
    wanted = f"image {image_id} as {form} by recipe {recipe!r}"
    listed = "; ".join(f"{name} ({recipe_id}) {its_form}" for name, recipe_id, its_form, _ in found)
    if fit:
        raise VolumeError(f"there are {len(fit)} volumes of {wanted}", f"name the recipe by its identity: {listed}")
    remedy = f"there are: {listed}" if found else "run `tumsyn harmonize`; core.volume_rejection says if it was refused"
    raise VolumeError(f"there is no volume of {wanted}", remedy)


def _volumes(home: Home, image_id: str, snapshot: str | None) -> list[tuple[str, str, str, str]]:
    import duckdb  # imported late, because workers that read patches do not need it

    from warehouse.catalog import sqlfiles
    from warehouse.catalog.query import Catalogue

    catalogue = Catalogue(home, snapshot)
    try:
        with catalogue.connect() as connection:
            return connection.execute(sqlfiles.read("catalog/volumes_of_image"), {"image_id": image_id}).fetchall()
    except duckdb.CatalogException as error:
        what = f"catalogue {catalogue.snapshot_id} knows no volumes: it is from before they were harmonised"
        raise VolumeError(what, "run `tumsyn harmonize`, which also publishes") from error


def referenced(home: Home) -> set[str]:
    """Return the paths, relative to the home, of all stores that a snapshot or a centre's committed rows name."""
    import duckdb

    from warehouse.catalog import snapshots, sqlfiles
    from warehouse.lake.parts import manifests, read_table

    paths: set[str] = set()
    for center_id in manifests(home, "harmonize"):
        rows = read_table(home, center_id, "core.volume", ["path"])
        paths.update([] if rows is None else rows["path"].to_pylist())
    for snapshot_id in snapshots.existing(home):
        with duckdb.connect(str(snapshots.path(home, snapshot_id)), read_only=True) as connection:
            try:
                paths.update(path for (path,) in connection.execute(sqlfiles.read("catalog/volume_paths")).fetchall())
            except duckdb.CatalogException:
                continue  # published before volumes existed
    return paths


def orphans(
    home: Home | Path, referenced_paths: Iterable[str | Path], *, older_than_s: float = STALE_AFTER_S
) -> list[Path]:
    """Return stores that no given path names, and temporaries of interrupted writers.

    Parameters
    ----------
    home : Home or Path
    referenced_paths : iterable of str or Path
        Stores to keep, relative to the home or absolute; see `referenced`.
    older_than_s : float
        More recent changes are left out, because a writer may be at work.
    """
    root = home.root if isinstance(home, Home) else home
    kept = {(root / path).resolve() for path in referenced_paths}
    before = time.time() - older_than_s
    found = (path for path in _candidates(root / FOLDER) if path.resolve() not in kept)
    return sorted(path for path in found if _changed_at(path) <= before)


def remove(paths: Iterable[Path]) -> int:
    """Remove stores and temporaries, and folders that become empty.

    A store is renamed before its files are deleted, so that a partial store is never opened.

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
        freed = size_bytes(hidden)
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
    """Yield stores and temporaries."""
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
