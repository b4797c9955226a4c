"""Moving blood: bright where it is fresh in a gradient echo, dark where it leaves before a spin echo."""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.gradient_echo import spoiled_gradient_echo
from model.physics.settings import SequenceSettings
from model.physics.tissue import TISSUES, Properties

SLICE_MM = 5.0
VELOCITY_MM_S = {"artery": 400.0, "vein": 120.0}
"""Mean through-slice velocities, constructed: internal carotid 300-500 mm/s, dural sinus 100-200 mm/s."""


def fresh_blood(settings: SequenceSettings, tissue: Properties, n_pulses: float = 3.0) -> Tensor:
    """Signal of blood that has felt `n_pulses` pulses since it entered the slab unsaturated.

        Mz = m* + (1 − m*) (E1 cos α)^n,   S = PD sin α Mz exp(−TE/T2*)

    n = 0 is fully fresh, n → ∞ the static steady state m*. Source: Parker 1991 MRM 17:434.
    """
    angle = torch.deg2rad(settings.fa_deg * settings.b1)
    e1 = torch.exp(-settings.tr_s / tissue.t1_s)
    shrink = e1 * torch.cos(angle)
    fixed = (1 - e1) / (1 - shrink)
    along = fixed + (1 - fixed) * shrink**n_pulses
    return tissue.pd * torch.sin(angle) * along * torch.exp(-settings.te_s / tissue.t2star_s)


def inflow_gain(settings: SequenceSettings, tissue: Properties) -> Tensor:
    """Compute what fresh arterial blood adds to its static signal; zero elsewhere, (n_protocols, n_tissues)."""
    gain = fresh_blood(settings, tissue) - spoiled_gradient_echo(settings, tissue)
    is_artery = torch.zeros(len(TISSUES), dtype=gain.dtype)
    is_artery[TISSUES.index("artery")] = 1.0
    return gain * is_artery


def staying_share(te_s: Tensor) -> Tensor:
    """Share of each tissue that is still in the slice at the refocusing pulse TE/2 after excitation.

    max(0, 1 − v TE / (2 d)) for blood of velocity v across a slice of thickness d, smoothed so that gradients exist;
    1 for all that rests. Source: Bradley and Waluch 1985 Radiology 154:443 (flow void). TE as (n_protocols, 1).
    """
    speed = torch.tensor([VELOCITY_MM_S.get(name, 0.0) for name in TISSUES], dtype=te_s.dtype)
    return torch.exp(-speed * te_s / 2 / SLICE_MM)
