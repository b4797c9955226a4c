"""Of two that decide at once one may train, and only runs that failed count as failures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.runtime.handover import DECISION_TAG, HANDOVER, failures, hand_out, tags_of
from pipelines.runtime.retraining import DECISION, MAX_TRIES, Decision
from tests.model.tiny_home import make_tiny_home
from tests.pipelines.trained_home import copy_of, operations
from warehouse.catalog import model_registry
from warehouse.lake.home import Home


@dg.op
def broken() -> None:
    raise RuntimeError("broken")


@dg.job
def training() -> None:
    broken()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home", 6)


@pytest.fixture
def place(template: Home, tmp_path: Path) -> Home:
    return copy_of(template, tmp_path / "copy")


def asked(home: Home, instance: dg.DagsterInstance, *, force: bool = False) -> tuple[str, Decision]:
    return hand_out(home, operations(), instance, "command", force=force)


def fail(instance: dg.DagsterInstance, decision_id: str) -> None:
    training.execute_in_process(instance=instance, tags={DECISION_TAG: decision_id}, raise_on_error=False)


@pytest.mark.slow
def test_of_deciders_at_the_same_time_one_may_train(place: Home, instance: dg.DagsterInstance) -> None:
    with ThreadPoolExecutor(4) as pool:
        decisions = [decision for _, decision in pool.map(lambda _: asked(place, instance), range(4))]
    assert sum(decision.train for decision in decisions) == 1
    assert all("is being launched" in decision.detail for decision in decisions if not decision.train)
    rows = model_registry.statements(place, DECISION)
    assert sorted(row["decision"] for row in rows) == ["skip", "skip", "skip", "train"]


@pytest.mark.slow
def test_a_launch_whose_run_never_comes_frees_the_way(place: Home, instance: dg.DagsterInstance) -> None:
    lost = {"event_id": "lost", "decided_by": "schedule", **Decision(True, (), "lost", 1, 2.0, "fresh").row()}
    now = datetime.now(UTC)
    model_registry.record(place, DECISION, [lost | {"occurred_at": now - HANDOVER + timedelta(seconds=60)}])
    assert not asked(place, instance)[1].train
    assert not asked(place, instance, force=True)[1].train
    later = lost | {"event_id": "long lost", "occurred_at": now - HANDOVER}
    other = copy_of(place, place.root.with_name("other"))
    for file in (other.events / DECISION).glob("*.parquet"):
        file.unlink()
    model_registry.record(other, DECISION, [later])
    assert asked(other, instance)[1].train


@pytest.mark.slow
def test_failures_are_runs_that_failed_and_not_decisions(place: Home, instance: dg.DagsterInstance) -> None:
    for _ in range(MAX_TRIES):
        decision_id, decision = asked(place, instance)
        assert decision.train
        fail(instance, decision_id)
    prevented = asked(place, instance)[1]
    assert not prevented.train
    assert f"started {MAX_TRIES} times" in prevented.detail
    assert asked(place, instance, force=True)[1].train


@pytest.mark.slow
def test_a_run_that_was_removed_before_it_began_has_failed_at_nothing(
    place: Home, instance: dg.DagsterInstance
) -> None:
    for _ in range(MAX_TRIES + 1):
        decision_id, decision = asked(place, instance)
        assert decision.train
        run = instance.create_run_for_job(training, tags=tags_of(decision_id, decision))
        instance.report_run_canceled(run)


def test_of_a_run_and_its_repeat_the_last_one_counts(instance: dg.DagsterInstance) -> None:
    fail(instance, "d")
    assert failures(instance)("d")
    instance.create_run_for_job(training, tags={DECISION_TAG: "d"}, status=dg.DagsterRunStatus.SUCCESS)
    assert not failures(instance)("d")
    assert not failures(instance)("unknown")
