"""True signals of tissues for contrast fidelity, from stepped spins instead of the equations that networks train on.

It differs from `model.physics` where real scans do: echo trains consist of echoes, and go on after the effective one.
`tests/model/evaluation/test_simulator.py` says by how much. Not simulated: magnetisation transfer, diffusion, flow,
slice profiles, imperfect spoiling.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import Literal

import numpy as np

from model.data.digital_people import Relaxation
from model.evaluation import bloch, epg
from warehouse.errors import ModelError

Sequence = Literal["spin_echo", "fast_spin_echo", "inversion_recovery", "gradient_echo", "mprage"]
ECHO_SPACING_S = 0.010  # of echo trains; 8 to 12 ms are usual at 3 T
TRAIN_LENGTH = 16  # echoes of a train, or as many as the effective echo time needs
READOUT_SPACING_S, N_READOUTS = 0.0075, 176  # of MPRAGE, whose prompt gives neither; as `SequenceProtocol` has them


@dataclass(frozen=True)
class Acquisition:
    """What a scanner plays.

    Parameters
    ----------
    sequence : str
    tr_s, te_s : float
        TE is that of the k-space centre.
    flip_angle_deg : float
        Of the excitation; of the refocusing pulses for `fast_spin_echo` and `inversion_recovery`.
    ti_s : float or None
        To the excitation; to the k-space centre for `mprage`.

    Raises
    ------
    ModelError
        When a time is missing or does not fit.
    """

    sequence: Sequence
    tr_s: float
    te_s: float
    flip_angle_deg: float
    ti_s: float | None = None

    def __post_init__(self) -> None:
        train_s = self.te_s
        before_s = 0.0
        if self.sequence in ("fast_spin_echo", "inversion_recovery"):
            n_echoes, _, spacing_s = self.train
            train_s = n_echoes * spacing_s
        if self.sequence == "mprage":
            before_s, train_s = (
                (N_READOUTS // 2) * READOUT_SPACING_S,
                (N_READOUTS - N_READOUTS // 2) * READOUT_SPACING_S,
            )
        is_inverted = self.sequence in ("inversion_recovery", "mprage")
        if is_inverted != (self.ti_s is not None) or not 0 < self.te_s < self.tr_s:
            raise ModelError(f"{self} cannot be played", "give 0 < TE < TR, and TI to inverting sequences alone")
        if (self.ti_s or 0.0) + train_s > self.tr_s or (is_inverted and (self.ti_s or 0.0) < before_s):
            raise ModelError(f"{self} has no room for its train", "lengthen TR, or move TI")

    @property
    def train(self) -> tuple[int, int, float]:
        """Number of echoes, index of the effective one, and their spacing in seconds."""
        effective = max(1, round(self.te_s / ECHO_SPACING_S))
        return max(TRAIN_LENGTH, effective), effective - 1, self.te_s / effective


def signal(scan: Acquisition, tissue: Relaxation) -> float:
    """Return the magnitude of the signal of a pure tissue in the steady state.

    Returns
    -------
    float
        In units of the equilibrium signal of proton density 1; at least 0.
    """
    angle = radians(scan.flip_angle_deg)
    t1_s, t2_s = tissue.t1_s, tissue.t2_s
    match scan.sequence:
        case "spin_echo":
            share = epg.spin_echo_cycle(t1_s, t2_s, scan.tr_s, scan.te_s, angle, np.pi)
        case "fast_spin_echo" | "inversion_recovery":
            n_echoes, effective, spacing_s = scan.train
            echoes = epg.train_cycle(t1_s, t2_s, scan.tr_s, spacing_s, n_echoes, angle, scan.ti_s)
            share = float(echoes[effective])
        case "gradient_echo":
            n_pulses = int(60 + 12 * t1_s / scan.tr_s)  # the rest of the transient is below a millionth
            share = bloch.gradient_echo(t1_s, tissue.t2star_s, scan.tr_s, scan.te_s, angle, n_pulses)
        case "mprage":
            times = (t1_s, tissue.t2star_s, scan.tr_s, scan.te_s, scan.ti_s or 0.0)
            share = abs(bloch.mprage(*times, angle, READOUT_SPACING_S, N_READOUTS))
    return tissue.pd * share
