"""Volumes of a home: found by their image, and removed only where nothing names them and only when asked."""

from __future__ import annotations

import os
import time
from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.warehouse.volumes.conftest import make_payload
from warehouse import volumes
from warehouse.errors import CatalogueError, VolumeError
from warehouse.lake.home import Home
from warehouse.volumes import collection, open_store, write

IMAGE = "0123456789abcdef"
ROWS = [
    (IMAGE, "standard", "aaaa", "session"),
    (IMAGE, "standard", "aaaa", "native"),
    (IMAGE, "draft", "bbbb", "session"),
    (IMAGE, "ours", "cccc", "session"),
    (IMAGE, "ours", "dddd", "session"),
]


def publish(home: Home, rows: list[tuple[str, str, str, str]] | None) -> None:
    """Put a catalogue in force that has these volumes, or no table of volumes."""
    home.snapshots.mkdir(parents=True)
    path = home.snapshots / "0001.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA core")
        if rows is not None:
            connection.execute(
                "CREATE TABLE core.volume (image_id TEXT, recipe TEXT, recipe_id TEXT, form TEXT, path TEXT)"
            )
            for image_id, recipe, recipe_id, form in rows:
                store = f"volumes/{recipe_id}/{image_id}/{form}.zarr"
                values = [image_id, recipe, recipe_id, form, store]
                connection.execute("INSERT INTO core.volume VALUES (?, ?, ?, ?, ?)", values)
    home.pointer.symlink_to(path)


@pytest.fixture
def harmonized(home: Home) -> Home:
    """A home whose catalogue names five volumes of one image; two of them are written."""
    publish(home, ROWS)
    for form, dtype in (("session", "float16"), ("native", "int16")):
        path = home.root / "volumes" / "aaaa" / IMAGE / f"{form}.zarr"
        volumes.write(path, make_payload(dtype, form=form), name=form)
    return home


@pytest.mark.slow
def test_a_volume_is_opened_by_its_image(harmonized: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = volumes.open(IMAGE, home=harmonized)
    np.testing.assert_array_equal(volume[...], make_payload().voxels)
    assert volumes.open(IMAGE, "aaaa", "native", home=harmonized.root).dtype == np.int16
    monkeypatch.setenv("TUMSYN_HOME", str(harmonized.root))
    assert volumes.open(IMAGE, form="native").attributes["form"] == "native"


def test_an_absent_volume_is_said_with_those_that_are_there(harmonized: Home) -> None:
    with pytest.raises(VolumeError, match=r"no volume .* by recipe 'mine'(.|\n)*draft \(bbbb\) session"):
        volumes.open(IMAGE, "mine", home=harmonized)
    with pytest.raises(VolumeError, match=r"(.|\n)*tumsyn harmonize"):
        volumes.open("f" * 16, home=harmonized)


def test_two_recipes_of_one_name_are_not_guessed_between(harmonized: Home) -> None:
    with pytest.raises(VolumeError, match=r"2 volumes(.|\n)*cccc(.|\n)*dddd"):
        volumes.open(IMAGE, "ours", home=harmonized)


def test_a_store_that_is_gone_is_said(harmonized: Home) -> None:
    with pytest.raises(VolumeError, match="no store"):
        volumes.open(IMAGE, "draft", home=harmonized)


def test_a_catalogue_from_before_volumes_is_said(home: Home) -> None:
    publish(home, None)
    with pytest.raises(VolumeError, match=r"knows no volumes(.|\n)*tumsyn harmonize"):
        volumes.open(IMAGE, home=home)


def test_a_home_without_catalogue_is_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="nothing is published"):
        volumes.open(IMAGE, home=tmp_path)


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
    assert collection.orphans(home, [str(kept)]) == sorted([made["temporary"], made["orphan"], made["lonely"]])
    assert sorted(home.root.rglob("*")) == before


def test_what_is_removed_is_gone_and_the_rest_can_be_read(tmp_path: Path) -> None:
    home, made = make_home(tmp_path)
    found = collection.orphans(home, [made["kept"]])
    size = sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())
    assert collection.remove(found) == size
    assert not made["lonely"].parent.exists(), "folders that become empty go as well"
    assert open_store(made["kept"]).shape == (5, 6, 7)
    assert collection.orphans(home, [made["kept"]]) == []
    assert collection.remove(found) == 0


def test_what_was_just_written_is_left_for_the_catalogue_to_name(tmp_path: Path) -> None:
    home, made = make_home(tmp_path)
    shard = next(file for file in (made["lonely"] / "0" / "c").rglob("*") if file.is_file())
    os.utime(shard)
    assert made["lonely"] not in collection.orphans(home, [made["kept"]])
    assert made["lonely"] in collection.orphans(home, [made["kept"]], older_than_s=0)


def test_an_empty_home_has_no_garbage(tmp_path: Path) -> None:
    assert collection.orphans(tmp_path, []) == []


def test_what_is_no_store_is_never_removed(tmp_path: Path) -> None:
    home, made = make_home(tmp_path)
    scan = tmp_path / "raw" / "sub-01_T1w.nii.gz"
    scan.parent.mkdir()
    scan.write_bytes(b"voxels")
    for wrong in (scan, home.root / "volumes", made["kept"].parent, made["kept"] / "0"):
        with pytest.raises(VolumeError, match="no store"):
            collection.remove([made["lonely"], wrong])
    assert scan.exists()
    assert made["lonely"].exists()
