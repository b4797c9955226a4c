"""Verdicts on rows that are written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from model.evaluation.floors import IDENTITY
from model.evaluation.gates import judge
from tests.model.evaluation.fakes import protocol

MODEL = "0123456789abcdef"
PEOPLE = {"a1": "anna", "a2": "anna", "b1": "boris", "c1": "cilka", "d1": "dana"}


def row(target: str, metric: str, value: float, model_id: str = MODEL, split: str = "test_internal") -> dict[str, Any]:
    pair = {"task": "T1w_to_T2w", "source_image_ids": [f"source of {target}"], "target_image_id": target}
    return pair | {"model_id": model_id, "split": split, "metric": metric, "mask": "brain", "value": value}


def rows(gains: dict[str, float], steering: float = 0.2, split: str = "test_internal") -> list[dict[str, Any]]:
    made = []
    for target, gained in gains.items():
        made.append(row(target, "psnr_db", 20.0 + gained, split=split))
        made.append(row(target, "psnr_db", 20.0, IDENTITY, split))
        made.append(row(target, "steering_mae", steering, split=split))
    return made


def verdicts(scores: list[dict[str, Any]], **more: Any) -> dict[str, dict[str, Any]]:
    return {verdict["gate"]: verdict for verdict in judge(scores, PEOPLE, MODEL, protocol(**more))}


def test_a_person_with_two_scans_counts_once() -> None:
    found = verdicts(rows({"a1": -3.0, "a2": -5.0, "b1": 1.0, "c1": 2.0, "d1": 3.0}))["better_than_identity"]
    assert found["value"] == pytest.approx((-4 + 1 + 2 + 3) / 4)
    assert found["passed"]
    assert "mean of 4 people" in found["detail"]


@pytest.mark.parametrize(("gain", "passed"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_the_threshold_itself_is_not_enough(gain: float, passed: bool) -> None:
    found = verdicts(rows(dict.fromkeys(PEOPLE, gain)))["better_than_identity"]
    assert (found["passed"], found["threshold"]) == (passed, 0.0)


@pytest.mark.parametrize(("steering", "passed"), [(0.02, True), (0.005, False), (0.0, False)])
def test_a_prompt_that_changes_next_to_nothing_does_not_steer(steering: float, passed: bool) -> None:
    found = verdicts(rows({"a1": 1.0}, steering))["prompt_steers"]
    assert (found["passed"], found["value"], found["threshold"]) == (passed, pytest.approx(steering), 0.01)


def test_external_pairs_open_no_gate() -> None:
    found = verdicts(rows({"a1": 9.0, "b1": 9.0}, split="test_external"))
    assert {(verdict["passed"], verdict["value"]) for verdict in found.values()} == {(False, None)}


def test_another_models_rows_are_not_this_ones() -> None:
    others = [known for known in rows({"a1": 9.0}, steering=0.9) if known["model_id"] == MODEL]
    others = [{**known, "model_id": "fedcba9876543210"} for known in others]
    found = verdicts(rows({"b1": -1.0}, steering=0.3) + others)
    assert [found[gate]["value"] for gate in ("better_than_identity", "prompt_steers")] == pytest.approx([-1.0, 0.3])
