"""The assets of the models run in order, a failed gate stops the later ones, and one publication follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from PIL import Image

from model.training.examples import path_of
from pipelines.assets import models as subject
from pipelines.assets.models import (
    EVALUATION,
    REPORT,
    RETRIEVAL,
    SYNTHESIS,
    TEXT_ENCODER,
    TRAINING_RETRY,
    check_curve,
    check_gates,
)
from pipelines.assets.tables import asset_key
from pipelines.definitions import build_defs, defs
from pipelines.runtime.evaluation import Evaluated
from pipelines.runtime.resources import HomeResource
from warehouse.catalog import model_registry, promotion, snapshots
from warehouse.catalog.publish import publish
from warehouse.catalog.verdicts import CHAMPION_GATE
from warehouse.lake.home import Home
from warehouse.tables import TABLES
from warehouse.tables.models import MODELS

CHAIN = [TEXT_ENCODER, RETRIEVAL, SYNTHESIS, EVALUATION, REPORT]
FALLS, RISES = (1.0, 0.8, 0.5), (0.5, 0.8, 1.0)
DATA = "d" * 16


class FakeTraining:
    """Records a training without training."""

    def __init__(self, curves: dict[str, Sequence[float]]) -> None:
        self.curves = curves
        self.words: list[list[str]] = []

    def run(self, context: dg.AssetExecutionContext, home: Home, words: Sequence[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        self.words.append(list(words))
        kind = {"text-encoder": "text_encoder", "synthesis": "synthesis"}[words[0]]
        run_id, model_id = f"run of {kind}", kind[0] * 16
        split, metric = {"text_encoder": ("train", "loss"), "synthesis": ("val", "l1")}[kind]
        place = {"run_id": run_id, "kind": kind, "split": split, "metric": metric}
        model_registry.record(home, "core.training_metric", [{**place, "step": n, "value": value}
                                                     for n, value in enumerate(self.curves[kind])])  # fmt: skip
        facts: dict[str, Any] = {"snapshot_id": "s", "training_code": "0", "seed": 0, "device": "cpu", "config": "{}"}
        end = {"run_id": run_id, "kind": kind, "status": "finished", "data_id": DATA, "n_steps": 2, "seconds": 1.0}
        model_registry.record(home, "core.training_run", [facts | end])
        picture = path_of(home.training / run_id, 300)
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(picture)
        return dg.MaterializeResult(metadata={"model_id": model_id, "run_id": run_id, "data_id": DATA})


class FakeEvaluation:
    """Records the verdicts that a test sets."""

    def __init__(self, passed: dict[str, bool], verdict: str | None = None) -> None:
        self.passed, self.verdict = passed, verdict
        self.n_published = 0

    def evaluated(self, home: Home, model_id: str, kind: str) -> Evaluated:
        place = {"model_id": model_id, "data_id": DATA, "protocol_hash": "p" * 16}
        gate = {"gate": "it_works", "passed": self.passed[kind], "value": 1.0, "threshold": 0.5, "detail": "fake"}
        model_registry.record(home, "core.gate_verdict", [place | gate | {"verdict": self.verdict}])
        verdicts = model_registry.statements(home, "core.gate_verdict", model_id=model_id)
        made = promotion.offer(home, model_id, kind, verdicts)
        return Evaluated(model_id, kind, f"evaluation of {kind}", "read", verdicts, [], made)

    def text_encoder(
        self, home: Home, model: str, protocol: str, show: object, *, device: str | None = None
    ) -> Evaluated:
        page = home.reports / "encoder" / "text_encoder.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(page.with_name("retrieval.png"))
        return replace(self.evaluated(home, model, "text_encoder"), page=page)

    def synthesis(self, home: Home, model: str, protocol: str, show: object, *, device: str | None = None) -> Evaluated:
        return self.evaluated(home, model, "synthesis")

    def publish(self, home: Home, run_id: str | None = None) -> object:
        self.n_published += 1
        return publish(home, run_id=run_id)

    def report(self, home: Home, model: str, protocol: str, **more: Any) -> Path:
        self.reported = more
        path = home.reports / "one" / "report.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a page")
        return path


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def all_hold() -> dict[str, bool]:
    return {"text_encoder": True, "synthesis": True}


def run(
    home: Home,
    instance: dg.DagsterInstance,
    patch: pytest.MonkeyPatch,
    *,
    training: FakeTraining | None = None,
    evaluation: FakeEvaluation | None = None,
    problems: Sequence[str] = (),
    config: dict[str, Any] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
    job: str = "train_all",
) -> dg.ExecuteInProcessResult:
    """Run a job with fakes in place of networks."""
    evaluation = evaluation or FakeEvaluation(all_hold())
    patch.setattr(subject, "evaluate_text_encoder", evaluation.text_encoder)
    patch.setattr(subject, "evaluate_synthesis", evaluation.synthesis)
    patch.setattr(subject, "publish", evaluation.publish)
    patch.setattr(subject, "write_report", evaluation.report)
    patch.setattr(subject, "report_problems", lambda *_: list(problems))
    training = training or FakeTraining({"text_encoder": FALLS, "synthesis": FALLS})
    resources = {"home": HomeResource(root=str(home.root)), "training": training}
    definition = build_defs(resources=resources).resolve_job_def(job)
    return definition.execute_in_process(
        instance=instance, raise_on_error=False, run_config=config, asset_selection=assets
    )


@dataclass(frozen=True)
class Whole:
    """A run that passed every check."""

    home: Home
    result: dg.ExecuteInProcessResult
    training: FakeTraining
    evaluation: FakeEvaluation

    def metadata(self, key: dg.AssetKey) -> dict[str, Any]:
        events = self.result.get_asset_materialization_events()
        found = next(event.materialization for event in events if event.asset_key == key)
        return {name: value.value for name, value in found.metadata.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One run of the whole job; tests must not change it."""
    home = Home(tmp_path_factory.mktemp("whole") / "home")
    training, evaluation = FakeTraining({"text_encoder": FALLS, "synthesis": FALLS}), FakeEvaluation(all_hold())
    config = {"ops": {"text_encoder": {"config": {"config": "demo"}},
                      "synthesis_model": {"config": {"config": "demo", "device": "cpu"}}}}  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance, pytest.MonkeyPatch.context() as patch:
        yield Whole(
            home,
            run(home, instance, patch, training=training, evaluation=evaluation, config=config),
            training,
            evaluation,
        )


def made(result: dg.ExecuteInProcessResult) -> list[dg.AssetKey]:
    keys = [event.asset_key for event in result.get_asset_materialization_events()]
    return [key for key in CHAIN if key in keys]


@pytest.mark.slow
def test_everything_runs_in_order_and_is_published_once(whole: Whole) -> None:
    assert whole.result.success
    steps = [event.step_key for event in whole.result.all_events if event.is_step_success]
    assert [step for step in steps if dg.AssetKey(str(step)) in CHAIN] == [key.path[0] for key in CHAIN]
    assert whole.evaluation.n_published == 1
    checks = whole.result.get_asset_check_evaluations()
    assert {check.asset_key for check in checks} == set(CHAIN)
    assert all(check.passed and check.blocking for check in checks)


@pytest.mark.slow
def test_tables_of_events_are_assets_whose_rows_are_those_of_the_snapshot(whole: Whole) -> None:
    snapshot = whole.metadata(EVALUATION)["snapshot_id"]
    with duckdb.connect(str(snapshots.path(whole.home, str(snapshot))), read_only=True) as connection:
        for table in MODELS:
            n_rows = len(connection.table(table.name).fetchall())
            assert whole.metadata(asset_key(table))["dagster/row_count"] == n_rows
        assert connection.execute("SELECT run_id FROM meta.snapshot").fetchone() == (whole.result.run_id,)


@pytest.mark.slow
def test_the_words_are_those_that_a_person_would_type(whole: Whole) -> None:
    assert whole.training.words == [
        ["text-encoder", "--config", "demo"],
        ["synthesis", "--config", "demo", "--device", "cpu", "--text-encoder", "t" * 16],
    ]


@pytest.mark.slow
def test_a_training_that_begins_with_a_model_needs_no_text_encoder_of_this_home(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = FakeTraining({"text_encoder": FALLS, "synthesis": FALLS})
    config = {"ops": {"synthesis_model": {"config": {"config": "finetune", "init": "c" * 16}}}}
    assets = [SYNTHESIS, *subject.evaluation.keys, REPORT]
    result = run(home, instance, monkeypatch, training=training, config=config, assets=assets)
    assert result.success
    assert training.words == [["synthesis", "--config", "finetune", "--init", "c" * 16]]


def test_the_first_model_whose_gates_hold_is_champion(whole: Whole) -> None:
    assert model_registry.champion(whole.home, "text_encoder") == "t" * 16
    assert model_registry.champion(whole.home, "synthesis") == "s" * 16
    assert whole.metadata(EVALUATION)["is_champion"] is True


def test_the_report_is_of_the_evaluation_and_of_the_snapshot_that_it_published(whole: Whole) -> None:
    evaluated = whole.metadata(EVALUATION)
    asked = {name: whole.evaluation.reported[name] for name in ("evaluation_id", "snapshot")}
    assert asked == {"evaluation_id": evaluated["evaluation_id"], "snapshot": evaluated["snapshot_id"]}
    assert evaluated["evaluated_snapshot_id"] == "read"
    assert whole.metadata(REPORT)["snapshot_id"] == evaluated["snapshot_id"]


def test_curves_and_gates_are_shown_with_the_assets(whole: Whole) -> None:
    metadata = whole.metadata(SYNTHESIS)
    assert str(metadata["curves"]).startswith("![curves](data:image/png;base64,")
    assert str(metadata["examples"]).startswith("![step_000300](data:image/jpeg;base64,")
    assert str(metadata["validations"]).splitlines() == [
        "| step | l1 |",
        "| --- | --- |",
        "| 0 | 1 |",
        "| 1 | 0.8 |",
        "| 2 | 0.5 |",
    ]
    assert whole.metadata(SYNTHESIS)["val_l1"] == FALLS[-1]
    assert "- passed: it_works. fake" in str(whole.metadata(EVALUATION)["gates"])
    assert str(whole.metadata(RETRIEVAL)["retrieval"]).startswith("![retrieval](data:image/jpeg;base64,")
    assert whole.metadata(REPORT)["path"] == str(whole.home.reports / "one" / "report.html")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curves", "passed", "problems", "n_made"),
    [
        pytest.param({"text_encoder": RISES}, {}, (), 1, id="the loss of the text encoder rose"),
        pytest.param({}, {"text_encoder": False}, (), 2, id="contrasts are found by chance"),
        pytest.param({"synthesis": RISES}, {}, (), 3, id="the error rose"),
        pytest.param({}, {"synthesis": False}, (), 4, id="the source as it is was better"),
        pytest.param({}, {}, ("picture 1 is damaged",), 5, id="the report is not whole"),
    ],
)
def test_a_gate_that_fails_stops_what_comes_after(
    home: Home,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    curves: dict[str, Sequence[float]],
    passed: dict[str, bool],
    problems: Sequence[str],
    n_made: int,
) -> None:
    training = FakeTraining({"text_encoder": FALLS, "synthesis": FALLS} | curves)
    evaluation = FakeEvaluation(all_hold() | passed)
    result = run(home, instance, monkeypatch, training=training, evaluation=evaluation, problems=problems)
    assert not result.success
    assert made(result) == CHAIN[:n_made]
    assert [check.asset_key for check in result.get_asset_check_evaluations() if not check.passed] == [
        CHAIN[n_made - 1]
    ]


@pytest.mark.slow
def test_too_few_people_warn_and_stop_nothing_and_make_no_champion(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = FakeTraining({"text_encoder": FALLS, "synthesis": FALLS})
    evaluation = FakeEvaluation({"text_encoder": False, "synthesis": False}, "not_enough_data")
    result = run(home, instance, monkeypatch, training=training, evaluation=evaluation)
    assert result.success
    assert made(result) == CHAIN
    warned = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert {(check.asset_key, check.severity) for check in warned} == {
        (key, dg.AssetCheckSeverity.WARN) for key in (RETRIEVAL, EVALUATION)
    }
    assert [model_registry.champion(home, kind) for kind in ("text_encoder", "synthesis")] == [None, None]
    assert training.words[1][-2:] == ["--text-encoder", "t" * 16]  # the candidate itself: there is no champion


def test_an_asset_that_was_never_materialised_is_named_with_the_remedy(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.assets.models import evaluation

    resources = {"home": HomeResource(root=str(home.root)), "progress": None}
    result = dg.materialize([evaluation], instance=instance, resources=resources, raise_on_error=False)
    failure = result.failure_data_for_node("evaluation")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "synthesis_model was never materialised here" in str(failure.user_failure_data.description)


def test_the_models_depend_on_prompts_and_pairs() -> None:
    graph = defs.resolve_asset_graph()
    parents = {key: graph.get(key).parent_keys for key in CHAIN}
    assert asset_key(TABLES["out.prompt"]) in parents[TEXT_ENCODER]
    assert asset_key(TABLES["out.training_pair"]) in parents[SYNTHESIS]
    for before, after in pairwise(CHAIN):
        assert before in parents[after]
    assert parents[REPORT] >= {asset_key(table) for table in MODELS}


def test_what_takes_a_gpu_takes_its_pool_and_a_training_that_dies_is_tried_again() -> None:
    graph = defs.resolve_asset_graph()
    for key in CHAIN[:4]:
        assert graph.get(key).pools == {"gpu"}
    assert TRAINING_RETRY.max_retries == 1


@pytest.mark.parametrize("curve", [(), (1.0,), (1.0, 1.0), (1.0, float("nan"), 0.1)])
def test_a_curve_that_did_not_fall_does_not_pass(curve: Sequence[float]) -> None:
    assert not check_curve(curve, "loss").passed


def test_a_candidate_that_is_worse_than_the_champion_is_a_warning_and_one_that_fails_by_itself_an_error(
    home: Home,
) -> None:
    place = {"model_id": "s" * 16, "data_id": DATA, "protocol_hash": "p" * 16}
    own = {"gate": "it_works", "verdict": "passed", "passed": True, "value": 1.0, "detail": "it works"}
    worse = {"gate": CHAMPION_GATE, "verdict": "failed", "passed": False, "detail": "it is worse"}
    model_registry.record(home, "core.gate_verdict", [place | own, place | worse | {"against_id": "t" * 16}])
    found = check_gates(home, place)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "not_worse_than_champion: it is worse"
    model_registry.record(home, "core.gate_verdict", [place | own | {"verdict": "failed", "passed": False}])
    assert check_gates(home, place).severity == dg.AssetCheckSeverity.ERROR


@pytest.mark.slow
def test_the_champion_is_evaluated_without_a_training_and_its_gates_are_checked(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = FakeTraining({"text_encoder": FALLS, "synthesis": FALLS})
    none = run(home, instance, monkeypatch, training=training, job="evaluate_champion")
    failure = none.failure_data_for_node("champion_evaluation")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "no synthesis model is champion" in str(failure.user_failure_data.description)
    assert "train_all" in str(failure.user_failure_data.description)

    model_registry.record(
        home,
        "core.model_event",
        [{"model_id": "s" * 16, "kind": "synthesis", "alias": "champion", "action": "assign", "reason": "a test"}],
    )
    evaluation = FakeEvaluation({"synthesis": False})
    result = run(home, instance, monkeypatch, training=training, evaluation=evaluation, job="evaluate_champion")
    assert result.success  # nothing follows that the failed gate could stop
    [event] = [one for one in result.get_asset_materialization_events() if one.asset_key == subject.CHAMPION]
    assert event.materialization.metadata["model_id"].value == "s" * 16
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert training.words == []
    assert evaluation.n_published == 1


def test_champions_of_another_recipe_than_the_homes_protocol_are_left_out_and_are_no_failure(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocols: list[str] = []
    skipped = {"o" * 16: "it is of another recipe"}

    def evaluable(home: Home, protocol: str) -> tuple[list[str], dict[str, str]]:
        protocols.append(protocol)
        return [], skipped

    home.root.mkdir(exist_ok=True)
    (home.root / "operations.yaml").write_text("retraining: {protocol: demo}\n")
    monkeypatch.setattr(subject, "evaluable_champions", evaluable)
    evaluation = FakeEvaluation(all_hold())
    result = run(home, instance, monkeypatch, evaluation=evaluation, job="evaluate_champion")
    assert result.success
    assert result.get_asset_materialization_events() == []
    assert protocols == ["demo"]
    assert evaluation.n_published == 0
