"""From an image in the catalogue to its voxels."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from tests.warehouse.volumes.conftest import make_payload
from warehouse import volumes
from warehouse.errors import CatalogueError, VolumeError
from warehouse.lake.home import Home

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
