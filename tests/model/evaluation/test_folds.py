"""Cross-validation tests the people of a fold, whatever their split, beside maps that are fitted on all others."""

from __future__ import annotations

from typing import Any

import pytest

from model.data.catalogue import CatalogueImages, training_hashes
from model.data.folds import CROSS_VALIDATION, DEALT, FOLD_SPLITS, Fold
from model.evaluation import references
from model.evaluation.baselines import BASELINES
from model.evaluation.evaluate import Evaluation, evaluate
from model.evaluation.pairs import repeat_scans
from model.evaluation.protocol import EvaluationProtocol, load_protocol
from tests.model.evaluation.fakes import Constant, protocol
from tests.model.evaluation.test_pairs import images, item
from warehouse.catalog import model_registry
from warehouse.errors import ModelError
from warehouse.lake.home import Home

N_FOLDS = 4
MODEL = "fedcba9876543210"


def asked(**more: Any) -> EvaluationProtocol:
    small = {"tasks": ("T1w_to_T2w",), "forms": ("session",), "max_native_pairs": {}, "max_behaviour_pairs": 0}
    return protocol(splits=(CROSS_VALIDATION,), **small | more)


@pytest.fixture(scope="module")
def folds(peopled_home: Home) -> list[Evaluation]:
    return [evaluate(peopled_home, Constant(), MODEL, asked(), fold=Fold(number, N_FOLDS)) for number in range(N_FOLDS)]


@pytest.mark.slow
def test_every_person_is_tested_once_whatever_the_split(peopled_home: Home, folds: list[Evaluation]) -> None:
    items = {one.image_id: one for one in CatalogueImages.open(peopled_home, "draft", DEALT).items}
    tested = [{items[row["target_image_id"]].person_id for row in found.scores} for found in folds]
    with_both = {items[target].person_id for target in items if items[target].contrast_label == "T2w"}
    assert sum(map(len, tested)) == len(set.union(*tested))
    assert set.union(*tested) == with_both
    assert {items[row["target_image_id"]].split for found in folds for row in found.scores} == set(DEALT)


@pytest.mark.slow
def test_scores_bear_a_split_of_their_own_which_the_catalogue_takes(
    peopled_home: Home, folds: list[Evaluation]
) -> None:
    for found in folds:
        assert {row["split"] for row in found.scores} == {CROSS_VALIDATION}
        assert {row["model_id"] for row in found.scores} == {MODEL, *BASELINES}
        model_registry.record(peopled_home, "core.evaluation_score", found.scores)


@pytest.mark.slow
def test_no_gate_is_decided_on_them(folds: list[Evaluation]) -> None:
    assert {row["verdict"] for found in folds for row in found.gates} == {"not_enough_data"}


def test_pooled_maps_are_fitted_on_the_people_of_other_folds(
    peopled_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, fitted = Fold(2, N_FOLDS), list[Any]()
    draw = references.draw_pairs

    def drawn(*given: Any, **more: Any) -> Any:
        fitted.extend(pairs := draw(*given, **more))
        return pairs

    monkeypatch.setattr(references, "draw_pairs", drawn)
    found = evaluate(peopled_home, Constant(), MODEL, asked(max_map_pairs=100), fold=fold)
    known = CatalogueImages.open(peopled_home, "draft", FOLD_SPLITS, fold=fold)
    tested = {row["target_image_id"] for row in found.scores}
    people = {one.person_id for one in known.items if one.image_id in tested}
    by_map = {known.items[index].person_id for pair in fitted for index in (*pair.sources, pair.target)}
    assert len(by_map) > len(people) > 0
    assert not by_map & people
    assert any(row["model_id"] == "baseline:intensity_map_train" for row in found.scores)


def test_a_model_that_knows_people_of_the_fold_is_refused_with_what_to_do(peopled_home: Home) -> None:
    fold = Fold(0, N_FOLDS)
    held_out, others = (
        CatalogueImages.open(peopled_home, "draft", [split], fold=fold) for split in (CROSS_VALIDATION, "train")
    )
    evaluate(peopled_home, Constant(), MODEL, asked(), trained_on=training_hashes(others.items), fold=fold)
    with pytest.raises(ModelError, match=f"model {MODEL} was trained on") as refusal:
        evaluate(peopled_home, Constant(), MODEL, asked(), trained_on=training_hashes(held_out.items[:1]), fold=fold)
    assert "simulated_share: 1" in refusal.value.remedy


def test_a_model_of_a_fold_is_refused_on_the_usual_splits_of_people_whom_it_knows(peopled_home: Home) -> None:
    others = CatalogueImages.open(peopled_home, "draft", ["train"], fold=Fold(0, N_FOLDS))
    usual = asked().model_copy(update={"splits": ("test_internal", "val")})
    with pytest.raises(ModelError, match="was trained on"):
        evaluate(
            peopled_home,
            Constant(),
            MODEL,
            usual,
            trained_on=training_hashes(others.items),
            fold=Fold(0, N_FOLDS),
        )


def test_a_model_without_a_fold_has_nobody_to_be_tested_on(peopled_home: Home) -> None:
    with pytest.raises(ModelError, match="held out no fold") as refusal:
        evaluate(peopled_home, Constant(), MODEL, asked())
    assert "tumsyn cross-validate" in refusal.value.remedy


def test_only_people_of_the_fold_are_scanned_again() -> None:
    visits = [
        item(person, f"{person} {day}", "T2w", split, session_id=f"{person} {day}")
        for person, split in (("anna", "train"), ("bert", CROSS_VALIDATION))
        for day in ("monday", "friday")
    ]
    known = images(visits)
    assert {pair.split for pair in repeat_scans(known, 9, (CROSS_VALIDATION,))} == {CROSS_VALIDATION}
    assert {pair.split for pair in repeat_scans(known, 9)} == {"train", CROSS_VALIDATION}


def test_the_shipped_protocol_asks_for_the_six_directions_from_file_to_file() -> None:
    shipped = load_protocol("cross_validation")
    assert shipped.is_cross_validation
    contrasts = ("T1w", "T2w", "FLAIR")
    assert set(shipped.tasks) == {f"{one}_to_{other}" for one in contrasts for other in contrasts if one != other}
    assert (shipped.forms, shipped.fidelity.n_people, shipped.map_bins) == (("native",), 0, 128)


def test_a_fold_stands_beside_no_other_split() -> None:
    with pytest.raises(ValueError, match="name it alone"):
        protocol(splits=(CROSS_VALIDATION, "train"))
