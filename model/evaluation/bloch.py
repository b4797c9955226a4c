"""Bloch's equation stepped event by event for one isochromat: perfectly spoiled gradient echoes.

The slow and obvious version, which shares no line with `model.physics`. Source: Bernstein, King, Zhou: Handbook of MRI
Pulse Sequences (2004), chapter 14.1. A phase graph with RF spoiling, but without the diffusion and flow that real fluid
has, would leave fluid 0.15 of the white-matter signal brighter in MPRAGE. Times in seconds, angles in radians,
magnetisation as (3,) arrays along x, y and B0, equilibrium magnetisation 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Cycle = Callable[[float], tuple[float, Vector]]


def steady_state(cycle: Cycle) -> Vector:
    """Return the echoes of a cycle in its steady state.

    A cycle that ends spoiled hands over the magnetisation along B0 alone, as an affine function of what it got. Two
    runs give that function, hence its fixed point; the third starts there.

    Parameters
    ----------
    cycle : callable
        From the magnetisation along B0 at the start to that at the end, and the echoes, (n,).
    """
    from_none, from_all = cycle(0.0)[0], cycle(1.0)[0]
    return cycle(from_none / (1 - from_all + from_none))[1]


def rotate_x(angle: float) -> NDArray[np.float64]:
    """Return the rotation about x, (3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def relax(m: Vector, time_s: float, t1_s: float, t2_s: float) -> Vector:
    """Return the magnetisation after free relaxation on resonance."""
    e1, e2 = np.exp(-time_s / t1_s), np.exp(-time_s / t2_s)
    return np.asarray(m * [e2, e2, e1] + [0, 0, 1 - e1])


def spoil(m: Vector) -> Vector:
    """Return what is left along B0."""
    return np.asarray(m * [0, 0, 1])


def gradient_echo(t1_s: float, t2star_s: float, tr_s: float, te_s: float, angle: float, n_pulses: int) -> float:
    """Return the echo after the last of n perfectly spoiled pulses that start at equilibrium."""
    m = np.array([0.0, 0.0, 1.0])
    echo = 0.0
    for _ in range(n_pulses):
        m = rotate_x(angle) @ m
        m = relax(m, te_s, t1_s, t2star_s)
        echo = float(np.hypot(m[0], m[1]))
        m = spoil(relax(m, tr_s - te_s, t1_s, t2star_s))
    return echo


def mprage(
    t1_s: float, t2star_s: float, tr_s: float, te_s: float, ti_s: float, angle: float, spacing_s: float, n_readouts: int
) -> float:
    """Return the signed echo of the middle readout, in the steady state of inversion, train and recovery.

    The middle pulse of the train falls on TI; TR counts from inversion to inversion.
    """
    start_s = ti_s - (n_readouts // 2) * spacing_s

    def cycle(along: float) -> tuple[float, Vector]:
        m = relax(rotate_x(np.pi) @ np.array([0.0, 0.0, along]), start_s, t1_s, t2star_s)
        echoes = np.zeros(n_readouts)
        for readout in range(n_readouts):
            m = rotate_x(angle) @ spoil(m)
            m = relax(m, te_s, t1_s, t2star_s)
            echoes[readout] = m[1]
            m = relax(m, spacing_s - te_s, t1_s, t2star_s)
        m = relax(m, tr_s - start_s - n_readouts * spacing_s, t1_s, t2star_s)
        return float(m[2]), echoes

    return float(steady_state(cycle)[n_readouts // 2])
