from __future__ import annotations

import numpy as np
import pytest
import torch

from model.physics.gradient_echo import spoiled_gradient_echo
from model.physics.mprage import mprage
from model.physics.settings import SequenceSettings
from tests.model.physics import bloch
from tests.model.physics.conftest import BRAIN_AND_FLUID, one_tissue
from tests.model.physics.epg import Graph, spoiled_pulses

PLAYED = {
    "3 T": (2.3, 0.9, 9.0, 0.0075, 176),
    "1.5 T": (2.0, 1.0, 8.0, 0.0095, 160),
    "long train": (3.0, 1.1, 7.0, 0.0065, 224),
    "odd, short": (1.2, 0.5, 12.0, 0.006, 101),
    "one pulse": (2.0, 0.8, 90.0, 0.01, 1),
}


@pytest.mark.parametrize(("t1_s", "t2_s"), BRAIN_AND_FLUID.values(), ids=BRAIN_AND_FLUID.keys())
@pytest.mark.parametrize(("tr_s", "ti_s", "angle_deg", "spacing_s", "n"), PLAYED.values(), ids=PLAYED.keys())
def test_the_closed_form_is_where_thousands_of_bloch_steps_end(
    t1_s: float, t2_s: float, tr_s: float, ti_s: float, angle_deg: float, spacing_s: float, n: int
) -> None:
    settings = SequenceSettings.of(tr_s, 0.003, angle_deg, ti_s, readout_spacing_s=spacing_s, n_readouts=n).columns()
    slow = bloch.mprage(
        t1_s, t2_s, tr_s, 0.003, ti_s, np.deg2rad(angle_deg), spacing_s, n, n_cycles=int(6 + 14 * t1_s / tr_s)
    )
    assert mprage(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, abs=2e-7)


@pytest.mark.parametrize(("name", "within"), [("white matter", 0.03), ("cortex", 0.07)])
def test_rf_spoiling_in_the_phase_graph_comes_near_the_closed_form(name: str, within: float) -> None:
    t1_s, t2_s = BRAIN_AND_FLUID[name]
    graph, center = Graph(t1_s, t2_s, order=180), 0.0
    for cycle in range(4):
        graph.destroy_transverse()
        graph.z *= -1
        graph.z[1:] = 0
        graph.wait(0.9 - 88 * 0.0075)
        center = spoiled_pulses(graph, 176, 0.0075, np.deg2rad(9.0), start=176 * cycle)[88]
        graph.wait(2.3 - 0.9 - 88 * 0.0075)
    closed = mprage(SequenceSettings.of(2.3, 1e-9, 9.0, 0.9).columns(), one_tissue(t1_s, t2_s)).item()
    assert abs(closed) == pytest.approx(center, rel=within)


def test_without_flip_it_is_inversion_recovery() -> None:
    t1_s, tr_s, ti_s = 1.2, 2.3, 0.9
    signal = mprage(SequenceSettings.of(tr_s, 1e-9, 1e-4, ti_s).columns(), one_tissue(t1_s, 0.1)).item()
    recovered = 1 - 2 * np.exp(-ti_s / t1_s) / (1 + np.exp(-tr_s / t1_s))
    assert signal / np.deg2rad(1e-4) == pytest.approx(recovered, rel=1e-6)


def test_an_endless_train_forgets_the_inversion() -> None:
    train = SequenceSettings.of(40.0, 0.003, 9.0, 20.0, readout_spacing_s=0.008, n_readouts=4900).columns()
    plain = SequenceSettings.of(0.008, 0.003, 9.0).columns()
    tissue = one_tissue(0.9, 0.06)
    assert mprage(train, tissue).item() == pytest.approx(spoiled_gradient_echo(plain, tissue).item(), rel=1e-9)


def test_white_matter_is_brighter_than_cortex_and_fluid_is_dark() -> None:
    tissue = [one_tissue(*BRAIN_AND_FLUID[name]) for name in ("white matter", "cortex", "fluid")]
    white, grey, fluid = (
        abs(mprage(SequenceSettings.of(2.3, 0.003, 9.0, 0.9).columns(), one).item()) for one in tissue
    )
    assert white > grey > fluid


def test_a_transmit_field_above_one_leaves_a_number() -> None:
    settings = SequenceSettings.of(2.0, 0.003, 90.0, 0.8, b1=torch.tensor([1.0, 1.3]), n_readouts=100).columns()
    assert bool(torch.isfinite(mprage(settings, one_tissue(0.9, 0.06))).all())
