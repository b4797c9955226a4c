"""The table of a cross-validation: which models belong together, and what a line of it is the mean of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pytest

from model.evaluation.evaluate import identify
from model.evaluation.protocol import load_protocol
from model.evaluation.statistics import estimate
from model.report.cross_validation import evaluations_of_folds, table
from model.report.data import ALL_TASKS, SPLITS
from model.report.headline import WHERE
from model.report.words import SPLIT_NAMES, SPLIT_NOTES
from tests.model.report.test_scores import Asked, image_id
from warehouse.tables import TABLES

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
PROTOCOL = load_protocol("cross_validation").model_copy(update={"n_resamples": 200})
TASK, OTHER = PROTOCOL.tasks[:2]
FITTED, POOLED, SOURCE = "baseline:intensity_map_oracle", "baseline:intensity_map_train", "baseline:identity"


class Trained(Asked):
    """A catalogue with trainings, models and verdicts as well."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection)
        for name in ("core.training_run", "core.model_version", "core.gate_verdict"):
            connection.execute(TABLES[name].ddl())

    def add(self, name: str, **row: Any) -> None:
        self.n_scores += 1
        records = TABLES[name].rows([{"event_id": str(self.n_scores), "occurred_at": WHEN, "kind": "synthesis"} | row])
        assert records.num_rows == 1
        self.connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM records")

    def model(
        self, model_id: str, fold: int | None, *, evaluated: bool = True, encoder: str = "e" * 16, day: int = 0,
        data_id: str = "d" * 16, code: str = "c", status: str = "started", **config: Any,
    ) -> str:  # fmt: skip
        """Add a training with its model; return the evaluation that it would have."""
        run = {"run_id": f"run {model_id}", "data_id": data_id}
        content = {"name": "any", "seed": 0, "n_workers": 1, "held_out_fold": fold, "n_folds": 4, **config}
        more = {"snapshot_id": "s", "training_code": code, "seed": 0, "device": "cpu", "config": json.dumps(content)}
        self.add("core.training_run", **run, **more, status=status)
        size = {"path": "p", "n_parameters": 1, "size_bytes": 1, "is_simulated": False}
        when = {"occurred_at": WHEN + timedelta(days=day)}
        self.add("core.model_version", model_id=model_id, text_encoder_id=encoder, **run, **size, **when)
        if evaluated:
            verdict = {"gate": "g", "verdict": "not_enough_data", "passed": False, "detail": "d"}
            self.add("core.gate_verdict", model_id=model_id, data_id=data_id, protocol_hash=PROTOCOL.hash, **verdict)
        return identify(model_id, data_id, PROTOCOL.hash)

    def scored(self, evaluation_id: str, person: str, values: dict[str, float], task: str = TASK, n: int = 0) -> None:
        """Add the figures of one pair; SSIM is a hundredth of dB."""
        name = f"{person[-3:]}{n}"
        self.image(name, person)
        for maker, value in values.items():
            for metric, figure in (("psnr_db", value), ("ssim", value / 100)):
                where = {"evaluation_id": evaluation_id, "task": task, "split": "cross_validation"}
                self.score(maker, figure, name, metric=metric, **where)


@pytest.fixture
def home() -> Iterator[Trained]:
    with duckdb.connect() as connection:
        yield Trained(connection)


def lines(home: Trained, evaluations: dict[int, str], n_folds: int = 4) -> list[dict[str, Any]]:
    return list(table(home.connection, evaluations, n_folds, PROTOCOL).to_pylist())


def test_models_of_one_recipe_belong_together_and_others_do_not(home: Trained) -> None:
    wanted = {fold: home.model(f"fold {fold}", fold) for fold in (0, 1)}
    home.model("not evaluated", 2, evaluated=False)
    home.model("whole", None)
    for number, other in enumerate(
        ({"encoder": "f" * 16}, {"data_id": "x" * 16}, {"code": "other"}, {"seed": 1}, {"n_folds": 3})
    ):
        home.model(f"other {number}", 3, **other)  # type: ignore[arg-type]
    assert evaluations_of_folds(home.connection, "fold 1", PROTOCOL) == wanted
    assert evaluations_of_folds(home.connection, "whole", PROTOCOL) == {}


def test_name_and_workers_make_no_other_recipe_and_the_last_model_of_a_fold_counts(home: Trained) -> None:
    home.model("first", 0)
    again = home.model("again", 0, day=3, name="renamed", n_workers=0, status="finished")
    other = home.model("other", 1, name="other", examples_every=0)
    assert evaluations_of_folds(home.connection, "other", PROTOCOL) == {0: again, 1: other}


def test_a_persons_pairs_are_averaged_first_and_people_then(home: Trained) -> None:
    evaluation = home.model("m", 0)
    for n, value in enumerate((20.0, 22.0, 24.0)):
        home.scored(evaluation, "ann", {"m": value, FITTED: 19.0, POOLED: 17.0, SOURCE: 11.0}, n=n)
    home.scored(evaluation, "bob", {"m": 26.0, FITTED: 21.0, POOLED: 18.0, SOURCE: 12.0})
    mean, ann, bob = [line for line in lines(home, {0: evaluation}, 1) if line["task"] == TASK]
    assert mean["who"] == "mean of 2 real people"
    assert [mean["psnr_db"], ann["psnr_db"], bob["psnr_db"]] == [24.0, 22.0, 26.0]
    assert [mean["fitted_map_db"], mean["pooled_map_db"], mean["source_db"]] == [20.0, 17.5, 11.5]
    assert [mean["gain_db"], ann["gain_db"], mean["gain_ssim"]] == [4.0, 3.0, 0.04]
    assert [mean["ssim"], mean["n_pairs"], ann["n_pairs"], ann["fold"]] == [0.24, 4, 3, 0]
    assert (ann["who"], bob["who"]) == ("ann", "bob")


def test_all_tasks_are_the_mean_of_a_persons_pairs(home: Trained) -> None:
    evaluation = home.model("m", 0)
    home.scored(evaluation, "ann", {"m": 20.0, FITTED: 19.0}, n=0)
    home.scored(evaluation, "ann", {"m": 30.0, FITTED: 19.0}, OTHER, n=1)
    found = lines(home, {0: evaluation}, 1)
    assert list(dict.fromkeys(line["task"] for line in found)) == [ALL_TASKS, TASK, OTHER]
    assert [line["psnr_db"] for line in found if line["who"] == "ann"] == [25.0, 20.0, 30.0]


def test_everybody_has_a_line_over_folds_and_from_ten_people_on_there_is_an_interval(home: Trained) -> None:
    evaluations = {fold: home.model(f"m{fold}", fold) for fold in range(4)}
    values = np.random.default_rng(0).normal(22, 2, 12)
    for number, value in enumerate(values[:9]):
        home.scored(evaluations[number % 4], f"p{number:02d}", {f"m{number % 4}": value, FITTED: 19.0})
    mean, *people = [line for line in lines(home, evaluations) if line["task"] == TASK]
    assert mean["who"] == "mean of 9 real people"
    assert [line["who"] for line in people] == [f"p{number:02d}" for number in range(9)]
    assert [line["fold"] for line in people] == [number % 4 for number in range(9)]
    for number, value in enumerate(values[9:], start=9):
        home.scored(evaluations[number % 4], f"p{number:02d}", {f"m{number % 4}": value, FITTED: 19.0})
    mean, low, high, *people = [line for line in lines(home, evaluations) if line["task"] == TASK]
    wanted = estimate(values, n_resamples=PROTOCOL.n_resamples)
    assert wanted is not None
    assert [mean["psnr_db"], low["psnr_db"], high["psnr_db"]] == pytest.approx(
        [wanted.mean, wanted.low, wanted.high], abs=0.006
    )
    assert (low["who"], high["who"], len(people)) == ("95 % interval, from", "95 % interval, to", 12)
    assert low["gain_db"] == pytest.approx(low["psnr_db"] - 19.0, abs=0.011)


def test_a_mean_without_a_fold_says_so(home: Trained) -> None:
    evaluation = home.model("m", 1)
    home.scored(evaluation, "ann", {"m": 20.0, FITTED: 19.0})
    assert lines(home, {1: evaluation})[0]["who"] == "mean of 1 real person, without folds 0, 2, 3"
    assert lines(home, {}) == []


def test_a_pair_without_a_figure_of_the_model_counts_for_nobody(home: Trained) -> None:
    evaluation = home.model("m", 0)
    home.scored(evaluation, "ann", {"m": 20.0, FITTED: 19.0}, n=0)
    home.scored(evaluation, "ann", {FITTED: 5.0}, n=1)
    home.scored(evaluation, "bob", {FITTED: 5.0})
    mean, ann = [line for line in lines(home, {0: evaluation}, 1) if line["task"] == TASK]
    assert (mean["fitted_map_db"], ann["n_pairs"], mean["pooled_map_db"]) == (19.0, 1, None)


def test_a_page_has_words_for_every_split() -> None:
    assert set(SPLITS) == set(SPLIT_NAMES) == set(SPLIT_NOTES) == set(WHERE)


def test_rescans_and_other_splits_are_not_mixed_in(home: Trained) -> None:
    evaluation = home.model("m", 0)
    home.scored(evaluation, "ann", {"m": 20.0, FITTED: 19.0})
    more = {"evaluation_id": evaluation, "metric": "psnr_db"}
    home.score("baseline:rescan", 40.0, "ann0", task="T2w_to_T2w", split="cross_validation", **more)
    home.image("t", "carl")
    home.score("m", 40.0, "t", task=TASK, split="val", **more)
    found = lines(home, {0: evaluation}, 1)
    assert {line["psnr_db"] for line in found} == {20.0}
    assert image_id("t") != image_id("ann0")
