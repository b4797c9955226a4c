"""The demonstration simulates centres once, marks them as simulated, and prints commands that work."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import dagster as dg
import pytest

from pipelines.assets.models import REPORT
from pipelines.commands import demo
from pipelines.runtime.operations import load_operations, path_of
from tests.pipelines.conftest import Command, command_in
from warehouse.centers.registry import registered
from warehouse.lake.home import Home


@pytest.mark.slow
def test_the_demo_ends_with_commands_that_work(home: Home, tumsyn: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Training and report have tests of their own, with smaller networks.
    monkeypatch.setattr(demo, "PROFILES", {"quick": demo.Profile(("lemon", "oasis3"), 1, "demo")})
    monkeypatch.setattr("model.simulation.cohort.N_ACCEPTANCE_PEOPLE", 2)
    monkeypatch.setattr(demo, "train_all", lambda home, settings: home.root / "report.html")
    tried: list[Path] = []
    monkeypatch.setattr(demo, "try_shipped_weights", lambda home, shown: not tried)
    monkeypatch.setattr("pipelines.runtime.reports.rewrite_report", lambda home, page, name: tried.append(page))
    monkeypatch.setattr("pipelines.runtime.reports.headline", lambda home, page, settings: "all is well")
    result = tumsyn("demo", "--profile", "quick")
    assert result.exit_code == 0, result.output
    queries = re.findall(r"--home (\S+) (sql .*?\")$", result.stdout.replace("\\\n", ""), re.MULTILINE)
    assert len(queries) == 2
    for place, words in queries:
        assert Path(place) == home.root
        assert command_in(home)(*shlex.split(words)).exit_code == 0
    centers = demo.PROFILES["quick"].centers or ()
    names = ["phantom_acceptance", *sorted(f"phantom_{name}" for name in centers)]
    rows = json.loads(tumsyn("sql", "SELECT center_id, is_simulated FROM core.center ORDER BY 1", "-f", "json").stdout)
    assert rows == [{"center_id": name, "is_simulated": True} for name in names]
    volumes = json.loads(tumsyn("sql", "SELECT count(DISTINCT image_id) AS n FROM core.volume", "-f", "json").stdout)
    assert volumes[0]["n"] > 0
    assert "all is well\nreport: " in result.stdout
    again = tumsyn("demo", "--profile", "quick")
    assert again.exit_code == 0
    assert "up to date" in again.stderr
    assert tried == [home.root / "report.html"]


@pytest.mark.slow
def test_centres_of_the_demo_are_simulated_registered_as_such_and_made_once(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.simulation.cohort.N_ACCEPTANCE_PEOPLE", 1)
    monkeypatch.setattr(demo, "RESOLUTION_MM", 6.0)
    profile = demo.Profile(("aibl",), 1, "demo")
    assert demo.make_centers(home, profile) == ["phantom_aibl", "phantom_acceptance"]
    acceptance = registered(home)["phantom_acceptance"].center
    assert (acceptance.split, acceptance.layout.persons) == ("acceptance", {})
    center = registered(home)["phantom_aibl"].center
    assert center.is_simulated
    assert "simulated" in center.title
    before = (registered(home)["phantom_aibl"].root).stat().st_ino
    capsys.readouterr()
    assert demo.make_centers(home, profile) == ["phantom_aibl", "phantom_acceptance"]
    assert "0 centres simulated, 1 found" in capsys.readouterr().err
    assert (registered(home)["phantom_aibl"].root).stat().st_ino == before


def test_the_page_is_the_one_that_the_run_wrote_whatever_data_are_in_force() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("before", "now"):
            metadata = {"path": dg.MetadataValue.path(f"/reports/{name}/report.html")}
            instance.report_runless_asset_event(dg.AssetMaterialization(REPORT, metadata=metadata))
        assert demo.written_report(instance) == Path("/reports/now/report.html")


def test_both_profiles_have_a_centre_that_trains_and_one_that_only_tests() -> None:
    from model.simulation.layouts import LAYOUTS
    from warehouse.centers.registry import shipped

    for profile in demo.PROFILES.values():
        assert {shipped()[name].role for name in profile.centers or LAYOUTS} == {"internal", "external"}


def test_what_is_started_in_the_browser_is_as_quick_as_the_demo_unless_the_home_has_settings(home: Home) -> None:
    demo.write_operations(home, demo.PROFILES["quick"])
    settings = load_operations(home)
    assert settings.arrival.recipe == demo.RECIPE
    assert settings.retraining.synthesis_config == settings.retraining.protocol == "quick"
    path_of(home).write_text("arrival: {recipe: standard}\n")
    demo.write_operations(home, demo.PROFILES["quick"])
    assert load_operations(home).arrival.recipe == "standard"
