from __future__ import annotations

import numpy as np
import pytest
import torch

from model.physics.tissue import TISSUES, properties
from model.simulation.protocols import VARIANTS, draw_protocol
from tests.model.physics.conftest import null_time_s
from warehouse.errors import PhantomError
from warehouse.prompts.vocabulary import CONTRASTS


def test_every_contrast_has_protocols_and_every_range_a_source() -> None:
    assert set(VARIANTS) == set(CONTRASTS)
    assert all(variant.source for variants in VARIANTS.values() for variant in variants)


@pytest.mark.parametrize("contrast", sorted(VARIANTS))
def test_protocols_are_possible_and_lie_in_what_was_seen(contrast: str) -> None:
    for seed in range(300):
        protocol = draw_protocol(contrast, np.random.default_rng(seed), 3.0)
        assert any(
            variant.sequence == protocol.sequence
            and variant.repetition_time_s[0] <= protocol.repetition_time_s <= variant.repetition_time_s[1]
            and variant.echo_time_s[0] <= protocol.echo_time_s <= variant.echo_time_s[1]
            and variant.flip_angle_deg[0] <= protocol.flip_angle_deg <= variant.flip_angle_deg[1]
            for variant in VARIANTS[contrast]
        )


@pytest.mark.parametrize("contrast", sorted(VARIANTS))
def test_every_parameter_varies_within_a_contrast(contrast: str) -> None:
    drawn = [draw_protocol(contrast, np.random.default_rng(seed)) for seed in range(50)]
    for name in ("repetition_time_s", "echo_time_s", "flip_angle_deg"):
        assert len({getattr(protocol, name) for protocol in drawn}) > 25


def test_no_parameter_depends_on_the_field() -> None:
    low, high = (draw_protocol("T1w", np.random.default_rng(1), field) for field in (1.5, 3.0))
    assert (low.repetition_time_s, low.echo_time_s, low.flip_angle_deg) == (
        high.repetition_time_s,
        high.echo_time_s,
        high.flip_angle_deg,
    )
    assert (low.field_strength_t, high.field_strength_t) == (1.5, 3.0)


@pytest.mark.parametrize("field_strength_t", [1.5, 3.0])
def test_the_inversion_of_flair_nearly_nulls_fluid(field_strength_t: float) -> None:
    t1_s = properties(field_strength_t).t1_s[TISSUES.index("csf")]
    for seed in range(50):
        flair = draw_protocol("FLAIR", np.random.default_rng(seed), field_strength_t)
        assert flair.inversion_time_s is not None
        null_s = float(null_time_s(t1_s, torch.tensor(flair.repetition_time_s), torch.tensor(flair.echo_time_s)))
        assert flair.inversion_time_s == pytest.approx(null_s, rel=0.15)


def test_the_variants_of_t1w_are_all_drawn() -> None:
    drawn = {draw_protocol("T1w", np.random.default_rng(seed)).sequence for seed in range(60)}
    assert drawn == {"mprage", "spoiled_gradient_echo", "spin_echo"}


@pytest.mark.parametrize("contrast", ["T2w", "FLAIR"])
def test_some_echo_trains_have_a_variable_flip_angle_unless_told_not_to(contrast: str) -> None:
    drawn = [draw_protocol(contrast, np.random.default_rng(seed)) for seed in range(200)]
    variable = [protocol for protocol in drawn if protocol.flip_angle_variable]
    assert 0.1 < len(variable) / len(drawn) < 0.3
    assert all(protocol.echo_time_s >= 0.27 for protocol in variable)
    assert all(protocol.echo_time_s < 0.2 for protocol in drawn if not protocol.flip_angle_variable)
    constant = [draw_protocol(contrast, np.random.default_rng(seed), with_variable_angles=False) for seed in range(200)]
    assert not any(protocol.flip_angle_variable for protocol in constant)


def test_the_same_image_gets_the_same_protocol() -> None:
    assert draw_protocol("SWI", np.random.default_rng(4)) == draw_protocol("SWI", np.random.default_rng(4))


def test_an_unknown_contrast_and_a_dose_for_another_than_t1w_are_refused() -> None:
    with pytest.raises(PhantomError, match="DWI"):
        draw_protocol("DWI", np.random.default_rng(1))
    with pytest.raises(PhantomError, match="post-contrast T2w"):
        draw_protocol("T2w", np.random.default_rng(1), 3.0, True)
