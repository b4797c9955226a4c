"""Verdicts on rows that are written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from model.evaluation.baselines import IDENTITY, START
from model.evaluation.gates import Opponent, Place, gated_place, gated_split, judge, judge_against, judge_start
from tests.model.evaluation.fakes import protocol
from tests.model.evaluation.test_pairs import item

MODEL = "0123456789abcdef"
N_PEOPLE = 12
TARGETS = [f"t{number}" for number in range(N_PEOPLE)]
ITEMS = {target: item(f"person {target}", target) for target in TARGETS} | {"second of t0": item("person t0", "again")}
ITEMS |= {"real": item("somebody", "real", is_simulated=False)}
HERE = Place("test_internal", is_simulated=True)


def row(target: str, metric: str, value: float, model_id: str = MODEL, split: str = "test_internal") -> dict[str, Any]:
    pair = {
        "form": "native",
        "task": "T1w_to_T2w",
        "source_image_ids": [f"source of {target}"],
        "target_image_id": target,
    }
    return pair | {"model_id": model_id, "split": split, "metric": metric, "mask": "brain", "value": value}


def rows(gains: dict[str, float], steering: float = 0.2, split: str = "test_internal") -> list[dict[str, Any]]:
    made = []
    for target, gained in gains.items():
        made.append(row(target, "psnr_db", 20.0 + gained, split=split))
        made.append(row(target, "psnr_db", 20.0, IDENTITY, split))
        made.append(row(target, "steering_mae", steering, split=split))
    return made


def verdicts(scores: list[dict[str, Any]], place: Place = HERE) -> dict[str, dict[str, Any]]:
    return {verdict["gate"]: verdict for verdict in judge(scores, ITEMS, place, MODEL, protocol())}


def test_a_person_with_two_scans_counts_once() -> None:
    gains = dict.fromkeys(TARGETS, 1.0) | {"t0": -3.0, "second of t0": -5.0}
    found = verdicts(rows(gains))["better_than_identity"]
    assert f"{(11 * 1.0 - 4.0) / 12:+.2f} dB" in found["detail"]
    assert "mean of 12 people" in found["detail"]


@pytest.mark.parametrize(("gain", "verdict"), [(0.01, "passed"), (0.0, "failed"), (-0.01, "failed")])
def test_the_threshold_itself_is_not_enough(gain: float, verdict: str) -> None:
    found = verdicts(rows(dict.fromkeys(TARGETS, gain)))["better_than_identity"]
    assert (found["verdict"], found["passed"], found["threshold"]) == (verdict, verdict == "passed", 0.0)


def test_a_mean_above_the_threshold_with_an_interval_across_it_does_not_pass() -> None:
    gains = dict(zip(TARGETS, np.linspace(-9.0, 10.0, N_PEOPLE), strict=True))
    found = verdicts(rows(gains))["better_than_identity"]
    assert found["value"] < 0.0 < np.mean([*gains.values()])
    assert found["verdict"] == "failed"


@pytest.mark.parametrize("n_people", [1, 9])
def test_fewer_than_ten_people_are_not_enough_however_good_the_model(n_people: int) -> None:
    found = verdicts(rows(dict.fromkeys(TARGETS[:n_people], 9.0)))["better_than_identity"]
    assert (found["verdict"], found["passed"], found["value"]) == ("not_enough_data", False, pytest.approx(9.0))
    assert "an interval takes 10" in found["detail"]


@pytest.mark.parametrize(("steering", "passed"), [(0.02, True), (0.005, False), (0.0, False)])
def test_a_prompt_that_changes_next_to_nothing_does_not_steer(steering: float, passed: bool) -> None:
    found = verdicts(rows(dict.fromkeys(TARGETS, 1.0), steering))["prompt_steers"]
    assert (found["passed"], found["value"], found["threshold"]) == (passed, pytest.approx(steering), 0.01)


def test_external_pairs_open_no_gate() -> None:
    found = verdicts(rows(dict.fromkeys(TARGETS, 9.0), split="test_external"))
    assert {(verdict["verdict"], verdict["value"]) for verdict in found.values()} == {("not_enough_data", None)}


SPLITS = ("train", "test_internal", "test_external", "acceptance")


def test_an_acceptance_set_is_judged_in_place_of_simulated_test_people() -> None:
    place = gated_place(SPLITS, [("test_internal", True), ("acceptance", True), ("train", False)])
    scores = rows(dict.fromkeys(TARGETS, 9.0), split="acceptance") + rows(dict.fromkeys(TARGETS, -9.0))
    found = verdicts(scores, place)["better_than_identity"]
    assert found["verdict"] == "passed"
    assert "in acceptance (simulated)" in found["detail"]
    assert gated_split(SPLITS[:3]) == "test_internal"


@pytest.mark.parametrize(
    ("splits", "tested", "place"),
    [
        (SPLITS, [("test_internal", False), ("acceptance", True)], Place("test_internal", False)),
        (SPLITS, [("acceptance", False), ("acceptance", True)], Place("acceptance", False)),
        (SPLITS[:3], [("test_internal", True), ("test_external", False)], Place("test_internal", True)),
        (("train", "val"), [("train", False), ("val", False)], Place("test_internal", True)),
    ],
    ids=["real test people before simulated ones", "real before simulated", "external do not count", "nobody"],
)
def test_gates_are_measured_on_one_split_and_population(
    splits: tuple[str, ...], tested: list[tuple[str, bool]], place: Place
) -> None:
    assert gated_place(splits, tested) == place


def test_real_and_simulated_people_are_never_in_one_verdict() -> None:
    scores = rows(dict.fromkeys(TARGETS, 1.0) | {"real": -50.0})
    assert verdicts(scores)["better_than_identity"]["value"] == pytest.approx(1.0)
    real = verdicts(scores, Place("test_internal", is_simulated=False))["better_than_identity"]
    assert (real["value"], real["verdict"]) == (pytest.approx(-50.0), "not_enough_data")


def test_figures_of_the_harmonised_grid_open_no_gate() -> None:
    scores = [row | {"form": "session"} for row in rows(dict.fromkeys(TARGETS, 9.0))]
    assert {verdict["value"] for verdict in verdicts(scores).values()} == {None}


def test_another_models_rows_are_not_this_ones() -> None:
    others = [known for known in rows({"t1": 9.0}, steering=0.9) if known["model_id"] == MODEL]
    others = [{**known, "model_id": "fedcba9876543210"} for known in others]
    found = verdicts(rows({"t2": -1.0}, steering=0.3) + others)
    assert [found[gate]["value"] for gate in ("better_than_identity", "prompt_steers")] == pytest.approx([-1.0, 0.3])


def started(gains: dict[str, float], split: str = "test_internal") -> list[dict[str, Any]]:
    made = [row(target, "psnr_db", 20.0 + gained, split=split) for target, gained in gains.items()]
    return made + [row(target, "psnr_db", 20.0, START, split) for target in gains]


@pytest.mark.parametrize(("gain", "verdict"), [(0.4, "passed"), (0.0, "failed"), (-0.4, "failed")])
def test_a_model_is_held_against_the_one_that_it_began_with(gain: float, verdict: str) -> None:
    found = judge_start(started(dict.fromkeys(TARGETS, gain)), ITEMS, HERE, MODEL, protocol())
    assert (found["gate"], found["verdict"]) == ("better_than_start", verdict)
    assert f"{gain:+.2f} dB" in found["detail"]
    assert "against the model that it began with" in found["detail"]


def test_validation_people_count_where_nobody_was_tested_and_few_of_them_decide_nothing() -> None:
    found = judge_start(started(dict.fromkeys(TARGETS, 0.4), "val"), ITEMS, HERE, MODEL, protocol())
    assert found["verdict"] == "passed"
    assert "in val" in found["detail"]
    both = started(dict.fromkeys(TARGETS, 0.4), "val") + started(dict.fromkeys(TARGETS, -0.4))
    assert judge_start(both, ITEMS, HERE, MODEL, protocol())["verdict"] == "failed"
    few = judge_start(started(dict.fromkeys(TARGETS[:3], 5.0), "val"), ITEMS, HERE, MODEL, protocol())
    assert (few["verdict"], few["passed"], few["value"]) == ("not_enough_data", False, 5.0)
    assert judge_start([], ITEMS, HERE, MODEL, protocol())["verdict"] == "not_enough_data"


OPPONENT = Opponent("fedcba9876543210", "not_worse_than_champion", 0.3)


def beside(gains: dict[str, float]) -> list[dict[str, Any]]:
    made = [row(target, "psnr_db", 20.0 + gained) for target, gained in gains.items()]
    return made + [row(target, "psnr_db", 20.0, OPPONENT.model_id) for target in gains]


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [(0.5, "passed"), (0.0, "passed"), (-0.29, "passed"), (-0.3, "failed"), (-0.31, "failed"), (-5.0, "failed")],
)
def test_a_model_may_be_worse_than_the_champion_by_less_than_the_margin(gain: float, verdict: str) -> None:
    found = judge_against(beside(dict.fromkeys(TARGETS, gain)), ITEMS, HERE, MODEL, protocol(), OPPONENT)
    assert (found["gate"], found["verdict"]) == ("not_worse_than_champion", verdict)
    assert (found["against_id"], found["n_people"]) == (OPPONENT.model_id, N_PEOPLE)
    assert (found["mean"], found["threshold"]) == (pytest.approx(gain), -0.3)


def test_the_whole_interval_must_lie_within_the_margin() -> None:
    gains = dict(zip(TARGETS, np.linspace(-2.0, 2.0, N_PEOPLE), strict=True))
    found = judge_against(beside(gains), ITEMS, HERE, MODEL, protocol(), OPPONENT)
    assert found["value"] < -0.3 < found["mean"] + 0.3
    assert found["verdict"] == "failed"


def test_nine_people_promote_nobody_however_much_better_the_model_is() -> None:
    found = judge_against(beside(dict.fromkeys(TARGETS[:9], 9.0)), ITEMS, HERE, MODEL, protocol(), OPPONENT)
    assert (found["verdict"], found["passed"]) == ("not_enough_data", False)


def test_people_without_both_models_count_for_neither() -> None:
    scores = [*beside(dict.fromkeys(TARGETS, 0.0)), row("second of t0", "psnr_db", 99.0)]
    found = judge_against(scores, ITEMS, HERE, MODEL, protocol(), OPPONENT)
    assert found["mean"] == pytest.approx(0.0)
