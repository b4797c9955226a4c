from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from model.physics.protocol import SequenceProtocol, SequenceSettings, check_settings
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


def test_numbers_spread_over_the_batch() -> None:
    settings = SequenceSettings.of(tr_s=2.0, te_s=torch.linspace(0.01, 0.1, 5), fa_deg=90.0)
    assert len(settings) == 5
    assert settings.tr_s.tolist() == [2.0] * 5
    assert settings.columns().te_s.shape == (5, 1)


def test_batches_of_unlike_length_are_refused() -> None:
    with pytest.raises(PhysicsError, match="unlike length"):
        SequenceSettings.of(tr_s=torch.ones(3), te_s=torch.ones(4), fa_deg=90.0)


def test_protocols_keep_their_numbers_and_their_order() -> None:
    flair = SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0)
    t2w = SequenceProtocol("T2w", "fast_spin_echo", 1.5, 4.0, 0.1, None, 180.0)
    settings = SequenceSettings.from_protocols([flair, t2w], b1=0.9)
    assert settings.tr_s.tolist() == [9.0, 4.0]
    assert settings.te_s.tolist() == [0.12, 0.1]
    assert settings.ti_s.tolist() == [2.5, 0.0]
    assert settings.fa_deg.tolist() == [150.0, 180.0]
    assert settings.b1.tolist() == [0.9, 0.9]
    assert settings.n_readouts.tolist() == [176.0, 176.0]
    assert len(SequenceSettings.from_protocols([])) == 0


@pytest.mark.parametrize(
    ("sequence", "bad", "rule"),
    [
        pytest.param("spin_echo", {"te_s": [0.1, 3.0]}, "TE < TR", id="TE after TR"),
        pytest.param("spin_echo", {"te_s": [0.1, float("nan")]}, "TE < TR", id="TE is no number"),
        pytest.param("spin_echo", {"te_s": [0.1, -0.1]}, "TE < TR", id="TE before 0"),
        pytest.param("spin_echo", {"tr_s": [2.0, 0.0]}, "TR > 0", id="no TR"),
        pytest.param("spin_echo", {"tr_s": [2.0, float("inf")]}, "TR finite", id="an endless TR"),
        pytest.param("spin_echo", {"fa_deg": [90.0, 0.0]}, "FA > 0", id="no flip"),
        pytest.param("spin_echo", {"fa_deg": [90.0, 200.0]}, "FA <= 180", id="more than a half turn"),
        pytest.param("spin_echo", {"b1": [1.0, -1.0]}, "b1 > 0", id="a negative transmit field"),
        pytest.param("inversion_recovery", {"ti_s": [0.5, 2.0]}, "TI < TR", id="TI after TR"),
        pytest.param("inversion_recovery", {"ti_s": [0.5, 1.95]}, "TI \\+ TE < TR", id="no time for the echo"),
        pytest.param("mprage", {"ti_s": [0.9, 0.1], "te_s": 0.003}, "start after", id="a train before the inversion"),
        pytest.param("mprage", {"ti_s": [0.9, 1.9], "te_s": 0.003}, "end before TR", id="a train after TR"),
    ],
)
def test_the_first_setting_that_breaks_a_rule_is_named(sequence: str, bad: dict[str, object], rule: str) -> None:
    numbers = {"tr_s": 2.0, "te_s": 0.1, "ti_s": 0.9, "fa_deg": 90.0} | bad
    settings = SequenceSettings.of(**{name: torch.as_tensor(value) for name, value in numbers.items()})
    with pytest.raises(PhysicsError, match=f"settings 1 of {sequence} break .*{rule}"):
        check_settings(sequence, settings)
