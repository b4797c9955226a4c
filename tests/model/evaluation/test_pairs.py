"""Nobody is tested who was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.data.catalogue import Item, training_hashes, united
from model.evaluation.pairs import refuse_leakage
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord

UNIT = BrainScale(0.5, 0.4)


def item(person: str, scan: str) -> Item:
    names = f"{person}-{scan}", "c", f"c/{person}", person, "val", "T1w"
    return Item(*names, record=PromptRecord(), is_simulated=True, path=Path("nowhere"), scale=UNIT, source_sha256=scan)


TRAINED_ON = training_hashes([item("anna", "scan-1"), item("bert", "scan-2")])


def test_other_people_with_other_scans_may_be_tested() -> None:
    refuse_leakage([item("clara", "scan-3")], TRAINED_ON, "m")


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        pytest.param(item("anna", "scan-9"), "1 people and 0 scans", id="another scan of a trained person"),
        pytest.param(item("somebody", "scan-2"), "0 people and 1 scans", id="the same file under another name"),
    ],
)
def test_a_person_or_scan_that_was_trained_on_is_refused(tested: Item, said: str) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        refuse_leakage([item("clara", "scan-3"), tested], TRAINED_ON, "m")
    assert "model m" in refusal.value.what
    assert refusal.value.remedy


def test_a_checkpoint_of_an_older_version_names_nobody_and_is_tested() -> None:
    refuse_leakage([item("anna", "scan-1")], {}, "m")


def test_hashes_do_not_hold_the_names_of_people() -> None:
    assert "anna" not in str(TRAINED_ON)


def test_a_synthesis_model_names_the_people_of_its_text_encoder_as_well() -> None:
    both = united(TRAINED_ON, training_hashes([item("clara", "scan-3")]))
    assert len(both["people"]) == 3
    assert united(TRAINED_ON, {}) == TRAINED_ON
