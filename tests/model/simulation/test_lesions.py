from __future__ import annotations

import numpy as np
import pytest
import torch

from model.simulation.deform import VELOCITY_STEP_MM, flow
from model.simulation.head import Head
from model.simulation.lesions import Body, body_shares, hyperintense, lesions_of, tumour_of
from model.simulation.people import Subject
from model.simulation.template import intracranial_level
from tests.model.simulation.made_heads import STEP_MM, head_of, jacobian, share

ML = STEP_MM**3 / 1000
SICK = Subject(3, 60.0, "F", lesions=("tumour",))
MS = Subject(21, 38.0, "F", lesions=("ms",))
OLD = Subject(22, 78.0, "M", lesions=("small_vessel", "lacunes"))


def _center_mm(head: Head, mask: np.ndarray) -> np.ndarray:
    return np.asarray(head.affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + head.affine[:3, 3])


def test_a_person_without_lesions_has_none() -> None:
    assert lesions_of(Subject(1, 30.0, "F")).kinds == ("hyperintensities",)
    head = head_of(Subject(1, 30.0, "F"))
    assert head.lesion_masks["hyperintensities"].sum() * ML < 0.5
    assert float(share(head, "plaque", "lacune", "oedema", "tumour", "necrosis").sum()) == 0.0


@pytest.mark.slow
def test_a_later_visit_keeps_the_plaques_of_an_earlier_one_and_adds_to_them() -> None:
    early, late = (lesions_of(Subject(8, age, "F", lesions=("ms",))) for age in (35.0, 45.0))
    before, after = {*early.plaques, *early.active}, {*late.plaques, *late.active}
    assert before < after
    assert late.active


@pytest.mark.slow
def test_plaques_lie_in_the_brain_and_some_are_active() -> None:
    masks = head_of(MS).lesion_masks
    assert 2.0 < masks["ms"].sum() * ML < 40.0
    assert 0 < masks["ms_active"].sum() < masks["ms"].sum()
    assert not (masks["ms"] & ~head_of(MS).intracranial).any()


@pytest.mark.slow
def test_disease_of_small_vessels_is_more_than_age() -> None:
    sick, well = (head_of(Subject(22, 78.0, "M", lesions=lesions)) for lesions in (OLD.lesions, ()))
    assert sick.lesion_masks["hyperintensities"].sum() > 2 * well.lesion_masks["hyperintensities"].sum()
    assert float(share(sick, "lacune").sum()) * ML > 0.2
    assert sick.lesion_masks["hyperintensities"].sum() * ML < 120


def test_hyperintensities_begin_at_the_ventricles_and_grow_with_their_load() -> None:
    maps = {"ventricle": -torch.linspace(0.5, 20, 40), "white": torch.full((40,), 3.0)}
    points, noise = torch.tensor([[20.0], [0.0], [15.0]]).repeat(1, 40), torch.zeros(3, 40)
    none, some, much = (hyperintense(load, points, maps, noise) for load in (0.02, 1.0, 6.0))
    assert bool((none <= some).all())
    assert bool((some <= much).all())
    assert bool((much.diff() <= 1e-6).all())


@pytest.mark.slow
def test_a_tumour_is_on_the_side_its_truth_says() -> None:
    head, tumour = head_of(SICK), tumour_of(SICK)
    center = _center_mm(head, head.lesion_masks["tumour"])
    assert np.sign(center[0]) == np.sign(tumour.center_mm[0])
    assert abs(center[0]) > 15
    x = head.affine[0, 3] + STEP_MM * np.arange(head.fractions.shape[1])
    sides = [float(share(head, "tumour", "necrosis")[np.flatnonzero(x * side > 0)].sum()) for side in (1, -1)]
    assert max(sides) > 50 * max(min(sides), 1e-6)


@pytest.mark.slow
def test_a_tumour_has_a_core_a_rim_and_oedema_around_it() -> None:
    head = head_of(SICK)
    masks = head.lesion_masks
    middle = _center_mm(head, masks["tumour"] | masks["necrosis"])
    far = {}
    for name in ("necrosis", "tumour", "oedema"):
        assert masks[name].any()
        points = np.argwhere(masks[name]) * STEP_MM + head.affine[:3, 3]
        far[name] = float(np.linalg.norm(points - middle, axis=1).mean())
    assert far["necrosis"] < far["tumour"] < far["oedema"]


def test_a_tumour_pushes_the_brain_aside_but_not_the_skull() -> None:
    push, inner = tumour_of(SICK).push(), intracranial_level(VELOCITY_STEP_MM)
    speed = np.linalg.norm(push, axis=0)
    assert 2.0 < speed.max() < 9.0
    assert speed[inner < 0].max() == 0.0
    assert jacobian(flow(push)).min() > 0


def test_a_body_fills_its_volume() -> None:
    line = torch.arange(-12, 12, 0.5) + 0.25
    points = torch.stack(torch.meshgrid(line, line, line, indexing="ij")).reshape(3, -1)
    cover = body_shares(
        [Body((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), 8.0, 4.0)], points, torch.zeros(3, points.shape[1]), 0.5
    )
    assert float(cover.sum()) * 0.5**3 == pytest.approx(4 / 3 * np.pi * 8 * 4 * 4, rel=0.05)
    assert float(cover[points[2].abs() > 9].sum()) == 0
