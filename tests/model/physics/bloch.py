"""Bloch's equation stepped pulse by pulse, event by event, for one isochromat: the slow and obvious version."""

from __future__ import annotations

import numpy as np


def rotate_x(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def relax(m: np.ndarray, time_s: float, t1_s: float, t2_s: float) -> np.ndarray:
    e1, e2 = np.exp(-time_s / t1_s), np.exp(-time_s / t2_s)
    return m * [e2, e2, e1] + [0, 0, 1 - e1]


def spoil(m: np.ndarray) -> np.ndarray:
    return m * [0, 0, 1]


def gradient_echo(t1_s: float, t2star_s: float, tr_s: float, te_s: float, angle: float, n_pulses: int) -> float:
    """Echo after the last of n perfectly spoiled pulses that start at equilibrium."""
    m = np.array([0.0, 0.0, 1.0])
    echo = 0.0
    for _ in range(n_pulses):
        m = rotate_x(angle) @ m
        m = relax(m, te_s, t1_s, t2star_s)
        echo = float(np.hypot(m[0], m[1]))
        m = spoil(relax(m, tr_s - te_s, t1_s, t2star_s))
    return echo


def mprage(
    t1_s: float,
    t2star_s: float,
    tr_s: float,
    te_s: float,
    ti_s: float,
    angle: float,
    spacing_s: float,
    n_readouts: int,
    n_cycles: int = 12,
) -> float:
    """Signed echo of the middle readout in the last of n cycles of inversion, train and recovery."""
    m = np.array([0.0, 0.0, 1.0])
    center = 0.0
    start_s = ti_s - (n_readouts // 2) * spacing_s
    for _ in range(n_cycles):
        m = relax(rotate_x(np.pi) @ spoil(m), start_s, t1_s, t2star_s)
        for readout in range(n_readouts):
            m = rotate_x(angle) @ spoil(m)
            m = relax(m, te_s, t1_s, t2star_s)
            if readout == n_readouts // 2:
                center = float(m[1])
            m = relax(m, spacing_s - te_s, t1_s, t2star_s)
        m = relax(m, tr_s - start_s - n_readouts * spacing_s, t1_s, t2star_s)
    return center
