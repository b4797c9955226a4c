"""Notebooks run from top to bottom on a small catalogue, change nothing, and draw what can be read."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from tests.conftest import ROOT
from tests.warehouse.conftest import Lab, fill
from warehouse.errors import CatalogueError
from warehouse.lake.home import Home

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Home:
    lab = Lab(tmp_path_factory.mktemp("notebooks") / "home")
    fill(lab)
    lab.publish()
    return lab.home


@pytest.fixture(autouse=True)
def without_a_screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    mpl.use("Agg")
    plt.close("all")
    monkeypatch.setattr(plt, "show", lambda: None)
    with mpl.rc_context():
        yield
    plt.close("all")


def run(path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("TUMSYN_HOME", str(home.root))
    return runpy.run_path(str(path))


@each
def test_a_notebook_runs_and_every_axis_says_what_it_shows(
    path: Path, small: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, small, monkeypatch)["connection"].close()
    figures = [plt.figure(number) for number in plt.get_fignums()]
    assert figures
    for figure in figures:
        figure.canvas.draw()
        assert all(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes)
        assert figure.get_suptitle() or any(axes.get_title() for axes in figure.axes)


@each
def test_a_notebook_opens_with_question_and_answer_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = text.split("# %%")[1]
    assert first.startswith(" [markdown]")
    assert "**Question.**" in first
    assert "**Answer.**" in first
    assert len(text.splitlines()) <= 170
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 10, f"{node.name} belongs in a folder"


@each
def test_a_notebook_reads_only(path: Path, small: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file: file.stat().st_mtime_ns for file in small.root.rglob("*") if file.is_file()}
    run(path, small, monkeypatch)["connection"].close()
    assert {file: file.stat().st_mtime_ns for file in small.root.rglob("*") if file.is_file()} == before


@each
def test_a_notebook_in_an_empty_home_says_what_to_do(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CatalogueError, match="tumsyn ingest"):
        run(path, Home(tmp_path), monkeypatch)


def test_what_is_counted_is_what_the_catalogue_holds(
    small: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(NOTEBOOKS[0], small, monkeypatch)
    shown["connection"].close()
    assert "12 images of 5 people from 3 centres (real data)" in capsys.readouterr().out
    assert shown["table"].to_numpy()[shown["table"].notna()].sum() == 12
