"""The signal equations of the sequences: spin echoes, inversion recovery, gradient echoes, MPRAGE, flowing blood.

All functions broadcast: settings come as (n_protocols, 1), tissues as (..., n_tissues), or voxels in their place. Times
in seconds, angles in degrees. Signals are signed, in units of the equilibrium signal of cerebrospinal fluid; `pd`
scales them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.protocol import SequenceSettings
from model.physics.tissue import TISSUES, HasRelaxation


def spin_echo(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the signal of excitation, 180° refocusing at TE/2 and echo at TE, in the steady state.

    The refocusing pulse inverts the recovered magnetisation, so that

        Mz = (1 − 2 exp(−(TR−TE/2)/T1) + exp(−TR/T1)) / (1 + cos α exp(−TR/T1)),   S = PD sin α Mz exp(−TE/T2);

    TE → 0 and α = 90° give PD (1 − exp(−TR/T1)). Source: Bernstein, King, Zhou: Handbook of MRI Pulse
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


def fast_spin_echo(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the signal of a 90° pulse and a train of refocusing pulses, read at the effective echo time.

    S = PD (1 − exp(−(TR−TE)/T1)) × `train_echo`. Magnetisation is assumed to recover from the effective echo on,
    since sidecars do not give the length of the train (turbo factor); a long rest of the train leaves slightly less.
    """
    recovered = 1 - torch.exp(-(settings.tr_s - settings.te_s) / tissue.t1_s)
    return tissue.pd * recovered * train_echo(settings, tissue)


def train_echo(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the echo at TE of a CPMG train, per unit of Mz before a 90° pulse: of constant angle, or of variable."""
    constant, variable = constant_angle_echo(settings, tissue), variable_angle_echo(settings, tissue)
    return torch.where(settings.flip_angle_variable > 0, variable, constant)


def constant_angle_echo(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the echo at TE of a train of constant refocusing angle β.

    An isochromat that precesses by φ in half an echo spacing turns about an axis n with every refocusing pulse,
    n_x² = a² / (a² + (1−a²) sin² φ), a = sin(β/2). The component along n, initially n_x, is kept by the pulses and
    decays at the rate n_x² R2 + (1−n_x²) R1. With tan φ = a tan ψ the average over φ has a closed form:

        a exp(−TE (f R2 + (1−f) R1)) I₀(TE (1−f) (R2−R1)),   f = (1 + a²)/2,   I₀ the modified Bessel function.

    Without relaxation it is the plateau sin(β/2) (Hennig and Scheffler 2000 MRM 44:983; Alsop 1997 MRM 37:176); for
    β = 180° it is exp(−TE/T2). The first two or three echoes of a train oscillate about this law.
    """
    excited = torch.sin(torch.pi / 2 * settings.b1)
    locked = torch.sin(torch.deg2rad(settings.fa_deg * settings.b1) / 2)
    stored = (1 - locked**2) / 2
    spread = settings.te_s * stored * (1 / tissue.t2_s - 1 / tissue.t1_s)
    decay = settings.te_s * ((1 - stored) / tissue.t2_s + stored / tissue.t1_s)
    average: Tensor = torch.special.i0e(spread)
    return excited * locked * torch.exp(spread.abs() - decay) * average


TRANSVERSE_S = 0.055
"""Longest time that the magnetisation of a variable-angle train is transverse; see `variable_angle_echo`."""


def variable_angle_echo(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the echo at TE of a train of variable refocusing angle (SPACE, CUBE, VISTA), without its gain.

    For most of TE the magnetisation is stored along B0, where it decays with T1, and for a share f it is transverse:

        S = sin 90° exp(−f TE/T2) exp(−(1−f) TE/T1),   f TE = TE τ / (TE + τ)

    The first equation is that of Weigel and Hennig 2006 MRM 55:826, as stated by public code that implements it. The
    second is constructed, as sidecars do not give the angles: for TE of 0.3 to 0.56 s, `tests/model/physics` designs
    trains that keep the signal of grey matter constant and end at 120° (the principle of Hennig 2004 MRM 51:68, Busse
    2006 MRM 55:1030 and Mugler 2014 JMRI 39:745), and simulates them by phase graphs. f TE is nearly the same in all of
    them; τ = 55 ms fits them best. For short TE, f TE is TE. The gain, common to all tissues, is left out, as is the
    effect of the transmit field on the train.
    """
    excited = torch.sin(torch.pi / 2 * settings.b1)
    transverse_s = transverse_time_s(settings.te_s)
    stored_s = settings.te_s - transverse_s
    return excited * torch.exp(-transverse_s / tissue.t2_s - stored_s / tissue.t1_s)


def transverse_time_s(te_s: Tensor) -> Tensor:
    """Return the part of the echo time of a variable-angle train in which the magnetisation is transverse, seconds."""
    return te_s * TRANSVERSE_S / (te_s + TRANSVERSE_S)


def equivalent_echo_time_s(te_s: Tensor, t2_to_t1: float = 0.075) -> Tensor:
    """Return the echo time of a conventional train with the contrast of a variable-angle train, seconds.

    It is the time t for which exp(−t/T2) is the loss by relaxation until TE (Busse 2006 MRM 55:1030), that is, the
    transverse time plus the stored time × T2/T1. It depends on the tissue; solid brain has T2/T1 of 0.05 to 0.08.

    Parameters
    ----------
    te_s : Tensor
        Nominal echo time, from excitation to the k-space centre.
    t2_to_t1 : float
        Of the tissue; white matter at 3 T by default.

    Examples
    --------
    >>> round(float(equivalent_echo_time_s(torch.tensor(0.563))), 3)
    0.089
    """
    transverse_s = transverse_time_s(te_s)
    return transverse_s + (te_s - transverse_s) * t2_to_t1


def inversion_recovery(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the signed signal of adiabatic inversion, 90° pulse after TI and an echo train read at the effective TE.

        S = PD (1 − 2 exp(−TI/T1) + exp(−(TR−TE)/T1)) × train

    The train keeps Mz at zero until the effective echo; from then on it recovers for TR−TI−TE until the next inversion.
    Source: Bernstein, King, Zhou: Handbook of MRI Pulse Sequences (2004), chapter 14.2; Rydberg 1995 MRM 34:868.
    """
    recovery = (
        1 - 2 * torch.exp(-settings.ti_s / tissue.t1_s) + torch.exp(-(settings.tr_s - settings.te_s) / tissue.t1_s)
    )
    return tissue.pd * recovery * train_echo(settings, tissue)


def spoiled_gradient_echo(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the steady state of perfectly spoiled pulses of α every TR; also used for T2*-weighted scans and SWI.

        S = PD sin α (1 − E1) / (1 − E1 cos α) exp(−TE/T2*),   E1 = exp(−TR/T1)

    Source: Ernst and Anderson 1966 Rev Sci Instrum 37:93; Haase 1986 J Magn Reson 67:258.
    """
    angle = torch.deg2rad(settings.fa_deg * settings.b1)
    decay = torch.exp(-settings.te_s / tissue.t2star_s)
    return tissue.pd * torch.sin(angle) * steady_state(settings.tr_s, angle, tissue.t1_s) * decay


def steady_state(tr_s: Tensor, angle_rad: Tensor, t1_s: Tensor) -> Tensor:
    """Return Mz before each pulse, as a share of equilibrium, in the steady state of `angle_rad` every `tr_s`."""
    e1 = torch.exp(-tr_s / t1_s)
    return (1 - e1) / (1 - e1 * torch.cos(angle_rad))


def mprage(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the signed signal at the k-space centre, the middle pulse of the train, in the steady state of the cycle.

    Between pulses Mz obeys an affine recursion, m' = 1 + (m cos α − 1) E with E = exp(−τ/T1), whose fixed point m* is
    the spoiled gradient echo's; so after k pulses it is m* + (m₀ − m*) (E cos α)^k, and the cycle from inversion to
    inversion is affine as well and its fixed point has a closed form. The train starts at t₀ = TI − ⌊n/2⌋ τ; the rest
    of TR after it is recovery. Inversion is adiabatic and complete.

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


SLICE_MM = 5.0
VELOCITY_MM_S = {"artery": 400.0, "vein": 120.0}
"""Mean through-slice velocities, constructed: internal carotid 300-500 mm/s, dural sinus 100-200 mm/s."""


def fresh_blood(settings: SequenceSettings, tissue: HasRelaxation, n_pulses: float = 3.0) -> Tensor:
    """Return the signal of blood that has received `n_pulses` pulses since it entered the slab unsaturated.

        Mz = m* + (1 − m*) (E1 cos α)^n,   S = PD sin α Mz exp(−TE/T2*)

    n = 0 is unsaturated blood; n → ∞ gives the static steady state m*. Source: Parker 1991 MRM 17:434.
    """
    angle = torch.deg2rad(settings.fa_deg * settings.b1)
    shrink = torch.exp(-settings.tr_s / tissue.t1_s) * torch.cos(angle)
    fixed = steady_state(settings.tr_s, angle, tissue.t1_s)
    along = fixed + (1 - fixed) * shrink**n_pulses
    return tissue.pd * torch.sin(angle) * along * torch.exp(-settings.te_s / tissue.t2star_s)


def inflow_gain(settings: SequenceSettings, tissue: HasRelaxation) -> Tensor:
    """Return the signal that fresh arterial blood adds to its static signal, (n_protocols, n_tissues); 0 elsewhere."""
    gain = fresh_blood(settings, tissue) - spoiled_gradient_echo(settings, tissue)
    is_artery = torch.zeros(len(TISSUES), dtype=gain.dtype)
    is_artery[TISSUES.index("artery")] = 1.0
    return gain * is_artery


def staying_share(te_s: Tensor) -> Tensor:
    """Return the share of each tissue that is still in the slice at the refocusing pulse, TE/2 after excitation.

    max(0, 1 − v TE / (2 d)) for blood of velocity v across a slice of thickness d, smoothed so that gradients exist;
    1 for static tissue. Source: Bradley and Waluch 1985 Radiology 154:443 (flow void). TE as (n_protocols, 1).
    """
    speed = torch.tensor([VELOCITY_MM_S.get(name, 0.0) for name in TISSUES], dtype=te_s.dtype)
    return torch.exp(-speed * te_s / 2 / SLICE_MM)
