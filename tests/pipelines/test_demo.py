"""The demonstration: simulated miniatures that say so, real samples where they are, and commands that work."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tarfile
from pathlib import Path

import pytest

from pipelines.commands import demo
from tests.conftest import write_bids
from tests.pipelines.conftest import Command, command_in
from warehouse.errors import TumsynError
from warehouse.home import Home
from warehouse.registry import registered, shipped

UNPACK = """
import sys, tarfile
from pathlib import Path
for archive in (Path(__file__).parent / "metadata").glob("*.tar.xz"):
    tarfile.open(archive).extractall(sys.argv[1], filter="data")
"""


@pytest.fixture
def fake_samples(tmp_path: Path) -> Path:
    """A folder laid out as the real samples are: one archive, and one set of images."""
    folder = tmp_path / "samples"
    (folder / "metadata").mkdir(parents=True)
    with tarfile.open(folder / "metadata" / "ds1.tar.xz", "w:xz") as archive:
        archive.add(write_bids(tmp_path / "ds1"), "ds1")
    (folder / "unpack.py").write_text(UNPACK)
    write_bids(folder / "images" / "vendor_t1w")
    return folder


@pytest.mark.slow
def test_the_quick_demo_ends_with_commands_that_work(home: Home, tumsyn: Command) -> None:
    result = tumsyn("demo", "--profile", "quick")
    assert result.exit_code == 0, result.output
    queries = re.findall(r"--home (\S+) (sql .*?\")$", result.stdout.replace("\\\n", ""), re.MULTILINE)
    assert len(queries) == 2
    for place, words in queries:
        assert Path(place) == home.root
        assert command_in(home)(*shlex.split(words)).exit_code == 0
    rows = json.loads(tumsyn("sql", "SELECT center_id, is_simulated FROM core.center ORDER BY 1", "-f", "json").stdout)
    assert rows == [{"center_id": name, "is_simulated": True} for name in demo.QUICK]
    again = tumsyn("demo", "--profile", "quick")
    assert again.exit_code == 0
    assert "up to date" in again.stderr


def test_a_miniature_of_every_shipped_centre_is_registered_as_simulated(home: Home) -> None:
    assert demo.register_miniatures(home) == list(shipped())
    centers = {name: entry.center for name, entry in registered(home).items()}
    assert centers.keys() == shipped().keys()
    assert all(center.is_simulated and "simulated" in center.title for center in centers.values())
    assert not any(center.is_simulated for center in shipped().values())


def test_a_miniature_is_made_once_and_again_when_its_builder_changes(home: Home, tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "image").touch()

    for token in ("first", "first", "second"):
        demo._make_once(tmp_path / "mini", token, make)
    assert len(made) == 2
    assert [path.name for path in (tmp_path / "mini").iterdir()] == ["image"]


def test_what_was_interrupted_is_not_taken_for_whole(tmp_path: Path) -> None:
    def die(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        demo._make_once(tmp_path / "mini", "token", die)
    assert not (tmp_path / "mini").exists()
    demo._make_once(tmp_path / "mini", "token", lambda folder: (folder / "whole").touch())
    assert [path.name for path in (tmp_path / "mini").iterdir()] == ["whole"]


def test_real_samples_are_unpacked_once_and_registered_as_real(home: Home, fake_samples: Path) -> None:
    assert demo.register_samples(home, fake_samples) == ["ds1", "vendor_t1w"]
    centers = registered(home)
    assert centers["ds1"].root == home.root / "samples" / "ds1"
    assert centers["vendor_t1w"].root == fake_samples / "images" / "vendor_t1w"
    assert not any(entry.center.is_simulated for entry in centers.values())
    before = (home.root / "samples" / "ds1").stat().st_ino
    demo.register_samples(home, fake_samples)
    assert (home.root / "samples" / "ds1").stat().st_ino == before


def test_samples_that_cannot_be_unpacked_are_told(home: Home, fake_samples: Path) -> None:
    (fake_samples / "metadata" / "ds1.tar.xz").write_bytes(b"broken")
    with pytest.raises(TumsynError, match=r"unpack\.py failed"):
        demo.register_samples(home, fake_samples)
    assert not (home.root / "samples").exists()


def test_without_samples_the_demo_says_where_it_looked(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.register_samples(home, tmp_path / "none") == []
    assert "TUMSYN_SAMPLES" in capsys.readouterr().err


def test_the_samples_are_found_by_their_variable_or_beside_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUMSYN_SAMPLES", str(tmp_path))
    assert demo.samples_folder() == tmp_path
    monkeypatch.delenv("TUMSYN_SAMPLES")
    assert demo.samples_folder() == demo.ROOT.parent / "shared" / "data"


@pytest.mark.real
@pytest.mark.slow
def test_every_image_of_the_real_samples_is_in_the_catalogue(home: Home, samples: Path, tumsyn: Command) -> None:
    from pipelines.commands.ingest import ingest_centers

    shutil.rmtree(home.root, ignore_errors=True)
    ingest_centers(home, demo.register_samples(home, samples))
    query = "SELECT count(*) AS n FROM core.image WHERE center_id LIKE 'ds%' AND content = 'absent'"
    assert json.loads(tumsyn("sql", query, "-f", "json").stdout) == [{"n": 26066}]
