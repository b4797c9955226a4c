"""An evaluation: known models get the figures that they must, and the rows are the same every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from model.data.catalogue import CatalogueImages
from model.evaluation.baselines import BASELINES, IDENTITY, MAP_ORACLE, MAP_TRAIN
from model.evaluation.evaluate import Evaluation, evaluate, identify
from model.evaluation.metrics import MAX_PSNR_DB
from model.evaluation.pairs import draw_pairs, other_target
from tests.model.evaluation.fakes import Broken, Constant, Identity, Perfect, protocol
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.errors import ModelError
from warehouse.lake import parts
from warehouse.lake.home import Home

MODEL = "0123456789abcdef"


@pytest.fixture(scope="module")
def home(peopled_home: Home) -> Home:
    return peopled_home


@pytest.fixture(scope="module")
def perfect(home: Home) -> Evaluation:
    return evaluate(home, Perfect(home), MODEL, protocol())


@pytest.fixture(scope="module")
def identity(home: Home) -> Evaluation:
    return evaluate(home, Identity(), MODEL, protocol())


def values(
    found: Evaluation, model_id: str, metric: str = "psnr_db", mask: str = "brain"
) -> dict[tuple[str, ...], float]:
    return {
        (row["task"], *row["source_image_ids"], row["target_image_id"]): row["value"]
        for row in found.scores
        if (row["model_id"], row["metric"], row["mask"]) == (model_id, metric, mask)
    }


def test_a_model_that_knows_the_truth_has_the_highest_figures(perfect: Evaluation) -> None:
    assert set(values(perfect, MODEL).values()) == {MAX_PSNR_DB}
    assert min(values(perfect, MODEL, "ssim").values()) == pytest.approx(1)
    assert set(values(perfect, MODEL, "mae", "volume").values()) == {0.0}
    assert {row["verdict"] for row in perfect.gates} == {"not_enough_data"}  # the home has fewer than ten test people


def test_a_model_that_gives_the_source_back_has_the_figures_of_the_identity(identity: Evaluation) -> None:
    assert values(identity, MODEL) == values(identity, IDENTITY)
    assert not identity.passed


def test_a_worse_model_has_worse_figures(home: Home) -> None:
    means, one_task = [], protocol(tasks=("T1w_to_T2w",))
    for spoil in (0.02, 0.05, 0.1):
        found = evaluate(home, Perfect(home, spoil=spoil), MODEL, one_task)
        means.append([np.mean([*values(found, MODEL, metric).values()]) for metric in ("psnr_db", "ssim", "mae")])
    psnr, ssim, mae = zip(*means, strict=True)
    assert psnr[0] > psnr[1] > psnr[2]
    assert ssim[0] > ssim[1] > ssim[2]
    assert mae[0] < mae[1] < mae[2]


def test_no_map_of_intensities_is_better_than_the_one_fitted_on_the_test_volume(perfect: Evaluation) -> None:
    oracle, fitted = values(perfect, MAP_ORACLE), values(perfect, MAP_TRAIN)
    assert oracle.keys() == fitted.keys() != set()
    assert all(oracle[key] >= fitted[key] - 1e-9 for key in oracle)
    assert np.mean([*fitted.values()]) > np.mean([*values(perfect, IDENTITY).values()]) + 3


def test_every_pair_has_every_baseline_measure_and_mask(perfect: Evaluation) -> None:
    counted: dict[tuple[str, ...], set[tuple[str, str, str]]] = defaultdict(set)
    for row in perfect.scores:
        if not row["metric"].startswith("steering"):
            key = (row["task"], *row["source_image_ids"], row["target_image_id"])
            counted[key].add((row["model_id"], row["metric"], row["mask"]))
    everything = {
        (name, metric, mask)
        for name in (MODEL, *BASELINES)
        for metric in ("psnr_db", "ssim", "mae")
        for mask in ("brain", "volume")
    }
    assert all(found == everything for found in counted.values())


def test_a_task_without_test_pairs_is_said_to_have_none(perfect: Evaluation) -> None:
    assert perfect.untested == [("T1w_to_angio", "test_internal"), ("T1w_to_angio", "test_external")]
    assert perfect.n_pairs["T1w_to_T2w", "test_external"] == 2


def test_nothing_that_was_trained_on_is_tested(home: Home, perfect: Evaluation) -> None:
    items = CatalogueImages.open(home, "draft", ["train", "val", "test_internal", "test_external"]).items
    split_of = {item.image_id: item.split for item in items}
    for row in perfect.scores:
        assert {split_of[row["target_image_id"]], *map(split_of.get, row["source_image_ids"])} == {row["split"]}


def test_a_model_that_ignores_the_prompt_is_not_steered(identity: Evaluation, perfect: Evaluation) -> None:
    assert set(values(identity, MODEL, "steering_mae").values()) == {0.0}
    assert min(values(perfect, MODEL, "steering_mae").values()) > 0.05
    assert min(values(perfect, MODEL, "steering_gain_db").values()) > 0
    assert [row["passed"] for row in identity.gates if row["gate"] == "prompt_steers"] == [False]


def test_steering_alone_does_not_make_a_good_model(home: Home) -> None:
    shades = Constant(by_contrast={"T1w": -2.0, "T2w": 2.0, "FLAIR": -2.0})
    verdicts = {row["gate"]: row for row in evaluate(home, shades, MODEL, protocol()).gates}
    assert verdicts["prompt_steers"]["value"] > verdicts["prompt_steers"]["threshold"]
    assert verdicts["better_than_identity"]["value"] < verdicts["better_than_identity"]["threshold"]


def test_a_verdict_has_its_figure_and_what_it_was_held_against(perfect: Evaluation) -> None:
    verdict = next(row for row in perfect.gates if row["gate"] == "better_than_identity")
    inside = [row for row in perfect.scores if row["split"] == "test_internal"]
    assert verdict["threshold"] == 0.0
    assert 0 < verdict["value"] < MAX_PSNR_DB
    assert "people in test_internal" in verdict["detail"]
    assert inside


def test_the_same_evaluation_gives_the_same_rows(home: Home, perfect: Evaluation) -> None:
    again = evaluate(home, Perfect(home), MODEL, protocol())
    assert again == perfect
    ids = [row["event_id"] for row in [*again.scores, *again.gates]]
    assert len(set(ids)) == len(ids)


def test_another_model_or_protocol_is_another_evaluation(home: Home, perfect: Evaluation) -> None:
    other = evaluate(home, Identity(), "fedcba9876543210", protocol(tasks=("T1w_to_T2w",)))
    stricter = evaluate(home, Identity(), MODEL, protocol(tasks=("T1w_to_T2w",), percentiles=(1.0, 99.0)))
    assert len({found.evaluation_id for found in (perfect, other, stricter)}) == 3
    assert identify(MODEL, perfect.data_id, protocol().hash) == perfect.evaluation_id


def test_a_published_evaluation_published_again_has_no_row_twice(home: Home) -> None:
    found = evaluate(home, Identity(), "abababababababab", protocol())
    for _ in range(2):
        parts.append_events(home, "core.evaluation_score", found.scores)
        parts.append_events(home, "core.gate_verdict", found.gates)
    publish(home)
    with Catalogue(home).connect() as connection:
        asked = "SELECT count(*) FROM core.evaluation_score WHERE evaluation_id = $1"
        assert connection.execute(asked, [found.evaluation_id]).fetchone() == (len(found.scores),)
        asked = "SELECT gate, passed FROM core.gate_verdict WHERE model_id = $1 ORDER BY gate"
        rows = connection.execute(asked, [found.model_id]).fetchall()
    assert rows == [("better_than_identity", False), ("prompt_steers", False)]


def test_progress_is_told_after_every_pair(home: Home) -> None:
    told: list[tuple[int, int, str]] = []
    found = evaluate(home, Identity(), MODEL, protocol(tasks=("T1w_to_T2w",)), lambda *said: told.append(said))
    n_pairs = sum(found.n_pairs.values())
    assert told == [(done, n_pairs, "T1w_to_T2w") for done in range(1, n_pairs + 1)]


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_takes_as_many_people_as_it_can(home: Home, limit: int) -> None:
    images = CatalogueImages.open(home, "draft", ["train"])
    pairs = draw_pairs(images, protocol(), "train", limit)
    for task in ("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR"):
        people = [images.items[pair.source].person_id for pair in pairs if pair.task == task]
        assert len(people) == len(set(people)) == limit


def test_another_contrast_is_a_third_one_where_the_visit_has_one(home: Home) -> None:
    images = CatalogueImages.open(home, "draft", ["train"])
    for pair in draw_pairs(images, protocol(), "train", 100):
        other = images.items[other_target(images, pair)]
        visit = [item.contrast_label for item in images.items if item.session_id == other.session_id]
        assert other.session_id == images.items[pair.source].session_id
        assert other.contrast_label != images.items[pair.target].contrast_label
        assert (other.contrast_label == images.items[pair.source].contrast_label) == (len(visit) == 2)


@pytest.mark.parametrize(
    ("make", "more", "named"),
    [
        (Broken, {}, "T1w_to_T2w, images [0-9a-f]{16} and [0-9a-f]{16}: .*NaN"),
        (Identity, {"tasks": ("T1w_to_angio",)}, "no pair of any task"),
        (Identity, {"recipe": "standard"}, "standard"),
    ],
    ids=["a model that gives NaN", "no pair at all", "another recipe"],
)
def test_what_cannot_be_evaluated_is_refused(
    home: Home, make: Callable[[], Identity | Broken], more: dict[str, object], named: str
) -> None:
    with pytest.raises(ModelError, match=named):
        evaluate(home, make(), MODEL, protocol(**more))


def test_a_gate_without_internal_pairs_is_not_passed(home: Home) -> None:
    only_external = evaluate(home, Perfect(home), MODEL, protocol(splits=("test_external",)))
    assert {row["split"] for row in only_external.scores} == {"test_external"}
    assert [(row["passed"], row["value"]) for row in only_external.gates] == [(False, None)] * 2
    assert not only_external.passed
