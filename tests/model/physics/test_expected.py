"""The signals that a record leads one to expect: those of its sequence where that can be told, else an average."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from model.physics.contrast import signals_of
from model.physics.expected import (
    FAMILIES,
    WHITE,
    Stated,
    expected_ratios,
    likely_families,
    typical_median,
    typical_widening,
)
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES
from warehouse.prompts.record import PromptRecord

UNKNOWN = float("nan")


def stated(**fields: Any) -> Stated:
    numbers = {"field_t": 3.0, "tr_s": UNKNOWN, "te_s": UNKNOWN, "ti_s": UNKNOWN, "fa_deg": UNKNOWN}
    words = {"is_variable": False, "is_post_contrast": False}
    return Stated(**{name: torch.tensor([fields.get(name, usual)]) for name, usual in (numbers | words).items()})


@pytest.mark.parametrize(
    ("protocol", "n_readouts"),
    [
        (SequenceProtocol("T1w", "spoiled_gradient_echo", 3.0, 0.008, 0.003, None, 18.0), 176),
        (SequenceProtocol("T1w", "spin_echo", 1.5, 0.5, 0.012, None, 90.0), 176),
        (SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0), 176),
        (SequenceProtocol("T1w", "spin_echo", 3.0, 0.5, 0.012, None, 90.0, is_post_contrast=True), 176),
        (SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.1, None, 150.0), 176),
        (SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0), 176),
        (SequenceProtocol("SWI", "swi", 3.0, 0.03, 0.02, None, 15.0), 176),
    ],
    ids=lambda value: getattr(value, "sequence", ""),
)
def test_a_complete_record_gives_the_signals_of_its_sequence(protocol: SequenceProtocol, n_readouts: int) -> None:
    found = expected_ratios(
        protocol.contrast,
        stated(
            field_t=protocol.field_strength_t,
            tr_s=protocol.repetition_time_s,
            te_s=protocol.echo_time_s,
            ti_s=protocol.inversion_time_s or UNKNOWN,
            fa_deg=protocol.flip_angle_deg,
            is_post_contrast=protocol.is_post_contrast,
        ),
    )
    signals = signals_of([protocol])
    assert torch.allclose(found, signals / signals[:, [WHITE]], rtol=1e-4)


def test_the_family_of_a_t1w_is_told_by_its_repetition_and_inversion_time() -> None:
    names = [family.sequence for family in FAMILIES["T1w"]]
    for fields, wanted in (
        ({"tr_s": 0.008}, "spoiled_gradient_echo"),
        ({"tr_s": 0.5}, "spin_echo"),
        ({"tr_s": 2.3}, "mprage"),
        ({"ti_s": 0.9}, "mprage"),
        ({"fa_deg": 90.0}, "spin_echo"),
    ):
        [weights] = likely_families("T1w", stated(**fields))
        assert names[int(weights.argmax())] == wanted, fields
        assert weights.max() == 1


def test_what_cannot_be_told_is_averaged() -> None:
    nothing, each = expected_ratios("T1w", stated()), [stated(tr_s=2.3), stated(tr_s=0.008), stated(tr_s=0.55)]
    assert torch.allclose(nothing, torch.cat([expected_ratios("T1w", one) for one in each]).mean(0, keepdim=True))


@pytest.mark.parametrize("contrast", FAMILIES)
def test_settings_that_no_scanner_can_run_still_give_numbers(contrast: str) -> None:
    for fields in (
        {"tr_s": 0.001, "te_s": 5.0, "ti_s": 9.0, "fa_deg": 360.0, "field_t": 11.0},
        {"tr_s": 60.0, "te_s": 1e-6, "ti_s": 1e-6, "fa_deg": 0.01, "field_t": 0.05},
    ):
        found = expected_ratios(contrast, stated(**fields))
        assert found.isfinite().all()
        assert (found >= 0).all()


def test_a_late_echo_is_that_of_a_variable_angle_whether_it_is_said_or_not() -> None:
    late = {"tr_s": 3.2, "te_s": 0.563}
    said, unsaid = (
        expected_ratios("T2w", stated(**late, **more)) for more in ({"is_variable": True}, {"fa_deg": 120.0})
    )
    assert torch.allclose(said, unsaid)
    usual = expected_ratios("T2w", stated(tr_s=3.2, te_s=0.1, fa_deg=180.0))
    assert torch.allclose(said[:, :3], usual[:, :3], rtol=0.35)  # fluid, cortex and white matter of a usual T2w


def test_a_longer_echo_makes_fluid_brighter_beside_white_matter() -> None:
    ratios = torch.cat([expected_ratios("T2w", stated(tr_s=4.0, te_s=te)) for te in (0.03, 0.06, 0.09, 0.15)])
    assert (ratios[:, 0].diff() > 0).all()


def test_a_usual_brain_has_a_median_between_white_and_grey_matter() -> None:
    record = PromptRecord(contrast="T2w", repetition_time_s=4.0, echo_time_s=0.1)
    [signals] = signals_of([SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.1, None, 150.0)])
    pair = sorted(float(signals[TISSUES.index(name)]) for name in ("white_matter", "cortex"))
    median = typical_median(record)
    assert median is not None
    assert pair[0] < median < pair[1]
    later = typical_median(replace(record, echo_time_s=0.2))
    assert later is not None
    assert later < median


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "PDw", "FLAIR"])
def test_tissues_differ_as_usual_with_the_usual_settings(contrast: str) -> None:
    for family in FAMILIES[contrast]:
        inversion_s = family.ti_s if family.sequence == "mprage" else None
        record = PromptRecord(contrast, repetition_time_s=family.tr_s, echo_time_s=family.te_s)
        record = replace(record, inversion_time_s=inversion_s, flip_angle_deg=family.fa_deg)
        assert typical_widening(record) == pytest.approx(1.0)


def test_tissues_differ_more_at_a_longer_echo_time() -> None:
    records = [PromptRecord("T2w", repetition_time_s=5.0, echo_time_s=te_s) for te_s in (0.02, 0.05, 0.1, 0.15)]
    widening = [typical_widening(record) or 0.0 for record in records]
    assert widening == sorted(widening)
    assert widening[0] < 0.4 < 1.0 < widening[-1]


@pytest.mark.parametrize(
    "record",
    [
        PromptRecord(),
        PromptRecord(contrast="T2w", repetition_time_s=4.0),
        PromptRecord(contrast="T2w", echo_time_s=0.1),
        PromptRecord(contrast="bold", repetition_time_s=4.0, echo_time_s=0.1),
    ],
    ids=["nothing", "no TE", "no TR", "another contrast"],
)
def test_without_sequence_or_times_a_brain_has_no_usual_median(record: PromptRecord) -> None:
    assert typical_median(record) is None
    assert typical_widening(record) is None
