"""`tumsyn` starts fast, shows errors with their remedies, and ends with the right status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipelines.conftest import Command
from warehouse.centers.registry import RegisteredCenter

HEAVY = ("dagster", "torch", "pyarrow", "duckdb", "pandas", "bids2table", "nibabel", "numpy", "pydantic", "scipy")


def test_the_command_imports_nothing_heavy_before_it_knows_what_to_do() -> None:
    code = f"import sys, pipelines.cli; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys\n"
        "from pipelines.cli import app\n"
        "try:\n    app(['--help'])\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "harmonize" in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["nonsense"], id="unknown command"),
        pytest.param(["sql"], id="no query"),
        pytest.param(["sql", "SELECT 1", "--format", "excel"], id="unknown format"),
        pytest.param(["sql", "SELECT 1", "--timeout", "-1"], id="negative timeout"),
        pytest.param(["centers", "add", "x"], id="no root"),
        pytest.param(["centers", "add", "x", "--root", ".", "--layout", "dicom"], id="unknown layout"),
        pytest.param(
            ["centers", "add", "x", "--root", ".", "--layout", "bids", "--definition", "x.yaml"], id="two layouts"
        ),
        pytest.param(["demo", "--profile", "huge"], id="unknown profile"),
    ],
)
def test_wrong_usage_ends_with_status_2_and_a_message_on_standard_error(tumsyn: Command, words: list[str]) -> None:
    result = tumsyn(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        pytest.param(["sql", "SELECT 1"], "tumsyn ingest", id="nothing published"),
        pytest.param(["catalog", "tables"], "tumsyn ingest", id="no tables"),
        pytest.param(["catalog", "snapshots"], "tumsyn ingest", id="no snapshots"),
        pytest.param(["catalog", "pin", "0123"], "publish", id="no such snapshot"),
        pytest.param(["ingest"], "centers add", id="no centre"),
        pytest.param(["centers", "check", "ixi"], "centers add", id="unregistered centre"),
        pytest.param(["centers", "check", "mars", "--root", "."], "--layout bids", id="no such definition"),
        pytest.param(["centers", "remove", "ixi"], "centers add", id="nothing to remove"),
        pytest.param(["centers", "add", "ixi", "--root", "nowhere"], "--root", id="root is no folder"),
        pytest.param(["centers", "add", "mars", "--root", "."], "--layout bids", id="no shipped definition"),
        pytest.param(["centers", "add", "A b", "--layout", "bids", "--root", "."], "correct", id="no identifier"),
        pytest.param(
            ["centers", "add", "x", "--definition", "no.yaml", "--root", "."],
            "give the path of a YAML file",
            id="no definition",
        ),
    ],
)
def test_an_error_is_shown_with_its_remedy_on_standard_error_and_ends_with_status_1(
    tumsyn: Command, words: list[str], remedy: str
) -> None:
    result = tumsyn(*words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("tumsyn: ")
    assert remedy in result.stderr.split("->", 1)[1]
    assert "Traceback" not in result.stderr


def test_debug_shows_where_an_error_arose(home_words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "--debug", *home_words, "sql", "SELECT 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.slow
def test_a_reader_that_closes_the_pipe_early_sees_no_traceback(asking: Command, filled_words: list[str]) -> None:
    command = f"{sys.executable} -m pipelines.cli {' '.join(filled_words)} sql 'SELECT range FROM range(300000)' -f csv"
    done = subprocess.run(["bash", "-c", f"{command} | head -n 1"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == '"range"'
    assert "Traceback" not in done.stderr


@pytest.fixture
def home_words(tmp_path: Path) -> list[str]:
    return ["--home", str(tmp_path)]


@pytest.fixture
def filled_words(filled: object) -> list[str]:
    return ["--home", str(filled.root)]  # type: ignore[attr-defined]


def test_an_unexpected_error_is_shown_in_one_line_too(
    tumsyn: Command, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("seven by nought")

    monkeypatch.setattr("warehouse.ingest.is_current", broken)
    result = tumsyn("ingest")
    assert result.exit_code == 1
    assert "ZeroDivisionError: seven by nought" in result.stderr
    assert "--debug" in result.stderr
