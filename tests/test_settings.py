"""What installs the project: pins that are complete and agree, and no address of anybody's machine."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line and line[0] != "#"
)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_is_pinned() -> None:
    wanted = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        wanted += extra
    names = {normal(re.split(r"[<>=[]", text)[0]) for text in wanted} - {"tumsyn"}  # an extra may hold other extras
    assert names <= PINS.keys()


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Return a package and everything that it needs here, whatever else is installed."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    found = {name}
    for text in requires(name) or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*extras, "")):
            found |= needed(normal(requirement.name), frozenset(requirement.extras), seen)
    return found


def test_everything_that_is_needed_is_installed_as_pinned() -> None:
    names = needed("tumsyn", frozenset({"dev", "docs", "fast", "ui"}), set()) - {"tumsyn"}
    assert len(names) > 100
    assert {name: version(name) for name in names if PINS.get(name) != version(name).split("+")[0]} == {}


def test_all_of_dagster_is_one_release() -> None:
    assert len({pin for name, pin in PINS.items() if name.startswith("dagster")}) == 1


def test_torch_is_pinned_by_its_public_version_so_that_any_build_fits() -> None:
    assert "+" not in PINS["torch"]
    assert version("torch").split("+")[0] == PINS["torch"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "Makefile", ".ci/run"])
def test_no_package_index_is_named(name: str) -> None:
    assert not re.search(r"index-url|find-links|https?://", (ROOT / name).read_text())


def test_make_refuses_another_python_and_names_the_ones_that_work(tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={fake}", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "3.11 or 3.12" in done.stderr
