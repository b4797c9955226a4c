"""Figures as they are written."""

from __future__ import annotations

import pytest

from model.evaluation.statistics import Estimate
from model.report.page import ENVIRONMENT
from model.report.scores import span_of
from model.report.words import interval, number


def gain(found: Estimate, metric: str, span: tuple[float, float]) -> str:
    return str(ENVIRONMENT.get_template("gain.html.j2").module.gain(found, metric, span))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("value", "sign", "expected"),
    [
        (-0.004, True, "0.00"),
        (-1.234, False, "−1.23"),
        (1.239, True, "+1.24"),
        (0.0, True, "0.00"),
        (1234.5, False, "1,234.50"),
    ],
)
def test_a_number_has_a_true_minus_and_zero_has_no_sign(value: float, sign: bool, expected: str) -> None:
    assert number(value, 2, sign) == expected


@pytest.mark.parametrize(
    ("low", "high", "metric", "kind"),
    [
        (0.1, 0.9, "psnr_db", "better"),
        (-0.9, -0.1, "psnr_db", "worse"),
        (-0.9, -0.1, "mae", "better"),
        (0.1, 0.9, "mae", "worse"),
        (-0.1, 0.9, "ssim", ""),
        (0.0, 0.9, "ssim", ""),
        (None, None, "ssim", ""),
    ],
)
def test_only_an_interval_without_zero_makes_a_difference_stand_out(
    low: float | None, high: float | None, metric: str, kind: str
) -> None:
    found = Estimate(((low or 0) + (high or 0)) / 2, low, high, 5)
    assert f'class="gain {kind}"' in gain(found, metric, span_of([found]))


def test_without_people_enough_there_is_no_interval() -> None:
    found = Estimate(1.0, None, None, 2)
    assert interval(found, 2) == ""
    assert "no interval" in gain(found, "psnr_db", span_of([found]))


def test_a_whisker_lies_within_its_drawing() -> None:
    found = [Estimate(-3.0, -5.0, -1.0, 9), Estimate(2.0, 1.0, 4.0, 9)]
    assert span_of(found)[0] < -5.0
    assert span_of(found)[1] > 4.0
    low, high = span_of([Estimate(0.0, 0.0, 0.0, 9)])
    assert low < 0 < high
