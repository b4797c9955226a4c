from __future__ import annotations

import numpy as np
import pytest

from model.data.digital_people import DigitalCohort
from model.evaluation.fidelity import Identity, SignalModel, measure, summarise, true_ratios
from model.evaluation.sweeps import SWEEPS
from model.evaluation.textbook import Textbook, sequence_of, textbook
from model.physics.contrast import signals_of
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES
from tests.model.evaluation.digital import Perfect, person
from warehouse.errors import ModelError
from warehouse.prompts.record import PromptRecord
from warehouse.quality.tissues import CSF, GM, WM

T2W = PromptRecord("T2w", field_strength_t=3.0, repetition_time_s=4.0, echo_time_s=0.1, flip_angle_deg=150.0)


def test_labels_get_textbook_signals_whoever_the_person_is() -> None:
    who = person()
    one = Textbook(who.source, who.affine)
    labels = np.select([who.masks["csf"], who.masks["gm"], who.masks["wm"]], [CSF, GM, WM]).astype(np.uint8)
    one.__dict__["labels"] = labels
    signals = signals_of([SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.1, None, 150.0)])[0].numpy()
    made = one.signal([who.source], T2W)
    for tissue, name in (("csf", "csf"), ("gm", "cortex"), ("wm", "white_matter")):
        assert np.unique(made[who.masks[tissue]]) == pytest.approx([signals[TISSUES.index(name)]])  # type: ignore[index]
    assert not made[~who.source.mask].any()


@pytest.mark.parametrize(
    ("record", "sequence"),
    [
        (PromptRecord("T1w", inversion_time_s=0.9), "mprage"),
        (PromptRecord("T1w", repetition_time_s=0.007), "spoiled_gradient_echo"),
        (PromptRecord("T1w", repetition_time_s=0.5), "spin_echo"),
        (PromptRecord("FLAIR"), "inversion_recovery"),
    ],
)
def test_a_prompt_means_a_sequence(record: PromptRecord, sequence: str) -> None:
    assert sequence_of(record) == sequence


def test_what_cannot_be_rendered_is_refused() -> None:
    who = person()
    with pytest.raises(ModelError, match="angio"):
        sequence_of(PromptRecord("angio"))
    with pytest.raises(ModelError, match="TR"):
        Textbook(who.source, who.affine).signal([who.source], PromptRecord("T2w"))
    with pytest.raises(ModelError, match="each source"):
        Textbook(who.source, who.affine).signal([person().source], T2W)


@pytest.mark.slow
def test_on_a_digital_head_the_perfect_model_beats_the_look_up_and_that_the_identity() -> None:
    who = DigitalCohort(1, 0, 3.0).person(0)
    truth = true_ratios(who.relaxation)

    def errors(model: SignalModel) -> dict[tuple[str, str], float]:
        found = summarise({"model_id": "m", **row} for row in measure(model, who, truth))
        return {(one.sweep, one.field): one.error for one in found if one.tissue == "worst"}

    perfect, look_up, same = errors(Perfect(who)), errors(textbook(who)), errors(Identity(who.scale))
    assert len(perfect) == len(SWEEPS)
    assert max(perfect.values()) < 0.03
    assert all(look_up[sweep] > 3 * perfect[sweep] for sweep in perfect)
    assert np.mean(list(look_up.values())) < 0.6 * np.mean(list(same.values()))
