"""The field of bodies whose field is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.physics.susceptibility import (
    GAMMA_HZ_PER_T,
    high_pass,
    phase_mask,
    phase_rad,
    susceptibility_field_t,
    swi_weight,
)
from warehouse.errors import PhysicsError

VOXEL = (1.0, 1.0, 1.0)


def grid(shape: tuple[int, int, int], step: tuple[float, float, float] = VOXEL) -> list[np.ndarray]:
    return list(np.meshgrid(*[(np.arange(n) - n // 2) * s for n, s in zip(shape, step, strict=True)], indexing="ij"))


def ball(shape: tuple[int, int, int], radius: float, step: tuple[float, float, float] = VOXEL) -> torch.Tensor:
    x, y, z = grid(shape, step)
    return torch.from_numpy((x**2 + y**2 + z**2 <= radius**2).astype(np.float32))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_field_of_a_sphere_is_a_dipole_outside_and_nothing_inside(axis: int) -> None:
    shape, radius = (64, 64, 64), 10.0
    field_ppm = susceptibility_field_t(ball(shape, radius), VOXEL, 3.0, axis).numpy() / 3e-6
    place = grid(shape)
    distance = np.sqrt(sum(one**2 for one in place))
    around = (distance > 13) & (distance < 22)
    cosine = place[axis][around] / distance[around]
    dipole = (radius / distance[around]) ** 3 / 3 * (3 * cosine**2 - 1)
    assert np.abs(field_ppm[around] - dipole).max() < 0.02  # of 0.3 at most
    assert np.corrcoef(field_ppm[around], dipole)[0, 1] > 0.995
    assert np.abs(field_ppm[distance < 6]).max() < 0.02


def test_anisotropic_voxels_keep_the_dipole() -> None:
    shape, step = (48, 64, 24), (1.3, 1.0, 2.6)
    field_ppm = susceptibility_field_t(ball(shape, 10.0, step), step, 1.0, 2).numpy() / 1e-6
    i, j, k = (n // 2 for n in shape)
    above, beside = field_ppm[i, j, k + 6], field_ppm[i, j + 16, k]
    assert above == pytest.approx(2 / 3 * (10 / 15.6) ** 3, abs=0.03)
    assert beside == pytest.approx(-1 / 3 * (10 / 16) ** 3, abs=0.03)


@pytest.mark.parametrize(("along", "expected"), [(2, 1 / 3), (0, -1 / 6)], ids=["along B0", "across B0"])
def test_the_field_inside_a_long_vein_depends_on_its_direction(along: int, expected: float) -> None:
    shape = (96, 96, 96)
    across = [one for axis, one in enumerate(grid(shape)) if axis != along]
    vein = torch.from_numpy((across[0] ** 2 + across[1] ** 2 <= 3.0**2).astype(np.float32))
    assert susceptibility_field_t(vein, VOXEL, 1.0)[48, 48, 48].item() * 1e6 == pytest.approx(expected, abs=0.03)


def test_field_and_phase_are_linear_in_field_strength_and_echo_time() -> None:
    body = ball((20, 24, 28), 5.0)
    assert torch.allclose(susceptibility_field_t(body, VOXEL, 3.0), 2 * susceptibility_field_t(body, VOXEL, 1.5))
    assert phase_rad(torch.tensor(1e-6), 0.02).item() == pytest.approx(2 * np.pi * GAMMA_HZ_PER_T * 1e-6 * 0.02)


def test_the_filter_takes_slow_phase_and_keeps_what_is_small() -> None:
    x, y, _ = grid((40, 40, 40))
    slow = torch.from_numpy(np.cos(2 * np.pi * x / 40)).float()
    small = torch.from_numpy(0.5 * ((x**2 + y**2) <= 1)).float()
    kept = high_pass(slow + small, VOXEL, width_mm=4.0) - high_pass(slow, VOXEL, width_mm=4.0)
    assert kept[20, 20, 20].item() == pytest.approx(0.5, abs=0.06)
    assert high_pass(slow, VOXEL, width_mm=4.0).abs().max().item() < 0.25


def test_air_around_the_head_does_not_darken_its_rim() -> None:
    head = ball((40, 40, 40), 14.0)
    phase = 1.0 * head  # a shift of all that gives signal, as of fat
    rim = (head > 0) & (ball((40, 40, 40), 11.0) == 0)
    assert high_pass(phase, VOXEL)[rim].mean() > 0.4
    assert high_pass(phase, VOXEL, head)[rim].abs().max() < 1e-4


def test_the_mask_darkens_positive_phase_alone() -> None:
    mask = phase_mask(torch.tensor([-1.0, 0.0, np.pi / 2, np.pi]))
    assert mask.tolist() == pytest.approx([1.0, 1.0, 0.5**4, 0.0])


def test_a_vein_along_b0_is_dark_in_swi_and_darker_at_a_later_echo() -> None:
    x, y, _ = grid((48, 48, 48))
    vein = torch.from_numpy(0.45 * ((x**2 + y**2) <= 2).astype(np.float32))
    early, late = (swi_weight(vein, VOXEL, 3.0, te_s)[24, 24, 24].item() for te_s in (0.01, 0.02))
    far = swi_weight(vein, VOXEL, 3.0, 0.02)[4, 4, 24].item()
    assert late < early < far
    assert late < 0.6
    assert far > 0.9


def test_a_uniform_head_is_left_as_it_is() -> None:
    assert torch.equal(swi_weight(torch.zeros(8, 9, 10), VOXEL, 3.0, 0.02), torch.ones(8, 9, 10))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        pytest.param((torch.zeros(4, 4), VOXEL, 3.0, 0.02), "shape", id="a flat map"),
        pytest.param((torch.full((4, 4, 4), torch.nan), VOXEL, 3.0, 0.02), "map", id="a map of no numbers"),
        pytest.param((torch.zeros(4, 4, 4), (1.0, 0.0, 1.0), 3.0, 0.02), "voxels", id="a voxel without extent"),
        pytest.param((torch.zeros(4, 4, 4), VOXEL, 3.0, 0.02, 3), "no axis", id="a fourth axis"),
        pytest.param((torch.zeros(4, 4, 4), VOXEL, 3.0, 0.0), "echo time", id="no echo time"),
        pytest.param((torch.zeros(4, 4, 4), VOXEL, -3.0, 0.02), "field strength", id="a negative field"),
    ],
)
def test_maps_that_cannot_be_are_refused(arguments: tuple, what: str) -> None:
    with pytest.raises(PhysicsError, match=what):
        swi_weight(*arguments)
