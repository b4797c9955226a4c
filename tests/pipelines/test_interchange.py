"""Other programs open what is written: every command of `docs/interchange.md` runs as it stands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.model.tiny_home import RECIPE, SHAPE, make_tiny_home
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

DOCUMENT = (ROOT / "docs" / "interchange.md").read_text()
LINES = re.findall(r"^```(bash|python|r)\n(.+?)\n```$", DOCUMENT, re.MULTILINE | re.DOTALL)
# What is shown of a variable, and what it must be in the tiny home.
SHOWN = {"images": "images.shape[0]", "voxels": "tuple(voxels.shape)", "weights": "len(weights) > 10"}
# The reader that `napari` would call, without its window.
NAPARI = "from napari_ome_zarr import napari_get_reader as r; voxels = r('session.zarr')('session.zarr')[0][0][0]"
# Interpreter with ome-zarr and napari-ome-zarr, whose requirements contradict those of the project.
READERS = os.environ.get("TUMSYN_READERS") or sys.executable
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def lines(language: str, *, containing: str = "") -> list[str]:
    return [line for written, line in LINES if written == language and containing in line]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder in which every line finds what it names: a home, a volume, and a table of images."""
    folder = tmp_path_factory.mktemp("interchange")
    home = make_tiny_home(folder / "data", 3)
    volume = next((home.volumes / RECIPE).glob("*/session.zarr"))
    (folder / "session.zarr").symlink_to(volume)
    run(folder, lines("bash", containing="images.csv")[0])
    return folder


def run(folder: Path, line: str) -> str:
    """Run a line of bash as it stands, except that `tumsyn` is the code that is tested."""
    tumsyn = f"{sys.executable} -m pipelines.cli"
    words = line.replace("tumsyn ", f"{tumsyn} ").replace("--center mylab", "--center alpha --recipe draft")
    variables = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", words], cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_python(folder: Path, code: str, python: str = sys.executable) -> str:
    """Run a line of Python, and return what it prints of its variable."""
    shown = SHOWN[re.findall(r"(images|voxels|weights) = ", code)[-1]]
    variables = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    words = [python, "-c", f"{code}\nprint({shown})"]
    done = subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def n_images(folder: Path) -> int:
    return int(Catalogue(Home(folder / "data")).query("SELECT count(*) AS n FROM out.image_catalog")["n"][0].as_py())


def require(program: str) -> None:
    if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
        pytest.skip(f"{program} is not installed")


def test_the_document_shows_a_line_for_every_program() -> None:
    assert len(lines("bash")) == 4
    assert len(lines("python")) == 5
    assert len(lines("r")) == 2
    assert "--plugin napari-ome-zarr session.zarr" in lines("bash", containing="napari")[0]


@pytest.mark.slow
@pytest.mark.parametrize("line", lines("python", containing="duckdb"))
def test_pandas_and_polars_read_the_catalogue(place: Path, line: str) -> None:
    if ".pl()" in line:
        pytest.importorskip("polars")
    assert run_python(place, line) == str(n_images(place))


@pytest.mark.slow
def test_zarr_reads_a_volume(place: Path) -> None:
    (line,) = lines("python", containing="import zarr")
    assert run_python(place, line) == str(SHAPE[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("code", [*lines("python", containing="ome_zarr"), NAPARI], ids=["ome-zarr", "napari"])
def test_ome_zarr_and_the_reader_of_napari_read_a_volume(place: Path, code: str) -> None:
    module = re.findall(r"from (\w+)", code)[0]
    if subprocess.run([READERS, "-c", f"import {module}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{module} is not installed in {READERS}; TUMSYN_READERS names an interpreter")
    assert run_python(place, code, READERS) == str(SHAPE[::-1])


@pytest.mark.parametrize("line", lines("python", containing="safetensors"))
def test_safetensors_and_numpy_alone_read_the_weights(place: Path, line: str) -> None:
    assert run_python(place, f"import sys; sys.modules['torch'] = None\n{line}") == "True"


def test_the_shell_of_duckdb_reads_the_catalogue(place: Path) -> None:
    require("duckdb")
    (line,) = lines("bash", containing="duckdb -readonly")
    printed = run(place, line)
    assert "alpha" in printed
    assert "omega" in printed


@pytest.mark.parametrize("line", lines("r"))
def test_r_reads_the_images(place: Path, line: str) -> None:
    require("Rscript")
    has_duckdb = subprocess.run(["Rscript", "-e", "library(duckdb)"], capture_output=True, check=False).returncode == 0
    if "duckdb" in line and not has_duckdb:
        pytest.skip("R has no package duckdb")
    words = ["Rscript", "-e", f"{line}; cat(nrow(images))"]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=True)
    assert done.stdout == str(n_images(place))


@pytest.mark.slow
def test_an_export_of_a_centre_passes_the_bids_validator(place: Path) -> None:
    require("bids-validator-deno")
    (line,) = lines("bash", containing="bids-validator-deno")
    run(place, line)
    assert len(list((place / "export").rglob("*_label-brain_desc-*_mask.nii.gz"))) == 6
