"""Prompts of randomly drawn protocols: what an observer may expect of a scan before it sees it."""

from __future__ import annotations

import numpy as np

from model.physics.contrast import EQUATIONS
from model.physics.protocol import SequenceProtocol
from model.simulation.protocols import VARIANTS, Variant, draw_protocol
from model.simulation.seeds import stream
from warehouse.prompts.record import PromptRecord

FIELDS_T = (1.5, 3.0)
SHARE_POST_CONTRAST = 0.5  # of the T1w scans


def drawn_records(n: int, seed: int = 0) -> list[PromptRecord]:
    """Return the acquisition fields of n random protocols, of all contrasts alike; person and vendor are not stated."""
    random = stream(seed, "drawn records")
    contrasts = list(VARIANTS)
    found = []
    for number in range(n):
        contrast, field_t = contrasts[number % len(contrasts)], float(random.choice(FIELDS_T))
        is_post = contrast == "T1w" and random.random() < SHARE_POST_CONTRAST
        found.append(record_of(draw_protocol(contrast, random, field_t, bool(is_post))))
    return found


def record_of(protocol: SequenceProtocol) -> PromptRecord:
    """Return what a prompt states of a protocol."""
    return PromptRecord(
        protocol.contrast,
        protocol.is_post_contrast,
        field_strength_t=protocol.field_strength_t,
        repetition_time_s=protocol.repetition_time_s,
        echo_time_s=protocol.echo_time_s,
        inversion_time_s=protocol.inversion_time_s,
        flip_angle_deg=protocol.flip_angle_deg,
    )


def is_ambiguous(record: PromptRecord) -> bool:
    """Return whether a protocol of another contrast may be the same: SWI and T2*w of equal TR, TE and flip angle.

    The tissues' signals are then equal, too; the phase mask of an SWI and fresh blood in an angiogram are not counted.
    """
    own = VARIANTS.get(record.contrast or "", ())
    equations = {EQUATIONS[variant.sequence] for variant in own}
    return any(
        EQUATIONS[variant.sequence] in equations and _holds(variant, record)
        for contrast, variants in VARIANTS.items()
        if contrast != record.contrast
        for variant in variants
    )


def _holds(variant: Variant, record: PromptRecord) -> bool:
    """Return whether a record states TR, TE and flip angle within a variant's ranges; variants with TI hold none."""
    stated = (
        (record.repetition_time_s, variant.repetition_time_s),
        (record.echo_time_s, variant.echo_time_s),
        (record.flip_angle_deg, variant.flip_angle_deg),
    )
    is_inverted = variant.inversion_time_s is not None or variant.inversion_share is not None
    within = (value is not None and np.round(low, 6) <= value <= np.round(high, 6) for value, (low, high) in stated)
    return not is_inverted and record.inversion_time_s is None and all(within)
