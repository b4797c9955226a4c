"""From what a prompt states of an acquisition to the protocol whose signals can be computed."""

from __future__ import annotations

from model.physics.expected import FAMILIES, GRADIENT_ECHO_BELOW_S, VARIABLE_ABOVE_S
from model.physics.protocol import (
    INVERTED,
    LONGEST_TRAIN,
    TRAIN_SPACING_S,
    TRAINS,
    SequenceProtocol,
    fitting_train,
)
from warehouse.errors import PhysicsError
from warehouse.prompts.record import PromptRecord

REFOCUSING_DEG = 150.0  # of a train whose stated angle is that of the excitation; without effect where it varies


def acquisition(record: PromptRecord) -> SequenceProtocol | None:
    """Return the protocol of a record; None where it does not state all that determines signals, or cannot be played.

    Contrast, field strength, TR, TE and flip angle must be stated, and TI for a FLAIR: unlike `expected_ratios`, which
    fills in usual values, an ideal observer may be asked only where nothing is left open.
    """
    contrast, tr_s, te_s, ti_s = (
        record.contrast,
        record.repetition_time_s,
        record.echo_time_s,
        record.inversion_time_s,
    )
    field_t, angle_deg = record.field_strength_t, record.flip_angle_deg
    if contrast not in FAMILIES or not tr_s or not te_s or not field_t:
        return None
    sequence = FAMILIES[contrast][0].sequence
    if contrast == "T1w":
        sequence = "mprage" if ti_s else "spoiled_gradient_echo" if tr_s < GRADIENT_ECHO_BELOW_S else "spin_echo"
    is_variable = sequence in TRAINS and (record.flip_angle_variable or te_s > VARIABLE_ABOVE_S)
    if is_variable or (sequence in TRAINS and angle_deg and angle_deg <= 90):
        angle_deg = REFOCUSING_DEG
    try:
        return SequenceProtocol(
            contrast,
            sequence,
            field_t,
            tr_s,
            te_s,
            ti_s if sequence in INVERTED else None,
            angle_deg or 0.0,  # which is refused
            record.post_contrast,
            TRAIN_SPACING_S,
            max(fitting_train(tr_s, ti_s), 1) if sequence == "mprage" and ti_s else LONGEST_TRAIN,
            flip_angle_variable=is_variable,
        )
    except PhysicsError:
        return None
