"""The settings of one acquisition, and of a batch of acquisitions as tensors; impossible settings are refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from model.physics.tissue import FIELD_RANGE_T
from warehouse.errors import PhysicsError
from warehouse.prompts.vocabulary import CONTRASTS

SEQUENCES = (
    *("spin_echo", "fast_spin_echo", "inversion_recovery"),
    *("spoiled_gradient_echo", "mprage", "t2star", "swi", "time_of_flight"),
)
INVERTED = ("inversion_recovery", "mprage")
TRAINS = ("fast_spin_echo", "inversion_recovery")
TRAIN_SPACING_S, LONGEST_TRAIN = 0.0075, 176  # of the readouts of an `mprage`, which no sidecar and no prompt states
REFOCUSED = ("spin_echo", "fast_spin_echo", "inversion_recovery")


@dataclass(frozen=True)
class SequenceProtocol:
    """The settings of one acquisition at the scanner.

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
        `inversion_recovery`, whose excitation is 90. Where it is variable, the nominal one, which has no effect.
    is_post_contrast : bool
        After gadolinium.
    readout_spacing_s : float
        From pulse to pulse of the train of an `mprage`.
    n_readouts : int
        Pulses of that train; the k-space centre is its middle.
    flip_angle_variable : bool
        True where the refocusing angle of a `fast_spin_echo` or `inversion_recovery` varies along the train, as in
        SPACE, CUBE or VISTA.

    Raises
    ------
    PhysicsError
        For settings that no scanner can run.

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
    readout_spacing_s: float = TRAIN_SPACING_S
    n_readouts: int = LONGEST_TRAIN
    flip_angle_variable: bool = False

    def __post_init__(self) -> None:
        for is_kept, problem, remedy in _rules(self):
            if not is_kept:
                raise PhysicsError(problem, remedy)


def _rules(protocol: SequenceProtocol) -> Iterator[tuple[bool, str, str]]:
    """Yield the rules that a protocol must keep, in order: whether it does, the problem otherwise, and the remedy."""
    sequence, field_t, angle_deg = protocol.sequence, protocol.field_strength_t, protocol.flip_angle_deg
    tr_s, te_s, ti_s = protocol.repetition_time_s, protocol.echo_time_s, protocol.inversion_time_s
    yield (
        protocol.contrast in CONTRASTS,
        f"no such contrast: {protocol.contrast!r}",
        f"choose from {', '.join(CONTRASTS)}",
    )
    yield sequence in SEQUENCES, f"no such sequence: {sequence!r}", f"choose from {', '.join(SEQUENCES)}"
    low, high = FIELD_RANGE_T
    yield low <= field_t <= high, f"a field of {field_t} T is not known", f"choose from {low:g} to {high:g} T"
    is_positive = math.isfinite(tr_s) and tr_s > 0
    yield is_positive, f"a repetition time of {tr_s} s is not positive", "give seconds above 0"
    yield (
        0 < te_s < tr_s,
        f"an echo time of {te_s} s does not fit into a repetition time of {tr_s} s",
        "give 0 < TE < TR, both in seconds",
    )
    yield (
        sequence in TRAINS or not protocol.flip_angle_variable,
        f"{sequence} has no train of refocusing pulses whose angle could vary",
        f"leave flip_angle_variable False, or choose from {', '.join(TRAINS)}",
    )
    limit_deg = 180 if sequence in TRAINS else 90
    yield (
        0 < angle_deg <= limit_deg,
        f"a flip angle of {angle_deg}° is not possible for {sequence}",
        f"give degrees above 0 and up to {limit_deg}",
    )
    if sequence not in INVERTED:
        yield ti_s is None, f"{sequence} has no inversion, yet TI is {ti_s} s", "leave the inversion time None"
        return
    yield (
        ti_s is not None and 0 < ti_s < tr_s,
        f"an inversion time of {ti_s} s does not fit into a repetition time of {tr_s} s",
        "give 0 < TI < TR, both in seconds; TR is from inversion to inversion",
    )
    ti_s = ti_s or 0.0  # a protocol without one was refused by the rule before
    if sequence == "inversion_recovery":
        yield (
            ti_s + te_s < tr_s,
            f"TI + TE = {ti_s + te_s:g} s does not fit into TR = {tr_s} s",
            "lengthen TR or shorten TI or TE",
        )
        return
    spacing_s, n_readouts = protocol.readout_spacing_s, protocol.n_readouts
    before_s, after_s = (n_readouts // 2) * spacing_s, (n_readouts - n_readouts // 2) * spacing_s
    yield (
        n_readouts >= 1 and math.isfinite(spacing_s) and spacing_s > te_s,
        f"a train of {n_readouts} readouts, one each {spacing_s} s, has no room for TE = {te_s} s",
        "give at least one readout, spaced by more than TE",
    )
    yield (
        before_s <= ti_s and ti_s + after_s <= tr_s,
        f"a train of {n_readouts * spacing_s:g} s around TI = {ti_s} s does not fit between inversion and TR {tr_s} s",
        "use fewer readouts or a shorter spacing, or move TI",
    )


@dataclass(frozen=True)
class SequenceSettings:
    """The settings of n_protocols protocols as tensors, (n_protocols,) float64 each; gradients can flow through them.

    The class does not check its values: `SequenceProtocol` checks single protocols, `check_settings` checks batches.

    Parameters
    ----------
    tr_s, te_s, ti_s : (n_protocols,) Tensor
        Seconds; `ti_s` is ignored by sequences without inversion.
    fa_deg : (n_protocols,) Tensor
        Nominal, degrees.
    b1 : (n_protocols,) Tensor
        Transmit field as a share of the nominal: every pulse but the adiabatic inversion is scaled by it.
    readout_spacing_s, n_readouts : (n_protocols,) Tensor
        Of the train of an `mprage`.
    flip_angle_variable : (n_protocols,) Tensor
        1 where the refocusing angle varies along the train, else 0.
    """

    tr_s: Tensor
    te_s: Tensor
    ti_s: Tensor
    fa_deg: Tensor
    b1: Tensor
    readout_spacing_s: Tensor
    n_readouts: Tensor
    flip_angle_variable: Tensor

    @classmethod
    def of(
        cls,
        tr_s: Tensor | float,
        te_s: Tensor | float,
        fa_deg: Tensor | float,
        ti_s: Tensor | float = 0.0,
        *,
        b1: Tensor | float = 1.0,
        readout_spacing_s: Tensor | float = TRAIN_SPACING_S,
        n_readouts: Tensor | float = float(LONGEST_TRAIN),
        flip_angle_variable: Tensor | bool = False,
    ) -> SequenceSettings:
        """Return settings made of numbers and tensors, which are broadcast against each other.

        Examples
        --------
        >>> SequenceSettings.of(tr_s=2.0, te_s=torch.linspace(0.01, 0.1, 5), fa_deg=90.0).tr_s.shape
        torch.Size([5])
        """
        given = (tr_s, te_s, ti_s, fa_deg, b1, readout_spacing_s, n_readouts, flip_angle_variable)
        tensors = [torch.as_tensor(one, dtype=torch.float64).reshape(-1) for one in given]
        try:
            shape = np.broadcast_shapes(*(one.shape for one in tensors))
        except ValueError as error:
            raise PhysicsError(
                f"settings of unlike length: {[tuple(one.shape) for one in tensors]}",
                "give one value or n values of each",
            ) from error
        return cls(*(one.expand(shape) for one in tensors))

    @classmethod
    def from_protocols(cls, protocols: Sequence[SequenceProtocol], b1: float = 1.0) -> SequenceSettings:
        """Return a batch made of protocols; a missing inversion time becomes 0."""
        rows = [
            (
                one.repetition_time_s,
                one.echo_time_s,
                one.inversion_time_s or 0.0,
                one.flip_angle_deg,
                b1,
                one.readout_spacing_s,
                float(one.n_readouts),
                float(one.flip_angle_variable),
            )
            for one in protocols
        ]
        return cls(*torch.tensor(rows, dtype=torch.float64).reshape(-1, len(fields(cls))).unbind(1))

    def columns(self) -> SequenceSettings:
        """Return the same with shape (n_protocols, 1), which broadcasts against (n_tissues,)."""
        return SequenceSettings(*(getattr(self, field.name).unsqueeze(-1) for field in fields(self)))

    def __len__(self) -> int:
        return int(self.tr_s.shape[0])


def fitting_train(tr_s: float, ti_s: float) -> int:
    """Return how many readouts of an `mprage` fit around the inversion time, at most `LONGEST_TRAIN`."""
    return int(fitting_trains(torch.tensor(tr_s, dtype=torch.float64), torch.tensor(ti_s, dtype=torch.float64)))


def fitting_trains(tr_s: Tensor, ti_s: Tensor) -> Tensor:
    """Return `fitting_train` of many protocols, (n_protocols,)."""
    room_s = 2 * torch.minimum(ti_s, tr_s - ti_s)
    return (2 * torch.floor(0.95 * room_s / TRAIN_SPACING_S / 2)).clamp_max(LONGEST_TRAIN)


def check_settings(sequence: str, settings: SequenceSettings) -> None:
    """Raise an error that names the first settings that are not finite or out of order.

    Raises
    ------
    PhysicsError
        Where 0 < TE < TR, TI < TR, FA > 0 or b1 > 0 does not hold.
    """
    rules = {
        "TR > 0": settings.tr_s > 0,
        "TR finite": torch.isfinite(settings.tr_s),
        "0 < TE < TR": (settings.te_s > 0) & (settings.te_s < settings.tr_s),
        "FA > 0": settings.fa_deg > 0,
        "FA <= 180": settings.fa_deg <= 180,
        "b1 > 0": settings.b1 > 0,
    }
    if sequence in ("inversion_recovery", "mprage"):
        rules["0 < TI < TR"] = (settings.ti_s > 0) & (settings.ti_s < settings.tr_s)
    if sequence == "inversion_recovery":
        rules["TI + TE < TR"] = settings.ti_s + settings.te_s < settings.tr_s
    if sequence == "mprage":
        before_s = torch.floor(settings.n_readouts / 2) * settings.readout_spacing_s
        length_s = settings.n_readouts * settings.readout_spacing_s
        rules["the train to start after the inversion"] = before_s <= settings.ti_s
        rules["the train to end before TR"] = settings.ti_s - before_s + length_s <= settings.tr_s
    for rule, holds in rules.items():
        if not bool(holds.all()):  # a comparison with NaN is False, so NaN is refused too
            first = int((~holds).nonzero()[0, 0])
            raise PhysicsError(
                f"settings {first} of {sequence} break {rule}: TR {settings.tr_s[first]:g} s,"
                f" TE {settings.te_s[first]:g} s, TI {settings.ti_s[first]:g} s, FA {settings.fa_deg[first]:g}°",
                "times are in seconds, angles in degrees",
            )
