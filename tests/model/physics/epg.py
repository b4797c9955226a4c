"""An extended phase graph from first principles, which shares no line with `model.physics`.

A voxel's magnetisation under gradients is a sum of configurations: F(k) transverse, dephased by k cycles, and Z(k)
along B0. A pulse mixes F(k), F(−k)* and Z(k); relaxation damps them; a gradient moves F(k) to F(k+1). Source of the
algebra: Weigel 2015 J Magn Reson Imaging 41:266. All times in seconds, angles in radians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RF_SPOILING_RAD = np.deg2rad(117.0)


class Graph:
    """Configurations F+(k), F−(k) and Z(k) for k = 0 … order, starting at equilibrium."""

    def __init__(self, t1_s: float, t2_s: float, order: int = 60) -> None:
        self.t1_s, self.t2_s = t1_s, t2_s
        self.f_plus = np.zeros(order + 1, complex)
        self.f_minus = np.zeros(order + 1, complex)
        self.z = np.zeros(order + 1, complex)
        self.z[0] = 1.0

    def pulse(self, angle: float, phase: float = 0.0) -> None:
        half_cos, half_sin = np.cos(angle / 2) ** 2, np.sin(angle / 2) ** 2
        turn = np.exp(1j * phase)
        p, m, z = self.f_plus, self.f_minus, self.z
        self.f_plus = half_cos * p + turn**2 * half_sin * m - 1j * turn * np.sin(angle) * z
        self.f_minus = np.conj(turn) ** 2 * half_sin * p + half_cos * m + 1j * np.conj(turn) * np.sin(angle) * z
        self.z = -0.5j * np.conj(turn) * np.sin(angle) * p + 0.5j * turn * np.sin(angle) * m + np.cos(angle) * z

    def wait(self, time_s: float) -> None:
        self.f_plus *= np.exp(-time_s / self.t2_s)
        self.f_minus *= np.exp(-time_s / self.t2_s)
        self.z *= np.exp(-time_s / self.t1_s)
        self.z[0] += 1 - np.exp(-time_s / self.t1_s)

    def dephase(self) -> None:
        self.f_plus = np.concatenate([[np.conj(self.f_minus[1])], self.f_plus[:-1]])
        self.f_minus = np.concatenate([self.f_minus[1:], [0.0]])

    def destroy_transverse(self) -> None:
        self.f_plus[:] = 0
        self.f_minus[:] = 0

    @property
    def echo(self) -> complex:
        return complex(self.f_plus[0])


def echo_train(graph: Graph, n_echoes: int, spacing_s: float, refocusing: float) -> NDArray[np.float64]:
    """Excite by 90° and refocus n times (CPMG); magnitude of every echo."""
    graph.pulse(np.pi / 2, np.pi / 2)
    echoes = []
    for _ in range(n_echoes):
        for pulse in (False, True):
            if pulse:
                graph.pulse(refocusing)
            graph.wait(spacing_s / 2)
            graph.dephase() if not pulse else None
        graph.dephase()
        echoes.append(abs(graph.echo))
    return np.array(echoes)


def spin_echo_cycle(t1_s: float, t2_s: float, tr_s: float, te_s: float, angle: float, refocusing: float) -> float:
    """Echo in the steady state of excitation, crushed refocusing and spoiling at the end of TR."""
    graph = Graph(t1_s, t2_s, order=4)
    echo = 0.0
    for _ in range(60):
        graph.pulse(angle, np.pi / 2)
        graph.wait(te_s / 2)
        graph.dephase()
        graph.pulse(refocusing)
        graph.wait(te_s / 2)
        graph.dephase()
        echo = abs(graph.echo)
        graph.destroy_transverse()
        graph.wait(tr_s - te_s)
        graph.z[1:] = 0  # the spoiler of the next cycle takes what is stored dephased
    return echo


def train_cycle(
    t1_s: float, t2_s: float, tr_s: float, spacing_s: float, n_echoes: int, refocusing: float, ti_s: float | None = None
) -> NDArray[np.float64]:
    """Echoes in the steady state of (inversion, TI,) 90° and a train; TR counts from inversion or excitation."""
    graph = Graph(t1_s, t2_s, order=2 * n_echoes + 2)
    echoes = np.zeros(n_echoes)
    for _ in range(12):
        if ti_s is not None:
            graph.z[0] *= -1  # adiabatic inversion of what is left along B0
            graph.wait(ti_s)
        echoes = echo_train(graph, n_echoes, spacing_s, refocusing)
        graph.destroy_transverse()
        graph.z[1:] = 0
        graph.wait(tr_s - n_echoes * spacing_s - (ti_s or 0.0))
    return echoes


def spoiled_pulses(graph: Graph, n_pulses: int, tr_s: float, angle: float, start: int = 0) -> NDArray[np.float64]:
    """Magnitude right after each of n pulses with quadratic RF phase and a gradient a TR."""
    signal = []
    for pulse in range(start, start + n_pulses):
        phase = RF_SPOILING_RAD * pulse * (pulse + 1) / 2
        graph.pulse(angle, phase)
        signal.append(abs(graph.echo))
        graph.wait(tr_s)
        graph.dephase()
    return np.array(signal)
