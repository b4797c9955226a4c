"""Spoiled gradient echoes. Conventions as in `spin_echo`."""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.settings import SequenceSettings
from model.physics.tissue import Properties


def spoiled_gradient_echo(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Steady state of perfectly spoiled pulses of α every TR; also the magnitude of T2*-weighted scans and SWI.

        S = PD sin α (1 − E1) / (1 − E1 cos α) exp(−TE/T2*),   E1 = exp(−TR/T1)

    Source: Ernst and Anderson 1966 Rev Sci Instrum 37:93; Haase 1986 J Magn Reson 67:258.
    """
    angle = torch.deg2rad(settings.fa_deg * settings.b1)
    decay = torch.exp(-settings.te_s / tissue.t2star_s)
    return tissue.pd * torch.sin(angle) * steady_state(settings.tr_s, angle, tissue.t1_s) * decay


def steady_state(tr_s: Tensor, angle_rad: Tensor, t1_s: Tensor) -> Tensor:
    """Mz before each of endless pulses of `angle_rad` every `tr_s`, as a share of equilibrium."""
    e1 = torch.exp(-tr_s / t1_s)
    return (1 - e1) / (1 - e1 * torch.cos(angle_rad))


def ernst_angle_deg(tr_s: Tensor, t1_s: Tensor) -> Tensor:
    """Compute the flip angle of the largest signal, arccos exp(−TR/T1), degrees."""
    return torch.rad2deg(torch.arccos(torch.exp(-tr_s / t1_s)))
