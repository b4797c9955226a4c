"""Checkpoints come back as they were written, or are refused with what to do; none of them is a pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from model.networks.checkpoint import CARD, CONFIG, WEIGHTS, read_config, read_model, save_model
from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.lake.home import Home

CONFIGURATION = {"architecture": {"width": 3}, "data_id": "d", "seed": 7, "grid_mm": 3.0}
CARD_CONTENT = {"What it is for": "a test", "Figures": {"loss": 0.123456}, "Limits": ["simulated data only"]}


def tensors() -> dict[str, torch.Tensor]:
    return {
        "network.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4).T,
        "network.half": torch.ones(2, dtype=torch.bfloat16),
        "network.steps": torch.tensor(5),
    }


@pytest.fixture
def saved(home: Home) -> Path:
    return save_model(home, "synthesis", tensors(), CONFIGURATION, CARD_CONTENT)[1]


def test_a_checkpoint_comes_back_as_it_was(saved: Path) -> None:
    config, found = read_model(saved)
    assert found.keys() == tensors().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors().items())
    assert {key: config[key] for key in CONFIGURATION} == CONFIGURATION
    assert config["kind"] == "synthesis"
    assert config["model_id"] == saved.name


def test_a_folder_is_named_by_its_content(home: Home, saved: Path) -> None:
    again = save_model(home, "synthesis", tensors(), CONFIGURATION, {"Another": "card"})[1]
    other_config = save_model(home, "synthesis", tensors(), {**CONFIGURATION, "seed": 8}, CARD_CONTENT)[1]
    other_weights = save_model(home, "synthesis", {"a": torch.zeros(1)}, CONFIGURATION, CARD_CONTENT)[1]
    assert again == saved
    assert len({saved, other_config, other_weights}) == 3


def test_a_moved_checkpoint_is_still_one(saved: Path, tmp_path: Path) -> None:
    saved.rename(tmp_path / "elsewhere")
    assert read_model(tmp_path / "elsewhere")[0]["model_id"] == saved.name


def test_the_card_tells_people_what_it_is(saved: Path) -> None:
    text = (saved / CARD).read_text()
    assert text.startswith(f"# Synthesis {saved.name}")
    assert "| loss | 0.1235 |" in text
    assert "* simulated data only" in text


def test_nothing_half_written_is_left(saved: Path) -> None:
    assert {file.name for file in saved.iterdir()} == {WEIGHTS, CONFIG, CARD}
    assert atomic.stale_temporaries(saved.parent) == []


def test_no_file_is_a_pickle(saved: Path) -> None:
    for file in saved.iterdir():
        content = file.read_bytes()
        assert not content.startswith((b"\x80", b"PK"))


def test_a_damaged_checkpoint_is_written_again(home: Home, saved: Path) -> None:
    (saved / WEIGHTS).write_bytes(b"")
    save_model(home, "synthesis", tensors(), CONFIGURATION, CARD_CONTENT)
    assert read_model(saved)[1].keys() == tensors().keys()


def change_weights(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def change_config(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "seed": 8}))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param(change_weights, "hash differs", id="one bit of the weights"),
        pytest.param(change_config, "hash differs", id="one number of the configuration"),
        pytest.param(lambda folder: (folder / CONFIG).write_text("{"), "not valid JSON", id="half a configuration"),
        pytest.param(lambda folder: (folder / CONFIG).write_text("[]"), "format_version", id="no configuration"),
        pytest.param(lambda folder: (folder / WEIGHTS).unlink(), "absent", id="no weights"),
        pytest.param(lambda folder: (folder / CONFIG).unlink(), "absent", id="no config"),
    ],
)
def test_a_damaged_checkpoint_is_refused(saved: Path, harm: Callable[[Path], object], said: str) -> None:
    harm(saved)
    with pytest.raises(ModelError, match=said) as refusal:
        read_model(saved)
    assert refusal.value.remedy


def test_another_format_is_refused_by_its_number(saved: Path) -> None:
    config = json.loads((saved / CONFIG).read_text())
    (saved / CONFIG).write_text(json.dumps({**config, "format_version": 99}))
    with pytest.raises(ModelError, match="format version 99"):
        read_config(saved)


def test_weights_that_are_not_finite_are_not_kept(home: Home) -> None:
    with pytest.raises(ModelError, match="not finite: bad"):
        save_model(home, "synthesis", {"bad": torch.tensor([1.0, float("nan")])}, CONFIGURATION, {})
    assert not home.models.exists()


def test_a_configuration_that_json_cannot_hold_is_refused(home: Home) -> None:
    for value in (float("nan"), torch.zeros(1)):
        with pytest.raises(ModelError, match="JSON"):
            save_model(home, "synthesis", tensors(), {"value": value}, {})
