"""Notebooks run from top to bottom on a small catalogue, change nothing, and draw what can be read."""

from __future__ import annotations

import ast
import json
import runpy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure

from model.networks.checkpoint import save_model
from model.networks.field_tokens import FieldTowerConfig
from model.networks.fields import FieldsConfig
from model.networks.image_tower import ImageTowerConfig
from model.networks.pair_encoder import build, describe
from model.report.data import Group, read_figures
from tests.conftest import ROOT
from tests.model.report.conftest import make_home, protocol, publish_evaluation
from tests.model.tiny_home import GRID_MM, RECIPE
from tests.model.tiny_models import save_synthesis
from tests.warehouse.conftest import Lab, fill
from warehouse.catalog.query import Catalogue
from warehouse.errors import CatalogueError, TumsynError
from warehouse.lake import parts
from warehouse.lake.home import Home

pytestmark = pytest.mark.slow  # its fixtures take seconds

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.py"))
OWN_HOME = ROOT / "notebooks" / "06_bring_your_own_dataset.py"  # makes a home: a minute and more
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
reading = pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p != OWN_HOME], ids=lambda path: path.stem)
of_volumes = pytest.mark.parametrize("path", [p for p in NOTEBOOKS[1:] if p != OWN_HOME], ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three centres without volumes."""
    lab = Lab(tmp_path_factory.mktemp("small") / "home")
    fill(lab)
    lab.publish()
    return lab.home


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Real and simulated people with volumes, scores, gates, and champions that were never trained."""
    home = make_home(tmp_path_factory.mktemp("studied") / "home")
    synthesis = save_synthesis(home, recipe_id=RECIPE, trained_ranges={"contrasts": {"T1w": {}, "T2w": {}}})
    champion = {
        "alias": "champion",
        "action": "assign",
        "reason": "for a test",
        "grid_mm": GRID_MM,
        "recipe_id": RECIPE,
    }
    found = (("synthesis", synthesis), ("text_encoder", save_matcher(home)))
    parts.append_events(home, "core.model_event", [champion | {"kind": kind, "model_id": name} for kind, name in found])
    publish_evaluation(home, protocol())
    return home


def save_matcher(home: Home) -> str:
    """Keep a text encoder with its image tower, both untrained and tiny; return its identity."""
    image = ImageTowerConfig(width=16, patch_voxels=4, n_intensity_bins=4, channels=4, n_levels=1, n_queries=2)
    sizes = FieldsConfig(FieldTowerConfig(width=16, n_layers=1, n_heads=2, n_frequencies=4), image)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(describe("fields", sizes))
    box = {"shape": [16, 16, 16], "voxel_mm": 5.0}
    config = {"architecture": {"name": "fields", **asdict(sizes)}, "box": box, "recipe_id": RECIPE, "grid_mm": GRID_MM}
    return save_model(home, "text_encoder", network.state_dict(), config, {})[0]


@pytest.fixture(autouse=True)
def without_a_screen(monkeypatch: pytest.MonkeyPatch) -> Any:
    mpl.use("Agg")
    plt.close("all")
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.setitem(mpl.rcParams, "figure.max_open_warning", 0)  # a notebook closes what it has shown
    torch.set_num_threads(1)
    with mpl.rc_context():
        yield
    plt.close("all")


def run(path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("TUMSYN_HOME", str(home.root))
    shown = runpy.run_path(str(path))
    if path != OWN_HOME:
        shown["connection"].close()
    return shown


def assert_readable(figures: list[Figure]) -> None:
    """Charts have labels and a title; nothing that is written lies outside its figure, and no picture is blank."""
    assert figures
    for figure in figures:
        figure.canvas.draw()
        assert figure.get_suptitle() or any(axes.get_title() for axes in figure.axes) or figure.texts
        for axes in figure.axes:
            if axes.axison:
                assert axes.get_xlabel() or axes.get_ylabel()
            else:
                assert all(image.get_array().std() > 0 for image in axes.get_images())
        for text in [*figure.texts, *(label for axes in figure.axes for label in (axes.title, axes.xaxis.label))]:
            box = text.get_window_extent()
            assert box.width == 0 or (box.x0 > -2 and box.x1 < figure.bbox.x1 + 2), f"{text.get_text()!r} is cut off"


@reading
def test_a_notebook_runs_changes_nothing_and_draws_what_can_be_read(
    path: Path, studied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file: file.stat().st_mtime_ns for file in studied.root.rglob("*") if file.is_file()}
    run(path, studied, monkeypatch)
    assert {file: file.stat().st_mtime_ns for file in studied.root.rglob("*") if file.is_file()} == before
    assert_readable([plt.figure(number) for number in plt.get_fignums()])


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


@reading
def test_a_notebook_in_an_empty_home_says_what_to_do(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CatalogueError, match="tumsyn ingest"):
        run(path, Home(tmp_path), monkeypatch)


@of_volumes
def test_a_notebook_of_volumes_or_scores_says_how_to_get_them(
    path: Path, small: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TumsynError, match=r"run `tumsyn (harmonize|evaluate)"):
        run(path, small, monkeypatch)


def test_what_is_counted_is_what_the_catalogue_holds(
    small: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run(NOTEBOOKS[0], small, monkeypatch)
    assert "12 images of 5 people from 3 centres (real data)" in capsys.readouterr().out
    assert shown["table"].to_numpy()[shown["table"].notna()].sum() == 12
    assert shown["ages"]["years"].tolist().count(22.5) == 0  # that person has an age at the second visit


def test_means_over_people_are_those_of_the_report(studied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run(ROOT / "notebooks" / "05_compare_models_in_sql.py", studied, monkeypatch)
    with Catalogue(studied).connect() as connection:
        [(evaluation_id,)] = connection.sql("SELECT DISTINCT evaluation_id FROM core.evaluation_score").fetchall()
        figures = read_figures(connection, evaluation_id, protocol())
    line = figures.line(Group("native", "real", "test_internal"), "T1w_to_T2w", "psnr_db")
    people = shown["people"]
    own = people[(people["split"] == "test_internal") & (people["is_simulated"] == False)]  # noqa: E712 - a column
    own = own[(own["task"] == "T1w_to_T2w") & ~own["model_id"].str.startswith("baseline:")]
    assert own["psnr_db"].mean() == pytest.approx(line.mean)
    assert sorted(own["gain_db"]) == pytest.approx(sorted(line.gains["baseline:intensity_map_oracle"]))


def test_a_dataset_of_ones_own_reaches_its_first_synthesis(
    studied: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = run(OWN_HOME, studied, monkeypatch)
    said = capfd.readouterr().out
    assert said.count("exit status 0") == 5
    assert "truncated_gzip" in said
    assert json.loads(shown["out"].with_suffix("").with_suffix(".json").read_text())
    assert_readable([plt.figure(number) for number in plt.get_fignums()])
    shown["temporary"].cleanup()
