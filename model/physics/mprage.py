"""MPRAGE: inversion, a train of small pulses, recovery, over and over. Conventions as in `spin_echo`."""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.gradient_echo import steady_state
from model.physics.settings import SequenceSettings
from model.physics.tissue import Properties


def mprage(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Signed signal at the k-space centre, the middle pulse of the train, in the steady state of the cycle.

    Between pulses Mz obeys an affine recursion, m' = 1 + (m cos α − 1) E with E = exp(−τ/T1), whose fixed point m* is
    the spoiled gradient echo's; so after k pulses it is m* + (m₀ − m*) (E cos α)^k, and the cycle from inversion to
    inversion is affine as well: its fixed point is closed, no loop needed. The train starts at t₀ = TI − ⌊n/2⌋ τ and
    what is left of TR after it is recovery. Inversion is adiabatic and complete.

    Source: Mugler and Brookeman 1990 MRM 15:152; Deichmann 2000 NeuroImage 12:112; Marques 2010 NeuroImage 49:1271.
    """
    angle = torch.deg2rad(settings.fa_deg * settings.b1)
    n_before = torch.floor(settings.n_readouts / 2)
    start_s = settings.ti_s - n_before * settings.readout_spacing_s
    rest_s = settings.tr_s - start_s - settings.n_readouts * settings.readout_spacing_s
    fixed = steady_state(settings.readout_spacing_s, angle, tissue.t1_s)
    shrink = torch.cos(angle) * torch.exp(-settings.readout_spacing_s / tissue.t1_s)
    e_start, e_rest = torch.exp(-start_s / tissue.t1_s), torch.exp(-rest_s / tissue.t1_s)
    train = shrink**settings.n_readouts
    inverted = (1 - e_rest + e_rest * (fixed + train * (1 - e_start - fixed))) / (1 + e_start * e_rest * train)
    first = 1 - (1 + inverted) * e_start
    center = fixed + (first - fixed) * shrink**n_before
    return tissue.pd * torch.sin(angle) * center * torch.exp(-settings.te_s / tissue.t2star_s)
