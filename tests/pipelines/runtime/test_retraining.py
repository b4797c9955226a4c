"""A training is started only for a reason; the decision and its figures are recorded, and are no new data."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model.training.config import load_config
from model.training.trained import training_code
from pipelines.runtime.drift import SCORE
from pipelines.runtime.evaluation import data_in_force
from pipelines.runtime.retraining import (
    DECISION,
    Decision,
    decide,
    last_success,
    learned_people,
    locked_trainings,
    publish_records,
    record,
)
from tests.model.tiny_home import RECIPE, make_tiny_home
from tests.pipelines.trained_home import MODEL, copy_of, hashes, operations, record_model, training_people
from tests.warehouse.conftest import Lab
from warehouse.catalog import model_registry, snapshots
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.lake import atomic
from warehouse.lake.home import Home

pytestmark = pytest.mark.slow  # its fixtures take seconds

NOW = datetime(2026, 6, 7, 3, tzinfo=UTC)
LAST_WEEK = NOW - timedelta(days=7)
DEMO = json.dumps(load_config("synthesis", "demo").model_dump(mode="json"))
ENCODER = json.dumps(load_config("text_encoder", "demo").model_dump(mode="json"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home", 24)


@pytest.fixture
def place(template: Home, tmp_path: Path) -> Home:
    """A home of two dozen people, of whom no model knows. Its volumes, which nobody reads here, are not copied."""
    return copy_of(template, tmp_path / "copy")


@pytest.fixture
def people(place: Home) -> list[str]:
    return training_people(place)


def asked(home: Home, *, now: datetime = NOW, **settings: object) -> Decision:
    return decide(home, operations(**settings), now=now)


def test_an_empty_home_is_skipped_in_words(home: Home) -> None:
    decision = asked(home)
    assert not decision.train
    assert "nothing is published" in decision.detail


@pytest.mark.parametrize(
    ("config", "words"), [("standard", "no volumes by recipe 'standard'"), ("no-such", "no configuration 'no-such'")]
)
def test_a_configuration_without_data_is_skipped_in_words(place: Home, config: str, words: str) -> None:
    decision = asked(place, synthesis_config=config)
    assert not decision.train
    assert words in decision.detail


def test_the_first_training_is_a_reason_of_its_own(place: Home, people: list[str]) -> None:
    decision = asked(place)
    assert (decision.train, decision.reasons) == (True, ("first_training",))
    assert (decision.n_people, decision.n_new_people, decision.champion_id) == (len(people), len(people), None)
    assert decision.comparison is None


def test_people_whom_no_training_knows_are_a_reason_from_so_many_on(place: Home, people: list[str]) -> None:
    record_model(place, people[3:], LAST_WEEK)
    assert asked(place, least_new_participants=3).reasons == ("new_people",)
    decision = asked(place, least_new_participants=4)
    assert (decision.train, decision.reasons, decision.n_new_people) == (False, (), 3)
    assert f"3 of {len(people)} people are new" in decision.detail


def test_people_of_a_model_that_was_not_promoted_are_not_new_again(place: Home, people: list[str]) -> None:
    record_model(place, people[:4], LAST_WEEK)
    record_model(place, people, LAST_WEEK + timedelta(days=1), model_id="b" * 16, champion=False)
    decision = asked(place, least_new_participants=1)
    assert (decision.n_new_people, decision.train) == (0, False)
    assert (decision.champion_id, decision.last_success_id) == (MODEL, "b" * 16)


def test_a_training_that_nobody_evaluated_is_no_success(place: Home, people: list[str]) -> None:
    record_model(place, people, LAST_WEEK, evaluated=False, champion=False)
    assert last_success(place, RECIPE) is None
    assert asked(place).reasons == ("first_training",)


def test_a_model_of_cross_validation_is_no_success(place: Home, people: list[str]) -> None:
    record_model(place, people, LAST_WEEK, champion=False, config=json.dumps({"held_out_fold": 0}))
    assert last_success(place, RECIPE) is None


def test_an_old_success_is_a_reason_and_a_young_one_is_not(place: Home, people: list[str]) -> None:
    record_model(place, people, NOW - timedelta(days=30))
    assert asked(place, most_days=31).reasons == ()
    decision = asked(place, most_days=29)
    assert (decision.train, decision.reasons) == (True, ("age",))
    assert decision.days_since_success == pytest.approx(30)


def test_new_people_of_another_kind_are_a_reason_though_they_are_few(place: Home) -> None:
    people = training_people(place, "echo_time_s")
    half = len(people) // 2
    record_model(place, people[:half], LAST_WEEK)
    decision = asked(place, least_new_participants=half * 2)
    assert (decision.train, decision.reasons) == (True, ("drift",))
    assert decision.comparison is not None
    assert [(one.field, one.contrast) for one in decision.comparison.drifted] == [("echo_time_s", "T1w")]
    assert "echo_time_s of T1w" in decision.detail


def test_a_drift_that_the_last_training_has_learned_is_shown_and_is_no_reason(place: Home) -> None:
    people = training_people(place, "echo_time_s")
    half = len(people) // 2
    record_model(place, people[:half], LAST_WEEK)
    record_model(place, people, LAST_WEEK + timedelta(days=1), model_id="b" * 16, champion=False)
    decision = asked(place)
    assert decision.comparison is not None
    assert (len(decision.comparison.drifted), decision.reasons) == (1, ())


def test_the_same_training_is_not_made_again_however_old_it_is(place: Home, people: list[str]) -> None:
    year_ago, code = NOW - timedelta(days=365), training_code("synthesis")
    record_model(place, people, year_ago, training_code=code, config=DEMO)
    encoder = {"run_id": "e", "kind": "text_encoder", "data_id": data_in_force(place), "snapshot_id": "s", "seed": 0}
    encoder |= {"device": "cpu", "status": "finished", "config": ENCODER}
    assert asked(place).train  # the text encoder was not trained by this configuration and code
    model_registry.record(place, "core.training_run", [encoder | {"training_code": training_code("text_encoder")}])
    decision = asked(place)
    assert (decision.train, decision.reasons) == (False, ("age",))
    assert "would give the same weights" in decision.detail
    assert decide(place, operations(), now=NOW, force=True).train


def test_a_training_that_failed_twice_waits_for_a_person(place: Home, people: list[str]) -> None:
    facts = {"run_id": "r", "kind": "synthesis", "data_id": data_in_force(place), "snapshot_id": "s", "seed": 0}
    facts |= {"device": "cpu", "status": "failed", "config": DEMO, "training_code": training_code("synthesis")}
    model_registry.record(place, "core.training_run", [facts | {"detail": "the disk is full"}])
    assert asked(place).train
    model_registry.record(place, "core.training_run", [facts | {"detail": "the disk is full"}])
    decision = asked(place)
    assert not decision.train
    assert "failed 2 times: the disk is full" in decision.detail
    assert decide(place, operations(), now=NOW, force=True).reasons[-1] == "forced"


def test_what_was_started_three_times_without_a_success_waits_for_a_person(place: Home, people: list[str]) -> None:
    record_model(place, people[3:], LAST_WEEK)
    settings = operations(least_new_participants=1)
    failed: set[str] = set()
    for _ in range(3):
        decision = decide(place, settings, now=NOW, has_failed=failed.__contains__)
        assert decision.train
        failed.add(record(place, decision, "schedule"))
    prevented = decide(place, settings, now=NOW, has_failed=failed.__contains__)
    assert (prevented.train, prevented.reasons) == (False, ("new_people",))
    assert "started 3 times" in prevented.detail
    assert "tumsyn retrain --yes --force" in prevented.detail
    record_model(place, people[2:], datetime.now(UTC), model_id="b" * 16)
    assert decide(place, settings, now=NOW, has_failed=failed.__contains__).train  # a success begins a new count


def test_what_was_only_looked_at_counts_as_no_failure(place: Home, people: list[str]) -> None:
    for _ in range(4):
        decision = asked(place)
        assert decision.train
        record(place, decision, "asset")


def test_a_wrong_configuration_is_skipped_in_words(place: Home, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nrecipe: draft\nn_steps: 3\nbatch_size: 2\nlearning_rate: 0.1\nn_stepz: 3\n")
    decision = asked(place, synthesis_config=str(path))
    assert not decision.train
    assert "n_stepz" in decision.detail


def test_nothing_starts_while_a_training_runs_or_waits(place: Home) -> None:
    waiting = decide(place, operations(), now=NOW, under_way=["run 1234 is queued"], force=True)
    assert (waiting.train, "run 1234 is queued" in waiting.detail) == (False, True)
    assert locked_trainings(place) == []
    lock = place.training / "r" / ".lock"
    with atomic.lock(lock, exclusive=True):
        assert [str(lock.parent) in line for line in locked_trainings(place)] == [True]
        assert "a training is under way" in asked(place).detail
    assert asked(place).train


def test_a_warm_start_begins_with_the_champion_and_a_fresh_one_with_nothing(place: Home, people: list[str]) -> None:
    first = asked(place, start="warm")
    assert (first.train, first.start, first.init, first.trains_text_encoder) == (True, "fresh", None, True)
    record_model(place, people[3:], LAST_WEEK)
    warm = asked(place, start="warm", least_new_participants=1)
    assert (warm.start, warm.init, warm.trains_text_encoder) == ("warm", MODEL, False)
    fresh = asked(place, least_new_participants=1)
    assert (fresh.start, fresh.init, fresh.trains_text_encoder) == ("fresh", None, True)


def test_people_of_a_lost_checkpoint_are_those_of_its_snapshot(place: Home, people: list[str]) -> None:
    snapshot_id = snapshots.in_force(place)
    record_model(place, [], LAST_WEEK, has_checkpoint=False, snapshot_id=snapshot_id)
    assert learned_people(place, MODEL, RECIPE) == set(hashes(people))
    assert asked(place).n_new_people == 0


def test_who_arrived_during_a_training_is_new_afterwards(tmp_path: Path) -> None:
    home = make_tiny_home(tmp_path / "home", 12)
    before, begun_with, data_id = training_people(home), snapshots.in_force(home), data_in_force(home)
    shutil.rmtree(home.volumes)
    make_tiny_home(home.root, 24)
    arrived = set(training_people(home)) - set(before)
    assert arrived
    record_model(home, [], LAST_WEEK, has_checkpoint=False, snapshot_id=begun_with, data_id=data_id)
    assert asked(home).n_new_people == len(arrived)


def test_of_a_training_on_some_centres_only_their_people_are_known(place: Home) -> None:
    facts = {"snapshot_id": snapshots.in_force(place), "config": json.dumps({"centers": ["omega"]})}
    record_model(place, [], LAST_WEEK, has_checkpoint=False, **facts)
    assert learned_people(place, MODEL, RECIPE) == frozenset()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"trained_on": null}'])
def test_a_damaged_checkpoint_without_a_snapshot_makes_everybody_new(
    place: Home, people: list[str], content: str
) -> None:
    record_model(place, people, LAST_WEEK)
    (place.models / MODEL / "config.json").write_text(content)
    assert asked(place).n_new_people == len(people)


def test_a_decision_and_its_drift_are_recorded_and_change_no_data(place: Home, people: list[str]) -> None:
    record_model(place, people[6:], LAST_WEEK)
    publish(place)
    before, decision = data_in_force(place), asked(place)
    decision_id = record(place, decision, "schedule")
    record(place, decision, "command")
    assert publish_records(place)
    assert data_in_force(place) == before
    assert asked(place).row() == decision.row() | {"snapshot_id": snapshots.in_force(place)}
    with Catalogue(place).connect() as connection:
        rows = connection.execute(f"SELECT * FROM {DECISION} WHERE event_id = ?", [decision_id]).fetchall()
        [(n_decisions,)] = connection.execute(f"SELECT count(*) FROM {DECISION}").fetchall()
        drift = connection.execute(f"SELECT count(*), count(DISTINCT drift_id) FROM {SCORE}").fetchone()
    assert decision.comparison is not None
    assert (len(rows), n_decisions) == (1, 2)
    assert drift == (len(decision.comparison.scores), 1)  # the same comparison is recorded once


@pytest.mark.parametrize("train", [True, False])
def test_a_decision_of_any_kind_fits_its_table(home: Home, train: bool) -> None:
    record(home, Decision(train, (), "why", 1, 2.0, "fresh"), "asset")
    [row] = model_registry.statements(home, DECISION)
    assert row["decision"] == ("train" if train else "skip")


def test_a_publication_of_records_puts_no_other_data_in_force(place: Home) -> None:
    record(place, asked(place), "schedule")
    lab = Lab(place.root)
    lab.center("beta", role="internal")
    lab.participant("beta", "00")
    lab.commit()
    before = snapshots.in_force(place)
    assert not publish_records(place)
    assert snapshots.in_force(place) == before


def test_records_wait_while_somebody_publishes(place: Home) -> None:
    record(place, asked(place), "schedule")
    with atomic.lock(place.warehouse / "publish.lock", exclusive=True):
        assert not publish_records(place)


def test_nothing_is_published_of_an_empty_home(home: Home) -> None:
    assert not publish_records(home)
