"""Closed form against limits and against an extended phase graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.physics.settings import SequenceSettings
from model.physics.spin_echo import fast_spin_echo, spin_echo, train_echo
from tests.model.physics.conftest import BRAIN_AND_FLUID, one_tissue
from tests.model.physics.epg import Graph, echo_train, spin_echo_cycle, train_cycle

TIMES = pytest.mark.parametrize(("t1_s", "t2_s"), BRAIN_AND_FLUID.values(), ids=BRAIN_AND_FLUID.keys())


@TIMES
@pytest.mark.parametrize("b1", [0.85, 1.0, 1.1])
def test_a_spin_echo_is_that_of_the_phase_graph_to_a_millionth(t1_s: float, t2_s: float, b1: float) -> None:
    for tr_s, te_s, angle_deg in [(0.4, 0.012, 90.0), (0.5, 0.01, 70.0), (1.0, 0.08, 90.0), (3.0, 0.1, 30.0)]:
        settings = SequenceSettings.of(tr_s=tr_s, te_s=te_s, fa_deg=angle_deg, b1=b1).columns()
        slow = spin_echo_cycle(t1_s, t2_s, tr_s, te_s, np.deg2rad(angle_deg * b1), np.pi * b1)
        assert spin_echo(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, abs=1e-6)


@TIMES
def test_without_echo_time_a_spin_echo_is_saturation_recovery(t1_s: float, t2_s: float) -> None:
    signal = spin_echo(SequenceSettings.of(tr_s=0.5, te_s=1e-9, fa_deg=90.0).columns(), one_tissue(t1_s, t2_s, pd=0.8))
    assert signal.item() == pytest.approx(0.8 * (1 - np.exp(-0.5 / t1_s)), rel=1e-7)


@TIMES
@pytest.mark.parametrize("equation", [spin_echo, fast_spin_echo])
def test_after_endless_recovery_only_t2_is_left(equation, t1_s: float, t2_s: float) -> None:
    angle = 90.0 if equation is spin_echo else 180.0
    signal = equation(
        SequenceSettings.of(tr_s=1000.0, te_s=0.1, fa_deg=angle).columns(), one_tissue(t1_s, t2_s, pd=0.8)
    )
    assert signal.item() == pytest.approx(0.8 * np.exp(-0.1 / t2_s), rel=1e-9)


@TIMES
def test_a_train_of_half_turns_is_that_of_the_phase_graph(t1_s: float, t2_s: float) -> None:
    for tr_s, n_echoes in [(2.5, 10), (5.0, 16)]:
        settings = SequenceSettings.of(tr_s=tr_s, te_s=n_echoes * 0.01, fa_deg=180.0).columns()
        slow = train_cycle(t1_s, t2_s, tr_s, 0.01, n_echoes, np.pi)[-1]
        assert fast_spin_echo(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, rel=1e-6)


@TIMES
@pytest.mark.parametrize(("angle_deg", "within"), [(150.0, 0.06), (120.0, 0.06), (90.0, 0.06), (60.0, 0.10)])
def test_a_train_of_smaller_pulses_is_that_of_the_phase_graph_from_its_fourth_echo(
    t1_s: float, t2_s: float, angle_deg: float, within: float
) -> None:
    slow = echo_train(Graph(t1_s, t2_s), 20, 0.008, np.deg2rad(angle_deg))
    te_s = torch.arange(1, 21) * 0.008
    fast = train_echo(SequenceSettings.of(tr_s=10.0, te_s=te_s, fa_deg=angle_deg), one_tissue(t1_s, t2_s)).numpy()
    assert np.abs(fast / slow - 1)[3:].max() < within


@TIMES
def test_the_train_after_the_effective_echo_costs_little(t1_s: float, t2_s: float) -> None:
    for angle_deg in (120.0, 150.0, 180.0):
        settings = SequenceSettings.of(tr_s=4.0, te_s=0.1, fa_deg=angle_deg).columns()
        slow = train_cycle(t1_s, t2_s, 4.0, 0.01, 20, np.deg2rad(angle_deg))[9]
        assert fast_spin_echo(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, rel=0.04)


def test_stimulated_echoes_slow_the_decay() -> None:
    ratio = [
        train_echo(SequenceSettings.of(tr_s=10.0, te_s=torch.tensor([0.03, 0.2]), fa_deg=angle), one_tissue(1.5, 0.07))
        for angle in (60.0, 120.0, 180.0)
    ]
    assert ratio[0][1] / ratio[0][0] > ratio[1][1] / ratio[1][0] > ratio[2][1] / ratio[2][0]


def test_without_relaxation_the_train_settles_at_the_known_plateau() -> None:
    settings = SequenceSettings.of(tr_s=10.0, te_s=1e-9, fa_deg=torch.tensor([60.0, 90.0, 180.0]))
    assert train_echo(settings, one_tissue(1.0, 0.1)).tolist() == pytest.approx([0.5, 0.5**0.5, 1.0], rel=1e-6)
