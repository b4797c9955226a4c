from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from model.physics.protocol import SequenceProtocol
from warehouse.errors import PhysicsError

T2W = SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.1, None, 150.0)
FLAIR = SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0)
MPRAGE = SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0)
TOF = SequenceProtocol("angio", "time_of_flight", 3.0, 0.022, 0.0037, None, 18.0)


@pytest.mark.parametrize(
    ("protocol", "changes", "what"),
    [
        pytest.param(T2W, {"contrast": "DWI"}, "contrast", id="a contrast that is not simulated"),
        pytest.param(T2W, {"sequence": "epi"}, "sequence", id="a sequence that is not simulated"),
        pytest.param(T2W, {"field_strength_t": 7.0}, "7.0 T", id="a field without values"),
        pytest.param(T2W, {"field_strength_t": float("nan")}, "nan T", id="a field that is no number"),
        pytest.param(T2W, {"repetition_time_s": -4.0}, "repetition time of -4.0", id="a negative TR"),
        pytest.param(T2W, {"repetition_time_s": float("inf")}, "repetition time of inf", id="an endless TR"),
        pytest.param(T2W, {"repetition_time_s": float("nan")}, "repetition time of nan", id="a TR that is no number"),
        pytest.param(T2W, {"echo_time_s": 100.0}, "echo time of 100.0", id="a TE left in milliseconds"),
        pytest.param(T2W, {"echo_time_s": 4.0}, "echo time of 4.0", id="TE equal to TR"),
        pytest.param(T2W, {"echo_time_s": 0.0}, "echo time of 0.0", id="no TE"),
        pytest.param(T2W, {"echo_time_s": float("nan")}, "echo time of nan", id="a TE that is no number"),
        pytest.param(T2W, {"flip_angle_deg": 0.0}, "flip angle of 0.0", id="no flip"),
        pytest.param(T2W, {"flip_angle_deg": 181.0}, "flip angle of 181.0", id="more than a half turn"),
        pytest.param(T2W, {"inversion_time_s": 1.0}, "no inversion", id="TI without inversion"),
        pytest.param(TOF, {"flip_angle_deg": 120.0}, "flip angle of 120.0", id="an excitation past 90"),
        pytest.param(TOF, {"flip_angle_deg": float("nan")}, "flip angle of nan", id="a flip that is no number"),
        pytest.param(FLAIR, {"inversion_time_s": None}, "inversion time of None", id="FLAIR without TI"),
        pytest.param(FLAIR, {"inversion_time_s": 9.0}, "inversion time of 9.0", id="TI equal to TR"),
        pytest.param(FLAIR, {"inversion_time_s": -1.0}, "inversion time of -1.0", id="a negative TI"),
        pytest.param(FLAIR, {"inversion_time_s": 8.9}, "does not fit", id="no time left for the echo"),
        pytest.param(
            MPRAGE, {"inversion_time_s": 0.5}, "train of 1.32 s", id="a train that starts before the inversion"
        ),
        pytest.param(MPRAGE, {"repetition_time_s": 1.4}, "train of 1.32 s", id="a train that ends after TR"),
        pytest.param(MPRAGE, {"n_readouts": 0}, "train of 0", id="a train of nothing"),
        pytest.param(MPRAGE, {"readout_spacing_s": 0.002}, "no room for TE", id="readouts closer than TE"),
    ],
)
def test_what_no_scanner_can_play_is_refused_with_a_way_out(
    protocol: SequenceProtocol, changes: dict[str, Any], what: str
) -> None:
    with pytest.raises(PhysicsError, match=what) as caught:
        dataclasses.replace(protocol, **changes)
    assert caught.value.remedy


def test_a_repetition_time_of_the_readout_is_told_from_that_of_the_cycle() -> None:
    with pytest.raises(PhysicsError, match="inversion to inversion"):
        dataclasses.replace(MPRAGE, repetition_time_s=0.0068)


def test_protocols_are_equal_by_value_and_can_be_keys() -> None:
    assert len({FLAIR, dataclasses.replace(FLAIR)}) == 1
