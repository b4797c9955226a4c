"""Automation makes what depends on changed data, centre by centre, and does not start a failing step over and over."""

# No postponed annotations here: Dagster reads the type of `context` as an object.

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from pipelines.assets.conditions import all_centers, same_center
from pipelines.definitions import defs as shipped

CENTERS = dg.DynamicPartitionsDefinition(name="center")
FORCED_FAILURE: set[str] = set()
BROKEN_ROWS: set[str] = set()
READ, MADE = dg.AssetKey("read"), dg.AssetKey("made")


@dg.asset(partitions_def=CENTERS)
def read(context: dg.AssetExecutionContext) -> None:
    """Stands for the tables of a centre."""


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.PreviewWarning)  # partitions of checks, as in the pinned Dagster

    @dg.asset_check(asset=read, blocking=True, partitions_def=CENTERS)
    def specification(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=context.partition_key not in BROKEN_ROWS)


@dg.asset(partitions_def=CENTERS, deps=[read], automation_condition=same_center([READ]))
def made(context: dg.AssetExecutionContext) -> None:
    """Stands for the volumes of a centre."""
    if context.partition_key in FORCED_FAILURE:
        raise RuntimeError("broken")


@dg.multi_asset(
    specs=[
        dg.AssetSpec("derived", deps=[READ]),
        dg.AssetSpec(
            "snapshot", deps=[READ, MADE, "derived"], automation_condition=all_centers([READ, MADE], waits_for=[READ])
        ),
    ]
)
def catalogue() -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    yield dg.MaterializeResult("derived")
    yield dg.MaterializeResult("snapshot")


class Automation:
    """The sensor's ticks, and the runs that they request."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance, self.cursor = instance, None
        self.now = datetime(2026, 6, 7, 12, 0, 5, tzinfo=UTC)
        self.defs = dg.Definitions([read, made, catalogue], asset_checks=[specification])

    def tick(self, after: timedelta = timedelta(seconds=10)) -> dict[str, list[str | None]]:
        self.now += after
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # raised by Dagster itself
            found = dg.evaluate_automation_conditions(
                self.defs,
                self.instance,
                cursor=self.cursor,  # type: ignore[arg-type]
                evaluation_time=self.now,
            )
        self.cursor = found.cursor  # type: ignore[assignment]
        asked = {key: found.get_requested_partitions(dg.AssetKey(key)) for key in ("made", "derived", "snapshot")}
        return {key: sorted(partitions, key=str) for key, partitions in asked.items() if partitions}

    def run(self, key: str, partition: str | None = None) -> bool:
        job = self.defs.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey(name) for name in (("derived", "snapshot") if key == "snapshot" else (key,))]
        return job.execute_in_process(
            instance=self.instance, asset_selection=selection, partition_key=partition, raise_on_error=False
        ).success

    def settle(self, ticks: int = 6) -> dict[str, list[str | None]]:
        """Tick, and run what is requested, so many times; return what was requested in all."""
        requested: dict[str, list[str | None]] = {}
        for _ in range(ticks):
            asked = self.tick()
            for key in asked.keys() & {"made", "snapshot"}:
                for partition in asked[key]:
                    self.run(key, partition)
            for key, partitions in asked.items():
                requested.setdefault(key, []).extend(partitions)
        return requested


@pytest.fixture
def automation() -> Iterator[Automation]:
    FORCED_FAILURE.clear()
    BROKEN_ROWS.clear()
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitions of checks, as in the pinned Dagster
        instance.add_dynamic_partitions("center", ["one", "two"])
        yield Automation(instance)


def test_nothing_is_requested_before_any_centre_was_read(automation: Automation) -> None:
    assert [automation.tick() for _ in range(3)] == [{}, {}, {}]


def test_a_read_centre_alone_is_made_and_all_tables_of_the_catalogue_are_published(automation: Automation) -> None:
    automation.tick()
    automation.run("read", "one")
    assert automation.tick() == {"made": ["one"], "derived": [None], "snapshot": [None]}
    assert automation.tick() == {}


@pytest.mark.slow
def test_what_was_made_is_published_and_then_there_is_rest(automation: Automation) -> None:
    automation.tick()
    automation.run("read", "one")
    requested = automation.settle()
    assert requested["made"] == ["one"]
    assert requested["snapshot"] == [None, None]  # the tables at once, and the volumes when they are there
    assert automation.tick() == {}


def test_what_was_there_before_automation_was_switched_on_is_taken_up(automation: Automation) -> None:
    automation.run("read", "one")
    automation.run("read", "two")
    assert automation.tick()["made"] == ["one", "two"]


@pytest.mark.slow
def test_a_change_requests_one_centre_and_leaves_its_neighbour(automation: Automation) -> None:
    for name in ("one", "two"):
        automation.run("read", name)
    automation.settle()
    automation.run("read", "two")
    assert automation.settle()["made"] == ["two"]


@pytest.mark.slow
def test_a_failing_centre_is_started_once_until_its_input_changes(automation: Automation) -> None:
    FORCED_FAILURE.add("two")
    for name in ("one", "two"):
        automation.run("read", name)
    assert automation.settle(8)["made"] == ["one", "two"]
    automation.run("read", "one")  # the neighbour goes on
    assert automation.settle()["made"] == ["one"]
    automation.run("read", "two")
    assert automation.settle()["made"] == ["two"]


@pytest.mark.slow
def test_the_catalogue_is_published_although_a_centre_fails(automation: Automation) -> None:
    FORCED_FAILURE.add("two")
    for name in ("one", "two"):
        automation.run("read", name)
    automation.settle()
    automation.run("read", "one")
    assert automation.settle()["snapshot"]


@pytest.mark.slow
def test_rows_that_break_a_blocking_check_stop_what_follows_until_they_pass(automation: Automation) -> None:
    automation.tick()
    BROKEN_ROWS.add("one")
    automation.run("read", "one")
    assert automation.settle(3) == {}
    BROKEN_ROWS.clear()
    automation.run("read", "one")
    assert automation.settle(1) == {"made": ["one"], "derived": [None], "snapshot": [None]}


@pytest.mark.slow
def test_an_input_that_changed_while_its_step_ran_is_taken_up_afterwards(automation: Automation) -> None:
    automation.run("read", "one")
    assert automation.tick()["made"] == ["one"]
    automation.run("read", "one")  # committed after the step has read its input
    automation.run("made", "one")
    assert automation.tick().get("made") == ["one"]


LATER = timedelta(minutes=11)


@pytest.mark.slow
def test_a_request_whose_run_was_lost_is_made_again(automation: Automation) -> None:
    automation.tick()
    automation.run("read", "one")
    requested = automation.tick()
    assert requested == {"made": ["one"], "derived": [None], "snapshot": [None]}
    assert automation.tick() == {}
    assert automation.tick(LATER) == requested
    assert automation.tick() == {}


@pytest.mark.slow
def test_a_request_whose_run_ended_is_not_made_again_later(automation: Automation) -> None:
    FORCED_FAILURE.add("two")
    for name in ("one", "two"):
        automation.run("read", name)
    assert automation.settle()["made"] == ["one", "two"]
    assert [automation.tick(LATER) for _ in range(3)] == [{}, {}, {}]


@pytest.mark.slow
def test_a_request_whose_run_goes_on_is_not_made_again_and_one_that_was_canceled_is(automation: Automation) -> None:
    automation.run("read", "one")
    assert automation.tick()["made"] == ["one"]
    job = automation.defs.resolve_implicit_global_asset_job_def()
    run = automation.instance.create_run_for_job(
        job.get_subset(asset_selection={MADE}),
        asset_selection=frozenset({MADE}),
        tags={"dagster/partition": "one"},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert "made" not in automation.tick(LATER)
    automation.instance.report_run_canceled(run)
    assert automation.tick(LATER)["made"] == ["one"]


@pytest.mark.slow
def test_a_new_centre_joins(automation: Automation) -> None:
    automation.run("read", "one")
    automation.settle()
    automation.instance.add_dynamic_partitions("center", ["three"])
    automation.tick()
    automation.run("read", "three")
    assert automation.settle()["made"] == ["three"]


def conditioned(keys: Sequence[dg.AssetKey]) -> list[dg.AssetKey]:
    graph = shipped.resolve_asset_graph()
    return [key for key in keys if graph.get(key).automation_condition is not None]


def test_of_what_ships_volumes_and_catalogue_follow_automation_and_no_training_does() -> None:
    keys = list(shipped.resolve_asset_graph().get_all_asset_keys())
    assert {key.to_user_string() for key in conditioned(keys)} == {"core/volume", "meta/snapshot"}
