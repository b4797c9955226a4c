"""The evaluation of a text encoder over a home: rows that fit the catalogue, gates, and an untrained model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.data.boxes import Box
from model.data.catalogue import Item
from model.evaluation.retrieval import (
    UNSEEN,
    Retrieval,
    catalogue_rows,
    contrast_verdict,
    drawn_images,
    echo_verdict,
    retrieval_scores,
    scan_rows,
)
from model.evaluation.retrieval_protocol import PRESETS, RetrievalProtocol, retrieval_protocol
from model.evaluation.scorers import Encoder, Seen
from model.networks.checkpoint import save_model
from model.networks.pair_encoder import Matcher, build
from tests.model.evaluation.seen import Clairvoyant, drawn_records, observer, scans, without_signals
from tests.model.tiny_home import RECIPE
from tests.model.training.test_text_encoder import TINY
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord, contrast_label

UNIT = BrainScale(0.5, 0.4)
T2W = PromptRecord("T2w", repetition_time_s=3.0, echo_time_s=0.09, flip_angle_deg=120.0)
T1W = PromptRecord("T1w", repetition_time_s=2.0, echo_time_s=0.003, inversion_time_s=0.9, flip_angle_deg=8.0)
SMALL = RetrievalProtocol(
    name="small", n_candidates=(10,), n_people=3, scans_per_person=8, n_probe_people=0, n_prior=14, n_swept=3
)


def item(number: int, record: PromptRecord, person: str = "", split: str = "val") -> Item:
    label = str(contrast_label(record.contrast, record.post_contrast))
    identity = f"{number:016d}"
    return Item(identity, "a", f"a/{number}", person or str(number), split, label, record, True, Path("nowhere"), UNIT)


def of_people(records: list[PromptRecord], encoder: Encoder, n_people: int) -> tuple[list[Item], Seen]:
    """Return the same images of each of several people."""
    items = [item(0, record, f"P{person}", "test_internal") for person in range(n_people) for record in records]
    return items, seen_of(items, encoder)


def seen_of(items: list[Item], encoder: Encoder) -> Seen:
    records, people = [one.record for one in items], [one.person_id for one in items]
    return without_signals(records, people, encoder.vectors(records))


@pytest.mark.parametrize(
    ("n_people", "is_blind", "expected"),
    [
        pytest.param(12, False, "passed", id="twelve people"),
        pytest.param(12, True, "failed", id="an encoder that sees nothing"),
        pytest.param(9, False, "not_enough_data", id="nine people"),
        pytest.param(0, False, "not_enough_data", id="nobody"),
    ],
)
def test_the_gate_asks_that_the_interval_over_people_lies_above_chance(
    n_people: int, is_blind: bool, expected: str
) -> None:
    encoder = Encoder(Clairvoyant(is_blind))
    items, seen = of_people([T1W, T2W], encoder, max(n_people, 1))
    found = contrast_verdict(encoder, items[: 2 * n_people], seen.at(range(2 * n_people)))
    assert found["verdict"] == expected, found["detail"]


def test_clustered_people_pass_without_skill_no_more_often_than_nominally() -> None:
    """Twelve people with three contrasts each, found all or none, a third of them: nominally 2.5 % pass."""
    encoder, rng, n_trials, passed = Encoder(Clairvoyant()), np.random.default_rng(0), 400, []
    flair = PromptRecord("FLAIR")
    right, wrong = encoder.vectors([T1W, T2W, flair]), encoder.vectors([T2W, flair, T1W])
    items, seen = of_people([T1W, T2W, flair], encoder, 12)
    for _ in range(n_trials):
        vectors = np.concatenate([right if lucky else wrong for lucky in rng.random(12) < 1 / 3])
        passed.append(contrast_verdict(encoder, items, replace(seen, vectors=vectors))["passed"])
    assert np.mean(passed) <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / n_trials)
    assert any(passed)  # the gate is no wall


def test_simulated_people_do_not_stand_in_for_real_test_people() -> None:
    encoder = Encoder(Clairvoyant())
    items, _ = of_people([T1W, T2W], encoder, 12)
    simulated = [replace(one, split="acceptance") for one in items]
    real = [replace(one, is_simulated=False, person_id=f"real {one.person_id}") for one in items]
    both = simulated + real
    alone = contrast_verdict(encoder, simulated, seen_of(simulated, encoder))
    assert "12 people in acceptance" in alone["detail"]
    assert "12 people in test_internal" in contrast_verdict(encoder, both, seen_of(both, encoder))["detail"]


@pytest.mark.slow
def test_real_and_simulated_people_and_whole_and_stripped_heads_are_apart() -> None:
    encoder = Encoder(Clairvoyant())
    items = [
        replace(item(number, record), is_simulated=number % 2 == 0, is_stripped=number % 4 < 2)
        for number, record in enumerate(drawn_records(56))
    ]
    found = list(catalogue_rows(encoder, observer(14), items, seen_of(items, encoder), SMALL))
    groups = {(row["population"], row["form"]) for row in found}
    assert groups == {("real", "whole"), ("real", "stripped"), ("simulated", "whole"), ("simulated", "stripped")}
    assert {row["n_queries"] for row in found if row["task"] == "image_to_prompt"} == {14}


def test_echo_times_are_told_apart_by_one_who_knows_them() -> None:
    knowing, blind = Encoder(Clairvoyant()), Encoder(Clairvoyant(is_blind=True))
    tested = scans(140)
    assert echo_verdict(knowing, replace(tested, vectors=knowing.vectors(tested.records)))["verdict"] == "passed"
    assert echo_verdict(blind, replace(tested, vectors=blind.vectors(tested.records)))["verdict"] == "failed"
    assert echo_verdict(knowing, tested.at([]))["verdict"] == "not_enough_data"
    few = tested.at(range(14))
    assert echo_verdict(knowing, replace(few, vectors=knowing.vectors(few.records)))["verdict"] == "not_enough_data"


@pytest.mark.slow
def test_scans_have_every_figure_beside_the_observer_s() -> None:
    encoder, tested = Encoder(Clairvoyant()), scans(84)
    tested = replace(tested, vectors=encoder.vectors(tested.records))
    found = list(scan_rows(encoder, observer(70), tested, [], SMALL))
    tasks = {row["task"] for row in found}
    assert {"image_to_prompt", "prompt_to_image", "image_to_contrast", "one_field", "smoothness", "robustness"} <= tasks
    told = [row for row in found if row["task"] in ("image_to_prompt", "prompt_to_image", "one_field")]
    assert all(row["ideal"] is not None for row in told)
    assert list(scan_rows(encoder, observer(7), tested.at([]), [], SMALL)) == []


def test_of_many_images_so_many_are_drawn_the_same_each_time() -> None:
    items = [item(number, T1W) for number in range(40)]
    protocols = [SMALL.model_copy(update={"max_images": 5, "seed": seed}) for seed in (0, 0, 1)]
    first, again, other = (drawn_images(items, protocol) for protocol in protocols)
    assert len(first) == 5
    assert first == again
    assert first != other


def test_protocols_differ_by_what_they_do_and_not_by_their_names() -> None:
    assert len({protocol.hash for protocol in PRESETS.values()}) == len(PRESETS)
    assert SMALL.hash == SMALL.model_copy(update={"name": "other"}).hash
    assert retrieval_protocol("/somewhere/demo.yaml") is PRESETS["demo"]
    assert retrieval_protocol("my_own") is PRESETS["standard"]


@pytest.fixture(scope="module")
def checkpoint(tiny_home: Home) -> Path:
    """An untrained text encoder."""
    torch.manual_seed(0)
    network = build(TINY.sizes)
    facts = {"architecture": TINY.sizes, "box": {"shape": list(TINY.box_voxels), "voxel_mm": TINY.box_mm}}
    return save_model(tiny_home, "text_encoder", network.state_dict(), facts | {"recipe_id": RECIPE}, {})[1]


@dataclass(frozen=True)
class Blob:
    """A simulated scan whose volume is noise."""

    volume: NDArray[np.float32]
    record: PromptRecord
    signals: NDArray[np.float64]
    person: str
    is_stripped: bool


class Blobs:
    """Scans without heads."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def tested(self, n_people: int, n_each: int) -> Iterator[Blob]:
        seen = scans(n_people * n_each, 1, n_each)
        for number, record in enumerate(seen.records):
            volume = np.random.default_rng(number).random(self.box.shape).astype(np.float32)
            yield Blob(volume, record, seen.signals[number], seen.people[number], False)

    def trained(self, n_people: int, n_each: int) -> Iterator[Blob]:
        return self.tested(n_people, n_each)

    def prior(self, n: int) -> list[PromptRecord]:
        return drawn_records(n)


def evaluated(home: Home, checkpoint: Path, **options: Any) -> Retrieval:
    return retrieval_scores(home, checkpoint, SMALL, scans=Blobs, **options)


@pytest.mark.slow
def test_rows_fit_the_catalogue_and_are_the_same_every_time(tiny_home: Home, checkpoint: Path, tmp_path: Path) -> None:
    one, other = (evaluated(tiny_home, checkpoint) for _ in range(2))
    assert (one.scores, one.gates) == (other.scores, other.gates)
    assert one.model_id == checkpoint.name
    assert {row["split"] for row in one.scores} >= {"test_external", UNSEEN}
    assert len({row["event_id"] for row in one.scores}) == len(one.scores) > 5
    assert one.examples
    somewhere = Home(tmp_path / "home")
    assert parts.append_events(somewhere, "core.retrieval_score", one.scores)
    assert parts.append_events(somewhere, "core.gate_verdict", one.gates)


@pytest.mark.slow
def test_an_untrained_encoder_is_not_let_through(tiny_home: Home, checkpoint: Path) -> None:
    gates = {gate["gate"]: gate for gate in evaluated(tiny_home, checkpoint).gates}
    assert set(gates) == {"image_finds_its_contrast", "tells_echo_times_apart"}
    assert not any(gate["passed"] for gate in gates.values())
    assert "chance is" in gates["image_finds_its_contrast"]["detail"]


@pytest.mark.slow
def test_progress_is_told_image_by_image(tiny_home: Home, checkpoint: Path) -> None:
    told: list[tuple[int, int]] = []
    evaluated(tiny_home, checkpoint, report=lambda done, total, what: told.append((done, total)))
    assert [done for done, _ in told] == list(range(told[0][1]))


def test_a_model_without_image_tower_is_refused() -> None:
    with pytest.raises(ModelError):
        Matcher({"model_id": "x", "architecture": {"name": "fields", "text": {}}}, {})
