"""The weights that ship are small, whole, attributed, and turn a T1w into a T2w of the same head."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.data.digital_people import DigitalCohort
from model.inference.synthesize import load_synthesizer
from model.networks.checkpoint import CARD, CONFIG, WEIGHTS, read_model
from tests.conftest import ROOT
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

SHIPPED = ROOT / "model" / "weights"
KINDS = ("synthesis", "text_encoder")
MOST_BYTES = 30e6  # of all together


def folder(kind: str) -> Path:
    return SHIPPED / kind


def test_all_weights_together_are_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) <= MOST_BYTES
    assert sorted(path.name for path in SHIPPED.iterdir()) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_whole_and_of_half_precision(kind: str) -> None:
    config, tensors = read_model(folder(kind))  # refuses what does not match its hash
    assert config["kind"] == kind
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float16}
    assert {path.name for path in folder(kind).iterdir()} == {WEIGHTS, CONFIG, CARD}


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_names_data_with_licence_and_the_notice_attributes_them(kind: str) -> None:
    card = (folder(kind) / CARD).read_text(encoding="utf-8")
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    [data] = [part for part in card.split("\n## ") if part.startswith("Data")]
    sources = [line for line in data.splitlines() if line.startswith("* ")]
    assert sources
    for line in sources:
        title = line[2:].split(":")[0].split(" (")[0]
        assert "CC BY" in line, line
        assert title in notice
    assert "Not for diagnosis" in card or kind == "text_encoder"


@pytest.mark.parametrize("kind", KINDS)
def test_people_who_were_learned_from_are_kept_as_hashes_alone(kind: str) -> None:
    config = json.loads((folder(kind) / CONFIG).read_text(encoding="utf-8"))
    people, scans = config["trained_on"]["people"], config["trained_on"]["scans"]
    assert people
    assert scans
    assert all(len(one) == 64 and int(one, 16) >= 0 for one in (*people, *scans))
    assert "BraTS2021_" not in json.dumps(config)


def test_the_synthesis_network_reads_prompts_by_the_text_encoder_that_ships() -> None:
    synthesis, encoder = (json.loads((folder(kind) / CONFIG).read_text(encoding="utf-8")) for kind in KINDS)
    assert synthesis["text_encoder"]["model_id"] == encoder["packed_of"]


@pytest.mark.slow
def test_fluid_is_dark_in_a_t1w_and_bright_in_the_t2w_that_is_made_of_it(home: Home) -> None:
    person = DigitalCohort(1).person(0)
    middle = np.argwhere(person.masks["csf"]).mean(0).astype(int)
    cut = tuple(slice(at - 32, at + 32) for at in middle)
    source = replace(person.source, voxels=person.source.voxels[cut], mask=person.source.mask[cut])
    model = load_synthesizer(home, folder("synthesis"), "cpu")
    masks = {name: mask[cut] for name, mask in person.masks.items()}
    made = {label: model.volume([source], PromptRecord(label)) for label in ("T1w", "T2w", "FLAIR")}
    mean = {label: {name: float(volume[mask].mean()) for name, mask in masks.items()} for label, volume in made.items()}
    assert mean["T1w"]["csf"] < mean["T1w"]["gm"] < mean["T1w"]["wm"]
    assert mean["T2w"]["wm"] < mean["T2w"]["gm"] < mean["T2w"]["csf"]
    assert mean["FLAIR"]["csf"] < mean["FLAIR"]["wm"] < mean["FLAIR"]["gm"]
