"""Values pass between steps as JSON of the type that an op declares, and as no pickle."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from pipelines.definitions import build_defs, defs
from pipelines.runtime.json_outputs import json_outputs
from pipelines.runtime.resources import HomeResource
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import HarmonizedRows
from warehouse.lake.home import Home


@dataclass(frozen=True)
class Plan:
    recipe: Recipe
    names: tuple[str, ...]


PLAN = Plan(Recipe(name="mine", grid_mm=1.1), ("a", "b"))
ROWS = HarmonizedRows(volumes=[{"path": "x", "affine": [1.0, 0.1 + 0.2], "mask": None}], pictures={"s": "p"}, n_done=3)


@dg.op
def make_plan() -> Plan:
    return PLAN


@dg.op
def make_rows(plan: Plan) -> HarmonizedRows:
    assert plan == PLAN
    return ROWS


@dg.op
def gather(rows: list[HarmonizedRows]) -> bool:
    return rows == [ROWS, ROWS]


@dg.op
def make_object() -> object:
    return object()


@dg.graph
def passing() -> bool:
    plan = make_plan()
    return gather([make_rows(plan), make_rows.alias("again")(plan)])


def run(graph: dg.GraphDefinition, home: Home, raises: bool = True) -> dg.ExecuteInProcessResult:
    resources = {"home": HomeResource(root=str(home.root)), "io_manager": json_outputs}
    with dg.DagsterInstance.ephemeral() as instance:
        job = graph.to_job(resource_defs=resources)
        return job.execute_in_process(instance=instance, raise_on_error=raises)


def test_values_arrive_as_they_were_sent_and_are_json(home: Home) -> None:
    result = run(passing, home)
    assert result.output_for_node("gather") is True
    files = sorted((home.dagster / "storage" / result.run_id).rglob("*.json"))
    assert len(files) == 4
    for path in files:
        json.loads(path.read_text())
    assert [path for path in home.root.rglob("*") if path.is_file() and path.suffix != ".json"] == []


def test_what_json_cannot_hold_is_refused(home: Home) -> None:
    @dg.graph
    def impossible() -> None:
        make_object()

    with pytest.raises(TypeError, match="not JSON serializable"):
        run(impossible, home)


def test_a_pickle_in_the_place_of_an_output_is_not_run(home: Home, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "attacked",))

    @dg.op
    def replace(context, plan: Plan) -> dg.Nothing:
        [path] = (home.dagster / "storage" / context.run_id / "make_plan").rglob("*.json")
        path.write_bytes(pickle.dumps(Attack()))

    @dg.op(ins={"after": dg.In(dg.Nothing)})
    def read(plan: Plan) -> None:
        raise AssertionError("it was read")

    @dg.graph
    def attacked() -> None:
        plan = make_plan()
        read(plan=plan, after=replace(plan))

    result = run(attacked, home, raises=False)
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == ["read"]
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("name", [job.name for job in defs.jobs or []])
def test_every_job_passes_values_so(name: str) -> None:
    job = build_defs().resolve_job_def(name)
    assert job.resource_defs["io_manager"] is json_outputs
