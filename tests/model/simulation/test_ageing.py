from __future__ import annotations

import numpy as np
import pytest

from model.physics.tissue import TISSUES
from model.simulation.ageing import ADULT_ML, TEMPLATE_ML, age_effects, iron_ratio, relaxation_scale
from model.simulation.people import Subject
from tests.model.simulation.made_heads import head_of, volume_ml

GREY = ("cortex", "thalamus", "striatum", "pallidum", "nigra")


def _size_ml(age_years: float, sex: str, n: int = 60) -> float:
    people = [Subject(seed, age_years, sex) for seed in range(n)]  # type: ignore[arg-type]
    return float(np.mean([np.prod(age_effects(person).scale) for person in people])) * TEMPLATE_ML


def test_heads_of_men_are_larger_and_children_grow_to_full_size() -> None:
    assert _size_ml(30, "M") == pytest.approx(ADULT_ML["M"], rel=0.03)
    assert _size_ml(30, "M") > 1.08 * _size_ml(30, "F")
    assert 0.78 < _size_ml(2, "F") / _size_ml(30, "F") < 0.88 < _size_ml(6, "F") / _size_ml(30, "F") < 0.98


def test_the_same_person_keeps_its_shape_while_it_ages() -> None:
    young, old = (age_effects(Subject(4, age, "F")) for age in (30.0, 80.0))
    assert np.allclose(young.scale, old.scale, rtol=1e-3)
    assert old.ventricle_mm > young.ventricle_mm + 2
    assert old.pial_mm < young.pial_mm - 1
    assert old.hyperintense > 20 * young.hyperintense


def test_a_child_has_a_thin_skull_and_a_short_face() -> None:
    child, adult = (age_effects(Subject(4, age, "M")) for age in (2.0, 30.0))
    assert child.skull_mm < 0.6 * adult.skull_mm
    assert child.face > 0.2 > 0.01 > adult.face


def test_unmyelinated_white_matter_relaxes_slowly() -> None:
    child, adult, old = (relaxation_scale(Subject(4, age, "M"))["white_matter"] for age in (2.0, 40.0, 90.0))
    assert child[0] > old[0] > adult[0]
    assert child[1] > adult[1]


def test_iron_gathers_and_shortens_t2star() -> None:
    assert iron_ratio("pallidum", 40) == pytest.approx(1.0)
    assert iron_ratio("cortex", 5) == 1.0
    assert iron_ratio("striatum", 5) < 0.4 < 1.0 < iron_ratio("striatum", 80)
    child, old = (relaxation_scale(Subject(4, age, "M"))["pallidum"] for age in (5.0, 80.0))
    assert child[2] > 1.1 * old[2]


def test_spread_between_persons_covers_every_tissue_and_never_adds_protons() -> None:
    one, other = (relaxation_scale(Subject(seed, 40.0, "F")) for seed in (1, 2))
    assert set(one) == set(TISSUES)
    assert one["cortex"] != other["cortex"]
    assert all(scale[3] <= 1 for scale in one.values())


@pytest.mark.slow
def test_grey_and_white_volumes_follow_published_curves() -> None:
    """Grey peaks at 5.9 years, white at 28.7 (Bethlehem 2022); the brain shrinks faster late in life (Hedman 2012)."""
    ages = (2.0, 6.0, 14.0, 28.0, 45.0, 60.0, 75.0, 90.0)
    heads = [head_of(Subject(75, age, "M")) for age in ages]
    grey = dict(zip(ages, (volume_ml(head, *GREY) for head in heads), strict=True))
    white = dict(zip(ages, (volume_ml(head, "white_matter", "hyperintensity") for head in heads), strict=True))
    assert max(grey, key=grey.__getitem__) == 6.0
    assert max(white, key=white.__getitem__) == 28.0
    assert 0.68 < grey[75.0] / grey[6.0] < 0.82
    brain = {age: grey[age] + white[age] for age in ages}
    assert (
        0.001 < (brain[45.0] - brain[60.0]) / brain[45.0] / 15 < (brain[75.0] - brain[90.0]) / brain[75.0] / 15 < 0.01
    )
