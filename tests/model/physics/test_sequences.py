from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.evaluation import bloch
from model.evaluation.bloch import gradient_echo
from model.evaluation.epg import Graph, echo_train, spin_echo_cycle, train_cycle
from model.physics.protocol import SequenceSettings
from model.physics.sequences import (
    fast_spin_echo,
    fresh_blood,
    inflow_gain,
    inversion_recovery,
    mprage,
    spin_echo,
    spoiled_gradient_echo,
    staying_share,
    train_echo,
)
from model.physics.tissue import TISSUES, properties
from tests.model.physics.conftest import BRAIN_AND_FLUID, ernst_angle_deg, null_time_s, one_tissue

RF_SPOILING_RAD = np.deg2rad(117.0)  # Zur 1991 MRM 21:251
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


@TIMES
@pytest.mark.parametrize(("tr_s", "ti_s"), [(9.0, 2.5), (5.0, 1.8), (2.5, 0.15)])
def test_inversion_recovery_is_that_of_the_phase_graph(t1_s: float, t2_s: float, tr_s: float, ti_s: float) -> None:
    for angle_deg, within in [(180.0, 1e-6), (150.0, 0.006), (120.0, 0.009)]:
        settings = SequenceSettings.of(tr_s=tr_s, te_s=0.12, ti_s=ti_s, fa_deg=angle_deg).columns()
        slow = train_cycle(t1_s, t2_s, tr_s, 0.01, 12, np.deg2rad(angle_deg), ti_s)[-1]
        assert abs(inversion_recovery(settings, one_tissue(t1_s, t2_s)).item()) == pytest.approx(slow, abs=within)


@pytest.mark.parametrize("tr_s", [5.0, 9.0, 11.0])
def test_fluid_is_null_at_the_null_time_of_a_finite_tr(tr_s: float) -> None:
    t1_s, te_s = torch.tensor(4.3, dtype=torch.float64), torch.tensor(0.12)
    ti_s = null_time_s(t1_s, torch.tensor(tr_s), te_s)
    assert ti_s < t1_s * math.log(2)
    settings = SequenceSettings.of(tr_s=tr_s, te_s=0.12, ti_s=ti_s, fa_deg=180.0).columns()
    assert inversion_recovery(settings, one_tissue(4.3, 1.9)).item() == pytest.approx(0, abs=1e-7)


def test_after_endless_recovery_the_null_is_t1_times_ln_2() -> None:
    long = null_time_s(torch.tensor(0.3), torch.tensor(1000.0), torch.tensor(0.1))
    assert long.item() == pytest.approx(0.3 * math.log(2))


def test_real_flair_times_null_real_fluid() -> None:
    """TR 9 s and TI 2.5 s are what scanners play at 3 T."""
    null = null_time_s(torch.tensor(4.3), torch.tensor(9.0), torch.tensor(0.12))
    assert null.item() == pytest.approx(2.5, abs=0.1)


def test_the_sign_changes_at_the_null() -> None:
    settings = SequenceSettings.of(tr_s=9.0, te_s=0.12, ti_s=torch.tensor([1.5, 3.5]), fa_deg=180.0).columns()
    early, late = inversion_recovery(settings, one_tissue(4.3, 1.9))[:, 0].tolist()
    assert early < 0 < late


def test_a_late_excitation_sees_no_inversion() -> None:
    settings = SequenceSettings.of(tr_s=200.0, te_s=0.1, ti_s=100.0, fa_deg=180.0).columns()
    assert inversion_recovery(settings, one_tissue(1.0, 0.1, pd=0.7)).item() == pytest.approx(
        0.7 * math.exp(-1), rel=1e-9
    )


def spoiled_pulses(graph: Graph, n_pulses: int, tr_s: float, angle: float, start: int = 0) -> NDArray[np.float64]:
    """Magnitude right after each of n pulses with quadratic RF phase and a gradient a TR."""
    signal = []
    for pulse in range(start, start + n_pulses):
        graph.pulse(angle, RF_SPOILING_RAD * pulse * (pulse + 1) / 2)
        signal.append(abs(graph.echo))
        graph.wait(tr_s)
        graph.dephase()
    return np.array(signal)


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
    slow = bloch.mprage(t1_s, t2_s, tr_s, 0.003, ti_s, np.deg2rad(angle_deg), spacing_s, n)
    assert mprage(settings, one_tissue(t1_s, t2_s)).item() == pytest.approx(slow, abs=2e-7)


@pytest.mark.parametrize(("name", "within"), [("white matter", 0.03), ("cortex", 0.07)])
def test_rf_spoiling_in_the_phase_graph_comes_near_the_closed_form(name: str, within: float) -> None:
    t1_s, t2_s = BRAIN_AND_FLUID[name]
    graph, center = Graph(t1_s, t2_s, order=180), 0.0
    for cycle in range(4):
        graph.spoil()
        graph.z *= -1
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


TOF = SequenceSettings.of(tr_s=0.022, te_s=0.0037, fa_deg=18.0).columns()


def test_blood_that_has_felt_no_pulse_gives_all_it_has() -> None:
    signal = fresh_blood(TOF, one_tissue(1.96, 0.122, t2star_s=0.048), n_pulses=0).item()
    assert signal == pytest.approx(np.sin(np.deg2rad(18)) * np.exp(-0.0037 / 0.048), rel=1e-9)


@pytest.mark.parametrize("n_pulses", [1, 3, 20])
def test_blood_saturates_pulse_by_pulse_as_bloch_says(n_pulses: int) -> None:
    slow = gradient_echo(1.96, 0.048, 0.022, 0.0037, np.deg2rad(18), n_pulses + 1)
    assert fresh_blood(TOF, one_tissue(1.96, 0.048), n_pulses=n_pulses).item() == pytest.approx(slow, rel=1e-6)


def test_blood_that_stays_is_static_tissue() -> None:
    blood = one_tissue(1.96, 0.122, t2star_s=0.048)
    assert fresh_blood(TOF, blood, n_pulses=5000).item() == pytest.approx(spoiled_gradient_echo(TOF, blood).item())


def test_only_arteries_gain_from_inflow_and_outshine_the_brain() -> None:
    gain = inflow_gain(TOF, properties(3.0))[0]
    static = spoiled_gradient_echo(TOF, properties(3.0))[0]
    artery = TISSUES.index("artery")
    assert gain[artery] + static[artery] > 2 * static[TISSUES.index("white_matter")]
    assert gain.count_nonzero() == 1


def test_fast_blood_leaves_before_a_late_echo_and_the_brain_stays() -> None:
    share = staying_share(torch.tensor([[0.01], [0.1]], dtype=torch.float64))
    assert share[1, TISSUES.index("artery")] < 0.05
    assert share[1, TISSUES.index("artery")] < share[1, TISSUES.index("vein")] < share[0, TISSUES.index("vein")]
    assert bool((share[:, TISSUES.index("cortex")] == 1).all())
