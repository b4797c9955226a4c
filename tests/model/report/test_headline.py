"""The few lines for a terminal: what the data are comes first, and figures are the report's."""

from __future__ import annotations

from typing import Any

import pytest

from model.evaluation.baselines import IDENTITY
from model.report.data import Figures, read_figures
from model.report.headline import lines
from tests.model.report.conftest import Reported


@pytest.fixture
def figures(reported: Reported, connection: Any) -> Figures:
    return read_figures(connection, reported.evaluation.evaluation_id, reported.protocol)


def test_simulated_data_are_called_so_before_any_figure(figures: Figures) -> None:
    assert lines(figures)[0].startswith("DEMONSTRATION ON SIMULATED DATA")


def test_a_split_has_its_psnr_its_gains_and_its_people(figures: Figures) -> None:
    line = figures.line("test_internal", None, "psnr_db")
    assert line.model is not None
    [said] = [text for text in lines(figures) if "centres that it knows" in text]
    assert said.startswith(
        f"brain PSNR {line.model.mean:.1f} dB ({line.gains[IDENTITY].mean:+.1f} dB against the source"
    )
    assert said.endswith(f"{line.n_pairs} pairs of {line.n_people} people whom it never saw, of centres that it knows")


def test_retrieval_has_its_chance_and_gates_are_counted(figures: Figures) -> None:
    said = lines(figures)
    assert any("find their contrast" in text and "chance 25%" in text for text in said)
    verdicts = [row["verdict"] for row in figures.gates]
    assert verdicts
    n_open = verdicts.count("not_enough_data")
    too_few = f", {n_open} without enough people to tell" if n_open else ""
    assert said[-1] == f"gates: {verdicts.count('passed')} of {len(verdicts)} hold{too_few}"
