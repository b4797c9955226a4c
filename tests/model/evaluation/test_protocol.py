"""Protocols: what they say, and that another parameter is another protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.evaluation import metrics
from model.evaluation.protocol import SHIPPED, EvaluationProtocol, contrasts_of, load_protocol
from warehouse.errors import ModelError
from warehouse.prompts.vocabulary import CONTRASTS


@pytest.mark.parametrize("name", ["demo", "quick", "standard"])
def test_a_shipped_protocol_has_ten_tasks_and_every_contrast_is_a_target(name: str) -> None:
    protocol = load_protocol(name)
    assert len(protocol.tasks) == len(set(protocol.tasks)) == 10
    assert {contrasts_of(task)[1] for task in protocol.tasks} == set(CONTRASTS)
    assert [task for task in protocol.tasks if len(contrasts_of(task)[0]) > 1] == ["T1w+T2w_to_FLAIR"]
    assert protocol.name == name


@pytest.mark.parametrize("name", ["demo", "quick"])
def test_small_protocols_ask_for_the_tasks_measures_and_gates_of_the_standard_one(name: str) -> None:
    small, standard = load_protocol(name), load_protocol("standard")
    assert (small.tasks, small.measures, small.gates) == (standard.tasks, standard.measures, standard.gates)
    assert small.hash != standard.hash


@pytest.mark.parametrize(("name", "most"), [("quick", 40), ("demo", 70)])
def test_small_protocols_take_few_syntheses_from_files_and_enough_people_for_the_gates(name: str, most: int) -> None:
    protocol = load_protocol(name)
    assert sum(protocol.max_native_pairs.values()) + protocol.max_steering_pairs <= most
    assert min(protocol.max_native_pairs["acceptance"], protocol.max_steering_pairs) >= 10


CHANGES = {
    "recipe": "draft",
    "tasks": ["T1w_to_T2w"],
    "splits": ["val"],
    "forms": ["native"],
    "max_pairs_per_task": 1,
    "max_native_pairs": {"val": 1},
    "max_rescan_pairs": 1,
    "map_bins": 64,
    "joint_map_bins": 20,
    "max_map_pairs": 1,
    "max_steering_pairs": 1,
    "max_behaviour_pairs": 0,
    "fidelity": {"n_people": 3},
    "n_resamples": 100,
    "confidence": 0.9,
    "seed": 1,
    "gates": {"steering_mae": 0.5},
}


def test_the_hash_knows_every_parameter_but_the_name() -> None:
    assert CHANGES.keys() == EvaluationProtocol.model_fields.keys() - {"name", "measures"}  # measures are fixed
    plain = load_protocol("standard").model_dump()
    hashes = {EvaluationProtocol.model_validate(plain | {key: value}).hash for key, value in CHANGES.items()}
    assert len(hashes | {load_protocol("standard").hash}) == len(CHANGES) + 1
    assert EvaluationProtocol.model_validate(plain | {"name": "other"}).hash == load_protocol("standard").hash
    assert len(load_protocol("standard").hash) == 16


def test_the_file_says_what_the_code_measures() -> None:
    measures = load_protocol("standard").measures
    assert measures.range_percentiles == metrics.PERCENTILES
    assert (measures.nmi_bins, measures.rim_mm) == (metrics.NMI_BINS, metrics.RIM_MM)
    assert measures.version == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("tasks: [T1w-T2w]", "tasks.0"),
        ("tasks: [T1w+T1w_to_T2w]", "names a source twice"),
        ("tasks: [T1w+T2w+PDw_to_FLAIR]", "more than 2"),
        ("tasks: []", "tasks"),
        ("tasks: [T1w_to_T2w]\nsplits: [excluded]", "splits.0"),
        ("tasks: [T1w_to_T2w]\nforms: [draft]", "forms.0"),
        ("tasks: [T1w_to_T2w]\nmax_native_pairs: {excluded: 3}", "max_native_pairs.excluded"),
        ("tasks: [T1w_to_T2w]\npercentile: [1, 99]", "percentile"),
        ("tasks: [T1w_to_T2w]\nmeasures: {nmi_bins: 32}", "nmi_bins is 64 in this version"),
        ("tasks: [T1w_to_T2w]\nmeasures: {range_percentiles: [1, 99]}", "range_percentiles is"),
        ("tasks: [T1w_to_T2w]\nmeasures: {version: 2}", "measures.version"),
        ("tasks: [", "cannot be read"),
    ],
)
def test_a_wrong_protocol_is_refused_by_its_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nrecipe: draft\n{text}\n")
    with pytest.raises(ModelError, match=named):
        load_protocol(str(path))


def test_training_people_may_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nrecipe: draft\ntasks: [T1w_to_T2w]\nsplits: [train, val]\n")
    assert load_protocol(str(path)).splits == ("train", "val")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="cross_validation, demo, quick, standard, validation"):
        load_protocol("demon")
    shipped = ["cross_validation", "demo", "quick", "standard", "validation"]
    assert sorted(path.stem for path in SHIPPED.glob("*.yaml")) == shipped


def test_a_protocol_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_protocol("demo").seed = 3  # type: ignore[misc]
