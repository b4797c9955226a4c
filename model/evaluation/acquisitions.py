"""From what a prompt states of an acquisition to the protocol whose signals can be computed."""

from __future__ import annotations

from model.physics.protocol import SequenceProtocol
from warehouse.errors import PhysicsError
from warehouse.prompts.record import PromptRecord

SHORT_TR_S = 0.1  # below it, a T1w without inversion is a spoiled gradient echo
TRAIN_SPACING_S, LONGEST_TRAIN = 0.0075, 176  # of an MPRAGE, whose prompt gives neither; as `SequenceProtocol` has them
SEQUENCE = {
    "T2w": "fast_spin_echo",
    "PDw": "fast_spin_echo",
    "FLAIR": "inversion_recovery",
    "T2starw": "t2star",
    "SWI": "swi",
    "angio": "time_of_flight",
}


def acquisition(record: PromptRecord) -> SequenceProtocol | None:
    """Return the protocol of a record; None where it does not state all that determines signals, or cannot be played.

    Contrast, field strength, TR, TE and flip angle must be stated, and TI for a FLAIR. The contrast gives the sequence;
    of T1w the inversion time and TR do.
    """
    contrast, tr_s = record.contrast, record.repetition_time_s
    stated = (contrast, record.field_strength_t, tr_s, record.echo_time_s, record.flip_angle_deg)
    if contrast is None or tr_s is None or any(value is None for value in stated) or record.flip_angle_variable:
        return None
    sequence, ti_s = SEQUENCE.get(contrast), record.inversion_time_s
    if contrast == "T1w":
        sequence = "mprage" if ti_s else "spoiled_gradient_echo" if tr_s < SHORT_TR_S else "spin_echo"
    if sequence is None:
        return None
    try:
        return SequenceProtocol(
            contrast,
            sequence,
            *(record.field_strength_t or 0.0, tr_s, record.echo_time_s or 0.0),
            ti_s if sequence in ("mprage", "inversion_recovery") else None,
            record.flip_angle_deg or 0.0,
            record.post_contrast,
            TRAIN_SPACING_S,
            _train(tr_s, ti_s) if sequence == "mprage" and ti_s else LONGEST_TRAIN,
        )
    except PhysicsError:
        return None


def _train(tr_s: float, ti_s: float) -> int:
    """Return the number of readouts that fit around the inversion time, at most `LONGEST_TRAIN`."""
    room_s = 2 * min(ti_s, tr_s - ti_s)
    return max(min(LONGEST_TRAIN, 2 * int(0.95 * room_s / TRAIN_SPACING_S / 2)), 1)
