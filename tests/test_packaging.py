"""What is handed out: licences, versions that agree, and a wheel that carries every file and works by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.test_settings import PROJECT, needed

PACKAGES = ("model", "pipelines", "warehouse")
COPYLEFT = re.compile(r"GPL|General Public|MPL|Mozilla", re.IGNORECASE)
WORKS_ALONE = ROOT / "tests" / "installed.py"


def licence(name: str) -> str:
    """Return what the metadata of an installed package say about its licence."""
    fields = metadata(name)
    classifiers = [text for text in fields.get_all("Classifier") or [] if text.startswith("License")]
    short = [text for text in fields.get_all("License") or [] if "\n" not in text]
    return "; ".join([*(fields.get_all("License-Expression") or []), *classifiers, *short])


def test_the_notice_names_every_needed_package_that_is_not_under_a_permissive_licence() -> None:
    licences = {name: licence(name) for name in needed("tumsyn", frozenset({"ui", "fast"}), set()) - {"tumsyn"}}
    assert [name for name, text in licences.items() if not text] == []
    found = {name: text for name, text in licences.items() if COPYLEFT.search(text)}
    notice = (ROOT / "NOTICE").read_text()
    lesser = re.search(r"LGPL-3\.0: (.*) \(deepbet", notice)
    mozilla = re.search(r"MPL-2\.0: (.*)", notice)
    assert lesser is not None
    assert mozilla is not None
    assert {name for name, text in found.items() if "MPL" in text} == set(mozilla[1].split(", "))
    assert {name for name, text in found.items() if "LGPL" in text} == set(lesser[1].split(", "))
    assert [text for text in found.values() if re.search(r"(?<!L)A?GPL", text)] == []


def test_version_and_licence_are_the_same_wherever_they_stand() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation["version"] == changes[0] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert citation["authors"] == PROJECT["authors"]


def test_whoever_installs_or_cites_it_reads_that_it_is_not_for_clinical_use() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    for text in (PROJECT["description"], citation["abstract"], (ROOT / "NOTICE").read_text()):
        assert "not for clinical use" in text.lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as an installer would, without network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_carries_every_tracked_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False)
    tracked = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    if not tracked:
        pytest.skip("this is no git checkout, so that nothing says which files belong to it")
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
        described = {name for name in carried if ".dist-info/" in name}
        for name in tracked & carried:
            assert archive.read(name) == (ROOT / name).read_bytes(), name
        assert archive.read("pipelines/dagster.yaml") == (ROOT / "dagster.yaml").read_bytes()
    assert {Path(name).suffix for name in tracked} > {".sql", ".yaml", ".j2", ".html", ".css", ".csv", ".safetensors"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= tracked
    assert tracked - carried == set()
    assert {name.split("/")[0] for name in carried - described} == set(PACKAGES)
    assert {name.split("/", 1)[1] for name in described} >= {"licenses/LICENSE", "licenses/NOTICE"}


@pytest.mark.install
@pytest.mark.slow
def test_an_empty_environment_synthesises_from_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(pip, check=True, cwd=tmp_path)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TUMSYN", "DAGSTER"))}
    subprocess.run([python, "-I", WORKS_ALONE], check=True, cwd=tmp_path, env=clean)
