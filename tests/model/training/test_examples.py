"""Pictures of a training show the middle slice of patches as they are, on the person's side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.patches import Given, Patch
from model.data.target_voxels import TargetVoxels
from model.training.examples import MOST, WIDTH_PX, chosen, compared, draw, newest, path_of
from tests.model.evaluation.pictures import pixels
from warehouse.imaging.brain_scale import soften
from warehouse.prompts.record import PromptRecord

SIDE = 12


def ramp(shape: tuple[int, ...], first: float, step: float) -> NDArray[np.float32]:
    """Return intensities that rise towards the right."""
    return np.broadcast_to((first + step * np.arange(shape[0]))[:, None, None], shape).astype(np.float32)


def patch(at: TargetVoxels | None = None) -> Patch:
    shape = (SIDE,) * 3 if at is None else at.shape
    given = Given(ramp((SIDE,) * 3, 0, 0.1), np.ones((SIDE,) * 3, bool), (1.0,) * 3, PromptRecord(contrast="T1w"))
    target = ramp(shape, 1.0, -0.1)
    return Patch((given,), target, np.ones(shape, bool), at, (1.0,) * 3, -0.5, 2.0, PromptRecord(contrast="T2w"))


def thick() -> TargetVoxels:
    """Return voxels of 1, 2 and 4 mm in a patch, the first centred at its index (3, 2.5, 1.5)."""
    matrix = np.diag([1.0, 2.0, 4.0, 1.0])
    matrix[:3, 3] = 3, 2.5, 1.5
    return TargetVoxels((8, 4, 2), matrix)


def test_made_and_target_are_drawn_in_one_window_and_linear_in_the_signal() -> None:
    one = replace(patch(), low=-1.0, span=float(soften(np.array(6.0))) + 1.0)
    made = np.full((SIDE,) * 3, soften(np.array(2.5)), np.float32)
    found = compared(one, made, 1.0, "")
    np.testing.assert_allclose(found.made, 0.5, atol=1e-6)
    np.testing.assert_allclose(found.target, (one.target + 1) / 7, atol=1e-6)


def test_around_a_stripped_brain_nothing_is_shown_as_made() -> None:
    brain = np.zeros((SIDE,) * 3, bool)
    brain[2:5] = True
    one = replace(patch(), mask=brain)
    made = np.full((SIDE,) * 3, 0.3, np.float32)
    whole, stripped = (compared(replace(one, is_stripped=flag), made, 1.0, "") for flag in (False, True))
    np.testing.assert_array_equal(stripped.made[brain], whole.made[brain])
    np.testing.assert_array_equal(stripped.made[~brain], stripped.target[~brain])
    assert (whole.made[~brain] != whole.target[~brain]).mean() > 0.8


def test_the_scan_is_read_at_the_wanted_voxels_in_a_window_of_its_own() -> None:
    found = compared(patch(thick()), np.zeros(thick().shape, np.float32), 1.0, "")
    assert found.source.shape == found.target.shape == thick().shape
    read = np.arange(3, 11) * 0.1
    low, high = np.percentile(np.repeat(read, 4 * 2), (0.5, 99.5))
    np.testing.assert_allclose(found.source[:, 2, 1], np.clip((read - low) / (high - low), 0, 1), atol=1e-5)


def test_what_the_scan_does_not_see_decides_nothing_of_its_window() -> None:
    one, made = patch(), np.zeros((SIDE,) * 3, np.float32)
    bright, seen = one.given[0].voxels.copy(), np.ones((SIDE,) * 3, bool)
    bright[:, 6:], seen[:, 6:] = 50, False
    other = replace(one, given=(replace(one.given[0], voxels=bright, seen=seen),))
    shown, expected = (compared(each, made, 1.0, "").source for each in (other, one))
    np.testing.assert_allclose(shown[:, :6], expected[:, :6], atol=1e-6)
    blind = replace(one, given=(replace(one.given[0], seen=np.zeros_like(seen)),))
    assert np.isfinite(compared(blind, made, 1.0, "").source).all()


def test_the_middle_slice_is_drawn_in_true_proportions() -> None:
    view = compared(patch(thick()), np.zeros(thick().shape, np.float32), 1.5, "").view
    assert view.centre == (4, 2, 1)
    assert [view.size_mm(axis) for axis in range(3)] == [12.0, 12.0, 12.0]


def test_each_patch_has_a_row_and_its_right_is_on_the_right() -> None:
    row = compared(patch(), np.zeros((SIDE,) * 3, np.float32), 1.0, "T1w → T2w")
    one, two = pixels(draw([row], "step 3")), pixels(draw([row] * 2, "step 3"))
    assert one.shape[1] == two.shape[1] == WIDTH_PX
    assert two.shape[0] - one.shape[0] > 200
    source, target = one[150, 15:215, 0], one[150, 450:650, 0]
    assert source[0] < 0.3 < 0.7 < source[-1]
    assert target[0] > target[-1]


def test_one_of_each_pair_of_contrasts_is_shown_and_many_are_thinned_evenly() -> None:
    assert chosen([("a", "b"), ("b", "a"), ("a", "b"), ("a", "c")]) == [0, 1, 3]
    many = [(source, target) for source in "abcd" for target in "abcd" if source != target]
    found = chosen(many * 2)
    assert found == [0, 2, 4, 6, 8, 10]
    assert {source for place in found for source in many[place][0]} == set("abcd")
    assert len(found) == MOST
    assert chosen([]) == []


def test_the_newest_picture_is_that_of_the_last_step(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    for step in (0, 999_999, 1_000_000, 300):
        path_of(tmp_path, step).parent.mkdir(exist_ok=True)
        path_of(tmp_path, step).touch()
    assert path_of(tmp_path, 300).relative_to(tmp_path).as_posix() == "examples/step_000300.png"
    assert newest(tmp_path) == path_of(tmp_path, 1_000_000)
