"""`tumsyn phantom` writes simulated centres, keeps those that exist, and refuses wrong settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.conftest import Command
from warehouse.centers.registry import registered
from warehouse.lake.home import Home

SMALL = ("--subjects-per-center", "1", "--resolution", "6", "--workers", "1", "--centers", "hcp_young_adult")


@pytest.fixture(autouse=True)
def crude(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads that are made in milliseconds."""
    from model.simulation import center
    from tests.model.simulation.fake_head import fake_head

    monkeypatch.setattr(center, "make_head", fake_head)


def test_a_cohort_is_written_registered_and_left_the_second_time(tumsyn: Command, home: Home, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = tumsyn("phantom", "--out", str(out), *SMALL)
    assert first.exit_code == 0
    assert "1 centres made, 0 left" in first.output
    assert "tumsyn centers add phantom_hcp_young_adult" in first.output
    assert {path.name for path in out.iterdir()} >= {
        "phantom_hcp_young_adult",
        "phantom_hcp_young_adult.yaml",
        "phantom_truth.csv",
        "phantom_defects.csv",
        "truth",
    }
    second = tumsyn("phantom", "--out", str(out), *SMALL, "--register")
    assert "0 centres made, 1 left" in second.output
    assert list(registered(home)) == ["phantom_hcp_young_adult"]


def test_the_definition_that_is_written_registers_the_centre(tumsyn: Command, home: Home, tmp_path: Path) -> None:
    out, name = tmp_path / "out", "phantom_hcp_young_adult"
    tumsyn("phantom", "--out", str(out), *SMALL)
    added = tumsyn("centers", "add", name, "--definition", str(out / f"{name}.yaml"), "--root", str(out / name))
    assert added.exit_code == 0
    assert registered(home)[name].center.is_simulated


def test_other_settings_need_force(tumsyn: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tumsyn("phantom", "--out", str(out), *SMALL)
    refused = tumsyn("phantom", "--out", str(out), *SMALL, "--seed", "2")
    assert refused.exit_code == 1
    assert "other settings" in refused.output
    assert "--force" in refused.output
    assert tumsyn("phantom", "--out", str(out), *SMALL, "--seed", "2", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--centers", "mylab"), "mylab"),
        (("--resolution", "20"), "20"),
        (("--subjects-per-center", "99"), "99"),
    ],
    ids=["no such centre", "too coarse", "too many"],
)
def test_impossible_settings_are_refused(tumsyn: Command, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    result = tumsyn("phantom", "--out", str(tmp_path / "out"), *SMALL, *words)
    assert result.exit_code == 1
    assert message in result.output
    assert "->" in result.output
