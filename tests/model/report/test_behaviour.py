"""Plain verdicts on behaviour: each can be good and bad."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from model.report.behaviour import Question, questions
from model.report.data import Cell, Figures, Group, Person, read_figures
from tests.model.report.conftest import MODEL, Reported

pytestmark = pytest.mark.slow  # its fixtures take seconds

GROUP = Group("session", "real", "test_internal")


@pytest.fixture
def figures(reported: Reported, connection: Any) -> Figures:
    return read_figures(connection, reported.evaluation_id, reported.protocol)


def ask(figures: Figures, **values: float) -> dict[str, Question]:
    """Ask of one person with these measures."""
    people = {
        (MODEL, Cell(GROUP, "T1w_to_T2w", metric, "brain")): {"ann": Person(1, value)}
        for metric, value in values.items()
    }
    return {question.name: question for question in questions(replace(figures, people=people))}


@pytest.mark.parametrize(
    ("values", "name", "kind", "said"),
    [
        ({"identity_psnr_db": 35.0, "identity_ssim": 0.99}, "Identity", "good", "It returns what it is given"),
        ({"identity_psnr_db": 35.0, "identity_ssim": 0.80}, "Identity", "bad", "It changes what it should return"),
        ({"identity_psnr_db": 20.0, "identity_ssim": 0.99}, "Identity", "bad", "It changes what it should return"),
        ({"irrelevant_age": 0.001, "irrelevant_age_shift_mm": 0.1}, "Another age in the prompt", "good", "alone"),
        (
            {"irrelevant_age": 0.001, "irrelevant_age_shift_mm": 2.0},
            "Another age in the prompt",
            "bad",
            "moves anatomy",
        ),
        ({"irrelevant_vendor": 0.05}, "Another vendor in the prompt", "bad", "Vendor moves anatomy"),
        ({"steering_mae": 0.1, "steering_gain_db": 3.0}, "Prompt swap", "good", "fits 3.00 dB better"),
        ({"steering_mae": 0.1, "steering_gain_db": -3.0}, "Prompt swap", "bad", "fits 3.00 dB worse"),
        ({"steering_mae": 0.001, "steering_gain_db": 3.0}, "Prompt swap", "bad", "hardly matters"),
        ({"tiles_max_difference": 0.0002}, "Tiles", "good", "no seams"),
        ({"tiles_max_difference": 0.2}, "Tiles", "bad", "seams may show"),
        ({"mae_rim": 0.10, "mae_deep": 0.09}, "Rim of the brain", "good", "No rim"),
        ({"mae_rim": 0.30, "mae_deep": 0.09}, "Rim of the brain", "bad", "bright or dark rim"),
    ],
)
def test_a_verdict_follows_from_its_figure(
    figures: Figures, values: dict[str, float], name: str, kind: str, said: str
) -> None:
    [finding] = ask(figures, **values)[name].findings
    assert finding.kind == kind
    assert said in finding.words


def test_a_rim_that_the_border_costs_every_map_is_none_of_the_model(figures: Figures) -> None:
    people = {
        (maker, Cell(GROUP, "T1w_to_T2w", metric, "brain")): {"ann": Person(1, value)}
        for maker in (MODEL, "baseline:intensity_map_oracle")
        for metric, value in (("mae_rim", 0.3), ("mae_deep", 0.1))
    }
    [question] = questions(replace(figures, people=people))
    assert question.findings[0].kind == "good"
    assert question.findings[0].figure == "30.0 % against 10.0 %: 3.00 × (fitted map 3.00 ×)"


def test_what_was_not_measured_is_not_asked(figures: Figures) -> None:
    assert ask(figures, psnr_db=20.0) == {}


def test_people_of_a_page_are_kept_apart(figures: Figures) -> None:
    found = {question.name: question for question in questions(figures)}
    said = [finding.group for finding in found["Identity"].findings]
    assert said == ["Real people, internal test people", "Simulated people, internal test people"]
    assert not any("training" in finding.group for finding in found["Rim of the brain"].findings)
