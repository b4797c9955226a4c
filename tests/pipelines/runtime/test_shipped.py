"""The weights that ship are tried once on unseen heads: a simulated one, and a real one whose scans they never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.networks import weights
from pipelines.runtime import shipped as subject
from tests.model.tiny_models import save_synthesis
from warehouse.lake.atomic import sha256
from warehouse.lake.home import Home


@pytest.fixture
def tried(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[Any]]:
    """Wishes of each time that something is made; the weights have learned from one of two real people."""
    samples, made = tmp_path / "samples", []
    for person in ("a_seen", "b_unseen", "c_unseen"):
        folder = samples / "images" / "brats2021" / person
        folder.mkdir(parents=True)
        for contrast in ("T1w", "T2w", "FLAIR"):
            (folder / f"{contrast}.nii.gz").write_text(f"{person} {contrast}")
    seen = {"scans": [sha256(samples / "images" / "brats2021" / "a_seen" / "T2w.nii.gz")]}
    other = Home(tmp_path / "other")
    model_id = save_synthesis(other, trained_on=seen)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "synthesis").symlink_to(other.models / model_id)
    monkeypatch.setenv(subject.SAMPLES, str(samples))
    monkeypatch.setattr("model.simulation.visit.write_visit", lambda *_: None)

    def make(home: Home, model: Any, wishes: Any, folder: Path, shown: Any) -> list[Any]:
        made.append(list(wishes))
        folder.mkdir(parents=True, exist_ok=True)
        return []

    monkeypatch.setattr("model.report.shipped.make_examples", make)
    monkeypatch.setattr("model.report.shipped.draw", lambda rows: b"a picture")
    return made


def shown(name: str) -> Any:
    return lambda done, total, item: None


def test_a_real_person_is_one_whose_scans_the_weights_never_saw(home: Home, tried: list[list[Any]]) -> None:
    assert subject.try_shipped_weights(home, shown)
    [wishes] = tried
    assert [(one.source.parent.name, one.contrast) for one in wishes] == [
        ("phantom_1mm", "T2w"),
        ("b_unseen", "T2w"),
        ("b_unseen", "FLAIR"),
    ]
    picture = subject.picture_of(home)
    assert picture is not None
    assert picture.read_bytes() == b"a picture"


def test_it_is_tried_again_only_where_heads_or_weights_are_others(
    home: Home, tried: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [subject.try_shipped_weights(home, shown) for _ in range(2)] == [True, False]
    monkeypatch.delenv(subject.SAMPLES)
    assert subject.try_shipped_weights(home, shown)
    assert [len(wishes) for wishes in tried] == [3, 1]


def test_without_weights_nothing_is_made(home: Home) -> None:
    assert not subject.try_shipped_weights(home, shown)
    assert subject.picture_of(home) is None
