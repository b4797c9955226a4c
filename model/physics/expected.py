"""The signals that a record leads one to expect: the sequence family is inferred from contrast, TR, TI and flip angle.

A sidecar or a prompt rarely names the sequence. Where what it says fits several families, their signals are averaged.
What it does not say is replaced by a usual value: two records that leave out the same field do not differ in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from model.physics.contrast import tissue_signals
from model.physics.protocol import LONGEST_TRAIN, TRAIN_SPACING_S, TRAINS, SequenceSettings, fitting_trains
from model.physics.tissue import FIELD_RANGE_T, TISSUES, Properties, properties, stack, with_gadolinium
from warehouse.prompts.record import PromptRecord

WHITE, GREY, FLUID = (TISSUES.index(name) for name in ("white_matter", "cortex", "csf"))
USUAL_FIELD_T = 3.0
GRADIENT_ECHO_BELOW_S = 0.1  # TR of a T1w: no spin echo is repeated so fast
VARIABLE_ABOVE_S = 0.24  # TE of an echo train: beyond it, its flip angle must vary
INVERTED = ("mprage", "inversion_recovery")
INVERTED_ABOVE_S = 1.2  # TR of a T1w: no spin echo of T1 weighting is so slow
# TI that nulls fluid as a share of TR, at 5 and 12 s: of the sidecars that `model.simulation.protocols` cites.
NULLING = ((5.0, 0.36), (12.0, 0.24))


@dataclass(frozen=True)
class Family:
    """A sequence, and the values that it usually has.

    Parameters
    ----------
    sequence : str
    tr_s, te_s, ti_s, fa_deg : float
        Where a record does not say.
    """

    sequence: str
    tr_s: float
    te_s: float
    fa_deg: float
    ti_s: float = 0.9


MPRAGE = Family("mprage", 2.3, 0.003, 9.0)
SPOILED = Family("spoiled_gradient_echo", 0.008, 0.0035, 15.0)
SPIN_ECHO = Family("spin_echo", 0.55, 0.012, 90.0)
FAMILIES: dict[str, tuple[Family, ...]] = {
    "T1w": (MPRAGE, SPOILED, SPIN_ECHO),
    "T2w": (Family("fast_spin_echo", 5.0, 0.1, 150.0),),
    "PDw": (Family("fast_spin_echo", 4.0, 0.015, 150.0),),
    "FLAIR": (Family("inversion_recovery", 9.0, 0.11, 150.0),),
    "T2starw": (Family("t2star", 0.65, 0.02, 20.0),),
    "SWI": (Family("swi", 0.03, 0.02, 15.0),),
    "angio": (Family("time_of_flight", 0.022, 0.005, 20.0),),
}


@dataclass(frozen=True)
class Stated:
    """What records say of the acquisition; not a number where they do not. (n,) tensors each.

    Parameters
    ----------
    field_t, tr_s, te_s, ti_s, fa_deg : (n,) Tensor
        Tesla, seconds, degrees.
    is_variable : (n,) bool Tensor
        Flip angle varies along the echo train.
    is_post_contrast : (n,) bool Tensor
    """

    field_t: Tensor
    tr_s: Tensor
    te_s: Tensor
    ti_s: Tensor
    fa_deg: Tensor
    is_variable: Tensor
    is_post_contrast: Tensor

    def of(self, rows: Tensor) -> Stated:
        """Return some of the records."""
        return Stated(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def stated_by(records: Sequence[PromptRecord]) -> Stated:
    """Return what prompts say of the acquisition."""

    def numbers(name: str) -> Tensor:
        given = [getattr(record, name) for record in records]
        return torch.tensor([math.nan if one is None else one for one in given], dtype=torch.float64)

    return Stated(
        field_t=numbers("field_strength_t"),
        tr_s=numbers("repetition_time_s"),
        te_s=numbers("echo_time_s"),
        ti_s=numbers("inversion_time_s"),
        fa_deg=numbers("flip_angle_deg"),
        is_variable=torch.tensor([record.flip_angle_variable for record in records], dtype=torch.bool),
        is_post_contrast=torch.tensor([record.post_contrast for record in records], dtype=torch.bool),
    )


def tissue_signals_of(record: PromptRecord) -> Tensor | None:
    """Return the signal of each usual tissue in the scan of a record, (n_tissues,) float64.

    Returns
    -------
    Tensor or None
        In units of the signal equations; settings that are not stated have their usual values. None where the record
        fits several sequences or none.
    """
    stated = stated_by([_of_cycles(record)])
    family = _family_of(record)
    return None if family is None else _signals(family, stated)


def sequence_of(record: PromptRecord) -> str | None:
    """Return the only sequence that fits a record; None where several do or none."""
    family = _family_of(record)
    return None if family is None else family.sequence


def with_usual_settings(record: PromptRecord) -> PromptRecord:
    """Return a record with the usual TR, TE, TI and flip angle of its sequence, of its contrast where it states none.

    Raises
    ------
    KeyError
        For a contrast of which no sequence is known.
    """
    assert record.contrast is not None
    family = _family_of(record) or FAMILIES[record.contrast][0]
    silent = without_settings(record)
    usual = runnable_settings(family, stated_by([silent]))
    return replace(
        silent,
        repetition_time_s=float(usual.tr_s),
        echo_time_s=float(usual.te_s),
        inversion_time_s=float(usual.ti_s) if family.sequence in INVERTED else None,
        flip_angle_deg=float(usual.fa_deg),
    )


def without_settings(record: PromptRecord) -> PromptRecord:
    """Return a record that says nothing of TR, TE, TI and flip angle."""
    times = replace(record, repetition_time_s=None, echo_time_s=None, inversion_time_s=None)
    return replace(times, flip_angle_deg=None, flip_angle_variable=False)


def names_settings(record: PromptRecord) -> bool:
    """Return whether a record says anything of TR, TE, TI or flip angle."""
    return record != without_settings(record)


@lru_cache(maxsize=4096)
def typical_median(record: PromptRecord) -> float | None:
    """Return the median of a usual brain's signal, in units of the signal equations: the mean of white and grey matter.

    The gain of a scanner is unknown. By this, a real scan has a scale on which equations can be held against it.

    Returns
    -------
    float or None
        None where TR or TE is not stated, or the record fits several sequences or none.
    """
    stated = stated_by([record])
    family = _timed_family(record, stated)
    return None if family is None else _median(_signals(family, stated))


@lru_cache(maxsize=4096)
def typical_widening(record: PromptRecord) -> float | None:
    """Return how much more the tissues of a usual brain differ than with the usual settings of the same sequence.

    It is the ratio of two standard deviations over fluid, grey and white matter, each as a part of the median: 1 with
    the usual settings, less than 1 where tissues are more alike.

    Returns
    -------
    float or None
        None where `typical_median` has none.
    """
    stated = stated_by([record])
    family = _timed_family(record, stated)
    if family is None:
        return None
    nothing = torch.full_like(stated.tr_s, math.nan)
    usual = replace(stated, tr_s=nothing, te_s=nothing, ti_s=nothing, fa_deg=nothing)
    here, beside = (_signals(family, one) for one in (stated, usual))
    tissues = [FLUID, GREY, WHITE]
    return float(here[tissues].std() / _median(here) / (beside[tissues].std() / _median(beside)))


def _timed_family(record: PromptRecord, stated: Stated) -> Family | None:
    is_timed = record.repetition_time_s is not None and record.echo_time_s is not None
    return _only_family(record.contrast, stated) if is_timed else None


def _family_of(record: PromptRecord) -> Family | None:
    return _only_family(record.contrast, stated_by([_of_cycles(record)]))


def _of_cycles(record: PromptRecord) -> PromptRecord:
    """Return a record whose TR is that of inversions: GE and Philips state that of the excitations after one."""
    tr_s, ti_s = record.repetition_time_s, record.inversion_time_s
    if record.contrast == "T1w" and tr_s is not None and ti_s is not None and tr_s < GRADIENT_ECHO_BELOW_S:
        return replace(record, repetition_time_s=None)
    return record


def _only_family(contrast: str | None, stated: Stated) -> Family | None:
    """Return the one sequence that fits what a record states."""
    if contrast not in FAMILIES:
        return None
    certain = (likely_families(contrast, stated)[0] == 1).nonzero()[:, 0].tolist()
    return FAMILIES[contrast][certain[0]] if certain else None


def _signals(family: Family, stated: Stated) -> Tensor:
    """Return the signal of each tissue, (n_tissues,) float64."""
    return tissue_signals(family.sequence, _tissue(stated), runnable_settings(family, stated))[0]


def _median(signals: Tensor) -> float:
    return float((signals[WHITE] + signals[GREY]) / 2)


def expected_ratios(contrast: str, stated: Stated) -> Tensor:
    """Return the expected signal of each tissue as a multiple of that of white matter, (n, n_tissues) float64.

    Settings that no scanner can run are moved to the nearest that it can: this never fails.

    Parameters
    ----------
    contrast : str
        Of all records.
    stated : Stated
    """
    total = torch.zeros(len(stated.tr_s), len(TISSUES), dtype=torch.float64)
    weights = likely_families(contrast, stated)
    for family, weight in zip(FAMILIES[contrast], weights.unbind(1), strict=True):
        rows = weight.nonzero()[:, 0]
        if len(rows):
            chosen = stated.of(rows)
            signals = tissue_signals(family.sequence, _tissue(chosen), runnable_settings(family, chosen))
            total[rows] += weight[rows, None] * signals / signals[:, WHITE : WHITE + 1].clamp_min(1e-6)
    return total


def likely_families(contrast: str, stated: Stated) -> Tensor:
    """Return how likely each of a contrast's `FAMILIES` is, (n, n_families) float64 with rows that sum to 1."""
    n_families = len(FAMILIES[contrast])
    weights = torch.full((len(stated.tr_s), n_families), 1 / n_families, dtype=torch.float64)
    if contrast == "T1w":
        fast, slow = stated.tr_s < GRADIENT_ECHO_BELOW_S, stated.tr_s > INVERTED_ABOVE_S
        inverted = stated.ti_s.isfinite() | slow
        weights[fast] = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        weights[~fast & ~slow & stated.tr_s.isfinite()] = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        weights[inverted & ~fast] = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
        unknown = stated.tr_s.isnan() & ~inverted
        weights[unknown & (stated.fa_deg < 45)] = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
        weights[unknown & (stated.fa_deg >= 45)] = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return weights


def runnable_settings(family: Family, stated: Stated) -> SequenceSettings:
    """Return the settings of records that are of one family, (n,) each.

    What is not stated has its usual value; what no scanner can run is moved to the nearest that it can.
    """
    tr_s = stated.tr_s.double().nan_to_num(family.tr_s).clamp(0.002, 60)
    te_s = torch.minimum(stated.te_s.double().nan_to_num(family.te_s).clamp_min(1e-4), 0.9 * tr_s)
    fa_deg = stated.fa_deg.double().nan_to_num(family.fa_deg).clamp(0.5, 180)
    ti_s = stated.ti_s.double()
    n_readouts = torch.full_like(tr_s, float(LONGEST_TRAIN))
    if family.sequence == "fast_spin_echo":
        fa_deg = torch.where(fa_deg <= 90, torch.full_like(fa_deg, 150.0), fa_deg)  # that of the excitation
    if family.sequence == "inversion_recovery":
        fa_deg = torch.where(fa_deg <= 90, torch.full_like(fa_deg, 150.0), fa_deg)
        te_s = torch.minimum(te_s, 0.3 * tr_s)
        (low, at_low), (high, at_high) = NULLING
        share = at_low + ((tr_s - low) / (high - low)).clamp(0, 1.2) * (at_high - at_low)
        ti_s = torch.where(ti_s.isnan(), share * tr_s, ti_s).clamp(0.01)
        ti_s = torch.minimum(ti_s, 0.95 * (tr_s - te_s))
    elif family.sequence == "mprage":
        ti_s = torch.minimum(ti_s.nan_to_num(family.ti_s).clamp_min(0.05), 0.9 * tr_s)
        n_readouts = fitting_trains(tr_s, ti_s).clamp_min(2)
        te_s = te_s.clamp_max(0.9 * TRAIN_SPACING_S)
    else:
        ti_s = torch.zeros_like(tr_s)
    if family.sequence in ("spin_echo", "mprage", "spoiled_gradient_echo", "t2star", "swi", "time_of_flight"):
        fa_deg = fa_deg.clamp_max(90)
    # Few sidecars say that the angle varies, but no train of constant angle has signal so late.
    is_variable = (stated.is_variable | (te_s > VARIABLE_ABOVE_S)) & (family.sequence in TRAINS)
    return SequenceSettings.of(tr_s, te_s, fa_deg, ti_s, n_readouts=n_readouts, flip_angle_variable=is_variable)


def _tissue(stated: Stated) -> Properties:
    """Return (n, n_tissues) properties at the records' fields, with gadolinium where it was given."""
    low, high = FIELD_RANGE_T
    fields = stated.field_t.double().nan_to_num(USUAL_FIELD_T).clamp(low, high)
    known, which = torch.unique(fields, return_inverse=True)
    table = stack([properties(round(float(field), 3)) for field in known])
    each = Properties(*(getattr(table, name)[which] for name in Properties.__dataclass_fields__))
    return with_gadolinium(each, stated.is_post_contrast.double()[:, None])
