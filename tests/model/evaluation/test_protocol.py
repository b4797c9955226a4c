"""Protocols: what they say, and that another parameter is another protocol."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.evaluation.protocol import SHIPPED, DisplayRange, EvaluationProtocol, load_protocol
from warehouse.errors import ModelError
from warehouse.prompts.vocabulary import CONTRASTS


@pytest.mark.parametrize("name", ["demo", "standard"])
def test_a_shipped_protocol_has_eight_tasks_and_every_contrast_is_a_target(name: str) -> None:
    protocol = load_protocol(name)
    assert len(protocol.tasks) == len(set(protocol.tasks)) == 8
    assert {task.split("_to_")[1] for task in protocol.tasks} == set(CONTRASTS)
    assert protocol.name == name


def test_demo_and_standard_ask_for_the_same_tasks_and_scale() -> None:
    demo, standard = load_protocol("demo"), load_protocol("standard")
    assert (demo.tasks, demo.percentiles, demo.gates) == (standard.tasks, standard.percentiles, standard.gates)
    assert demo.hash != standard.hash


def test_the_hash_knows_every_parameter_but_the_name() -> None:
    protocol = load_protocol("demo")
    assert len(protocol.hash) == 16
    assert protocol.model_copy(update={"name": "other"}).hash == protocol.hash
    changed = {"percentiles": (1.0, 99.0), "seed": 1, "tasks": protocol.tasks[:1], "recipe": "standard"}
    hashes = {protocol.model_copy(update={key: value}).hash for key, value in changed.items()}
    assert len(hashes | {protocol.hash}) == 5


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: mine\nrecipe: draft\ntasks: [T1w-T2w]\n", "tasks.0"),
        ("name: mine\nrecipe: draft\ntasks: []\n", "tasks"),
        ("name: mine\nrecipe: draft\ntasks: [T1w_to_T2w]\nsplits: [train]\n", "splits.0"),
        ("name: mine\nrecipe: draft\ntasks: [T1w_to_T2w]\npercentile: [1, 99]\n", "percentile"),
        ("name: [", "cannot be read"),
    ],
    ids=["a task without its two contrasts", "no task", "tested on what was trained", "unknown key", "no YAML"],
)
def test_a_wrong_protocol_is_refused_by_its_key(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=named):
        load_protocol(str(path))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match="demo, quick, standard"):
        load_protocol("demon")
    assert sorted(path.stem for path in SHIPPED.glob("*.yaml")) == ["demo", "quick", "standard"]


def test_the_scale_is_of_the_brain_and_clips_what_lies_beyond() -> None:
    voxels = np.linspace(0, 1, 1001).reshape(7, 11, 13)
    mask = (voxels >= 0.2) & (voxels <= 0.6)
    scale = DisplayRange.of(voxels, mask, (0.5, 99.5))
    assert (scale.low, scale.high) == pytest.approx((0.202, 0.598))
    scaled = scale.apply(voxels)
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)
    assert np.interp(0.4, voxels.ravel(), scaled.ravel()) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("voxels", "mask"),
    [
        (np.ones((3, 4, 5)), np.zeros((3, 4, 5), bool)),
        (np.ones((3, 4, 5)), np.ones((3, 4, 5), bool)),
        (np.full((3, 4, 5), np.nan), np.ones((3, 4, 5), bool)),
        (np.ones((3, 4, 5)), np.ones((3, 4, 6), bool)),
    ],
    ids=["empty mask", "one intensity", "NaN", "another shape"],
)
def test_a_volume_without_a_scale_is_refused(voxels: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(ModelError):
        DisplayRange.of(voxels, mask, (0.5, 99.5))


def test_a_protocol_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_protocol("demo").seed = 3  # type: ignore[misc]
    assert isinstance(load_protocol("demo"), EvaluationProtocol)
