"""Candidate and champion are compared on the same pairs, of people whom neither has seen, and nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from model.data.catalogue import CatalogueImages, training_hashes
from model.evaluation import statistics
from model.evaluation.champion import Comparison, compare
from model.evaluation.evaluate import Evaluation, evaluate, identify
from model.evaluation.gates import Opponent
from tests.model.evaluation.fakes import Constant, Fake, Identity, Perfect, protocol
from tests.model.evaluation.test_evaluate import MODEL
from warehouse.lake.home import Home

pytestmark = pytest.mark.slow  # its fixtures take seconds

OTHER = "fedcba9876543210"
GATE = "not_worse_than_champion"
ASKED = protocol(tasks=("T1w_to_T2w", "T1w_to_FLAIR"))
NOBODY: dict[str, list[str]] = {"people": [], "scans": []}


@pytest.fixture(scope="module")
def candidate(native_home: Home) -> Evaluation:
    return evaluate(native_home, Perfect(native_home, spoil=0.1), MODEL, ASKED)


@pytest.fixture
def few_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The home has three internal test people."""
    monkeypatch.setattr(statistics, "MIN_PEOPLE", 2)


class Loads:
    """Counts how often the champion is loaded."""

    def __init__(self, model: Fake) -> None:
        self.model, self.n = model, 0

    def __call__(self) -> Fake:
        self.n += 1
        return self.model


def compared(
    home: Home,
    found: Evaluation,
    model: Fake,
    *,
    trained_on: Mapping[str, Sequence[str]] | None = NOBODY,
    recorded: Sequence[dict[str, Any]] = (),
    margin: float = 0.3,
    loads: Loads | None = None,
) -> Comparison:
    opponent = Opponent(OTHER, GATE, margin)
    return compare(home, found.scores, MODEL, ASKED, opponent, trained_on, loads or Loads(model), recorded)


def pairs(rows: Sequence[dict[str, Any]]) -> set[tuple[str, ...]]:
    return {(row["task"], *row["source_image_ids"], row["target_image_id"]) for row in rows}


@pytest.mark.usefixtures("few_suffice")
@pytest.mark.parametrize(
    ("spoil", "margin", "expected"),
    [(0.1, 0.3, "passed"), (0.1, 0.0, "failed"), (0.0, 0.3, "failed"), (0.4, 0, "passed")],
)
def test_a_candidate_may_be_worse_by_less_than_the_margin(
    native_home: Home, candidate: Evaluation, spoil: float, margin: float, expected: str
) -> None:
    """A champion that is the same gives a gain of 0, which lies above the margin, and not above a margin of 0."""
    found = compared(native_home, candidate, Perfect(native_home, spoil=spoil), margin=margin).verdict
    assert (found["verdict"], found["threshold"], found["against_id"]) == (expected, -margin, OTHER)
    assert found["n_people"] == 3
    assert f"against model {OTHER} (margin {margin:g}), mean of 3 people in test_internal" in found["detail"]
    if spoil == 0.1:
        assert found["mean"] == pytest.approx(0.0, abs=1e-9)


def test_few_people_decide_nothing(native_home: Home, candidate: Evaluation) -> None:
    found = compared(native_home, candidate, Constant()).verdict
    assert (found["verdict"], found["passed"]) == ("not_enough_data", False)
    assert found["value"] > 1  # the mean is shown


def test_only_the_gated_pairs_are_measured_and_have_the_identity_of_the_champions_own_evaluation(
    native_home: Home, candidate: Evaluation
) -> None:
    made = compared(native_home, candidate, Identity(native_home)).scores
    assert {(row["split"], row["form"], row["model_id"]) for row in made} == {("test_internal", "native", OTHER)}
    own = evaluate(native_home, Identity(native_home), OTHER, ASKED)
    assert own.evaluation_id == identify(OTHER, own.data_id, ASKED.hash) == made[0]["evaluation_id"]
    known = {row["event_id"]: row["value"] for row in own.scores}
    assert {row["event_id"]: row["value"] for row in made}.items() <= known.items()
    candidates = [row for row in candidate.scores if (row["split"], row["form"]) == ("test_internal", "native")]
    assert pairs(made) == pairs([row for row in candidates if row["model_id"] == MODEL])


def test_what_is_recorded_is_not_measured_again_and_gives_the_same_verdict(
    native_home: Home, candidate: Evaluation
) -> None:
    first = compared(native_home, candidate, Identity(native_home))
    loads = Loads(Identity(native_home))
    again = compared(native_home, candidate, loads.model, recorded=first.scores, loads=loads)
    assert (loads.n, again.scores, again.verdict) == (0, [], first.verdict)
    target = first.scores[0]["target_image_id"]
    partly = [row for row in first.scores if row["target_image_id"] != target]
    again = compared(native_home, candidate, loads.model, recorded=partly, loads=loads)
    assert {row["target_image_id"] for row in again.scores} == {target}
    assert (loads.n, again.verdict) == (1, first.verdict)


def test_people_whom_the_champion_has_seen_are_left_out_of_the_comparison(
    native_home: Home, candidate: Evaluation
) -> None:
    items = CatalogueImages.open(native_home, "draft", ["test_internal"]).items
    first, second = sorted({item.person_id for item in items})[:2]
    by_name = {"people": [hashlib.sha256(first.encode()).hexdigest()], "scans": []}
    by_scan = {"people": [], "scans": training_hashes([one for one in items if one.person_id == second])["scans"]}
    everything = compared(native_home, candidate, Constant())
    for trained_on in (by_name, by_scan):
        found = compared(native_home, candidate, Constant(), trained_on=trained_on, recorded=everything.scores)
        assert found.verdict["n_people"] == 2
        assert "1 whom it was trained on are left out" in found.verdict["detail"]
    nobody = compared(native_home, candidate, Constant(), trained_on=training_hashes(items))
    assert (nobody.scores, nobody.verdict["n_people"], nobody.verdict["verdict"]) == ([], 0, "not_enough_data")


def test_a_champion_of_which_nobody_knows_whom_it_has_seen_decides_nothing(
    native_home: Home, candidate: Evaluation
) -> None:
    found = compared(native_home, candidate, Constant(), trained_on=None)
    assert (found.scores, found.verdict["verdict"]) == ([], "not_enough_data")
    assert "does not state whom it was trained on" in found.verdict["detail"]


def test_another_champion_or_margin_is_another_verdict(native_home: Home, candidate: Evaluation) -> None:
    made = compared(native_home, candidate, Constant())
    other = compared(native_home, candidate, Constant(), recorded=made.scores, margin=0.5)
    assert made.verdict["event_id"] != other.verdict["event_id"]
