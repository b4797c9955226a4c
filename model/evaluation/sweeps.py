"""Sweeps of contrast fidelity: which number of a prompt varies over which values, and what stays.

Each spans what clinics and studies use, and its ends lie beyond the ranges of a training. So it tests whether a model
has learned how the signal depends on the number, and not only typical images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from model.evaluation.simulator import Acquisition, Sequence
from warehouse.prompts.record import PromptRecord

Field = Literal["echo_time_s", "repetition_time_s", "inversion_time_s", "flip_angle_deg"]


@dataclass(frozen=True)
class Sweep:
    """One number of one protocol at several values.

    Parameters
    ----------
    name : str
        Protocol, e.g. T2w_fse.
    contrast : str
        As prompts call it.
    played : Acquisition
        Protocol at rest.
    field : str
        Field of the prompt that varies.
    values : tuple of float
        Seconds or degrees, increasing.
    """

    name: str
    contrast: str
    played: Acquisition
    field: Field
    values: tuple[float, ...]

    def acquisition(self, value: float) -> Acquisition:
        """Return what a scanner plays at a value."""
        names = {
            "echo_time_s": "te_s",
            "repetition_time_s": "tr_s",
            "inversion_time_s": "ti_s",
            "flip_angle_deg": "flip_angle_deg",
        }
        changed: dict[str, Any] = {names[self.field]: value}
        return replace(self.played, **changed)

    def record(self, value: float) -> PromptRecord:
        """Return the prompt that asks for a value, of no person."""
        scan = self.acquisition(value)
        return PromptRecord(
            contrast=self.contrast,
            vendor="Siemens",
            model="Prisma",
            field_strength_t=3.0,
            repetition_time_s=scan.tr_s,
            echo_time_s=scan.te_s,
            inversion_time_s=scan.ti_s,
            flip_angle_deg=scan.flip_angle_deg,
        )


def _sweeps(
    name: str, contrast: str, sequence: Sequence, rest: tuple[float, float, float, float | None], **fields: Any
) -> tuple[Sweep, ...]:
    """Return the sweeps of one protocol; `rest` is TR, TE (s), FA (degrees) and TI (s)."""
    played = Acquisition(sequence, *rest)
    return tuple(Sweep(name, contrast, played, field, values) for field, values in fields.items())  # type: ignore[arg-type]


# Protocols at rest are those of the sidecars that `model/simulation/protocols.py` counts. Ranges, unless said:
# Bernstein, King, Zhou, Handbook of MRI Pulse Sequences (2004), chapters 14 and 16.
SWEEPS: tuple[Sweep, ...] = (
    *_sweeps(  # proton density to T2 weighting; at longer TE white matter keeps a few percent, too little for a unit
        "T2w_fse", "T2w", "fast_spin_echo", (4.0, 0.1, 150.0, None),
        echo_time_s=(0.02, 0.045, 0.07, 0.095, 0.12),
        repetition_time_s=(2.0, 3.0, 4.0, 6.0, 8.0),
    ),
    *_sweeps(  # 2.5 s nulls fluid at a TR of 9 s; Rydberg 1995 MRM 34:868
        "FLAIR_ir", "FLAIR", "inversion_recovery", (9.0, 0.12, 150.0, 2.5),
        inversion_time_s=(1.6, 1.9, 2.2, 2.5, 2.8),
        echo_time_s=(0.08, 0.1, 0.12, 0.14, 0.16),
        repetition_time_s=(6.0, 7.5, 9.0, 10.5, 12.0),
    ),
    *_sweeps(  # ADNI, HCP and UK Biobank lie within; Brant-Zawadzki 1992 Radiology 182:769
        "T1w_mprage", "T1w", "mprage", (2.3, 0.003, 9.0, 0.9),
        inversion_time_s=(0.7, 0.8, 0.9, 1.05, 1.2),
        flip_angle_deg=(5.0, 7.0, 9.0, 12.0, 15.0),
    ),
    *_sweeps("T1w_se", "T1w", "spin_echo", (0.5, 0.012, 90.0, None), repetition_time_s=(0.3, 0.4, 0.5, 0.7, 1.0)),
    *_sweeps(  # TR as in OASIS-3 and ADNI; Chavhan 2009 RadioGraphics 29:1433 for T2* weighting by TE and FA
        "T2starw_gre", "T2starw", "gradient_echo", (0.65, 0.02, 20.0, None),
        echo_time_s=(0.005, 0.01, 0.02, 0.03, 0.04),
        flip_angle_deg=(10.0, 20.0, 30.0, 45.0, 60.0),
    ),
)  # fmt: skip
