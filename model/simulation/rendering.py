"""The noiseless image of a head by a protocol, on the head's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from model.physics.contrast import inflow_signals, signals_of
from model.physics.susceptibility import swi_weight
from model.physics.tissue import TISSUES

if TYPE_CHECKING:
    from model.physics.protocol import SequenceProtocol
    from model.simulation.head import Head

BRAIN = (TISSUES.index("cortex"), TISSUES.index("white_matter"))
B0_AXIS = 2  # the head lies along the magnet; the few degrees of its pose are neglected in the field of its own iron


@dataclass(frozen=True)
class Rendered:
    """An image without noise.

    Parameters
    ----------
    image : (i, j, k) tensor of float32
        Signed where an inversion left a sign: averaged over a voxel with it, and made a magnitude with its noise.
    brain_signal : float
        Mean magnitude of cortex and white matter at the nominal flip angle, which noise is measured by.
    """

    image: Tensor
    brain_signal: float


def render(head: Head, protocol: SequenceProtocol, transmit: Tensor) -> Rendered:
    """Mix the signals of a head's tissues, voxel by voxel.

    The signal is evaluated at the lowest, nominal and highest flip angle of the transmit field, and between them by
    the parabola through the three.

    Parameters
    ----------
    transmit : (i, j, k) tensor of float32
        Transmit field on the head's grid, as a share of the nominal.
    """
    tissue = head.tissue(protocol.field_strength_t)
    half = max(float((transmit - 1).abs().max()), 1e-3)
    scales = (1 - half, 1.0, 1 + half)
    signals = torch.cat([signals_of([protocol], tissue, b1=scale, signed=True) for scale in scales])
    image = _parabola(_mixed(signals, head.fractions), (transmit - 1) / half)
    if protocol.sequence == "time_of_flight":
        fresh = torch.cat([inflow_signals([protocol], tissue, b1=scale) for scale in scales])
        image += _parabola(_mixed(fresh, head.fractions), (transmit - 1) / half) * head.inflow
    if protocol.sequence == "swi":
        chi_ppm = _mixed(tissue.chi_ppm[None], head.fractions)[0]
        i, j, k = (float(size) for size in np.linalg.norm(head.affine[:3, :3], axis=0))
        field_t, te_s = protocol.field_strength_t, protocol.echo_time_s
        image *= swi_weight(chi_ppm, (i, j, k), field_t, te_s, B0_AXIS, magnitude=image.abs())
    brain = float(signals[1, list(BRAIN)].abs().mean())
    return Rendered(image, brain)


def _mixed(values: Tensor, fractions: Tensor) -> Tensor:
    """Return values × fractions summed over tissues, (n, i, j, k) float32."""
    flat = values.float() @ fractions.flatten(1)
    return flat.reshape(-1, *fractions.shape[1:])


def _parabola(at_three: Tensor, place: Tensor) -> Tensor:
    """Return the parabola through values at -1, 0 and 1, evaluated at a place of each voxel."""
    low, middle, high = at_three
    curve: Tensor = middle + place * ((high - low) / 2 + place * ((high + low) / 2 - middle))
    return curve
