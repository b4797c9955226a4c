"""An evaluation: known models get the figures that they must, and the rows are the same every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest

from model.data.catalogue import CatalogueImages, training_hashes
from model.evaluation.baselines import BASELINES, IDENTITY, MAP_ORACLE, MAP_TRAIN, START
from model.evaluation.evaluate import Evaluation, evaluate, identify
from model.evaluation.metrics import HIGHER_IS_BETTER, MAX_PSNR_DB
from tests.model.evaluation.fakes import Broken, Constant, Fake, Identity, Perfect, protocol
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.errors import ModelError
from warehouse.lake import parts
from warehouse.lake.home import Home

pytestmark = pytest.mark.slow  # its fixtures take seconds

MODEL = "0123456789abcdef"
ONE_TASK = {"tasks": ("T1w_to_T2w",)}


@pytest.fixture(scope="module")
def perfect(native_home: Home) -> Evaluation:
    return evaluate(native_home, Perfect(native_home), MODEL, protocol())


@pytest.fixture(scope="module")
def identity(native_home: Home) -> Evaluation:
    return evaluate(native_home, Identity(native_home), MODEL, protocol())


def values(
    found: Evaluation, model_id: str, metric: str = "psnr_db", mask: str = "brain", form: str = "session"
) -> dict[tuple[str, ...], float]:
    return {
        (row["task"], *row["source_image_ids"], row["target_image_id"]): row["value"]
        for row in found.scores
        if (row["model_id"], row["metric"], row["mask"], row["form"]) == (model_id, metric, mask, form)
    }


def test_a_model_that_knows_the_truth_has_the_highest_figures(perfect: Evaluation) -> None:
    assert set(values(perfect, MODEL).values()) == {MAX_PSNR_DB}
    assert min(values(perfect, MODEL, "ssim").values()) == pytest.approx(1)
    assert set(values(perfect, MODEL, "mae", "volume").values()) == {0.0}
    assert min(values(perfect, MODEL, form="native").values()) > 55  # a spline is evaluated at its knots
    assert {row["verdict"] for row in perfect.gates} == {"not_enough_data"}  # the home has fewer than ten test people


@pytest.mark.parametrize("form", ["native", "session"])
def test_a_model_that_gives_the_source_back_has_the_figures_of_the_identity(identity: Evaluation, form: str) -> None:
    assert values(identity, MODEL, form=form) == pytest.approx(values(identity, IDENTITY, form=form))
    assert values(identity, MODEL, form=form)
    assert not all(row["passed"] for row in identity.gates)


@pytest.mark.parametrize("form", ["native", "session"])
def test_a_worse_model_has_worse_figures(native_home: Home, form: str) -> None:
    means = []
    for spoil in (0.05, 0.2):
        found = evaluate(native_home, Perfect(native_home, spoil=spoil), MODEL, protocol(**ONE_TASK))
        means.append(
            [np.mean([*values(found, MODEL, metric, form=form).values()]) for metric in ("psnr_db", "ssim", "mae")]
        )
    psnr, ssim, mae = zip(*means, strict=True)
    assert psnr[0] > psnr[1]
    assert ssim[0] > ssim[1]
    assert mae[0] < mae[1]


@pytest.mark.parametrize("form", ["native", "session"])
def test_no_map_of_intensities_is_better_than_the_one_fitted_on_the_test_volume(perfect: Evaluation, form: str) -> None:
    oracle, fitted = values(perfect, MAP_ORACLE, form=form), values(perfect, MAP_TRAIN, form=form)
    assert oracle.keys() == fitted.keys() != set()
    assert all(oracle[key] >= fitted[key] - 1e-9 for key in oracle)
    assert np.mean([*fitted.values()]) > np.mean([*values(perfect, IDENTITY, form=form).values()]) + 3


def test_every_pair_has_every_baseline_measure_and_mask_in_both_forms(perfect: Evaluation) -> None:
    counted: dict[tuple[str, ...], set[tuple[str, str, str]]] = defaultdict(set)
    for row in perfect.scores:
        if row["metric"] in HIGHER_IS_BETTER:
            key = (row["form"], row["task"], *row["source_image_ids"], row["target_image_id"])
            counted[key].add((row["model_id"], row["metric"], row["mask"]))
    everything = {(name, metric, "brain") for name in (MODEL, *BASELINES) for metric in HIGHER_IS_BETTER}
    everything |= {(name, metric, "volume") for name in (MODEL, *BASELINES) for metric in ("psnr_db", "ssim", "mae")}
    assert all(found == everything for found in counted.values())
    assert {form for form, *_ in counted} == {"native", "session"}


def test_a_task_without_test_pairs_is_said_to_have_none(perfect: Evaluation) -> None:
    assert perfect.untested == [("T1w_to_angio", "test_internal"), ("T1w_to_angio", "test_external")]


def test_pairs_and_people_are_counted_by_form_split_population_and_task(perfect: Evaluation) -> None:
    found = {(one.form, one.split, one.is_simulated, one.task): (one.n_pairs, one.n_people) for one in perfect.tested}
    assert found["session", "test_external", True, "T1w_to_T2w"] == (2, 2)
    assert {is_simulated for _, _, is_simulated, _ in found} == {True}
    assert sum(n_pairs for n_pairs, _ in found.values()) == len(
        {(row["form"], row["task"], *row["source_image_ids"], row["target_image_id"]) for row in perfect.scores}
    )


def test_nothing_that_was_trained_on_is_tested(native_home: Home, perfect: Evaluation) -> None:
    items = CatalogueImages.open(native_home, "draft", ["train", "val", "test_internal", "test_external"]).items
    split_of = {item.image_id: item.split for item in items}
    for row in perfect.scores:
        assert {split_of[row["target_image_id"]], *map(split_of.get, row["source_image_ids"])} == {row["split"]}
    assert {row["split"] for row in perfect.scores} == {"test_internal", "test_external"}


def test_training_people_are_scored_where_the_protocol_asks_and_are_no_leak(native_home: Home) -> None:
    images = CatalogueImages.open(native_home, "draft", ["train"])
    asked = protocol(**ONE_TASK, splits=("train", "test_internal"), forms=("session",), max_pairs_per_task=2)
    found = evaluate(native_home, Constant(), MODEL, asked, trained_on=training_hashes(images.items))
    assert {one.split for one in found.tested} == {"train", "test_internal"}
    assert found.gates
    assert all("test_internal" in row["detail"] for row in found.gates)


def test_a_model_that_ignores_the_prompt_is_not_steered(identity: Evaluation, perfect: Evaluation) -> None:
    assert set(values(identity, MODEL, "steering_mae", form="native").values()) == {0.0}
    assert min(values(perfect, MODEL, "steering_mae", form="native").values()) > 0.05
    assert min(values(perfect, MODEL, "steering_gain_db", form="native").values()) > 0
    assert [row["value"] for row in identity.gates if row["gate"] == "prompt_steers"] == [0.0]


def test_behaviour_is_measured_on_the_gated_pairs(identity: Evaluation, perfect: Evaluation) -> None:
    assert min(values(identity, MODEL, "identity_psnr_db").values()) == MAX_PSNR_DB
    for found in (identity, perfect):
        for name in ("irrelevant_age", "irrelevant_vendor", "irrelevant_sex"):
            assert max(values(found, MODEL, name).values()) == pytest.approx(0.0, abs=1e-6)
        rows = [row for row in found.scores if row["metric"].startswith(("identity", "irrelevant"))]
        assert {row["split"] for row in rows} == {"test_internal"}
        assert {row["model_id"] for row in rows} == {MODEL}


def test_without_gated_people_behaviour_is_measured_on_the_first_split(native_home: Home) -> None:
    asked = protocol(**ONE_TASK, splits=("train",), forms=("session",), max_pairs_per_task=1, max_behaviour_pairs=1)
    found = evaluate(native_home, Identity(native_home), MODEL, asked)
    assert {row["split"] for row in found.scores if row["metric"] == "identity_psnr_db"} == {"train"}


def test_steering_alone_does_not_make_a_good_model(native_home: Home) -> None:
    shades = Constant(by_contrast={"T1w": -2.0, "T2w": 2.0, "FLAIR": -2.0})
    verdicts = {row["gate"]: row for row in evaluate(native_home, shades, MODEL, protocol()).gates}
    assert verdicts["prompt_steers"]["value"] > verdicts["prompt_steers"]["threshold"]
    assert verdicts["better_than_identity"]["value"] < verdicts["better_than_identity"]["threshold"]


def test_a_verdict_has_its_figure_and_what_it_was_held_against(perfect: Evaluation) -> None:
    verdict = next(row for row in perfect.gates if row["gate"] == "better_than_identity")
    assert verdict["threshold"] == 0.0
    assert 0 < verdict["value"] < MAX_PSNR_DB
    assert "people in test_internal (simulated)" in verdict["detail"]


def test_the_same_evaluation_gives_the_same_rows(native_home: Home, perfect: Evaluation) -> None:
    again = evaluate(native_home, Perfect(native_home), MODEL, protocol())
    assert again == perfect
    ids = [row["event_id"] for row in [*again.scores, *again.gates]]
    assert len(set(ids)) == len(ids)


def test_another_model_or_protocol_is_another_evaluation(native_home: Home, perfect: Evaluation) -> None:
    few = ONE_TASK | {"forms": ("session",)}
    other = evaluate(native_home, Constant(), "fedcba9876543210", protocol(**few))
    wider = evaluate(native_home, Constant(), MODEL, protocol(**few, map_bins=32))
    assert len({found.evaluation_id for found in (perfect, other, wider)}) == 3
    assert not {row["event_id"] for row in other.scores} & {row["event_id"] for row in wider.scores}
    assert identify(MODEL, perfect.data_id, protocol().hash) == perfect.evaluation_id


def test_a_published_evaluation_published_again_has_no_row_twice(native_home: Home) -> None:
    found = evaluate(native_home, Constant(), "abababababababab", protocol())
    for _ in range(2):
        parts.append_events(native_home, "core.evaluation_score", found.scores)
        parts.append_events(native_home, "core.gate_verdict", found.gates)
    publish(native_home)
    with Catalogue(native_home).connect() as connection:
        asked = "SELECT count(*), count(DISTINCT form) FROM core.evaluation_score WHERE evaluation_id = $1"
        assert connection.execute(asked, [found.evaluation_id]).fetchone() == (len(found.scores), 2)
        asked = "SELECT gate, passed FROM core.gate_verdict WHERE model_id = $1 ORDER BY gate"
        rows = connection.execute(asked, [found.model_id]).fetchall()
    assert rows == [("better_than_identity", False), ("prompt_steers", False)]


def test_progress_is_told_after_every_pair(native_home: Home) -> None:
    told: list[tuple[int, int, str]] = []
    found = evaluate(native_home, Constant(), MODEL, protocol(**ONE_TASK), lambda *said: told.append(said))
    n_pairs = sum(one.n_pairs for one in found.tested)
    assert [done for done, _, _ in told] == [*range(1, len(told) + 1)]
    assert {total for _, total, _ in told} == {len(told)}
    asked = [what for _, _, what in told]
    assert len([what for what in asked if not what.endswith("behaviour")]) == n_pairs
    assert set(asked) == {f"T1w_to_T2w, {what}" for what in ("behaviour", "native", "session")}


class OneSource(Constant):
    """Takes one source."""

    max_sources = 1


class Cut(Constant):
    """Gives a volume of another shape."""

    def volume(self, *arguments: object) -> np.ndarray:
        return super().volume(*arguments)[:-1]  # type: ignore[arg-type]


def test_a_task_with_more_sources_than_a_model_takes_has_its_baselines_and_no_figure_of_the_model(
    native_home: Home,
) -> None:
    asked = protocol(tasks=("T1w_to_FLAIR", "T1w+T2w_to_FLAIR"))
    found = evaluate(native_home, OneSource(), MODEL, asked)
    assert found.unsupported == ["T1w+T2w_to_FLAIR"]
    names = defaultdict(set)
    for row in found.scores:
        names[row["task"]].add(row["model_id"])
    assert names == {"T1w_to_FLAIR": {MODEL, *BASELINES}, "T1w+T2w_to_FLAIR": {*BASELINES}}
    assert evaluate(native_home, Constant(), MODEL, asked).unsupported == []


def test_the_map_of_two_sources_is_at_least_as_good_as_that_of_one(native_home: Home) -> None:
    asked = protocol(tasks=("T1w_to_FLAIR", "T1w+T2w_to_FLAIR"), forms=("session",), joint_map_bins=128)
    found = evaluate(native_home, OneSource(), MODEL, asked)
    one, two = ({key[-1]: value for key, value in values(found, MAP_ORACLE).items() if key[0] == task}
                for task in asked.tasks)  # fmt: skip
    assert one.keys() == two.keys() != set()
    assert all(two[target] >= one[target] - 1e-9 for target in one)


@pytest.mark.parametrize(
    ("make", "more", "named"),
    [
        (Broken, {}, "T1w_to_T2w, images [0-9a-f]{16} and [0-9a-f]{16}: .*NaN"),
        (Broken, {"forms": ("session",)}, "T1w_to_T2w, images [0-9a-f]{16} and [0-9a-f]{16}: .*NaN"),
        (Cut, {"forms": ("session",)}, r"T1w_to_T2w, images .*: the model made \(20, 25, 19\) of \(21, 25, 19\)"),
        (Constant, {"tasks": ("T1w_to_angio",)}, "no pair of any task"),
        (Constant, {"recipe": "standard"}, "standard"),
    ],
    ids=["NaN from files", "NaN on the session's grid", "another shape", "no pair at all", "another recipe"],
)
def test_what_cannot_be_evaluated_is_refused(
    native_home: Home, make: Callable[[], Fake], more: dict[str, object], named: str
) -> None:
    with pytest.raises(ModelError, match=named):
        evaluate(native_home, make(), MODEL, protocol(**more))


def test_a_gate_without_internal_pairs_is_not_passed(native_home: Home) -> None:
    only_external = evaluate(native_home, Perfect(native_home), MODEL, protocol(splits=("test_external",)))
    assert {row["split"] for row in only_external.scores} == {"test_external"}
    assert [(row["passed"], row["value"]) for row in only_external.gates] == [(False, None)] * 2
    assert not all(row["passed"] for row in only_external.gates)


def test_a_home_without_files_has_figures_of_the_session_form_alone(peopled_home: Home) -> None:
    found = evaluate(peopled_home, Constant(), MODEL, protocol(**ONE_TASK))
    assert {row["form"] for row in found.scores} == {"session"}
    assert found.n_files_absent == sum(one.n_pairs for one in found.tested)
    assert {row["verdict"] for row in found.gates} == {"not_enough_data"}


def test_the_model_that_a_training_began_with_is_measured_beside_it_and_judged_on_the_labs_people(
    native_home: Home,
) -> None:
    asked = protocol(**ONE_TASK)
    model, start = Perfect(native_home), Identity(native_home)
    found = evaluate(native_home, model, MODEL, asked, start=start)
    assert values(found, START, form="native") == pytest.approx(values(found, IDENTITY, form="native"))
    assert values(found, START, form="native")
    assert not values(found, START, form="session")
    [gate] = [row for row in found.gates if row["gate"] == "better_than_start"]
    assert gate["value"] > 1
    elsewhere = evaluate(native_home, model, MODEL, asked, start=start, centers=["nowhere"])
    [gate] = [row for row in elsewhere.gates if row["gate"] == "better_than_start"]
    assert (gate["verdict"], gate["value"]) == ("not_enough_data", None)
    assert "better_than_start" not in {row["gate"] for row in evaluate(native_home, model, MODEL, asked).gates}
