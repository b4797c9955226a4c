"""Protocols that several contrasts may have: what such a scan is called does not show in the signals of its tissues."""

from __future__ import annotations

from model.physics.contrast import EQUATIONS
from model.simulation.protocols import CLINICAL, VARIANTS, Variant
from warehouse.prompts.record import PromptRecord


def is_ambiguous(record: PromptRecord) -> bool:
    """Return whether another contrast may have the same protocol, as SWI and T2*w of equal TR, TE and flip angle.

    The tissues' signals are then equal, too; the phase mask of an SWI and fresh blood in an angiogram are not counted.
    """
    equations = {EQUATIONS[variant.sequence] for variant in _variants(record.contrast)}
    return any(
        EQUATIONS[variant.sequence] in equations and _holds(variant, record)
        for contrast in VARIANTS
        if contrast != record.contrast
        for variant in _variants(contrast)
    )


def _variants(contrast: str | None) -> tuple[Variant, ...]:
    return (*VARIANTS.get(contrast or "", ()), *CLINICAL.get(contrast or "", ()))


def _holds(variant: Variant, record: PromptRecord) -> bool:
    """Return whether a record states TR, TE and flip angle within a variant's ranges; variants with TI hold none."""
    stated = (
        (record.repetition_time_s, variant.repetition_time_s),
        (record.echo_time_s, variant.echo_time_s),
        (record.flip_angle_deg, variant.flip_angle_deg),
    )
    is_inverted = variant.inversion_time_s is not None or variant.inversion_share is not None
    within = (value is not None and low <= value <= high for value, (low, high) in stated)
    return not is_inverted and record.inversion_time_s is None and all(within)
