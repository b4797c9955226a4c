"""The signal of every tissue under protocols: each sequence with its equation.

The image of a head is `einsum("pt,tijk->pijk", signals, fractions)`, then its magnitude: a voxel's tissues add their
signed signals, not their parameters. SWI multiplies it by `susceptibility.swi_weight`; time-of-flight adds
`inflow_signals` × fractions × the head's map of fresh blood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor

from model.physics import tissue as tissues
from model.physics.protocol import REFOCUSED, SEQUENCES, SequenceProtocol, SequenceSettings, check_settings
from model.physics.sequences import (
    fast_spin_echo,
    inflow_gain,
    inversion_recovery,
    mprage,
    spin_echo,
    spoiled_gradient_echo,
    staying_share,
)
from model.physics.tissue import N_TISSUES, HasRelaxation, Properties, with_gadolinium
from warehouse.errors import PhysicsError

EQUATIONS: dict[str, Callable[[SequenceSettings, HasRelaxation], Tensor]] = {
    "spin_echo": spin_echo,
    "fast_spin_echo": fast_spin_echo,
    "inversion_recovery": inversion_recovery,
    "spoiled_gradient_echo": spoiled_gradient_echo,
    "mprage": mprage,
    "t2star": spoiled_gradient_echo,
    "swi": spoiled_gradient_echo,
    "time_of_flight": spoiled_gradient_echo,
}


def tissue_signals(sequence: str, tissue: Properties, settings: SequenceSettings, *, signed: bool = False) -> Tensor:
    """Return the signal of every tissue under every setting of one sequence; differentiable in all of them.

    Blood leaves the slice between the pulses of a spin echo (`sequences.staying_share`).

    Parameters
    ----------
    sequence : str
        Of `SEQUENCES`.
    tissue : Properties
        (n_tissues,), or (n_protocols, n_tissues) with a row per setting.
    settings : SequenceSettings
    signed : bool
        Keep the sign that an inversion leaves; needed where tissues are mixed before the magnitude is taken.

    Returns
    -------
    (n_protocols, n_tissues) Tensor
        In units of the equilibrium signal of cerebrospinal fluid.

    Raises
    ------
    PhysicsError
        For an unknown sequence or settings that break its rules.
    """
    if sequence not in EQUATIONS:
        raise PhysicsError(f"no such sequence: {sequence!r}", f"choose from {', '.join(SEQUENCES)}")
    check_settings(sequence, settings)
    columns = settings.columns()
    signal = EQUATIONS[sequence](columns, tissue)
    if sequence in REFOCUSED:
        signal = signal * staying_share(columns.te_s)
    return signal if signed else signal.abs()


def signals_of(
    protocols: Sequence[SequenceProtocol], tissue: Properties | None = None, b1: float = 1.0, *, signed: bool = False
) -> Tensor:
    """Return the signal of every tissue under protocols of any sequences and fields, with or without gadolinium.

    Parameters
    ----------
    protocols : sequence of SequenceProtocol
    tissue : Properties or None
        (n_tissues,), used for every protocol; None takes `properties` at the field of each protocol.
    b1 : float
        Transmit field as a share of the nominal; scales flip angles.
    signed : bool
        As in `tissue_signals`.

    Returns
    -------
    (n_protocols, n_tissues) Tensor
        float64, in the order given.

    Examples
    --------
    >>> flair = SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0)
    >>> signals_of([flair]).shape
    torch.Size([1, 22])
    """
    signals = torch.zeros(len(protocols), N_TISSUES, dtype=torch.float64)
    for sequence in {protocol.sequence for protocol in protocols}:
        where = [row for row, protocol in enumerate(protocols) if protocol.sequence == sequence]
        chosen = [protocols[row] for row in where]
        settings = SequenceSettings.from_protocols(chosen, b1)
        signals[where] = tissue_signals(sequence, properties_of(chosen, tissue), settings, signed=signed)
    return signals


def inflow_signals(protocols: Sequence[SequenceProtocol], tissue: Properties | None = None, b1: float = 1.0) -> Tensor:
    """Return what fresh blood adds to `signals_of`, (n_protocols, n_tissues) float64; 0 unless angiography."""
    if not protocols:
        return torch.zeros(0, N_TISSUES, dtype=torch.float64)
    settings = SequenceSettings.from_protocols(protocols, b1).columns()
    gain = inflow_gain(settings, properties_of(protocols, tissue))
    is_angio = torch.tensor([[protocol.sequence == "time_of_flight"] for protocol in protocols])
    return torch.where(is_angio, gain, torch.zeros_like(gain))


def properties_of(protocols: Sequence[SequenceProtocol], tissue: Properties | None = None) -> Properties:
    """Return properties with a row per protocol, (n_protocols, n_tissues), at its field and with its gadolinium."""
    if tissue is None:
        each = tissues.stack([tissues.properties(protocol.field_strength_t) for protocol in protocols])
    else:
        each = Properties(
            *(getattr(tissue, field.name).expand(len(protocols), N_TISSUES) for field in fields(Properties))
        )
    dose = torch.tensor([[float(protocol.is_post_contrast)] for protocol in protocols], dtype=torch.float64)
    return with_gadolinium(each, dose)
