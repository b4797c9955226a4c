"""An evaluated model is compared with the champion once, by the margin of the operator, and promoted or not."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.runtime.operations import path_of
from pipelines.runtime.promotion import offer
from tests.warehouse.catalog.test_model_registry import FIRST, SECOND, run
from tests.warehouse.catalog.test_promotion import KIND, THIRD, judged, known, verdict
from warehouse.catalog import model_registry, promotion, verdicts
from warehouse.errors import ModelError
from warehouse.lake.home import Home


class Comparing:
    """Compares as a test says, and remembers what was asked."""

    def __init__(self, said: str = "passed", mean: float = 0.1) -> None:
        self.said, self.mean = said, mean
        self.asked: list[tuple[str, str, float]] = []

    def __call__(self, gate: str, other: str, margin: float) -> dict[str, Any]:
        self.asked.append((gate, other, margin))
        row = verdict(gate, self.said, against_id=other, mean=self.mean, threshold=-margin)
        return {"model_id": SECOND, "data_id": "d", "protocol_hash": "p", **row}


def keys(model_id: str) -> dict[str, str]:
    return {"model_id": model_id, "data_id": "d", "protocol_hash": "p"}


@pytest.fixture
def led(home: Home) -> Home:
    """A home with a champion, and a second model whose own gates passed."""
    known(home, FIRST, THIRD, SECOND)
    promotion.promote(home, FIRST, "a test", despite_gates=True)
    judged(home, SECOND, verdict())
    return home


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "decision", "champion"),
    [("passed", "promoted", SECOND), ("failed", "rejected", FIRST), ("not_enough_data", "undecided", FIRST)],
)
def test_a_comparison_decides_and_is_made_once(led: Home, said: str, decision: str, champion: str) -> None:
    compare = Comparing(said)
    for _ in range(2):
        made, rows = offer(led, KIND, keys(SECOND), "e", compare)
    assert compare.asked == [(verdicts.CHAMPION_GATE, FIRST, 0.3)]
    assert made.decision == ("stands" if decision == "promoted" else decision)
    assert model_registry.champion(led, KIND) == champion
    if decision != "promoted":
        assert [row["gate"] for row in rows] == ["one", verdicts.CHAMPION_GATE]


@pytest.mark.slow
def test_the_margin_is_the_operators_and_another_one_is_another_comparison(led: Home) -> None:
    compare = Comparing("failed")
    offer(led, KIND, keys(SECOND), "e", compare)
    path_of(led).write_text("promotion: {margin_db: 1.5}\n")
    compare.said = "passed"
    assert offer(led, KIND, keys(SECOND), "e", compare)[0].decision == "promoted"
    assert [margin for _, _, margin in compare.asked] == [0.3, 1.5]


@pytest.mark.slow
def test_text_encoders_have_a_margin_of_their_own(home: Home) -> None:
    known(home, FIRST, SECOND, kind="text_encoder")
    promotion.promote(home, FIRST, "a test", despite_gates=True)
    judged(home, SECOND, verdict())
    compare = Comparing()
    assert offer(home, "text_encoder", keys(SECOND), "e", compare)[0].decision == "promoted"
    assert compare.asked == [(verdicts.CHAMPION_GATE, FIRST, 0.05)]


@pytest.mark.slow
def test_a_model_that_fails_by_itself_or_held_out_a_fold_is_compared_with_nobody(led: Home) -> None:
    judged(led, THIRD, verdict("one", "failed"))
    compare = Comparing()
    assert offer(led, KIND, keys(THIRD), "e", compare)[0].decision == "rejected"
    run(led, "finished", 1, config='{"held_out_fold": 0, "n_folds": 4}')
    assert offer(led, KIND, keys(SECOND), "e", compare)[0].decision == "of_a_fold"
    assert compare.asked == []


@pytest.mark.slow
def test_a_champion_that_cannot_be_used_stays_until_a_person_decides(led: Home) -> None:
    def broken(gate: str, other: str, margin: float) -> dict[str, Any]:
        raise ModelError("its weights are absent", "put them back")

    made, rows = offer(led, KIND, keys(SECOND), "e", broken)
    assert (made.decision, model_registry.champion(led, KIND)) == ("undecided", FIRST)
    assert f"no comparison with model {FIRST}: its weights are absent; put them back" in rows[1]["detail"]
    assert model_registry.statements(led, verdicts.TABLE, gate=verdicts.CHAMPION_GATE) == []
    assert offer(led, KIND, keys(SECOND), "e", Comparing())[0].decision == "promoted"  # once they are back


@pytest.mark.slow
def test_a_champion_that_changes_during_a_comparison_is_compared_with_too(led: Home) -> None:
    class Slow(Comparing):
        def __call__(self, gate: str, other: str, margin: float) -> dict[str, Any]:
            if not self.asked:
                promotion.promote(led, THIRD, "meanwhile", despite_gates=True)
            return super().__call__(gate, other, margin)

    compare = Slow()
    made, _ = offer(led, KIND, keys(SECOND), "e", compare)
    assert [other for _, other, _ in compare.asked] == [FIRST, THIRD]
    [row] = model_registry.statements(led, model_registry.EVENT, model_id=SECOND, alias="champion")
    assert (made.decision, row["against_id"]) == ("promoted", THIRD)
