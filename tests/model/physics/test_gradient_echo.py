from __future__ import annotations

import numpy as np
import pytest
import torch

from model.physics.gradient_echo import ernst_angle_deg, spoiled_gradient_echo
from model.physics.settings import SequenceSettings
from tests.model.physics.bloch import gradient_echo
from tests.model.physics.conftest import BRAIN_AND_FLUID, one_tissue
from tests.model.physics.epg import Graph, spoiled_pulses

SOLID = {name: times for name, times in BRAIN_AND_FLUID.items() if name != "fluid"}


@pytest.mark.parametrize(("t1_s", "t2_s"), BRAIN_AND_FLUID.values(), ids=BRAIN_AND_FLUID.keys())
@pytest.mark.parametrize(("tr_s", "angle_deg"), [(0.022, 18.0), (0.03, 30.0), (0.65, 20.0)])
def test_the_steady_state_is_where_bloch_steps_end(t1_s: float, t2_s: float, tr_s: float, angle_deg: float) -> None:
    settings = SequenceSettings.of(tr_s=tr_s, te_s=0.004, fa_deg=angle_deg).columns()
    slow = gradient_echo(t1_s, t2_s, tr_s, 0.004, np.deg2rad(angle_deg), n_pulses=int(60 + 12 * t1_s / tr_s))
    assert spoiled_gradient_echo(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, rel=1e-5)


@pytest.mark.parametrize(("t1_s", "t2_s"), SOLID.values(), ids=SOLID.keys())
@pytest.mark.parametrize(
    ("tr_s", "angle_deg", "within"), [(0.007, 5.0, 0.01), (0.007, 15.0, 0.05), (0.028, 20.0, 0.01)]
)
def test_rf_spoiling_in_the_phase_graph_comes_near_perfect_spoiling(
    t1_s: float, t2_s: float, tr_s: float, angle_deg: float, within: float
) -> None:
    slow = spoiled_pulses(Graph(t1_s, t2_s, order=300), int(max(200, 5 * t1_s / tr_s)), tr_s, np.deg2rad(angle_deg))[-1]
    settings = SequenceSettings.of(tr_s=tr_s, te_s=1e-9, fa_deg=angle_deg).columns()
    assert spoiled_gradient_echo(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, rel=within)


def test_the_ernst_angle_gives_the_largest_signal() -> None:
    angles = torch.linspace(1.0, 89.0, 8801, dtype=torch.float64)
    signal = spoiled_gradient_echo(
        SequenceSettings.of(tr_s=0.03, te_s=0.004, fa_deg=angles).columns(), one_tissue(1.0, 0.1)
    )
    best = angles[int(signal[:, 0].argmax())].item()
    assert best == pytest.approx(ernst_angle_deg(torch.tensor(0.03), torch.tensor(1.0)).item(), abs=0.01)


def test_after_endless_recovery_density_and_t2star_are_left() -> None:
    settings = SequenceSettings.of(tr_s=1000.0, te_s=0.02, fa_deg=30.0).columns()
    signal = spoiled_gradient_echo(settings, one_tissue(1.0, 0.1, t2star_s=0.05, pd=0.8)).item()
    assert signal == pytest.approx(0.8 * 0.5 * np.exp(-0.4), rel=1e-9)


def test_the_transmit_field_scales_the_flip_angle() -> None:
    weak = spoiled_gradient_echo(
        SequenceSettings.of(tr_s=0.03, te_s=0.004, fa_deg=20.0, b1=0.8).columns(), one_tissue(1.0, 0.1)
    )
    small = spoiled_gradient_echo(
        SequenceSettings.of(tr_s=0.03, te_s=0.004, fa_deg=16.0).columns(), one_tissue(1.0, 0.1)
    )
    assert torch.allclose(weak, small)
