"""Scans for evaluations: of people whom no training draws, with the signals that their prompts lead to expect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from model.data import head_bank
from model.data.boxes import Box
from model.data.head_bank import TEST_PEOPLE, TRAINING_PEOPLE
from model.data.held_out_scans import HeldOutScans
from model.data.simulated_scans import SimulatedScan
from model.evaluation.observer import IdealObserver, tissues_seen
from model.training import text_encoder
from tests.model.simulation.fake_head import fake_head

BOX = Box((12, 14, 12), 14.0)


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeldOutScans:
    """Scans of crude heads, made in this process."""
    monkeypatch.setattr(head_bank, "make_head", lambda subject, _: fake_head(subject, 10.0))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    return HeldOutScans(tmp_path, BOX, 0)


def names(found: Iterator[SimulatedScan]) -> list[str]:
    return [scan.person for scan in found]


def test_people_of_the_test_are_not_those_of_a_training(scans: HeldOutScans) -> None:
    assert TRAINING_PEOPLE == text_encoder.TRAINING_PEOPLE
    assert TEST_PEOPLE not in (text_encoder.TRAINING_PEOPLE, text_encoder.VALIDATION_PEOPLE)
    tested, trained = names(scans.tested(3, 2)), names(scans.trained(3, 2))
    assert len(tested) == len(trained) == 6
    assert len(set(tested)) == len(set(trained)) == 3
    assert not set(tested) & set(trained)


def test_settings_are_chosen_on_people_of_the_validation(scans: HeldOutScans) -> None:
    chosen = HeldOutScans(scans.folder, BOX, 0, text_encoder.VALIDATION_PEOPLE)
    assert not set(names(chosen.tested(2, 1))) & {*names(scans.tested(2, 1)), *names(scans.trained(2, 1))}


@pytest.mark.slow
def test_the_observer_expects_the_signals_of_the_scans(scans: HeldOutScans) -> None:
    found = list(scans.tested(4, 16))
    expected = IdealObserver().expected([scan.record for scan in found])
    assert expected.is_known.all()
    seen = tissues_seen(False)
    deviation = np.sqrt(np.diagonal(expected.covariance, axis1=1, axis2=2))
    apart = (np.array([scan.signals for scan in found]) - expected.mean)[:, seen] / deviation[:, seen]
    assert np.abs(apart).mean() < 1
    assert np.abs(apart).max() < 5


def test_what_is_expected_beforehand_is_drawn_as_the_scans_are_and_needs_no_heads(tmp_path: Path) -> None:
    prior = HeldOutScans(tmp_path, BOX, 0).prior(200)
    assert len({record.contrast for record in prior}) == 7
    assert len(set(prior)) == 200
    assert IdealObserver().expected(prior).is_known.all()
    assert not any(tmp_path.iterdir())
