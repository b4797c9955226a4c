"""Two text encoders are compared by person, on the same images of people whom neither has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.data.catalogue import CatalogueImages, training_hashes
from model.evaluation.champion_encoder import compare_encoders, judge_shares
from model.evaluation.gates import Opponent
from model.evaluation.retrieval import gated_images
from model.networks.checkpoint import save_model
from model.networks.pair_encoder import build
from tests.model.evaluation.test_retrieval import SMALL
from tests.model.tiny_home import RECIPE
from tests.model.training.test_text_encoder import TINY
from warehouse.lake.home import Home

OPPONENT = Opponent("fedcba9876543210", "not_worse_than_champion", 0.05)
PEOPLE = [f"person {number}" for number in range(12)]


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.2, "passed"), (0.0, "passed"), (-0.04, "passed"), (-0.06, "failed"), (-0.5, "failed")]
)
def test_an_encoder_may_find_fewer_contrasts_by_less_than_the_margin(gain: float, verdict: str) -> None:
    own = 0.5 + gain + np.tile([-0.005, 0.005], 6)
    found = judge_shares(PEOPLE, own, np.full(12, 0.5), OPPONENT, "test_internal", 2)
    assert (found["verdict"], found["against_id"]) == (verdict, OPPONENT.model_id)
    assert found["mean"] == pytest.approx(gain)
    assert f"{100 * gain:+.1f} points" in found["detail"]
    assert "2 whom it was trained on are left out" in found["detail"]


@pytest.mark.parametrize(
    ("n_people", "gain", "verdict"),
    [
        (12, 0.0, "not_enough_data"),
        (12, -0.04, "not_enough_data"),
        (12, -0.5, "failed"),
        (12, 0.2, "not_enough_data"),
        (71, 0.0, "not_enough_data"),
        (72, 0.0, "passed"),
        (30, 0.2, "passed"),
    ],
)
def test_equal_differences_pass_only_if_there_are_people_enough_to_speak_for_others(
    n_people: int, gain: float, verdict: str
) -> None:
    """If 5 % of all people lose everything, 72 without one of them are drawn in 2.5 % of samples: 0.95 ** 72."""
    people = [f"person {number}" for number in range(n_people)]
    found = judge_shares(people, np.full(n_people, 0.5 + gain), np.full(n_people, 0.5), OPPONENT, "test_internal")
    assert (found["verdict"], found["passed"]) == (verdict, verdict == "passed")
    assert found["mean"] == pytest.approx(gain)
    assert np.isfinite(found["value"])
    assert ("the same difference" in found["detail"]) == (verdict == "not_enough_data")


@pytest.mark.parametrize(("own", "theirs"), [(0.25, 0.3), (0.45, 0.5), (0.55, 0.6), (0.95, 1.0)])
def test_a_loss_of_the_whole_margin_fails_however_it_is_rounded(own: float, theirs: float) -> None:
    """0.25 less 0.3 is -0.04999999999999999, and 0.95 less 1 is -0.050000000000000044."""
    people = [f"person {number}" for number in range(500)]
    found = judge_shares(people, np.full(500, own), np.full(500, theirs), OPPONENT, "test_internal")
    assert found["verdict"] == "failed"


def test_images_that_are_not_asked_and_second_images_of_a_person_do_not_count_twice() -> None:
    people = [*PEOPLE, PEOPLE[0], "somebody else"]
    own, theirs = np.zeros(14), np.zeros(14)
    own[0], own[12], own[13] = 1.0, 1.0, np.nan
    found = judge_shares(people, own, theirs, OPPONENT, "test_internal")
    assert (found["n_people"], found["mean"]) == (12, pytest.approx(1 / 12))


def test_nine_people_decide_nothing() -> None:
    found = judge_shares(PEOPLE[:9], np.ones(9), np.zeros(9), OPPONENT, "test_internal")
    assert (found["verdict"], found["mean"]) == ("not_enough_data", 1.0)


def saved(home: Home, seed: int, **facts: Any) -> Path:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(TINY.sizes)
    box = {"shape": list(TINY.box_voxels), "voxel_mm": TINY.box_mm}
    config = {"architecture": TINY.sizes, "box": box, "recipe_id": RECIPE, **facts}
    return save_model(home, "text_encoder", network.state_dict(), config, {})[1]


def test_people_whom_the_champion_has_seen_are_left_out(tiny_home: Home, tmp_path: Path) -> None:
    elsewhere = Home(tmp_path / "models")
    items = CatalogueImages.open(tiny_home, RECIPE, SMALL.splits).items
    _, inside = gated_images(items)
    people = {items[place].person_id for place in inside}
    seen = training_hashes([items[inside[0]]])
    candidate = saved(elsewhere, 1, trained_on={"people": [], "scans": []})
    facts = ({"people": [], "scans": []}, seen, None)
    found = [
        compare_encoders(tiny_home, candidate, SMALL, OPPONENT, saved(elsewhere, 2, trained_on=trained_on))
        for trained_on in facts
    ]
    assert [row["n_people"] for row in found] == [len(people), len(people) - 1, 0]
    assert {row["verdict"] for row in found} == {"not_enough_data"}
    assert "does not state whom" in found[2]["detail"]
    assert {row["model_id"] for row in found} == {candidate.name}
