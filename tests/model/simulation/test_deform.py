from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from model.simulation.deform import VELOCITY_STEP_MM, deformation, flow, petalia, random_velocity
from model.simulation.template import HeadGrid, template_grid
from tests.model.simulation.made_heads import jacobian

SAME = np.ones(3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("strength_mm", [4.0, 10.0])
def test_space_never_folds(seed: int, strength_mm: float) -> None:
    shift = deformation(seed, SAME, strength_mm, 0.0).shift_mm.numpy()
    assert jacobian(shift).min() > 0


def test_the_strength_is_the_root_mean_square_length() -> None:
    velocity = random_velocity(3, 4.0)
    assert np.sqrt((velocity**2).sum(axis=0).mean()) == pytest.approx(4.0, rel=0.1)


def test_flowing_back_returns_to_where_one_was() -> None:
    velocity = random_velocity(5, 5.0)
    there, back = torch.from_numpy(flow(velocity)), torch.from_numpy(flow(-velocity))
    size = torch.tensor(there.shape[1:])
    here = torch.stack(torch.meshgrid(*[torch.arange(n).float() for n in size], indexing="ij"))
    at = ((here + there / VELOCITY_STEP_MM) / (size - 1)[:, None, None, None] * 2 - 1).permute(1, 2, 3, 0).flip(-1)
    returned = there + functional.grid_sample(back[None], at[None], align_corners=True)[0]
    off = returned[:, 8:-8, 8:-8, 8:-8].norm(dim=0)
    assert off.max() < 1.0
    assert off.mean() < 0.05


def test_a_large_head_is_sampled_from_nearer_the_middle_of_the_template() -> None:
    grid = HeadGrid(6.0)
    points = deformation(1, np.array([1.25, 1.0, 0.8]), 0.0, 0.0).to_template(grid)
    assert torch.allclose(points[0], torch.from_numpy(grid.points_mm()[0]) / 1.25, atol=0.5)
    assert torch.allclose(points[2], torch.from_numpy(grid.points_mm()[2]) / 0.8, atol=0.5)


def test_poles_grow_as_is_usual_the_right_in_front_and_the_left_behind() -> None:
    shift, grid = flow(petalia()), template_grid(VELOCITY_STEP_MM)

    def ahead(*point_mm: float) -> float:
        i, j, k = (round(float(value)) for value in (np.linalg.inv(grid.affine) @ [*point_mm, 1])[:3])
        return -float(shift[1, i, j, k])  # what is sampled further back has moved forward

    assert ahead(22, 66, 4) > 2 > -2 > ahead(-20, -96, 4)
    assert abs(ahead(-22, 66, 4)) < 0.5 * ahead(22, 66, 4)


def test_a_child_has_a_short_face() -> None:
    grid = HeadGrid(6.0)
    child, adult = (deformation(1, SAME, 0.0, face).to_template(grid) for face in (0.25, 0.0))
    assert torch.equal(child[2, :, :, -10], adult[2, :, :, -10])
    assert bool((child[2, :, :, 0] < adult[2, :, :, 0] - 5).all())
