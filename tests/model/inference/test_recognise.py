"""A contrast is recognised by the home's text encoder where it is sure, and else stays unknown with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data.boxes import Box
from model.inference import recognise as module
from model.inference.recognise import recognised
from model.inference.scans import Prepared
from tests.model.tiny_models import save_text_encoder
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord, contrast_label
from warehouse.prompts.vocabulary import CONTRAST_LABELS

BOX = Box((6, 7, 8), 4.0)


class Sure:
    """A matcher for which an image lies on one label, and so far from the others."""

    def __init__(self, label: str, lead: float) -> None:
        self.label, self.lead, self.seen = label, lead, []  # type: ignore[var-annotated]

    def embed_volumes(self, volumes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.seen += volumes
        return np.array([[1.0, 0.0]], np.float32)

    def embed_records(self, records: Sequence[PromptRecord]) -> NDArray[np.float32]:
        labels = [contrast_label(record.contrast, record.post_contrast) for record in records]
        return np.array([[0.5 + self.lead * (label == self.label), 0.0] for label in labels], np.float32)


@pytest.fixture
def scan() -> Prepared:
    voxels = np.random.default_rng(0).normal(size=(12, 14, 16)).astype(np.float32)
    mask = np.zeros(voxels.shape, bool)
    mask[3:9, 3:9, 3:9] = True
    return Prepared(voxels, mask, Grid((12, 14, 16), np.diag([2.0, 2.0, 2.0, 1.0])), False, mask)


def with_champion(monkeypatch: pytest.MonkeyPatch, matcher: Any) -> None:
    monkeypatch.setattr(module.model_registry, "champion", lambda home, kind: "e" * 16)
    monkeypatch.setattr(module, "_matcher", lambda path: (matcher, BOX))


@pytest.mark.parametrize("label", CONTRAST_LABELS)
def test_the_nearest_contrast_is_the_scans(
    label: str, scan: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = Sure(label, 0.3)
    with_champion(monkeypatch, matcher)
    found, how = recognised(scan, home)
    assert found == label
    assert f"recognised by text encoder {'e' * 16} ({label} 0.80" in how
    assert matcher.seen[0].shape == BOX.shape


def test_an_encoder_that_is_not_sure_leaves_the_contrast_unknown(
    scan: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_champion(monkeypatch, Sure("T1w", 0.05))
    found, how = recognised(scan, home)
    assert found is None
    assert "undecided (T1w 0.55" in how


def test_only_contrasts_that_the_model_knows_are_chosen_from(
    scan: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_champion(monkeypatch, Sure("T1w", -0.3))
    assert recognised(scan, home, ["T1w", "FLAIR"])[0] == "FLAIR"
    assert recognised(scan, home, ["T1w"])[0] == "T1w"


def test_without_a_champion_it_is_said_why(scan: Prepared, home: Home) -> None:
    assert recognised(scan, None)[0] is None
    found, how = recognised(scan, home)
    assert found is None
    assert "no champion of kind text_encoder" in how


def test_without_a_champion_the_encoder_that_ships_is_asked(
    scan: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def loaded(path: Path) -> Any:
        asked.append(path)
        return Sure("T2w", 0.3), BOX

    monkeypatch.setattr(module, "shipped", lambda kind: tmp_path / kind)
    monkeypatch.setattr(module, "_matcher", loaded)
    for one in (None, home):
        found, how = recognised(scan, one)
        assert found == "T2w"
        assert "text encoder of this version" in how
    assert asked == [tmp_path / "text_encoder"] * 2


def test_an_encoder_that_cannot_be_used_is_no_reason_to_stop(
    scan: Prepared, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = save_text_encoder(home)  # it holds a text tower only
    monkeypatch.setattr(module.model_registry, "champion", lambda home, kind: model_id)
    found, how = recognised(scan, home)
    assert found is None
    assert f"text encoder {model_id} cannot recognise it" in how

    def absent(path: Path) -> Any:
        raise ModelError("it is absent", "train one")

    monkeypatch.setattr(module, "_matcher", absent)
    assert "it is absent" in recognised(scan, home)[1]
