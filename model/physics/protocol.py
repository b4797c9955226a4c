"""The settings of one acquisition, refused where physics forbids them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from model.physics.tissue import FIELD_RANGE_T
from warehouse.errors import PhysicsError
from warehouse.prompts.vocabulary import CONTRASTS

SEQUENCES = (
    "spin_echo",
    "fast_spin_echo",
    "inversion_recovery",
    "spoiled_gradient_echo",
    "mprage",
    "t2star",
    "swi",
    "time_of_flight",
)
INVERTED = ("inversion_recovery", "mprage")
REFOCUSED = ("spin_echo", "fast_spin_echo", "inversion_recovery")


@dataclass(frozen=True)
class SequenceProtocol:
    """One acquisition as the scanner is told to make it.

    Parameters
    ----------
    contrast : str
        Of `CONTRASTS`: what the scan is called; the signal depends on the other settings alone.
    sequence : str
        Of `SEQUENCES`.
    field_strength_t : float
    repetition_time_s : float
        From excitation to excitation; from inversion to inversion for `inversion_recovery` and `mprage`.
    echo_time_s : float
        Effective echo time (of the k-space centre) for echo trains.
    inversion_time_s : float or None
        From inversion to excitation; to the k-space centre for `mprage`. None without inversion.
    flip_angle_deg : float
        Of the excitation, up to 90; of the refocusing pulses, up to 180, for `fast_spin_echo` and
        `inversion_recovery`, whose excitation is 90.
    is_post_contrast : bool
        After gadolinium.
    readout_spacing_s : float
        From pulse to pulse of the train of an `mprage`.
    n_readouts : int
        Pulses of that train; the k-space centre is its middle.

    Raises
    ------
    PhysicsError
        For settings that no scanner can play.

    Examples
    --------
    >>> SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.1, None, 150.0).echo_time_s
    0.1
    """

    contrast: str
    sequence: str
    field_strength_t: float
    repetition_time_s: float
    echo_time_s: float
    inversion_time_s: float | None
    flip_angle_deg: float
    is_post_contrast: bool = False
    readout_spacing_s: float = 0.0075
    n_readouts: int = 176

    def __post_init__(self) -> None:
        _check_names(self)
        _check_numbers(self)
        _check_inversion(self)
        if self.sequence == "mprage":
            _check_train(self)


def _check_names(protocol: SequenceProtocol) -> None:
    if protocol.contrast not in CONTRASTS:
        raise PhysicsError(f"no such contrast: {protocol.contrast!r}", f"choose from {', '.join(CONTRASTS)}")
    if protocol.sequence not in SEQUENCES:
        raise PhysicsError(f"no such sequence: {protocol.sequence!r}", f"choose from {', '.join(SEQUENCES)}")


def _check_numbers(protocol: SequenceProtocol) -> None:
    low, high = FIELD_RANGE_T
    if not low <= protocol.field_strength_t <= high:
        raise PhysicsError(
            f"a field of {protocol.field_strength_t} T is not known", f"choose from {low:g} to {high:g} T"
        )
    tr_s, te_s = protocol.repetition_time_s, protocol.echo_time_s
    if not (math.isfinite(tr_s) and tr_s > 0):
        raise PhysicsError(f"a repetition time of {tr_s} s is not positive", "give seconds above 0")
    if not 0 < te_s < tr_s:
        raise PhysicsError(
            f"an echo time of {te_s} s does not fit into a repetition time of {tr_s} s",
            "give 0 < TE < TR, both in seconds",
        )
    limit_deg = 180 if protocol.sequence in ("fast_spin_echo", "inversion_recovery") else 90
    if not 0 < protocol.flip_angle_deg <= limit_deg:
        raise PhysicsError(
            f"a flip angle of {protocol.flip_angle_deg}° is not possible for {protocol.sequence}",
            f"give degrees above 0 and up to {limit_deg}",
        )


def _check_inversion(protocol: SequenceProtocol) -> None:
    ti_s = protocol.inversion_time_s
    if protocol.sequence not in INVERTED:
        if ti_s is not None:
            raise PhysicsError(
                f"{protocol.sequence} has no inversion, yet TI is {ti_s} s", "leave the inversion time None"
            )
        return
    if ti_s is None or not 0 < ti_s < protocol.repetition_time_s:
        raise PhysicsError(
            f"an inversion time of {ti_s} s does not fit into a repetition time of {protocol.repetition_time_s} s",
            "give 0 < TI < TR, both in seconds; TR is from inversion to inversion",
        )
    if protocol.sequence == "inversion_recovery" and ti_s + protocol.echo_time_s >= protocol.repetition_time_s:
        raise PhysicsError(
            f"TI + TE = {ti_s + protocol.echo_time_s:g} s does not fit into TR = {protocol.repetition_time_s} s",
            "lengthen TR or shorten TI or TE",
        )


def _check_train(protocol: SequenceProtocol) -> None:
    spacing_s, n_readouts = protocol.readout_spacing_s, protocol.n_readouts
    if n_readouts < 1 or not (math.isfinite(spacing_s) and spacing_s > protocol.echo_time_s):
        raise PhysicsError(
            f"a train of {n_readouts} readouts, one each {spacing_s} s, has no room for TE = {protocol.echo_time_s} s",
            "give at least one readout, spaced by more than TE",
        )
    assert protocol.inversion_time_s is not None  # checked before
    before_s = (n_readouts // 2) * spacing_s
    after_s = (n_readouts - n_readouts // 2) * spacing_s
    if before_s > protocol.inversion_time_s or protocol.inversion_time_s + after_s > protocol.repetition_time_s:
        raise PhysicsError(
            f"a train of {n_readouts * spacing_s:g} s around TI = {protocol.inversion_time_s} s does not fit between"
            f" inversion and TR = {protocol.repetition_time_s} s",
            "use fewer readouts or a shorter spacing, or move TI",
        )
