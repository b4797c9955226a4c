from __future__ import annotations

import pytest

from model.data.digital_people import Relaxation
from model.evaluation import simulator
from model.evaluation.sweeps import SWEEPS, Sweep
from model.evaluation.textbook import sequence_of

EACH = pytest.mark.parametrize("sweep", SWEEPS, ids=[f"{sweep.name}-{sweep.field}" for sweep in SWEEPS])
IN_PHYSICS = {"gradient_echo": "t2star"}


@EACH
def test_a_prompt_asks_for_what_the_simulator_plays(sweep: Sweep) -> None:
    for value in sweep.values:
        asked, played = sweep.record(value), sweep.acquisition(value)
        assert getattr(asked, sweep.field) == value
        told = (asked.repetition_time_s, asked.echo_time_s, asked.flip_angle_deg, asked.inversion_time_s)
        assert told == (played.tr_s, played.te_s, played.flip_angle_deg, played.ti_s)
        assert sequence_of(asked) == IN_PHYSICS.get(played.sequence, played.sequence)


@EACH
def test_a_sweep_has_five_values_in_order(sweep: Sweep) -> None:
    assert len(sweep.values) == 5
    assert list(sweep.values) == sorted(set(sweep.values))


def test_every_number_of_a_prompt_is_swept_and_no_sweep_twice() -> None:
    assert {sweep.field for sweep in SWEEPS} == {
        "echo_time_s",
        "repetition_time_s",
        "inversion_time_s",
        "flip_angle_deg",
    }
    assert len({(sweep.name, sweep.field) for sweep in SWEEPS}) == len(SWEEPS)


@EACH
@pytest.mark.parametrize("factor", [0.85, 1.15])
def test_white_matter_divides_ratios_and_is_never_nulled(sweep: Sweep, factor: float) -> None:
    """Long T1 nulls it and short T2 darkens it; the sweeps of TE and FA darken it on purpose."""
    white = Relaxation(0.83 * factor, 0.062 / factor, 0.05 / factor, 0.69)
    signals = [simulator.signal(sweep.acquisition(value), white) for value in sweep.values]
    least = 0.04 if sweep.field == "echo_time_s" else 0.2
    assert min(signals) > least * max(signals)
