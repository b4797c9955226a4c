"""What installs the project: pins that are complete and agree, and no address of anybody's machine."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and line[0] != "#"
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_is_pinned() -> None:
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {normal(re.split(r"[<>=]", text)[0]) for text in wanted} <= PINS.keys()


def test_every_installed_package_is_the_pinned_one() -> None:
    installed = {normal(d.metadata["Name"]): d.version.split("+")[0] for d in distributions()}
    ours = {"tumsyn", "pip", "setuptools", "wheel"}  # the project, and what venv brings by itself
    assert {name: found for name, found in installed.items() if name not in ours and PINS.get(name) != found} == {}


def test_all_of_dagster_is_one_release() -> None:
    assert len({pin for name, pin in PINS.items() if name.startswith("dagster")}) == 1


def test_torch_is_pinned_by_its_public_version_so_that_any_build_fits() -> None:
    assert "+" not in PINS["torch"]
    assert version("torch").split("+")[0] == PINS["torch"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run"])
def test_no_package_index_is_named(name: str) -> None:
    assert not re.search(r"index-url|find-links|https?://", (ROOT / name).read_text())


def test_make_refuses_another_python_and_names_the_ones_that_work(tmp_path: object) -> None:
    fake = f"{tmp_path}/python"
    with open(fake, "w") as file:  # noqa: PTH123
        file.write("#!/bin/sh\nexit 1\n")
    subprocess.run(["chmod", "+x", fake], check=True)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={fake}", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "3.11 or 3.12" in done.stderr


def test_the_layers_of_the_project_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
