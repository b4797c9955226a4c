"""Spin echoes: one echo, and a train of them read at its effective echo time.

All functions broadcast: settings come as (n_protocols, 1), tissues as (..., n_tissues). Times in seconds, angles in
degrees. Signals are signed, in units of the equilibrium signal of cerebrospinal fluid; `pd` scales them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.settings import SequenceSettings
from model.physics.tissue import Properties


def spin_echo(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Signal of excitation, 180° refocusing at TE/2 and echo at TE, in the steady state.

    The refocusing pulse inverts what has recovered, so that

        Mz = (1 − 2 exp(−(TR−TE/2)/T1) + exp(−TR/T1)) / (1 + cos α exp(−TR/T1)),   S = PD sin α Mz exp(−TE/T2);

    TE → 0 and α = 90° give the textbook's PD (1 − exp(−TR/T1)). Source: Bernstein, King, Zhou: Handbook of MRI Pulse
    Sequences (2004), chapter 14.3. A pulse of β = 180° × b1 refocuses the share sin²(β/2) and inverts by cos β.
    """
    angle, refocusing = torch.deg2rad(settings.fa_deg * settings.b1), torch.pi * settings.b1
    e_before = torch.exp(-settings.te_s / 2 / tissue.t1_s)
    e_after = torch.exp(-(settings.tr_s - settings.te_s / 2) / tissue.t1_s)
    inverting = torch.cos(refocusing)
    along = (1 - e_after + e_after * inverting * (1 - e_before)) / (
        1 - e_after * e_before * inverting * torch.cos(angle)
    )
    return (
        tissue.pd * torch.sin(angle) * along * torch.sin(refocusing / 2) ** 2 * torch.exp(-settings.te_s / tissue.t2_s)
    )


def fast_spin_echo(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Signal of a 90° pulse and a train of refocusing pulses, read at the effective echo time.

    S = PD (1 − exp(−(TR−TE)/T1)) × `train_echo`. Magnetisation is taken to recover from the effective echo on, since
    the length of the train (turbo factor) is not in the sidecars; a long train after it leaves a little less.
    """
    recovered = 1 - torch.exp(-(settings.tr_s - settings.te_s) / tissue.t1_s)
    return tissue.pd * recovered * train_echo(settings, tissue)


def train_echo(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Echo at TE of a CPMG train of constant refocusing angle β, per unit of Mz before a 90° pulse.

    An isochromat that precesses by φ in half an echo spacing turns about an axis n with every refocusing pulse,
    n_x² = a² / (a² + (1−a²) sin² φ), a = sin(β/2). What lies along n stays there, n_x of it in the beginning, and
    decays with n_x² R2 + (1−n_x²) R1. With tan φ = a tan ψ the average over φ is one over ψ, and closed:

        a exp(−TE (f R2 + (1−f) R1)) I₀(TE (1−f) (R2−R1)),   f = (1 + a²)/2,   I₀ the modified Bessel function.

    Without relaxation it is the known plateau sin(β/2) (Hennig and Scheffler 2000 MRM 44:983; Alsop 1997 MRM 37:176);
    β = 180° is the textbook's exp(−TE/T2). The first two or three echoes of a train oscillate about this law.
    """
    excited = torch.sin(torch.pi / 2 * settings.b1)
    locked = torch.sin(torch.deg2rad(settings.fa_deg * settings.b1) / 2)
    stored = (1 - locked**2) / 2
    spread = settings.te_s * stored * (1 / tissue.t2_s - 1 / tissue.t1_s)
    decay = settings.te_s * ((1 - stored) / tissue.t2_s + stored / tissue.t1_s)
    average: Tensor = torch.special.i0e(spread)
    return excited * locked * torch.exp(spread.abs() - decay) * average
