from __future__ import annotations

import pytest
import torch

from model.physics.protocol import SequenceProtocol
from model.physics.settings import SequenceSettings, check_settings
from warehouse.errors import PhysicsError


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
