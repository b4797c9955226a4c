"""Only what nothing refers to goes, and only when asked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.warehouse.volumes.conftest import make_payload
from warehouse.errors import VolumeError
from warehouse.lake.home import Home
from warehouse.volumes import garbage, open_store, write


def make_home(root: Path) -> tuple[Home, dict[str, Path]]:
    """Make a home.

    volumes/recipe/a-1/session.zarr         a catalogue names it
                      native.zarr           nothing does
                      .session.zarr-x.tmp   a writer was killed
    volumes/recipe/b-2/session.zarr         nothing names it
    """
    home = Home(root / "home")
    folder = home.root / "volumes" / "recipe"
    made = {
        "kept": folder / "a-1" / "session.zarr",
        "orphan": folder / "a-1" / "native.zarr",
        "temporary": folder / "a-1" / ".session.zarr-0f.tmp",
        "lonely": folder / "b-2" / "session.zarr",
    }
    for name in ("kept", "orphan", "lonely"):
        write(made[name], make_payload(shape=(5, 6, 7)), name=name)
    (made["temporary"] / "0").mkdir(parents=True)
    (made["temporary"] / "0" / "zarr.json").write_text("{")
    age(home.root, 7200)
    return home, made


def age(folder: Path, seconds: float) -> None:
    past = time.time() - seconds
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (past, past))


@pytest.mark.parametrize("is_relative", [True, False], ids=["relative", "absolute"])
def test_what_nothing_names_is_listed_and_nothing_is_touched(tmp_path: Path, is_relative: bool) -> None:
    home, made = make_home(tmp_path)
    kept = made["kept"].relative_to(home.root) if is_relative else made["kept"]
    before = sorted(home.root.rglob("*"))
    assert garbage.orphans(home, [str(kept)]) == sorted([made["temporary"], made["orphan"], made["lonely"]])
    assert sorted(home.root.rglob("*")) == before


def test_what_is_removed_is_gone_and_the_rest_can_be_read(tmp_path: Path) -> None:
    home, made = make_home(tmp_path)
    found = garbage.orphans(home, [made["kept"]])
    size = sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())
    assert garbage.remove(found) == size
    assert not made["lonely"].parent.exists(), "folders that become empty go as well"
    assert open_store(made["kept"]).shape == (5, 6, 7)
    assert garbage.orphans(home, [made["kept"]]) == []
    assert garbage.remove(found) == 0


def test_what_was_just_written_is_left_for_the_catalogue_to_name(tmp_path: Path) -> None:
    home, made = make_home(tmp_path)
    shard = next(file for file in (made["lonely"] / "0" / "c").rglob("*") if file.is_file())
    os.utime(shard)
    assert made["lonely"] not in garbage.orphans(home, [made["kept"]])
    assert made["lonely"] in garbage.orphans(home, [made["kept"]], older_than_s=0)


def test_an_empty_home_has_no_garbage(tmp_path: Path) -> None:
    assert garbage.orphans(tmp_path, []) == []


def test_what_is_no_store_is_never_removed(tmp_path: Path) -> None:
    home, made = make_home(tmp_path)
    scan = tmp_path / "raw" / "sub-01_T1w.nii.gz"
    scan.parent.mkdir()
    scan.write_bytes(b"voxels")
    for wrong in (scan, home.root / "volumes", made["kept"].parent, made["kept"] / "0"):
        with pytest.raises(VolumeError, match="no store"):
            garbage.remove([made["lonely"], wrong])
    assert scan.exists()
    assert made["lonely"].exists()
