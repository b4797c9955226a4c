"""Which equation goes with which sequence, in one call, and what the contrasts look like."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from model.physics.contrast import EQUATIONS, inflow_signals, signals_of, tissue_signals
from model.physics.protocol import SEQUENCES, SequenceProtocol, SequenceSettings
from model.physics.tissue import TISSUES, properties
from warehouse.errors import PhysicsError

PROTOCOLS = {
    "T1w spin echo": SequenceProtocol("T1w", "spin_echo", 1.5, 0.5, 0.012, None, 90.0),
    "T2w": SequenceProtocol("T2w", "fast_spin_echo", 3.0, 5.0, 0.1, None, 150.0),
    "PDw": SequenceProtocol("PDw", "fast_spin_echo", 3.0, 3.0, 0.012, None, 150.0),
    "FLAIR": SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0),
    "T1w": SequenceProtocol("T1w", "spoiled_gradient_echo", 1.5, 0.02, 0.004, None, 25.0),
    "MPRAGE": SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0),
    "T2*w": SequenceProtocol("T2starw", "t2star", 3.0, 0.65, 0.02, None, 20.0),
    "SWI": SequenceProtocol("SWI", "swi", 3.0, 0.028, 0.02, None, 15.0),
    "angio": SequenceProtocol("angio", "time_of_flight", 3.0, 0.022, 0.0037, None, 18.0),
}


def by_tissue(protocol: SequenceProtocol) -> dict[str, float]:
    return dict(zip(TISSUES, signals_of([protocol])[0].tolist(), strict=True))


def test_every_sequence_has_its_equation() -> None:
    assert set(EQUATIONS) == set(SEQUENCES) == {protocol.sequence for protocol in PROTOCOLS.values()}


def test_a_mixed_batch_gives_each_protocol_what_it_gets_alone() -> None:
    protocols = [*PROTOCOLS.values(), dataclasses.replace(PROTOCOLS["MPRAGE"], is_post_contrast=True)] * 2
    together = signals_of(protocols)
    assert together.shape == (len(protocols), len(TISSUES))
    for row, protocol in enumerate(protocols):
        assert torch.equal(together[row], signals_of([protocol])[0])


def test_a_head_brings_its_own_tissue() -> None:
    t2w = PROTOCOLS["T2w"]
    assert torch.equal(signals_of([t2w], properties(3.0)), signals_of([t2w]))
    half = dataclasses.replace(properties(3.0), pd=properties(3.0).pd / 2)
    assert torch.allclose(signals_of([t2w], half), signals_of([t2w]) / 2)


@pytest.mark.parametrize(
    ("name", "brighter", "darker"),
    [
        ("T1w", "white_matter", "cortex"),
        ("T1w", "cortex", "csf"),
        ("T1w spin echo", "white_matter", "cortex"),
        ("MPRAGE", "white_matter", "thalamus"),
        ("MPRAGE", "thalamus", "cortex"),
        ("MPRAGE", "fat", "white_matter"),
        ("MPRAGE", "cortex", "csf"),
        ("T2w", "csf", "cortex"),
        ("T2w", "cortex", "white_matter"),
        ("T2w", "plaque", "cortex"),
        ("T2w", "white_matter", "pallidum"),
        ("T2w", "cortex", "artery"),
        ("FLAIR", "cortex", "white_matter"),
        ("FLAIR", "plaque", "cortex"),
        ("FLAIR", "hyperintensity", "cortex"),
        ("FLAIR", "oedema", "cortex"),
        ("FLAIR", "white_matter", "lacune"),
        ("FLAIR", "white_matter", "csf"),
        ("PDw", "cortex", "white_matter"),
        ("PDw", "plaque", "white_matter"),
        ("T2*w", "cortex", "pallidum"),
        ("T2*w", "cortex", "vein"),
        ("SWI", "white_matter", "vein"),
    ],
)
def test_contrasts_look_as_a_radiologist_expects(name: str, brighter: str, darker: str) -> None:
    signal = by_tissue(PROTOCOLS[name])
    assert signal[brighter] > 1.05 * signal[darker]


def test_bone_gives_next_to_nothing_and_nothing_is_negative() -> None:
    signals = signals_of(list(PROTOCOLS.values()))
    assert bool((signals >= 0).all())
    assert signals[:, TISSUES.index("bone")].max() < 0.01


def test_gadolinium_lights_up_leaks_and_vessels_and_leaves_the_brain() -> None:
    before = by_tissue(PROTOCOLS["MPRAGE"])
    after = by_tissue(dataclasses.replace(PROTOCOLS["MPRAGE"], is_post_contrast=True))
    for name in ("tumour", "plaque", "vein", "artery"):
        assert after[name] > 2 * before[name]
        assert after[name] > after["white_matter"]
    assert after["cortex"] == pytest.approx(before["cortex"])


def test_inflow_is_added_to_angiography_alone() -> None:
    gains = inflow_signals(list(PROTOCOLS.values()))
    for gain, protocol in zip(gains, PROTOCOLS.values(), strict=True):
        assert (gain.max() > 0) == (protocol.sequence == "time_of_flight")
    assert inflow_signals([]).shape == signals_of([]).shape == (0, len(TISSUES))


def test_signs_are_kept_on_request() -> None:
    early = dataclasses.replace(PROTOCOLS["FLAIR"], inversion_time_s=1.0)
    signed = signals_of([early], signed=True)
    assert bool((signed[:, TISSUES.index("csf")] < 0).all())
    assert torch.equal(signed.abs(), signals_of([early]))


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_gradients_agree_with_finite_differences(sequence: str) -> None:
    tissue = properties(3.0)
    base = {
        "spin_echo": (0.5, 0.012, 0.0, 80.0),
        "fast_spin_echo": (4.0, 0.1, 0.0, 140.0),
        "inversion_recovery": (9.0, 0.12, 2.4, 140.0),
        "mprage": (2.3, 0.003, 0.9, 9.0),
    }.get(sequence, (0.03, 0.005, 0.0, 15.0))

    def signal(tr_s: torch.Tensor, te_s: torch.Tensor, ti_s: torch.Tensor, fa_deg: torch.Tensor) -> torch.Tensor:
        return tissue_signals(sequence, tissue, SequenceSettings.of(tr_s, te_s, fa_deg, ti_s), signed=True)

    given = tuple(torch.tensor([value], dtype=torch.float64, requires_grad=True) for value in base)
    assert torch.autograd.gradcheck(signal, given, eps=1e-7, atol=1e-5)


def test_gradients_reach_the_tissue_as_well() -> None:
    tissue = properties(3.0)
    t1_s = tissue.t1_s.clone().requires_grad_()
    settings = SequenceSettings.of(tr_s=2.3, te_s=0.003, fa_deg=9.0, ti_s=0.9)
    tissue_signals("mprage", dataclasses.replace(tissue, t1_s=t1_s), settings, signed=True).sum().backward()
    assert t1_s.grad is not None
    assert bool((t1_s.grad.abs() > 0).all())


def test_thousands_of_settings_are_one_call() -> None:
    n = 5000
    settings = SequenceSettings.of(torch.linspace(1, 9, n), torch.linspace(0.01, 0.2, n), 160.0)
    assert tissue_signals("fast_spin_echo", properties(3.0), settings).shape == (n, len(TISSUES))


def test_an_unknown_sequence_is_refused_by_name() -> None:
    with pytest.raises(PhysicsError, match="no such sequence: 'epi'"):
        tissue_signals("epi", properties(3.0), SequenceSettings.of(1.0, 0.1, 90.0))
