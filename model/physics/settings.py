"""Many protocols as one batch of tensors, which gradients can flow through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from model.physics.protocol import SequenceProtocol
from warehouse.errors import PhysicsError


@dataclass(frozen=True)
class SequenceSettings:
    """The numbers of n_protocols protocols; every tensor is (n_protocols,) float64.

    Plain numbers are taken as well and spread over the batch. Nothing is checked here against a sequence:
    `SequenceProtocol` does so for protocols of scanners, `check_settings` for tensors made by hand.

    Parameters
    ----------
    tr_s, te_s, ti_s : (n_protocols,) Tensor
        Seconds; `ti_s` is ignored by sequences without inversion.
    fa_deg : (n_protocols,) Tensor
        Degrees, as told to the scanner.
    b1 : (n_protocols,) Tensor
        Transmit field as a share of the nominal: every pulse but the adiabatic inversion is scaled by it.
    readout_spacing_s, n_readouts : (n_protocols,) Tensor
        Of the train of an `mprage`.
    """

    tr_s: Tensor
    te_s: Tensor
    ti_s: Tensor
    fa_deg: Tensor
    b1: Tensor
    readout_spacing_s: Tensor
    n_readouts: Tensor

    @classmethod
    def of(
        cls,
        tr_s: Tensor | float,
        te_s: Tensor | float,
        fa_deg: Tensor | float,
        ti_s: Tensor | float = 0.0,
        *,
        b1: Tensor | float = 1.0,
        readout_spacing_s: Tensor | float = 0.0075,
        n_readouts: Tensor | float = 176.0,
    ) -> SequenceSettings:
        """Make settings of numbers and tensors, broadcast against each other.

        Examples
        --------
        >>> SequenceSettings.of(tr_s=2.0, te_s=torch.linspace(0.01, 0.1, 5), fa_deg=90.0).tr_s.shape
        torch.Size([5])
        """
        given = (tr_s, te_s, ti_s, fa_deg, b1, readout_spacing_s, n_readouts)
        tensors = [_at_least_1d(torch.as_tensor(one, dtype=torch.float64)) for one in given]
        try:
            shape = np.broadcast_shapes(*(tuple(one.shape) for one in tensors))
            return cls(*(one.expand(shape) for one in tensors))
        except ValueError as error:
            raise PhysicsError(
                f"settings of unlike length: {[tuple(one.shape) for one in tensors]}",
                "give one value or n values of each",
            ) from error

    @classmethod
    def from_protocols(cls, protocols: Sequence[SequenceProtocol], b1: float = 1.0) -> SequenceSettings:
        """Make a batch of the numbers of protocols; a missing inversion time becomes 0."""
        rows = [
            (
                one.repetition_time_s,
                one.echo_time_s,
                one.inversion_time_s or 0.0,
                one.flip_angle_deg,
                b1,
                one.readout_spacing_s,
                float(one.n_readouts),
            )
            for one in protocols
        ]
        return cls(*torch.tensor(rows, dtype=torch.float64).reshape(-1, len(fields(cls))).unbind(1))

    def columns(self) -> SequenceSettings:
        """Give the same with shape (n_protocols, 1), which broadcasts against (n_tissues,)."""
        return SequenceSettings(*(getattr(self, field.name).unsqueeze(-1) for field in fields(self)))

    def __len__(self) -> int:
        return int(self.tr_s.shape[0])


def check_settings(sequence: str, settings: SequenceSettings) -> None:
    """Refuse settings that are not finite or out of order, naming the first offender.

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


def _at_least_1d(tensor: Tensor) -> Tensor:
    return tensor if tensor.ndim else tensor.reshape(1)
