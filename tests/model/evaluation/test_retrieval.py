"""Whether images find their prompts: exact shares, honest chance, and an untrained model that is not let through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.data.catalogue import Item
from model.data.prompt_fields import encode_records
from model.evaluation import retrieval
from model.evaluation.retrieval import Embedded, measure, retrieval_scores, share_found, verdict
from model.networks.checkpoint import save_model
from model.networks.pair_encoder import Matcher, build
from tests.model.tiny_home import RECIPE
from tests.model.training.test_text_encoder import TINY
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

UNIT = BrainScale(0.5, 0.4)

T2W = PromptRecord("T2w", repetition_time_s=3.0, echo_time_s=0.09, flip_angle_deg=120.0)
T1W = PromptRecord("T1w", repetition_time_s=2.0, echo_time_s=0.003, inversion_time_s=0.9, flip_angle_deg=8.0)


class Clairvoyant(Matcher):
    """Embeds records by what they say, so that an image with its record's vector finds it; or blindly."""

    def __init__(self, is_blind: bool = False) -> None:
        self.is_blind = is_blind

    def embed_records(self, records: Any) -> NDArray[np.float32]:
        batch = encode_records(records)
        numbers = batch.numbers.log().nan_to_num(0.0).numpy() / 20
        contrasts = np.eye(9)[batch.categories[:, 0].numpy()]
        vectors = np.concatenate([contrasts, numbers], axis=1) * (0 if self.is_blind else 1)
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(length, 1e-9), np.float32)


def item(number: int, record: PromptRecord, person: str = "") -> Item:
    label = f"ce{record.contrast}" if record.post_contrast else str(record.contrast)
    identity = f"{number:016d}"
    return Item(identity, "a", f"a/{number}", person or str(number), "val", label, record, True, Path("nowhere"), UNIT)


def embedded(records: list[PromptRecord], matcher: Matcher) -> Embedded:
    return Embedded([item(number, record) for number, record in enumerate(records)], matcher.embed_records(records))


def rows(records: list[PromptRecord], is_blind: bool = False) -> dict[tuple[str, int, str], dict[str, Any]]:
    matcher = Clairvoyant(is_blind)
    found = embedded(records, matcher)
    return {(row["task"], row["n_candidates"], row["metric"]): row for row in measure(matcher, found, found.items)}


def many() -> list[PromptRecord]:
    """Twelve different prompts of two contrasts."""
    echoes = [replace(T2W, echo_time_s=0.05 * 1.25**step) for step in range(6)]
    return echoes + [replace(T1W, repetition_time_s=1.0 * 1.25**step) for step in range(6)]


def test_one_who_knows_finds_everything() -> None:
    found = rows(many())
    assert found["image_to_prompt", 12, "recall_at_1"]["value"] == 1
    assert found["image_to_prompt", 10, "recall_at_1"]["value"] == 1
    assert found["image_to_contrast", 8, "recall_at_1"]["value"] == 1
    assert found["image_to_echo_time", 2, "recall_at_1"]["value"] == 1


def test_one_who_is_blind_finds_no_prompt_since_a_tie_is_no_find() -> None:
    found = rows(many(), is_blind=True)
    assert found["image_to_prompt", 12, "recall_at_1"]["value"] == 0
    assert found["image_to_prompt", 10, "recall_at_5"]["value"] == 0
    assert found["image_to_echo_time", 2, "recall_at_1"]["value"] == 0


def test_chance_is_stated_and_lies_within_what_guessing_gives() -> None:
    found = rows(many())
    assert found["image_to_prompt", 12, "recall_at_1"]["chance"] == pytest.approx(1 / 12)
    assert found["image_to_prompt", 10, "recall_at_5"]["chance"] == pytest.approx(0.5)
    assert found["image_to_echo_time", 2, "recall_at_1"]["chance"] == 0.5
    assert found["image_to_contrast", 8, "recall_at_1"]["chance"] == pytest.approx(0.5)  # always the same answer
    assert rows([*many(), *[T1W] * 12])["image_to_contrast", 8, "recall_at_1"]["chance"] == pytest.approx(0.75)


def test_images_with_the_same_prompt_are_no_competitors() -> None:
    found = rows([T1W, T1W, T1W, T2W])
    assert found["image_to_prompt", 2, "recall_at_1"]["value"] == 1
    assert found["image_to_prompt", 2, "recall_at_1"]["n_queries"] == 4


def test_one_prompt_alone_is_no_task() -> None:
    assert {task for task, _, _ in rows([T1W, T1W])} == {"image_to_contrast"}


def test_a_number_is_told_from_those_of_other_scans_of_its_contrast_only() -> None:
    near = [replace(T2W, echo_time_s=value) for value in (0.09, 0.1)]  # less than a fifth apart
    assert ("image_to_echo_time", 2, "recall_at_1") not in rows([*near, T1W])
    apart = rows([*near, replace(T2W, echo_time_s=0.2), T1W])
    assert apart["image_to_echo_time", 2, "recall_at_1"]["n_queries"] == 3


def test_people_count_alike_however_many_scans_they_have() -> None:
    matcher = Clairvoyant()
    records = [T2W, T2W, T2W, T1W]
    vectors = matcher.embed_records([T2W, T2W, T2W, T2W])  # the scan of the second person looks like a T2w
    items = [item(number, record, "AAAB"[number]) for number, record in enumerate(records)]
    row = next(row for row in measure(matcher, Embedded(items, vectors), items) if row["task"] == "image_to_contrast")
    assert row["value"] == 0.5
    assert (row["n_queries"], row["n_people"]) == (4, 2)
    assert (row["low"], row["high"]) == (None, None)  # of two people no interval is given


def test_no_images_give_no_rows_and_no_pass() -> None:
    nothing = Embedded([], np.empty((0, 18), np.float32))
    assert list(measure(Clairvoyant(), nothing, [])) == []
    assert verdict(Clairvoyant(), nothing)["passed"] is False


def of_people(records: list[PromptRecord], matcher: Clairvoyant, n_people: int) -> Embedded:
    """Return the same images of each of several people."""
    items = [item(0, record, f"P{person}") for person in range(n_people) for record in records]
    items = [replace(one, split="test_internal") for one in items]
    return Embedded(items, np.concatenate([matcher.embed_records(records)] * n_people))


@pytest.mark.parametrize(
    ("n_people", "is_blind", "expected"),
    [
        pytest.param(12, False, "passed", id="twelve people"),
        pytest.param(12, True, "failed", id="an encoder that sees nothing"),
        pytest.param(9, False, "not_enough_data", id="nine people"),
    ],
)
def test_the_gate_asks_that_the_interval_over_people_lies_above_chance(
    n_people: int, is_blind: bool, expected: str
) -> None:
    matcher = Clairvoyant(is_blind)
    found = verdict(matcher, of_people([T1W, T2W], matcher, n_people))
    assert found["verdict"] == expected, found["detail"]


def test_clustered_people_pass_without_skill_no_more_often_than_nominally() -> None:
    """Twelve people with three contrasts each, found all or none, a third of them: nominally 2.5 % pass."""
    matcher, rng, n_trials, passed = Clairvoyant(), np.random.default_rng(0), 400, []
    flair = PromptRecord("FLAIR")
    sight = {known: matcher.embed_records(known) for known in ((T1W, T2W, flair), (T2W, flair, T1W))}
    found = of_people([T1W, T2W, flair], matcher, 12)
    right, wrong = (sight[order] for order in ((T1W, T2W, flair), (T2W, flair, T1W)))
    for _ in range(n_trials):
        vectors = np.concatenate([right if lucky else wrong for lucky in rng.random(12) < 1 / 3])
        passed.append(verdict(matcher, replace(found, images=vectors))["passed"])
    assert np.mean(passed) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / n_trials)
    assert any(passed)  # the gate is no wall


def test_simulated_people_do_not_stand_in_for_real_test_people() -> None:
    matcher = Clairvoyant()
    simulated = of_people([T1W, T2W], matcher, 12)
    items = [replace(one, split="acceptance") for one in simulated.items]
    real = [replace(one, is_simulated=False, person_id=f"real {one.person_id}") for one in simulated.items]
    both = Embedded(items + real, np.concatenate([simulated.images] * 2))
    assert "12 people in acceptance" in verdict(matcher, Embedded(items, simulated.images))["detail"]
    assert "12 people in test_internal" in verdict(matcher, both)["detail"]


def test_the_share_over_all_draws_is_what_drawing_gives() -> None:
    random = np.random.default_rng(0)
    for n_better, n_others, n_candidates, n_best in ((0, 30, 10, 1), (3, 30, 10, 1), (12, 30, 10, 5), (30, 30, 10, 5)):
        draws = [random.permutation(n_others)[: n_candidates - 1] for _ in range(4000)]
        drawn = np.mean([(draw < n_better).sum() < n_best for draw in draws])
        exact = share_found(np.array([n_better]), n_others, n_candidates, n_best)[0]
        assert exact == pytest.approx(drawn, abs=0.03)


@pytest.fixture(scope="module")
def checkpoint(tiny_home: Home) -> Path:
    """An untrained text encoder."""
    torch.manual_seed(0)
    network = build(TINY.sizes)
    facts = {"architecture": TINY.sizes, "box": {"shape": [12, 14, 12], "voxel_mm": 6.0}}
    return save_model(tiny_home, "text_encoder", network.state_dict(), facts | {"recipe_id": RECIPE}, {})[1]


def test_rows_fit_the_catalogue_and_are_the_same_every_time(tiny_home: Home, checkpoint: Path, tmp_path: Path) -> None:
    one, other = (retrieval_scores(tiny_home, checkpoint) for _ in range(2))
    assert one == other
    assert one.model_id == checkpoint.name
    assert {row["split"] for row in one.scores} >= {"test_external"}
    assert len({row["event_id"] for row in one.scores}) == len(one.scores) > 5
    somewhere = Home(tmp_path / "home")
    assert parts.append_events(somewhere, "core.retrieval_score", one.scores)
    assert parts.append_events(somewhere, "core.gate_verdict", one.gates)


def test_an_untrained_encoder_is_not_let_through(tiny_home: Home, checkpoint: Path) -> None:
    [gate] = retrieval_scores(tiny_home, checkpoint).gates
    assert (gate["gate"], gate["passed"]) == ("image_finds_its_contrast", False)
    assert "chance is" in gate["detail"]


def test_progress_is_told_image_by_image(tiny_home: Home, checkpoint: Path) -> None:
    told: list[tuple[int, int]] = []
    retrieval_scores(tiny_home, checkpoint, report=lambda done, total, what: told.append((done, total)))
    assert [done for done, _ in told] == list(range(told[0][1]))


def test_of_many_images_a_thousand_are_drawn_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "MAX_IMAGES", 5)
    items = [item(number, T1W) for number in range(40)]
    first, again, other = (retrieval._drawn(items, seed) for seed in (0, 0, 1))
    assert len(first) == 5
    assert first == again
    assert first != other


def test_a_model_without_image_tower_is_refused(tiny_home: Home, checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="no text encoder None"):
        Matcher({"model_id": "x", "architecture": {"text": {}}}, {})
