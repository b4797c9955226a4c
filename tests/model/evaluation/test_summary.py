"""Headlines on rows that are written by hand: people are the units, and populations and forms stay apart."""

from __future__ import annotations

from typing import Any

import pytest

from model.evaluation.baselines import MAP_ORACLE, MAP_TRAIN
from model.evaluation.summary import Person, summarise, without_model

MODEL = "0123456789abcdef"
PEOPLE = {"r1": Person("anna", False), "r2": Person("anna", False), "r3": Person("bert", False)}
PEOPLE |= {"s1": Person("sim", True)}


def row(target: str, value: float, model_id: str = MODEL, metric: str = "psnr_db", **more: Any) -> dict[str, Any]:
    place = {"form": "native", "split": "val", "task": "T1w_to_T2w", "mask": "brain", "source_image_ids": ["x"]}
    return place | {"target_image_id": target, "value": value, "model_id": model_id, "metric": metric} | more


def of_pair(target: str, value: float, **more: Any) -> list[dict[str, Any]]:
    figures = {"psnr_db": value, "psnr_db_fitted": value + 1, "ssim": 0.5}
    return [row(target, number, metric=metric, **more) for metric, number in figures.items()]


def test_a_person_with_two_scans_counts_once() -> None:
    [found] = summarise([*of_pair("r1", 10.0), *of_pair("r2", 20.0), *of_pair("r3", 25.0)], PEOPLE, MODEL)
    assert (found.n_people, found.n_pairs) == (2, 3)
    assert (found.psnr_db, found.psnr_db_fitted, found.ssim) == pytest.approx((20.0, 21.0, 0.5))


def test_real_and_simulated_people_are_never_in_one_figure() -> None:
    real, simulated = summarise([*of_pair("s1", 99.0), *of_pair("r1", 10.0)], PEOPLE, MODEL)
    assert (real.is_simulated, real.psnr_db) == (False, 10.0)
    assert (simulated.is_simulated, simulated.psnr_db) == (True, 99.0)


def test_forms_are_apart_and_rows_without_one_are_of_the_session() -> None:
    found = summarise([*of_pair("r1", 10.0), *of_pair("r1", 30.0, form=None)], PEOPLE, MODEL)
    assert [(one.form, one.psnr_db) for one in found] == [("native", 10.0), ("session", 30.0)]


def test_gains_are_differences_on_the_same_pairs() -> None:
    rows = [*of_pair("r1", 10.0), *of_pair("r3", 40.0), row("r1", 8.0, MAP_TRAIN), row("r2", 0.0, MAP_TRAIN)]
    [found] = summarise([*rows, row("r3", 41.0, MAP_ORACLE)], PEOPLE, MODEL)
    assert found.over_pooled_map_db == pytest.approx(2.0)
    assert found.over_fitted_map_db == pytest.approx(-1.0)
    assert "+2.0 dB on the pooled map, -1.0 dB on the fitted map" in str(found)


def test_tasks_are_summed_up_together_or_each() -> None:
    rows = [*of_pair("r1", 10.0), *of_pair("r1", 20.0, task="T1w_to_FLAIR")]
    assert [one.psnr_db for one in summarise(rows, PEOPLE, MODEL)] == [15.0]
    assert [(one.task, one.psnr_db) for one in summarise(rows, PEOPLE, MODEL, by_task=True)] == [
        ("T1w_to_FLAIR", 20.0),
        ("T1w_to_T2w", 10.0),
    ]


def test_a_task_of_baselines_alone_is_said_to_have_no_model() -> None:
    rows = [*of_pair("r1", 10.0), row("r1", 3.0, MAP_TRAIN, task="T1w+T2w_to_FLAIR")]
    rows.append(row("r1", 3.0, "baseline:rescan", task="T2w_to_T2w"))
    assert without_model(rows, MODEL) == ["T1w+T2w_to_FLAIR"]
    assert len(summarise(rows, PEOPLE, MODEL)) == 1
