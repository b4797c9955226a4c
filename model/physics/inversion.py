"""Inversion recovery read by an echo train: FLAIR and its kin.

Conventions as in `spin_echo`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.settings import SequenceSettings
from model.physics.spin_echo import train_echo
from model.physics.tissue import Properties


def inversion_recovery(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Signed signal of adiabatic inversion, 90° pulse after TI and a train read at the effective TE.

        S = PD (1 − 2 exp(−TI/T1) + exp(−(TR−TE)/T1)) × train

    The train keeps Mz at zero until the effective echo, from where it recovers for TR−TI−TE to the next inversion.
    Source: Bernstein, King, Zhou: Handbook of MRI Pulse Sequences (2004), chapter 14.2; Rydberg 1995 MRM 34:868.
    """
    recovery = (
        1 - 2 * torch.exp(-settings.ti_s / tissue.t1_s) + torch.exp(-(settings.tr_s - settings.te_s) / tissue.t1_s)
    )
    return tissue.pd * recovery * train_echo(settings, tissue)


def null_time_s(t1_s: Tensor, tr_s: Tensor, te_s: Tensor) -> Tensor:
    """Inversion time at which a tissue gives no signal: T1 ln(2 / (1 + exp(−(TR−TE)/T1))), seconds.

    For TR much longer than T1 it is T1 ln 2; at the TR of real FLAIR it is well below.
    """
    return t1_s * torch.log(2 / (1 + torch.exp(-(tr_s - te_s) / t1_s)))
