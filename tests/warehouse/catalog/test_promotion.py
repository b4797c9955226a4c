"""The champion changes through the gates, by a person, and back; each change is one record."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from typing import Any

import pytest

from tests.warehouse.catalog.test_model_registry import FIRST, SECOND, run, said, version
from warehouse.catalog import model_registry, promotion
from warehouse.catalog.verdicts import BEST_GATE, CHAMPION_GATE
from warehouse.catalog.verdicts import TABLE as VERDICT
from warehouse.errors import ModelError
from warehouse.lake.home import Home

THIRD = "c" * 16
KIND = "synthesis"


def known(home: Home, *model_ids: str, grid_mm: float = 3.0, recipe_id: str = "draft", kind: str = KIND) -> None:
    """Record models with a folder each."""
    for model_id in model_ids:
        row = version(model_id, kind) | {"grid_mm": grid_mm, "recipe_id": recipe_id}
        model_registry.record(home, model_registry.VERSION, [row])
        folder = home.models / model_id
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")


def verdict(gate: str = "one", verdict: str = "passed", **more: Any) -> dict[str, Any]:
    row = {"gate": gate, "verdict": verdict, "passed": verdict == "passed", "value": -0.5, "threshold": -0.3}
    return row | {"detail": f"{gate} was measured", "against_id": None} | more


def against(other: str, said: str = "passed", mean: float = 0.1, gate: str = CHAMPION_GATE) -> dict[str, Any]:
    return verdict(gate, said, against_id=other, mean=mean)


def judged(home: Home, model_id: str, *verdicts: dict[str, Any], data_id: str = "d", protocol: str = "p") -> None:
    place = {"model_id": model_id, "data_id": data_id, "protocol_hash": protocol}
    model_registry.record(home, VERDICT, [place | row for row in verdicts])


def offered(home: Home, model_id: str, *verdicts: dict[str, Any], **more: Any) -> str:
    judged(home, model_id, *verdicts)
    return promotion.offer(home, model_id, KIND, verdicts, **more).decision


def events(home: Home, alias: str = "champion") -> list[tuple[str, str]]:
    rows = model_registry.statements(home, model_registry.EVENT, alias=alias)
    return [(row["model_id"], row["action"]) for row in rows]


@pytest.mark.slow
def test_the_first_whose_gates_pass_becomes_champion(home: Home) -> None:
    known(home, FIRST, SECOND)
    assert offered(home, FIRST, verdict(), verdict("two", "failed")) == "rejected"
    assert model_registry.champion(home, KIND) is None
    assert offered(home, SECOND, verdict()) == "promoted"
    assert offered(home, SECOND, verdict()) == "stands"
    assert model_registry.champion(home, KIND) == SECOND


@pytest.mark.slow
def test_a_later_one_becomes_champion_only_if_it_was_compared_with_the_one_in_force(home: Home) -> None:
    known(home, FIRST, SECOND)
    assert offered(home, FIRST, verdict()) == "promoted"
    assert offered(home, SECOND, verdict()) == "outdated"
    assert offered(home, SECOND, verdict(), against(THIRD)) == "outdated"
    assert offered(home, SECOND, verdict(), against(FIRST)) == "promoted"
    [row] = model_registry.statements(home, model_registry.EVENT, model_id=SECOND, alias="champion")
    assert (row["against_id"], row["decided_by"], row["grid_mm"], row["recipe_id"]) == (FIRST, "gates", 3.0, "draft")
    assert "not_worse_than_champion was measured" in row["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verdicts", "decision"),
    [
        ([verdict(), against(FIRST, "failed")], "rejected"),
        ([verdict(), against(FIRST, "not_enough_data")], "undecided"),
        ([verdict("one", "not_enough_data"), against(FIRST)], "undecided"),
        ([verdict("one", "not_enough_data"), against(FIRST, "failed")], "rejected"),
        ([], "undecided"),
    ],
    ids=["worse", "few people to compare", "few people", "worse, and few people", "nothing was measured"],
)
def test_nobody_is_promoted_who_is_worse_or_lacks_data(
    home: Home, verdicts: list[dict[str, Any]], decision: str
) -> None:
    known(home, FIRST, SECOND)
    offered(home, FIRST, verdict())
    for _ in range(2):
        assert offered(home, SECOND, *verdicts) == decision
    assert model_registry.champion(home, KIND) == FIRST
    told = model_registry.statements(home, model_registry.EVENT, model_id=SECOND)
    assert [row["action"] for row in told] == ["assign", "reject"][: 1 + (decision == "rejected")]  # each once
    if decision == "rejected":
        assert "not_worse_than_champion was measured" in told[1]["reason"]
        assert told[1]["against_id"] == FIRST


@pytest.mark.slow
def test_a_rejected_model_is_a_candidate_again_once_no_gate_fails(home: Home) -> None:
    known(home, FIRST)
    few = verdict("one", "not_enough_data")
    for one in (verdict("one", "failed"), few, few, verdict("one", "failed"), verdict("one", "failed")):
        offered(home, FIRST, one)
    assert [action for _, action in events(home, "candidate")] == ["assign", "reject", "assign", "reject"]
    offered(home, FIRST, few)
    assert model_registry.known_models(home)["status"].to_pylist() == ["candidate"]


def test_a_checkpoint_that_cannot_be_used_is_neither_promoted_nor_put_back(home: Home) -> None:
    def refuse(model_id: str) -> None:
        raise ModelError(f"{model_id} is damaged", "copy it again")

    known(home, FIRST, SECOND)
    with pytest.raises(ModelError, match=f"{FIRST} is damaged"):
        promotion.promote(home, FIRST, "a test", despite_gates=True, check=refuse)
    for model_id in (FIRST, SECOND):
        promotion.promote(home, model_id, "a test", despite_gates=True)
    with pytest.raises(ModelError, match=f"{FIRST} is damaged"):
        promotion.rollback(home, KIND, "it blurs", check=refuse)
    assert model_registry.champion(home, KIND) == SECOND


def of_a_fold(home: Home, model_id: str, fold: int = 2) -> None:
    """Record a model of a fold of cross-validation, whose own gates passed."""
    known(home, model_id)
    run(home, "started", 1, config=json.dumps({"held_out_fold": fold, "n_folds": 4}))


@pytest.mark.slow
@pytest.mark.parametrize("said", ["passed", "failed", "not_enough_data"])
def test_a_model_that_held_out_a_fold_is_neither_champion_nor_candidate_nor_rejected(home: Home, said: str) -> None:
    of_a_fold(home, FIRST)
    assert offered(home, FIRST, verdict("one", said)) == "of_a_fold"
    assert model_registry.champion(home, KIND) is None
    assert events(home, "candidate") == []
    assert model_registry.known_models(home)["status"].to_pylist() == ["cross-validation"]


def test_a_person_is_told_that_a_model_held_out_a_fold_and_may_promote_it_all_the_same(home: Home) -> None:
    of_a_fold(home, FIRST)
    judged(home, FIRST, verdict())
    with pytest.raises(ModelError, match="held out fold 2 of 4: it is a model of cross-validation") as refusal:
        promotion.promote(home, FIRST, "it is there")
    assert "train a model on everybody" in refusal.value.remedy
    assert "--despite-gates" in refusal.value.remedy
    assert promotion.promote(home, FIRST, "it is all I have", despite_gates=True) == (FIRST, True)
    [row] = model_registry.statements(home, model_registry.EVENT, model_id=FIRST)
    assert row["reason"].startswith("it is all I have (despite its gates: its training held out fold 2 of 4")
    assert offered(home, FIRST, verdict()) == "stands"


def test_a_fold_is_read_from_the_checkpoint_where_the_training_is_not_on_record(home: Home) -> None:
    known(home, FIRST, SECOND)
    training = {"held_out_fold": 0, "n_folds": 3}
    (home.models / FIRST / "config.json").write_text(json.dumps({"training": training}))
    assert model_registry.held_out_fold(home, FIRST) == "fold 0 of 3"
    assert model_registry.held_out_fold(home, SECOND) is None


@pytest.mark.slow
def test_each_grid_and_recipe_has_a_champion_of_its_own(home: Home) -> None:
    known(home, FIRST)
    known(home, SECOND, grid_mm=1.0)
    known(home, THIRD, recipe_id="standard")
    assert [offered(home, model_id, verdict()) for model_id in (FIRST, SECOND, THIRD)] == ["promoted"] * 3
    assert promotion.opponents(home, SECOND, KIND) == {}


@pytest.mark.slow
def test_evaluating_an_older_model_undoes_neither_a_promotion_nor_a_rollback(home: Home) -> None:
    known(home, FIRST, SECOND)
    offered(home, FIRST, verdict())
    offered(home, SECOND, verdict(), against(FIRST))
    assert offered(home, FIRST, verdict(), against(SECOND)) == "kept"
    promotion.rollback(home, KIND, "it blurs")
    assert offered(home, SECOND, verdict(), against(FIRST)) == "kept"
    assert model_registry.champion(home, KIND) == FIRST


@pytest.mark.slow
@pytest.mark.parametrize(("lower_bound", "decision"), [(0.1, "promoted"), (0.0, "kept"), (-0.2, "kept")])
def test_a_model_that_is_older_than_the_champion_must_be_better(home: Home, lower_bound: float, decision: str) -> None:
    known(home, FIRST, SECOND)
    offered(home, SECOND, verdict())
    assert offered(home, FIRST, verdict(), against(SECOND) | {"value": lower_bound}) == decision


@pytest.mark.slow
def test_many_small_losses_do_not_add_up(home: Home) -> None:
    """Each is within the margin of the one before; the second is held against the best as well."""
    known(home, FIRST, SECOND, THIRD)
    offered(home, FIRST, verdict())
    assert promotion.opponents(home, SECOND, KIND) == {CHAMPION_GATE: FIRST}
    offered(home, SECOND, verdict(), against(FIRST, mean=-0.2))
    wanted = {CHAMPION_GATE: SECOND, BEST_GATE: FIRST}
    assert promotion.opponents(home, THIRD, KIND) == wanted
    worse = against(FIRST, "failed", -0.4, BEST_GATE)
    assert offered(home, THIRD, verdict(), against(SECOND, mean=-0.2), worse) == "rejected"


@pytest.mark.slow
@pytest.mark.parametrize("by", ["gates", "person"])
def test_the_best_is_the_last_that_was_no_worse_or_that_a_person_chose(home: Home, by: str) -> None:
    known(home, FIRST, SECOND, THIRD)
    offered(home, FIRST, verdict())
    if by == "gates":
        offered(home, SECOND, verdict(), against(FIRST, mean=0.0))
    else:
        promotion.promote(home, SECOND, "I like it", despite_gates=True)
    assert promotion.opponents(home, THIRD, KIND) == {CHAMPION_GATE: SECOND}


@pytest.mark.slow
def test_a_person_promotes_a_model_whose_gates_passed_by_the_beginning_of_its_name(home: Home) -> None:
    known(home, FIRST, SECOND)
    offered(home, FIRST, verdict())
    judged(home, SECOND, verdict(), against(FIRST))
    assert promotion.promote(home, "bbb", "it is newer") == (SECOND, True)
    assert promotion.promote(home, SECOND, "it is newer") == (SECOND, False)
    assert events(home) == [(FIRST, "assign"), (SECOND, "assign")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verdicts", "what"),
    [
        ([], "it was never evaluated"),
        ([verdict("one", "failed")], r"one failed: one was measured \(-0.5, must be above -0.3\)"),
        ([verdict("one", "not_enough_data")], "one has not enough data: one was measured"),
        ([verdict()], f"it was not compared with champion {FIRST}"),
        ([verdict(), against(FIRST, "failed")], "not_worse_than_champion failed"),
        ([verdict(), against(FIRST, "not_enough_data")], "not_worse_than_champion has not enough data"),
    ],
)
def test_a_person_is_told_what_the_gates_say_and_may_override_them(
    home: Home, verdicts: list[dict[str, Any]], what: str
) -> None:
    known(home, FIRST, SECOND)
    offered(home, FIRST, verdict())
    judged(home, SECOND, *verdicts)
    with pytest.raises(ModelError, match=what) as refusal:
        promotion.promote(home, SECOND, "why not")
    assert f"tumsyn evaluate --model {SECOND}" in refusal.value.remedy
    assert "--despite-gates" in refusal.value.remedy
    assert model_registry.champion(home, KIND) == FIRST
    assert promotion.promote(home, SECOND, "I have looked", despite_gates=True) == (SECOND, True)
    [row] = model_registry.statements(home, model_registry.EVENT, model_id=SECOND, decided_by="person")
    assert row["reason"].startswith("I have looked (despite its gates: ")


def test_an_evaluation_without_people_does_not_hide_one_with_them(home: Home) -> None:
    known(home, FIRST)
    judged(home, FIRST, verdict())
    judged(home, FIRST, verdict("one", "not_enough_data"), protocol="validation")
    assert promotion.obstacles(home, FIRST, KIND) == []
    judged(home, FIRST, verdict("one", "failed"), protocol="another")
    assert promotion.obstacles(home, FIRST, KIND) != []


@pytest.mark.parametrize("name", ["", "d", "a"])
def test_a_model_that_is_unknown_or_ambiguous_is_not_promoted(home: Home, name: str) -> None:
    known(home, FIRST, "a" * 15 + "b")
    with pytest.raises(ModelError, match="there are: a"):
        promotion.promote(home, name, "why not", despite_gates=True)
    assert model_registry.champion(home, KIND) is None


def test_a_model_without_a_folder_or_a_promotion_without_a_reason_is_refused(home: Home) -> None:
    model_registry.record(home, model_registry.VERSION, [version(FIRST)])
    with pytest.raises(ModelError, match=r"checkpoint of model a+ is absent"):
        promotion.promote(home, FIRST, "why not", despite_gates=True)
    with pytest.raises(ModelError, match="no reason"):
        promotion.promote(home, FIRST, " ", despite_gates=True)


def three(home: Home) -> None:
    known(home, FIRST, SECOND, THIRD)
    for model_id in (FIRST, SECOND, THIRD):
        promotion.promote(home, model_id, "a test", despite_gates=True)


@pytest.mark.slow
def test_two_rollbacks_go_back_twice_and_a_third_is_refused(home: Home) -> None:
    three(home)
    assert promotion.rollback(home, KIND, "it blurs") == promotion.Rollback(THIRD, SECOND)
    assert model_registry.champion(home, KIND) == SECOND
    assert promotion.rollback(home, KIND, "it blurs, too") == promotion.Rollback(SECOND, FIRST)
    with pytest.raises(ModelError, match=f"champion {FIRST} has no predecessor") as refusal:
        promotion.rollback(home, KIND, "it blurs as well")
    assert "models promote" in refusal.value.remedy
    assert model_registry.champion(home, KIND) == FIRST


@pytest.mark.slow
def test_a_rollback_that_names_the_champion_is_done_once(home: Home) -> None:
    three(home)
    assert promotion.rollback(home, KIND, "it blurs", leaving=THIRD[:4]).left == THIRD
    assert promotion.rollback(home, KIND, "it blurs", leaving=THIRD) == promotion.Rollback(None, SECOND)
    assert model_registry.champion(home, KIND) == SECOND


@pytest.mark.slow
def test_what_was_rolled_back_may_be_promoted_and_rolled_back_again(home: Home) -> None:
    three(home)
    promotion.rollback(home, KIND, "it blurs")
    promotion.promote(home, THIRD, "it does not", despite_gates=True)
    assert model_registry.champion(home, KIND) == THIRD
    assert promotion.rollback(home, KIND, "it does") == promotion.Rollback(THIRD, SECOND)


@pytest.mark.slow
def test_a_champion_that_led_twice_is_left_once(home: Home) -> None:
    known(home, FIRST, SECOND)
    for model_id in (FIRST, SECOND, FIRST):
        promotion.promote(home, model_id, "a test", despite_gates=True)
    assert promotion.rollback(home, KIND, "it blurs") == promotion.Rollback(FIRST, SECOND)
    with pytest.raises(ModelError, match="no predecessor"):
        promotion.rollback(home, KIND, "it blurs")


@pytest.mark.slow
def test_a_rollback_without_a_champion_among_several_or_to_an_absent_folder_is_refused(home: Home) -> None:
    with pytest.raises(ModelError, match="no champion of kind synthesis"):
        promotion.rollback(home, KIND, "it blurs")
    known(home, FIRST)
    known(home, SECOND, THIRD, grid_mm=1.0)
    for model_id in (FIRST, SECOND, THIRD):
        promotion.promote(home, model_id, "a test", despite_gates=True)
    with pytest.raises(ModelError, match="2 champions of kind synthesis fit") as refusal:
        promotion.rollback(home, KIND, "it blurs")
    assert "grid 1 mm" in refusal.value.remedy
    with pytest.raises(ModelError, match=r"no champion of kind synthesis .grid 2 mm"):
        promotion.rollback(home, KIND, "it blurs", grid_mm=2.0)
    (home.models / SECOND / "config.json").unlink()
    with pytest.raises(ModelError, match=f"checkpoint of model {SECOND} is absent"):
        promotion.rollback(home, KIND, "it blurs", grid_mm=1.0)
    assert model_registry.champion(home, KIND) == THIRD


def test_a_clock_that_was_set_back_does_not_undo_a_promotion(home: Home) -> None:
    known(home, FIRST, SECOND)
    said(home, FIRST, 3650)
    promotion.promote(home, SECOND, "a test", despite_gates=True)
    assert model_registry.champion(home, KIND) == SECOND


def _promote(home: Home, model_id: str, barrier: Any) -> None:
    barrier.wait()
    promotion.promote(home, model_id, "a race", despite_gates=True)


def _offer(home: Home, model_id: str, barrier: Any) -> None:
    barrier.wait()
    promotion.offer(home, model_id, KIND, [verdict()])


@pytest.mark.slow
@pytest.mark.parametrize("change", [_promote, _offer])
def test_two_changes_at_once_leave_one_champion_and_a_whole_history(home: Home, change: Any) -> None:
    names = [f"{number:x}" * 16 for number in range(4)]
    known(home, *names)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(names))
    workers = [context.Process(target=change, args=(home, name, barrier)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    rows = model_registry.statements(home, model_registry.EVENT, alias="champion")
    if change is _offer:  # the first one leads; the others were not compared with it
        assert len(rows) == 1
    else:  # each knows the one before it
        assert [row["against_id"] for row in rows] == [None, *(row["model_id"] for row in rows[:-1])]
    assert model_registry.champion(home, KIND) == rows[-1]["model_id"]


def _die_in_the_middle(home: Home) -> None:
    from warehouse.lake import atomic

    atomic.move = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    promotion.promote(home, SECOND, "a test", despite_gates=True)


@pytest.mark.slow
def test_a_promotion_that_is_killed_leaves_the_old_champion_and_can_be_repeated(home: Home) -> None:
    known(home, FIRST, SECOND)
    promotion.promote(home, FIRST, "a test", despite_gates=True)
    worker = multiprocessing.get_context("fork").Process(target=_die_in_the_middle, args=(home,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    assert model_registry.champion(home, KIND) == FIRST
    promotion.promote(home, SECOND, "a test", despite_gates=True)
    assert model_registry.champion(home, KIND) == SECOND
