"""An extended phase graph: echoes of refocused sequences, from first principles; no line of `model.physics` is shared.

Networks are trained on images of closed equations, so contrast fidelity is measured against another derivation. A
voxel's magnetisation under gradients is a sum of configurations: F(k) transverse, dephased by k cycles, and Z(k) along
B0. A pulse mixes F(k), F(−k)* and Z(k); relaxation damps them; a gradient moves F(k) to F(k+1). Source of the algebra:
Weigel 2015 J Magn Reson Imaging 41:266. All times in seconds, angles in radians, equilibrium magnetisation 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.evaluation.bloch import steady_state


class Graph:
    """Configurations F+(k), F−(k) and Z(k) for k = 0 … order of one tissue.

    Parameters
    ----------
    t1_s, t2_s : float
    order : int
        Configurations beyond it are forgotten.
    along : float
        Magnetisation along B0 at the start; 1 is equilibrium.
    """

    def __init__(self, t1_s: float, t2_s: float, order: int = 60, along: float = 1.0) -> None:
        self.t1_s, self.t2_s = t1_s, t2_s
        self.f_plus = np.zeros(order + 1, complex)
        self.f_minus = np.zeros(order + 1, complex)
        self.z = np.zeros(order + 1, complex)
        self.z[0] = along

    def pulse(self, angle: float, phase: float = 0.0) -> None:
        """Turn all configurations by an angle about an axis of the transverse plane."""
        half_cos, half_sin = np.cos(angle / 2) ** 2, np.sin(angle / 2) ** 2
        turn = np.exp(1j * phase)
        p, m, z = self.f_plus, self.f_minus, self.z
        self.f_plus = half_cos * p + turn**2 * half_sin * m - 1j * turn * np.sin(angle) * z
        self.f_minus = np.conj(turn) ** 2 * half_sin * p + half_cos * m + 1j * np.conj(turn) * np.sin(angle) * z
        self.z = -0.5j * np.conj(turn) * np.sin(angle) * p + 0.5j * turn * np.sin(angle) * m + np.cos(angle) * z

    def wait(self, time_s: float) -> None:
        """Relax."""
        self.f_plus *= np.exp(-time_s / self.t2_s)
        self.f_minus *= np.exp(-time_s / self.t2_s)
        self.z *= np.exp(-time_s / self.t1_s)
        self.z[0] += 1 - np.exp(-time_s / self.t1_s)

    def dephase(self) -> None:
        """Apply a gradient of one cycle a voxel."""
        self.f_plus = np.concatenate([[np.conj(self.f_minus[1])], self.f_plus[:-1]])
        self.f_minus = np.concatenate([self.f_minus[1:], [0.0]])

    def spoil(self) -> None:
        """Forget everything but the magnetisation along B0 that is not dephased."""
        self.f_plus[:] = 0
        self.f_minus[:] = 0
        self.z[1:] = 0

    @property
    def echo(self) -> complex:
        """Signal: the transverse magnetisation that is not dephased."""
        return complex(self.f_plus[0])

    @property
    def along(self) -> float:
        """Magnetisation along B0 that is not dephased."""
        return float(self.z[0].real)


def echo_train(graph: Graph, n_echoes: int, spacing_s: float, refocusing: float) -> NDArray[np.float64]:
    """Excite by 90° and refocus n times (CPMG); return the magnitude of every echo."""
    graph.pulse(np.pi / 2, np.pi / 2)
    echoes = []
    for _ in range(n_echoes):
        graph.wait(spacing_s / 2)
        graph.dephase()
        graph.pulse(refocusing)
        graph.wait(spacing_s / 2)
        graph.dephase()
        echoes.append(abs(graph.echo))
    return np.array(echoes)


def spin_echo_cycle(t1_s: float, t2_s: float, tr_s: float, te_s: float, angle: float, refocusing: float) -> float:
    """Return the echo in the steady state of excitation, crushed refocusing and spoiling at the end of TR."""

    def cycle(along: float) -> tuple[float, NDArray[np.float64]]:
        graph = Graph(t1_s, t2_s, 4, along)
        graph.pulse(angle, np.pi / 2)
        graph.wait(te_s / 2)
        graph.dephase()
        graph.pulse(refocusing)
        graph.wait(te_s / 2)
        graph.dephase()
        echo = abs(graph.echo)
        graph.spoil()
        graph.wait(tr_s - te_s)
        return graph.along, np.array([echo])

    return float(steady_state(cycle)[0])


def train_cycle(
    t1_s: float, t2_s: float, tr_s: float, spacing_s: float, n_echoes: int, refocusing: float, ti_s: float | None = None
) -> NDArray[np.float64]:
    """Return the echoes in the steady state of (adiabatic inversion, TI,) 90° and a train.

    TR counts from inversion to inversion, or from excitation to excitation.
    """

    def cycle(along: float) -> tuple[float, NDArray[np.float64]]:
        graph = Graph(t1_s, t2_s, 2 * n_echoes + 2, along if ti_s is None else -along)
        graph.wait(ti_s or 0.0)
        echoes = echo_train(graph, n_echoes, spacing_s, refocusing)
        graph.spoil()
        graph.wait(tr_s - n_echoes * spacing_s - (ti_s or 0.0))
        return graph.along, echoes

    return steady_state(cycle)
