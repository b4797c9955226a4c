"""Every command of the README exists, takes the options that it is shown with, and runs as it is written."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
LINES = [
    shlex.split(line, comments=True)
    for block in BLOCKS
    for line in re.sub(r"\\\n", " ", block).splitlines()
    if '"' not in line
]
COMMANDS = sorted({tuple(words[1:]) for words in LINES if words[:1] == ["tumsyn"]})
TARGETS = sorted({tuple(words[1:]) for words in LINES if words[:1] == ["make"]})
# A person would wait for these: the demonstration has a test of its own, as the interface and the tests have.
NOT_RUN = re.compile(r"^make .*$", re.MULTILINE)
SIMULATED = {"_T1w": "phantom_1mm/sub-demonstration_T1w", "_T2w": "phantom_1mm/sub-demonstration_T2w"}


@pytest.mark.parametrize("words", TARGETS, ids=" ".join)
def test_every_target_of_make_exists(words: tuple[str, ...]) -> None:
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_takes_the_options_that_it_is_shown_with(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0, shown.output


def test_the_readme_is_read_by_this_test() -> None:
    assert len(COMMANDS) > 10
    assert len(TARGETS) > 2


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert links
    assert missing == []


@pytest.mark.slow
def test_the_journeys_run_from_top_to_bottom_as_they_are_written(tmp_path: Path) -> None:
    desk = tmp_path / "desk"
    (desk / "data").mkdir(parents=True)
    demo_home(desk / "data" / "demo")
    (desk / ".venv").symlink_to(sys.prefix)
    write_lab(tmp_path / "mylab", desk / "data" / "demo")
    script = "set -euo pipefail\n" + "\n".join(NOT_RUN.sub("", block) for block in BLOCKS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TUMSYN", "DAGSTER"))}
    environment |= {"HOME": str(tmp_path), "DAGSTER_HOME": str(ROOT), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-x", "-c", script], cwd=desk, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert (desk / "sub-01_T2w.nii.gz").is_file()


def demo_home(target: Path) -> None:
    """Copy the quick demonstration, which `make demo` left in the checkout; make it where there is none."""
    made = ROOT / "data" / "demo"
    if not (made / "warehouse").is_dir() or not any((made / "reports").glob("*/*.html")):
        words = ["-m", "pipelines.cli", "--home", str(target), "demo", "--profile", "quick"]
        subprocess.run([sys.executable, *words], check=True, env=os.environ | {"DAGSTER_HOME": str(ROOT)})
        return
    shutil.copytree(made, target, symlinks=True, ignore=lambda *_: {".dagster"})


def write_lab(root: Path, demo: Path) -> None:
    """Write the BIDS dataset of the README: the demonstration's head at 1 mm, as sub-01."""
    anat = root / "sub-01" / "anat"
    anat.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "mylab", "BIDSVersion": "1.9.0"}))
    for suffix, simulated in SIMULATED.items():
        for end in (".nii.gz", ".json"):
            shutil.copy(demo / f"{simulated}{end}", anat / f"sub-01{suffix}{end}")
