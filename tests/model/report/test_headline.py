"""The few lines for a terminal: what the data are comes first, and figures are the report's."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from model.evaluation.baselines import IDENTITY, MAP_ORACLE, MAP_TRAIN
from model.report.data import Figures, Group, read_figures
from model.report.headline import lines
from tests.model.report.conftest import Reported


@pytest.fixture
def figures(reported: Reported, connection: Any) -> Figures:
    return read_figures(connection, reported.evaluation_id, reported.protocol)


@pytest.mark.slow
def test_data_that_are_simulated_throughout_are_called_so_before_any_figure(figures: Figures) -> None:
    assert "DEMONSTRATION" not in lines(figures)[0]
    only = replace(figures, populations=[row for row in figures.populations if row["population"] == "simulated"])
    assert lines(only)[0].startswith("DEMONSTRATION ON SIMULATED DATA")


def test_each_population_and_split_has_a_line_of_what_ships(figures: Figures) -> None:
    said = [text for text in lines(figures) if text.startswith("brain PSNR")]
    assert len(said) == 6
    assert all("from file to file" in text for text in said)
    line = figures.line(Group("native", "real", "test_internal"), None, "psnr_db")
    identity, pooled, fitted = (fmean(line.gains[name]) for name in (IDENTITY, MAP_TRAIN, MAP_ORACLE))
    assert said[0] == (
        f"brain PSNR from file to file {line.mean:.1f} dB ({identity:+.1f} dB on the source as it is, "
        f"{pooled:+.1f} dB on the pooled map, {fitted:+.1f} dB on the fitted map), "
        "36 pairs of 12 real people whom it never saw, of centres that it knows"
    )


def test_retrieval_has_its_chance_and_gates_are_counted(figures: Figures) -> None:
    said = lines(figures)
    assert any("find their contrast" in text and "chance 25%" in text for text in said)
    assert said[-1] == "gates: 1 of 2 hold"
