"""A home may have any path that a file system accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.conftest import write_bids
from tests.pipelines.conftest import Command, command_in
from tests.warehouse.harmonize import works
from warehouse.centers.registry import Center, Layout, register
from warehouse.errors import TumsynError
from warehouse.harmonize import tasks
from warehouse.lake.home import Home
from warehouse.volumes import Payload, open_store, write

NAMES = {
    "question mark": "what?mode=memory",
    "percent": "100%41 sure",
    "quotes": """it's "quoted" `so`""",
    "hash": "a#b",
    "glob": "a[bc]{d,e}*",
    "partition": "center=1",
    "letters": "Gehirn-Ähnlichkeit 脳",
    "shell": "$HOME;x&y",
}
READERS: tuple[Literal["zarr", "tensorstore"], ...] = ("zarr", "tensorstore")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def at(folder: Path) -> Home:
    """Return a home in a folder, with one centre beside it."""
    home = Home(folder / "home")
    register(home, Center(center_id="tiny", title="Tiny", layout=Layout(kind="bids")), write_bids(folder / "bids"))
    return home


def asked(run: Command, query: str) -> list[dict[str, object]]:
    return list(json.loads(run("sql", query, "--format", "json").stdout))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_home_at_any_path_is_ingested_and_asked(tmp_path: Path, name: str) -> None:
    home = at(tmp_path / name)
    run = command_in(home)
    assert run("ingest").exit_code == 0
    assert asked(run, "SELECT count(*) AS n FROM core.image") == [{"n": 4}]
    assert run("catalog", "tables").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == [name]
    assert list(home.dagster.glob("history/runs/*.db"))


@pytest.mark.slow
def test_a_home_at_any_path_is_harmonised_read_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "work_session", works.made_of)
    place = tmp_path / """it's "50%41" a?b#[c]{d}=*$HOME;é"""
    home = at(place)
    run = command_in(home)
    assert run("ingest").exit_code == 0
    harmonised = run("harmonize", "--workers", "1")
    assert harmonised.exit_code == 0, harmonised.stderr
    [row] = asked(run, "SELECT image_id, path FROM core.volume ORDER BY path LIMIT 1")
    attributes = {"image_id": row["image_id"], "center_id": "tiny", "participant_id": "01", "form": "session"}
    attributes |= {"contrast": "T1w", "entities": {"sub": "01"}, "recipe_id": "x", "session_id": "tiny/sub-01"}
    path = home.root / str(row["path"])
    path.rmdir()  # `works` makes no stores: this is one in its place
    voxels = np.arange(120, dtype=np.float16).reshape(4, 5, 6) / 120
    write(path, Payload(voxels, np.eye(4), np.ones((4, 5, 6), np.uint8), attributes, b""), name="test")
    for reader in READERS:
        assert (open_store(path, reader)[:, :, :] == voxels).all()
    exported = run("export", str(row["image_id"]), "--out", str(place / "out"))
    assert exported.exit_code == 0, exported.stderr
    assert Path(exported.stdout.strip()).is_file()


def test_a_backslash_which_duckdb_takes_for_a_slash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TumsynError, match="backslash"):
        Home(tmp_path / "a\\b")
